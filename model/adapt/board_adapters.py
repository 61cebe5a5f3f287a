"""Other memories over boards, to be compared with: weights laid over the core's, and attention over lessons.

`lora`, `ia3` and `block` learn by gradient from the corrected boards, their digits renamed where the answers
keep what was given. `episodic` adds to what the core says what stored cells with a like latent held: latents
of a board say little about another board under another rule, so it is here for the table alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from model.adapt.block import copied
from model.adapt.boards import Adapted, BoardMemory, practise
from model.adapt.ia3 import ia3
from model.adapt.lora import lora, widest
from model.adapt.overlay import Overlay
from model.hrm.board_part import BoardPart
from model.hrm.net import Refined
from model.part import Part

STEPS = 700
_NEAR = 16  # stored cells that a cell asks
_SHARP = 20.0  # of the attention, per unit of cosine
_WEIGHT = 0.5  # of what they say


class _Laid(BoardMemory):
    """An overlay that learns from the corrections by gradient."""

    steps = STEPS

    def __init__(self, core: Part, seed: int = 0) -> None:
        super().__init__(core, seed)
        self.low: dict[str, Tensor] = {}
        self.overlay = self._overlay()

    def _overlay(self) -> Overlay:
        raise NotImplementedError

    def clear(self) -> None:
        """No numbers."""
        self.low = {}

    def taught(self, question: Tensor, answer: Tensor, seconds: float) -> dict[str, float | str]:
        """Learn in so many steps; whether the digits' names may be exchanged is read from the boards."""
        blank = self.learner.config.blank
        self.adapted.rename = blank is not None and bool(((question == blank) | (question == answer)).all())
        self.low = practise(
            self.learner,
            self.overlay,
            self.learner.weights(),
            (question, answer),
            steps=self.steps,
            seconds=seconds,
            seed=self.seed,
            rename=self.adapted.rename,
        )
        self._lay()
        return {"digits_renamed": "yes" if self.adapted.rename else "no"}

    def held(self) -> dict[str, np.ndarray]:
        """The numbers, and whether the digits may be renamed."""
        made = {f"low.{name}": each.numpy() for name, each in self.low.items()}
        return made | self.held_lessons() | {"rename": np.array([self.adapted.rename], np.uint8)}

    def hold(self, arrays: Mapping[str, np.ndarray]) -> None:
        """The same again; ValueError where it does not fit."""
        rest = self.hold_lessons(arrays)
        low = {name.removeprefix("low."): each for name, each in rest.items() if name.startswith("low.")}
        base = self.learner.weights()
        wanted = self.overlay.begin(base, torch.Generator())
        fits = {name: tuple(each.shape) for name, each in wanted.items()}
        good = not low or {name: each.shape for name, each in low.items()} == fits
        if not good or rest.keys() != {"rename", *(f"low.{name}" for name in low)}:
            raise ValueError(f"this memory of {self.method} is not for this core")
        if any(each.dtype != np.float32 or not np.isfinite(each).all() for each in low.values()):
            raise ValueError(f"this memory of {self.method} holds numbers that can't be")
        self.adapted.rename = bool(rest["rename"].any())
        self.low = {name: torch.from_numpy(each.copy()) for name, each in low.items()}
        self._lay()

    @property
    def numbers(self) -> int:
        """Those of the overlay."""
        return sum(each.numel() for each in self.low.values())

    def _lay(self) -> None:
        self.adapted.over = self.overlay.applied(self.learner.weights(), self.low) if self.low else {}


class Lora(_Laid):
    """Low-rank changes, of the greatest rank within 5 % of the core's numbers."""

    method = "lora"

    def _overlay(self) -> Overlay:
        return lora(widest(self.learner.weights()))


class WideLora(_Laid):
    """Low-rank changes of rank 16, more than 5 %: what the bound costs."""

    method = "lora-16"

    def _overlay(self) -> Overlay:
        return lora(16)


class Ia3(_Laid):
    """Factors of rows."""

    method = "ia3"

    def _overlay(self) -> Overlay:
        return ia3()


