"""Training rows in an order that the seed alone decides, whole again from two numbers and a generator's
state.

The rows of all epochs stand in one endless stream: epoch e is a permutation drawn from (seed, e). Rank r of w
takes every w-th place of it from r on. So whatever each rank takes at a time, the first n rows of all ranks
are the first n * w rows that one process would have taken.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from model.errors import UnfitData

_EPOCHS = 0x9E3779B97F4A7C15  # an odd number that keeps the streams of neighbouring seeds apart
_WORD = 2**63 - 1


class RowFeed:
    """`model.learner.Feed` over tensors that share their first axis."""

    def __init__(
        self,
        data: Mapping[str, Tensor],
        seed: int,
        device: torch.device,
        *,
        rank: int = 0,
        ranks: int = 1,
        resident: bool = True,
    ) -> None:
        """Rows lie on the device where they are `resident`; otherwise each is sent there when it is taken."""
        sizes = {len(tensor) for tensor in data.values()}
        if len(sizes) != 1 or sizes == {0}:
            raise UnfitData(
                "there is no row to learn from" if sizes <= {0} else "the columns differ in length"
            )
        self.rows = sizes.pop()
        self._data = {name: tensor.to(device) if resident else tensor for name, tensor in data.items()}
        self._device, self._home = device, device if resident else torch.device("cpu")
        self._seed, self._rank, self._ranks = seed, rank, ranks
        self.rng = torch.Generator().manual_seed((seed * _EPOCHS + rank + 1) & _WORD)
        self._taken = 0  # rows that this rank took so far
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def take(self, count: int) -> dict[str, Tensor]:
        """The next `count` rows of this rank's part of the stream, on the device."""
        parts = []
        end = self._taken + count
        while self._taken < end:
            place = self._taken * self._ranks + self._rank
            epoch, first = divmod(place, self.rows)
            left = -(-(self.rows - first) // self._ranks)  # places of this rank until the epoch ends
            now = min(end - self._taken, left)
            parts.append(self._permutation(epoch)[first :: self._ranks][:now])
            self._taken += now
        index = (
            (torch.cat(parts) if len(parts) != 1 else parts[0])
            if parts
            else torch.empty(0, dtype=torch.int64)
        )
        index = index.to(self._home)
        return {name: tensor[index].to(self._device) for name, tensor in self._data.items()}

    def state(self) -> dict[str, Tensor]:
        """What decides all rows and random numbers to come."""
        return {"taken": torch.tensor(self._taken), "rng": self.rng.get_state()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on where `state` was taken."""
        self._taken = int(state["taken"])
        self.rng.set_state(state["rng"])

    @property
    def epoch(self) -> float:
        """How many times all rows were taken, by all ranks together."""
        return self._taken * self._ranks / self.rows

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            own = torch.Generator().manual_seed((self._seed ^ (epoch + 1) * _EPOCHS) & _WORD)
            self._epoch, self._order = epoch, torch.randperm(self.rows, generator=own)
        return self._order
