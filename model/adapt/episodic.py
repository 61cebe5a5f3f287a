"""A plain episodic memory over scenes: latents of the lessons' pictures, read by attention.

It knows no concepts: two pictures are as near as their published latents are (those of the
reasoner's encoder, where no JEPA is given). It is here to be compared with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from model.adapt.taught import Key, Taught
from model.jepa.learner import JepaLearner
from model.jepa.views import scaled
from model.part import Part, Question

_HEAT = 10.0  # of the cosines


class Episodic(Taught):
    """Over a part that answers questions about scenes."""

    method = "episodic"

    def __init__(self, core: Part, seed: int = 0, jepa: JepaLearner | None = None) -> None:
        super().__init__(core)
        self._jepa = jepa.eval() if jepa else None
        self.arrays = self.remember([])

    def remember(self, questions: Sequence[Question]) -> dict[str, np.ndarray]:
        """The published latents, of length one, float32 [N, D]."""
        if not questions:
            config = self.core.learner.config.vision
            width = self._jepa.config.latent if self._jepa else config.patches * config.width
            return {"latent": np.zeros((0, width), np.float32)}
        with torch.no_grad():
            if self._jepa is None:
                latents = self.core.seen(questions)
                latents = torch.nn.functional.layer_norm(latents.float(), latents.shape[-1:]).flatten(1)
            else:
                pictures = np.stack([each.image for each in questions if each.image is not None])
                towers, device = self._jepa.net.towers, self._jepa.net.scale.device
                latents = towers.picture(towers.vision(scaled(torch.from_numpy(pictures).to(device))))
            rows = torch.nn.functional.normalize(latents.float(), dim=-1)
        return {"latent": rows.cpu().numpy()}

    def settle(self, seconds: float) -> dict[str, float | str]:
        """There is nothing to settle."""
        return {}

    def weigh(self, key: Key, questions: Sequence[Question]) -> list[dict[str, float]]:
        """Attention over the rule's lessons."""
        places = self.rules[key]
        kept = np.stack([self.arrays["latent"][at] for at in places])
        scores = _HEAT * self.remember(questions)["latent"] @ kept.T
        share = np.exp(scores - scores.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        answers = sorted({self.kept[at].answer for at in places})
        said = np.array([[self.kept[at].answer == each for each in answers] for at in places], np.float64)
        return [dict(zip(answers, map(float, row), strict=True)) for row in share @ said]
