"""The recurrent network: two latents, an answer `y` (slow) and a scratchpad `z` (fast), refined in cycles.

One refinement step is `h_cycles` cycles; in a cycle z is renewed `l_cycles` times from itself, y and the
question, then y once from itself and z. All cycles but the last run without gradients and keep nothing for
the backward pass. With one network for both levels this is the tiny recursive model; with two, the
hierarchical one.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.hrm.config import HrmConfig
from model.hrm.mixers import Gated, mixer, weight
from model.hrm.ops import norm


@dataclass(frozen=True)
class Refined:
    """What a refinement step gives."""

    y: Tensor  # [B, N, D]
    z: Tensor  # [B, N, D]; y itself where the hierarchy is ablated
    logits: Tensor  # [B, N, V], fp32
    halt: Tensor | None  # [B], fp32: log-odds that the answer is right; None where halting is ablated


def working_type(device: torch.device) -> torch.dtype:
    """The type in which to compute: that of the present autocast, or fp32."""
    kind = device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32


class Block(nn.Module):
    """Mixing between cells, then an MLP within each; normed after each sum."""

    def __init__(self, config: HrmConfig) -> None:
        super().__init__()
        made = [mixer(name, config) for name in config.mixing]
        self.mixers = nn.ModuleList(made)
        self.cells_first = all(each.cells_first for each in made)
        self._turned = [each.cells_first != self.cells_first for each in made]
        self.mlp = Gated(config.hidden, round(config.hidden * config.expansion))

    def forward(self, x: Tensor) -> Tensor:
        """[N, B, D] where cells come first, else [B, N, D], to the same."""
        mixed = x
        for each, turned in zip(self.mixers, self._turned, strict=True):
            if turned:
                mixed = each(x.transpose(0, 1), mixed.transpose(0, 1)).transpose(0, 1)
            else:
                mixed = each(x, mixed)
        x = norm(mixed)
        return norm(self.mlp(x, x))


class Core(nn.Module):
    """The recursion itself: what is asked goes in as latents, what is answered comes out as latents."""

    y0: Tensor
    z0: Tensor

    def __init__(self, config: HrmConfig) -> None:
        super().__init__()
        self.flat = "hierarchy" in config.ablate
        self.one_step = config.gradient == "one_step"
        count = 1 if self.flat else config.networks
        blocks = [[Block(config) for _ in range(config.layers)] for _ in range(count)]
        self.networks = nn.ModuleList(nn.Sequential(*each) for each in blocks)
        self.cells_first = blocks[0][0].cells_first
        halting = "halting" not in config.ablate
        self.halt = nn.Parameter(torch.zeros(1, config.hidden)) if halting else None
        self.halt_bias = nn.Parameter(torch.full((1,), config.halt_bias)) if halting else None
        for name in ("y0", "z0"):
            self.register_buffer(name, nn.init.trunc_normal_(torch.empty(config.hidden), std=1.0, a=-2, b=2))

    def think(
        self, asked: Tensor, y: Tensor, z: Tensor, h_cycles: int, l_cycles: int
    ) -> tuple[Tensor, Tensor]:
        """One refinement step: y and z [B, N, D] from what is asked [B, N, D], y and z."""
        if self.cells_first:
            asked, y, z = (each.transpose(0, 1).contiguous() for each in (asked, y, z))
        for cycle in range(h_cycles):
            last = cycle == h_cycles - 1
            with nullcontext() if last else torch.no_grad():
                y, z = self._cycle(asked, y, z, l_cycles, last)
        if self.cells_first:
            y, z = (each.transpose(0, 1).contiguous() for each in (y, z))
        return y, z

    def sure(self, y: Tensor) -> Tensor | None:
        """The halting value of y [B, N, D]: [B], fp32, log-odds; None where halting is ablated."""
        if self.halt is None:
            return None
        return F.linear(y.mean(1), self.halt, self.halt_bias).squeeze(-1).float()

    def _cycle(self, asked: Tensor, y: Tensor, z: Tensor, l_cycles: int, last: bool) -> tuple[Tensor, Tensor]:
        slow, fast = self.networks[-1], self.networks[0]
        if self.flat:  # one latent that is its own answer, and as many calls as with two
            for call in range(l_cycles + 1):
                with self._kept(last and call == l_cycles):
                    y = fast(y + asked)
            return y, y
        given = y + asked
        for call in range(l_cycles):
            with self._kept(last and call == l_cycles - 1):
                z = fast(z + given)
        return slow(y + z), z

    def _kept(self, last: bool) -> torch.no_grad | nullcontext[None]:
        """Without gradients where only the last call has them, and this is not it."""
        return torch.no_grad() if self.one_step and not last else nullcontext()


class Net(Core):
    """The reasoner over boards of tokens: an answer for each cell."""

    def __init__(self, config: HrmConfig) -> None:
        super().__init__(config)
        self.cells = config.grid.cells
        self.embed = nn.Parameter(torch.randn(config.vocabulary, config.hidden))
        self.head = weight(config.vocabulary, config.hidden)

    def forward(self, question: Tensor, y: Tensor, z: Tensor, h_cycles: int, l_cycles: int) -> Refined:
        """One refinement step of questions [B, N] (token ids) from latents y and z [B, N, D]."""
        y, z = self.think(F.embedding(question, self.embed), y, z, h_cycles, l_cycles)
        return Refined(y, z, F.linear(y, self.head).float(), self.sure(y))
