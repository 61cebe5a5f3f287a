"""The default memory of boards: it finds out which cells must all differ, and the core thinks in those units.

Nothing is learned by gradient where the core can use what was found as it is. Where it can't yet (more units
a cell than it was trained with), the memory practises on boards that it makes itself under the rule that it
found: a few low-rank numbers learn, the core stays. What it found is at most some hundred cell numbers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from datagen.errors import DataError
from datagen.puzzles import ruled
from model.adapt import units as units_
from model.adapt.boards import BoardMemory, practise
from model.adapt.lora import lora, widest
from model.adapt.overlay import Overlay
from model.hrm import rules
from model.hrm.board_part import BoardPart
from model.hrm.config import Rule
from model.hrm.mixers import kinds_of, units_of
from model.part import Part

GOOD = 0.95  # of own boards answered rightly: below it, it practises
CHECKED = 128  # own boards by which that is told
PRACTICE = 4_000  # own boards to practise on
STEPS = 700
_AFTER = 1.0  # seconds that are left for the checks behind practice
_LEAST = 2.0  # seconds: for less, practice is not begun


def suits(core: Part) -> bool:
    """Whether a part is of boards with units that this memory can find."""
    if not isinstance(core, BoardPart):
        return False
    config = core.learner.config
    size = config.vocabulary - 1
    square = config.grid.rows == config.grid.columns == size and 2 <= size <= ruled.MOST
    return square and config.blank == 0 and "units" in config.mixing and "halting" not in config.ablate


class Relations(BoardMemory):
    """Units found in solved boards; practice where they do not suffice."""

    method = "relations"
    practises = True

    def __init__(self, core: Part, seed: int = 0) -> None:
        super().__init__(core, seed)
        if not suits(core):
            raise ValueError(
                "the memory of relations is for a reasoner over boards of as many rows and columns as digits "
                "that is told of units (mixing: units)"
            )
        config = self.learner.config
        self.size = config.vocabulary - 1
        members = units_of(config.grid).numpy()
        self.own = np.stack([np.flatnonzero(row) for row in members])
        self.own_kinds = np.array(kinds_of(config.grid), np.int64)
        self.units, self.kinds = self.own, self.own_kinds
        self.low: dict[str, Tensor] = {}

    def clear(self) -> None:
        """The core's own units again."""
        self.units, self.kinds, self.low = self.own, self.own_kinds, {}

    def taught(self, question: Tensor, answer: Tensor, seconds: float) -> dict[str, float | str]:
        """Find the units; practise under them where the core does not use them well enough as they are."""
        end = time.process_time() + seconds
        found = units_.discover(answer.numpy(), self.size, self.own, self.own_kinds)
        facts: dict[str, float | str] = {
            "units": float(len(found.units)),
            "dropped": float(found.dropped),
            "added": float(found.added),
            "unexplained_pairs": float(found.pairs),
        }
        self.units, self.kinds, self.low = found.units, found.kinds, {}
        if not found.added:  # nothing new, or something lost for which there is no evidence yet
            self.units, self.kinds = self.own, self.own_kinds
            self._lay()
            return facts
        self._lay()
        own = self.imagined(CHECKED, start=0)
        if own is None:
            return facts
        right = facts["own_boards_right"] = self.right(*own)
        if self.practises and right < GOOD and seconds >= _LEAST:
            made = self.imagined(PRACTICE, start=CHECKED)
            if made is not None:
                asked, wanted = torch.cat((made[0], question)), torch.cat((made[1], answer))
                left = end - time.process_time() - _AFTER
                self.practised((asked, wanted), max(left, _AFTER))
                facts["own_boards_right_after_practice"] = self.right(*own)
        return facts

    def imagined(self, count: int, start: int) -> tuple[Tensor, Tensor] | None:
        """Boards int64 [N, cells] under the rule that was found, by a solver; None where it has none."""
        try:
            made = ruled.make(self.units, self.size, 1_000 + self.seed, start, start + count)
        except DataError:
            return None
        return torch.from_numpy(made["question"]).long(), torch.from_numpy(made["answer"]).long()

    def rule(self) -> Rule:
        """What was found, as the core's configuration has it."""
        units, kinds = tuple(map(tuple, self.units.tolist())), tuple(self.kinds.tolist())
        return Rule(units=units, kinds=kinds, rank=_rank(self.base()) if self.low else 0)

    def held(self) -> dict[str, np.ndarray]:
        """The units, their kinds, what practice taught, and the boards it was told."""
        made = {"units": self.units, "kinds": self.kinds} | self.held_lessons()
        return made | {f"low.{name}": each.numpy() for name, each in self.low.items()}

    def hold(self, arrays: Mapping[str, np.ndarray]) -> None:
        """The same again; ValueError where it does not fit."""
        rest = self.hold_lessons(arrays)
        low = {name.removeprefix("low."): each for name, each in rest.items() if name.startswith("low.")}
        if rest.keys() != {"units", "kinds", *(f"low.{name}" for name in low)}:
            raise ValueError("this is no memory of relations")
        try:
            units, kinds = (np.array(rest[name], np.int64) for name in ("units", "kinds"))
            held = {"units": units.tolist(), "kinds": kinds.tolist()}
            self.learner.config.model_validate(self.learner.config.model_dump() | {"rules": [held]})
            if units.shape[1:] != (self.size,):
                raise ValueError(f"a unit has {self.size} cells")
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"this memory of relations is not for this core: {str(error)[:200]}") from None
        before = self.units, self.kinds
        self.units, self.kinds = units, kinds
        try:
            self._fits(low)
        except ValueError:
            self.units, self.kinds = before
            raise
        self.low = {name: torch.from_numpy(each.copy()) for name, each in low.items()}
        self._lay()

    @property
    def numbers(self) -> int:
        """Cells of the units that are not the core's, their kinds, and what practice taught."""
        known = {tuple(unit) for unit in self.own.tolist()}
        new = sum(tuple(unit) not in known for unit in self.units.tolist())
        return new * (self.size + 1) + sum(each.numel() for each in self.low.values())

    def base(self) -> dict[str, Tensor]:
        """The core's weights, and the wiring of the units that were found."""
        wiring = rules.wired(self.learner.net, self.units.tolist(), self.kinds.tolist())
        return self.learner.weights() | wiring

    def _lay(self) -> None:
        """Lay what was found over the core: nothing where it found nothing that the core has not."""
        self.adapted.over = {}
        if np.array_equal(self.units, self.own) and not self.low:
            return
        self.adapted.over = rules.wired(self.learner.net, self.units.tolist(), self.kinds.tolist())
        if self.low:
            base = self.base()
            self.adapted.over |= _overlay(base).applied(base, self.low)

    def practised(self, boards: tuple[Tensor, Tensor], seconds: float, steps: int = STEPS) -> None:
        """Go on practising on these boards, from where it is."""
        base = self.base()
        low = practise(
            self.learner,
            _overlay(base),
            base,
            boards,
            steps=steps,
            seconds=seconds,
            seed=self.seed,
            rename=True,
            start=self.low or None,
        )
        self.put(low)

    def put(self, low: dict[str, Tensor]) -> None:
        """Take these low-rank numbers in place of its own."""
        self.low = low
        self._lay()

    def right(self, question: Tensor, answer: Tensor) -> float:
        """Share of boards int64 [N, cells] answered rightly at the first attempt, without other forms."""
        with torch.no_grad():
            said = self.adapted.run(self.adapted.weights(), question, self.learner.config.steps)
        return float((said.logits.argmax(-1) == answer).all(1).float().mean())

    def _fits(self, low: Mapping[str, np.ndarray]) -> None:
        if not low:
            return
        base = self.base()
        wanted = _overlay(base).begin(base, torch.Generator())
        shapes = {name: tuple(each.shape) for name, each in wanted.items()}
        if {name: each.shape for name, each in low.items()} != shapes:
            raise ValueError("this memory of relations is not for this core: its low-rank numbers do not fit")
        if any(each.dtype != np.float32 or not np.isfinite(each).all() for each in low.values()):
            raise ValueError("this memory of relations holds numbers that can't be")


class RelationsAlone(Relations):
    """The same without practice, to see what that is worth."""

    method = "relations-alone"
    practises = False


def _overlay(base: Mapping[str, Tensor]) -> Overlay:
    """The widest one within 5 % of the weights, over them and over the wiring.

    Without the wiring it does not learn: boards with both diagonals stayed at 5 %, with it they came to 74 %.
    """
    return lora(_rank(base))


def _rank(base: Mapping[str, Tensor]) -> int:
    return widest({name: each for name, each in base.items() if not name.endswith((".gather", ".kind"))})
