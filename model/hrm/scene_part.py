"""The reasoner over pictures as a part: it answers questions in words, with the likeliest answers beside it.

A picture that was asked about lately is not encoded again. What it says of a question does not hang on the
questions beside it, up to the last digits of its numbers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.hrm.scene import SceneReasoner, Thought
from model.part import Answer, Cycle, Part, Question, Task

_BATCH = 256  # questions at once
_PICTURES = 64  # encoded ones that are kept
_OTHERS = 5  # likeliest answers that are told
_LONGEST = 400  # characters of a question


class ScenePart(Part):
    """Over a restored reasoner, in evaluation mode; its weights are read at each answer."""

    task: Task = "scene"

    def __init__(self, learner: SceneReasoner) -> None:
        self.learner = learner.eval()
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()

    def answer(self, questions: Sequence[Question], *, steps: int = 0, trace: bool = False) -> list[Answer]:
        """Answers in the order of the questions; ValueError where one has no picture or no words."""
        for each in questions:
            self._checked(each)
        found: list[Answer] = []
        with torch.no_grad():
            for start in range(0, len(questions), _BATCH):
                found += self._answers(questions[start : start + _BATCH], steps, trace)
        return found

    def seen(self, questions: Sequence[Question]) -> Tensor:
        """The encoder's latents of the questions' pictures, float32 [B, P, W], as the reasoner takes them."""
        found = [None if each.image is None else self._kept.get(each.image.tobytes()) for each in questions]
        new = [at for at, each in enumerate(found) if each is None]
        if new:
            pictures = torch.from_numpy(np.stack([self._checked(questions[at]) for at in new]))
            latents = self.learner.seen(pictures.to(self.learner.embed.device))
            for at, each in zip(new, latents, strict=True):
                found[at] = each
        for question, latent in zip(questions, found, strict=True):
            assert question.image is not None and latent is not None
            self._kept[question.image.tobytes()] = latent
            self._kept.move_to_end(question.image.tobytes())
        while len(self._kept) > _PICTURES:
            self._kept.popitem(last=False)
        return torch.stack([each for each in found if each is not None])

    def forget(self) -> None:
        """Encode pictures anew: for whoever changes the encoder's weights."""
        self._kept.clear()

    def _answers(self, questions: Sequence[Question], steps: int, trace: bool) -> list[Answer]:
        words = self.learner.asked([each.text for each in questions])
        data = {"words": words.to(self.learner.embed.device), "latents": self.seen(questions)}
        thoughts = list(self.learner.thoughts(data, steps or self.learner.config.halt_steps))
        texts = self.learner.answers()
        last = thoughts[-1].logits[:, : len(texts)]
        odds, order = torch.sort(last.softmax(-1), dim=-1, descending=True, stable=True)
        sure = certain(last)
        cycles = self._cycles(thoughts, texts) if trace else [()] * len(questions)
        return [
            Answer(
                texts[which[0]],
                value,
                others=tuple((texts[number], share) for number, share in zip(which, shares, strict=True)),
                cycles=went,
            )
            for which, shares, value, went in zip(
                order[:, :_OTHERS].tolist(), odds[:, :_OTHERS].tolist(), sure.tolist(), cycles, strict=True
            )
        ]

    @staticmethod
    def _cycles(thoughts: list[Thought], texts: list[str]) -> list[tuple[Cycle, ...]]:
        """The refinement steps of each question."""
        rows = []
        for each in thoughts:
            best, which = each.logits[:, : len(texts)].softmax(-1).max(-1)
            columns = which, each.change, each.halt.sigmoid(), 1 - best
            parts = zip(*(column.tolist() for column in columns), strict=True)
            rows.append([Cycle(texts[at], moved, halt, doubt) for at, moved, halt, doubt in parts])
        return list(zip(*rows, strict=True))

    def _checked(self, question: Question) -> np.ndarray:
        """The picture; ValueError where it or the words are not what this model takes."""
        size, image = self.learner.config.vision.size, question.image
        if image is None or not question.text.strip():
            raise ValueError("a picture and a question in words are asked for")
        if image.dtype != np.uint8 or image.shape != (size, size, 3):
            raise ValueError(f"a picture of {size} x {size} x 3 bytes is needed, not {image.shape}")
        if len(question.text) > _LONGEST:
            raise ValueError(f"a question of at most {_LONGEST} characters is needed")
        return image


def certain(logits: Tensor) -> Tensor:
    """Log-odds [B] of the likeliest answer against all others, of logits [B, A]."""
    best, which = logits.max(-1)
    others = logits.scatter(-1, which[:, None], -torch.inf)
    found: Tensor = best - others.logsumexp(-1)
    return found