class Block(_Laid):
    """A copy of the last block and of the head."""

    method = "block"

    def _overlay(self) -> Overlay:
        last = self.learner.config.layers - 1
        networks = len(self.learner.net.networks) - 1
        return copied(f"networks.{networks}.{last}.")


class _Recalling(Adapted):
    """The core, and beside it the cells of stored boards whose latents are most alike."""

    keys: Tensor | None = None
    digits: Tensor

    def run(self, weights: dict[str, Tensor], question: Tensor, steps: int) -> Refined:
        """The core's logits, moved towards what like cells held."""
        return self._moved(super().run(weights, question, steps))

    def refine(self, weights: dict[str, Tensor], *asked: object, **more: object) -> Refined:
        """One step of the core's, its logits moved."""
        refined = super().refine(weights, *asked, **more)  # type: ignore[arg-type]  # as it was called
        return self._moved(refined)

    def _moved(self, refined: Refined) -> Refined:
        if self.keys is None:
            return refined
        query = torch.nn.functional.normalize(refined.y.float(), dim=-1)
        like, at = (query @ self.keys.T).topk(min(_NEAR, len(self.keys)), dim=-1)
        share = (like * _SHARP).softmax(-1)
        said = torch.zeros_like(refined.logits).scatter_add_(-1, self.digits[at], share)
        mixed = (1 - _WEIGHT) * refined.logits.softmax(-1) + _WEIGHT * said
        return Refined(refined.y, refined.z, mixed.clamp(min=1e-9).log(), refined.halt)


class BoardEpisodes(BoardMemory):
    """Stored cells of corrected boards, read by attention over the core's latents."""

    method = "episodic"

    def __init__(self, core: Part, seed: int = 0) -> None:
        super().__init__(core, seed)
        self.adapted: _Recalling = _Recalling(self.learner)
        self._mine = BoardPart(self.adapted)

    def clear(self) -> None:
        """No stored cells."""
        self.adapted.keys = None

    def taught(self, question: Tensor, answer: Tensor, seconds: float) -> dict[str, float | str]:
        """Store the latents of all cells with what they hold."""
        with torch.no_grad():
            y = self.learner.run(self.learner.weights(), question, self.learner.config.steps).y
        self._store(torch.nn.functional.normalize(y.float(), dim=-1).flatten(0, 1), answer.flatten())
        return {"cells": float(answer.numel())}

    def held(self) -> dict[str, np.ndarray]:
        """Latents and digits."""
        keys = self.adapted.keys
        made = {} if keys is None else {"keys": keys.numpy(), "digits": self.adapted.digits.numpy()}
        return made | self.held_lessons()

    def hold(self, arrays: Mapping[str, np.ndarray]) -> None:
        """The same again; ValueError where it does not fit."""
        rest, config = self.hold_lessons(arrays), self.learner.config
        if not rest:
            self.adapted.keys, self.adapted.over = None, {}
            return
        keys, digits = rest.get("keys"), rest.get("digits")
        if keys is None or digits is None or len(rest) != 2 or keys.dtype != np.float32:
            raise ValueError("this is no memory of stored cells")
        good = keys.ndim == 2 and keys.shape == (len(digits), config.hidden) and np.isfinite(keys).all()
        if not good or digits.dtype != np.int64 or digits.min() < 0 or digits.max() >= config.vocabulary:
            raise ValueError("these stored cells are not of this core")
        self._store(torch.from_numpy(keys.copy()), torch.from_numpy(digits.copy()))

    @property
    def numbers(self) -> int:
        """All stored latents and digits."""
        keys = self.adapted.keys
        return 0 if keys is None else keys.numel() + self.adapted.digits.numel()

    @property
    def differs(self) -> bool:
        """Whether any cell is stored."""
        return self.adapted.keys is not None

    def _store(self, keys: Tensor, digits: Tensor) -> None:
        self.adapted.keys, self.adapted.digits, self.adapted.over = keys, digits, {}
