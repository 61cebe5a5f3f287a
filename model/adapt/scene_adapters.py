"""Working memories over scenes that learn weights: LoRA, IA3, and a copy of the last block.

All answer through the reasoner's own pass with some weights laid over its own (`functional_call`); the core's
tensors are never touched. A new answer takes a free row of the reasoner's table, for the memory alone. They
learn by so many steps on all lessons at once, whatever the clock says, so the same lessons and seed give the
same memory; the clock only ends what takes far too long.
"""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from model.adapt.taught import Key, Taught
from model.hrm.scene import SceneReasoner
from model.part import Part, Question

_STEPS, _RATE = 40, 1e-2
_RANK = 4
_APART = ("encoder.", "embed", "places")  # what is learned once: the eyes, the words, where things stand
_BATCH = 64  # lessons at once: the newest


class _Asking(nn.Module):
    """The reasoner's answers as a forward pass, so that weights can be laid over its own."""

    def __init__(self, reasoner: SceneReasoner) -> None:
        super().__init__()
        self.reasoner = reasoner

    def forward(self, data: Mapping[str, Tensor]) -> Tensor:
        """Logits [B, A]."""
        return self.reasoner.answer(dict(data), self.reasoner.config.halt_steps)[0]


class Adapter(Taught):
    """What these have in common; whoever derives from it says which weights, and how they are laid over."""

    def __init__(self, core: Part, seed: int = 0) -> None:
        super().__init__(core)
        self._seed = seed
        self._asking = _Asking(self.core.learner)
        self._learned: dict[str, Tensor] = {}
        self._answers: list[str] = []
        self._seen = torch.zeros(0)

    @abstractmethod
    def fresh(self, matrices: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
        """What is learned, as it is before any lesson: laid over these matrices it changes nothing."""

    @abstractmethod
    def laid(self, matrices: Mapping[str, Tensor], learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The matrices that are used in the place of the core's."""

    def remember(self, questions: Sequence[Question]) -> dict[str, np.ndarray]:
        """Nothing is kept of the pictures but what is learned from them."""
        with torch.no_grad():
            self._seen = self.core.seen(questions) if questions else torch.zeros(0)
        return {}

    def settle(self, seconds: float) -> dict[str, float | str]:
        """Learn all lessons together; the loss of the last step, for show."""
        begin = time.process_time()
        self._answers = self._table()
        rng = torch.Generator().manual_seed(self._seed)
        matrices = self._matrices()
        head = matrices.pop("head")
        start = {**self.fresh(matrices, rng), "rows": torch.zeros_like(head)}
        self._learned = {name: each.clone().requires_grad_(True) for name, each in start.items()}
        if not self.kept:
            return {}
        data = {"words": self.core.learner.asked([each.text for each in self.kept]), "latents": self._seen}
        data = {name: each[-_BATCH:].to(head.device) for name, each in data.items()}
        wanted = torch.tensor([self._answers.index(each.answer) for each in self.kept[-_BATCH:]])
        stepper = torch.optim.AdamW(list(self._learned.values()), lr=_RATE, weight_decay=0.0)
        loss, steps = torch.zeros(()), 0
        for _ in range(_STEPS):
            logits = self._logits(data)
            loss = F.cross_entropy(logits, wanted.to(logits.device))
            stepper.zero_grad()
            torch.autograd.backward(loss)
            stepper.step()
            steps += 1
            if time.process_time() - begin > 4 * seconds:
                break
        self._learned = {name: each.detach() for name, each in self._learned.items()}
        return {"loss": float(loss.detach()), "steps": float(steps)}

    def weigh(self, key: Key, questions: Sequence[Question]) -> list[dict[str, float]]:
        """The probabilities of the answers that the rule's lessons have."""
        with torch.no_grad():
            words = self.core.learner.asked([each.text for each in questions])
            logits = self._logits({"words": words, "latents": self.core.seen(questions)})
        names = sorted({self.kept[at].answer for at in self.rules[key]})
        odds = logits[:, [self._answers.index(name) for name in names]].softmax(-1)
        return [dict(zip(names, row, strict=True)) for row in odds.tolist()]

    def weights(self) -> dict[str, np.ndarray]:
        """What was learned."""
        return {f"weight.{name}": each.cpu().numpy().copy() for name, each in self._learned.items()}

    def rehold(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take what was learned; ValueError where it does not fit this core."""
        given = {name.partition(".")[2]: each for name, each in arrays.items() if name.startswith("weight.")}
        matrices = self._matrices()
        head = matrices.pop("head")
        wanted = {**self.fresh(matrices, torch.Generator()), "rows": head}
        fits = given.keys() == wanted.keys() and all(
            given[name].shape == tuple(each.shape) and np.isfinite(given[name]).all()
            for name, each in wanted.items()
        )
        if not fits:
            raise ValueError("this memory's weights do not fit this core")
        self._learned = {name: torch.from_numpy(np.array(each)).float() for name, each in given.items()}
        self._answers = self._table()

    def _table(self) -> list[str]:
        """The core's answers, and after them the lessons' new ones; ValueError where there is no room."""
        answers, room = self.core.learner.answers(), self.core.learner.config.answers
        answers += sorted({each.answer for each in self.kept} - set(answers))
        if len(answers) > room:
            raise ValueError(f"there is room for {room} answers, not for {len(answers)}")
        return answers

    def _matrices(self) -> dict[str, Tensor]:
        """The core's matrices that may be laid over: the recursion's, the projection, the answers."""
        named = self.core.learner.named_parameters()
        return {
            name: each.detach()
            for name, each in named
            if each.ndim == 2 and (name == "head" or not name.startswith(_APART))
        }

    def _logits(self, data: Mapping[str, Tensor]) -> Tensor:
        """Logits of all answers that it knows [B, A]."""
        matrices = self._matrices()
        head = matrices.pop("head")
        new = torch.arange(len(head), device=head.device) >= len(self.core.learner.answers())
        over = {**self.laid(matrices, self._learned), "head": head + self._learned["rows"] * new[:, None]}
        named = {f"reasoner.{name}": each for name, each in over.items()}
        logits: Tensor = functional_call(self._asking, named, (dict(data),))
        return logits[:, : len(self._answers)]


class Lora(Adapter):
    """A product of two thin matrices beside each matrix."""

    method = "lora"

    def fresh(self, matrices: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
        """The first of each pair at random, the second zero."""
        found = {}
        for name, each in matrices.items():
            found[f"{name}.in"] = torch.randn(_RANK, each.shape[1], generator=rng) / each.shape[1] ** 0.5
            found[f"{name}.out"] = torch.zeros(each.shape[0], _RANK)
        return found

    def laid(self, matrices: Mapping[str, Tensor], learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The matrices with their products added."""
        return {
            name: each + learned[f"{name}.out"] @ learned[f"{name}.in"] for name, each in matrices.items()
        }


class Ia3(Adapter):
    """One factor for each row of each matrix (Liu et al., arXiv 2205.05638)."""

    method = "ia3"

    def fresh(self, matrices: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
        """No change of any."""
        return {name: torch.zeros(len(each)) for name, each in matrices.items()}

    def laid(self, matrices: Mapping[str, Tensor], learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The matrices with their rows made larger or smaller."""
        return {name: each * (1 + learned[name])[:, None] for name, each in matrices.items()}


class Block(Adapter):
    """A copy of the last block that learns in its place."""

    method = "block"

    def fresh(self, matrices: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
        """Differences from the last block's matrices: none."""
        blocks = {name: tuple(map(int, re.findall(r"\d+", name)[:2])) for name in matrices}
        last = max(blocks.values())
        return {name: torch.zeros_like(each) for name, each in matrices.items() if blocks[name] == last}

    def laid(self, matrices: Mapping[str, Tensor], learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The last block's matrices with their differences."""
        return {name: each + learned[name] for name, each in matrices.items() if name in learned}
