"""The joint-embedding net: a picture and its caption become a latent each, either predicted from the other.

The published latent `z` is one row of numbers for either modality (96 by default). Probes, retrieval and rank
all read it; nothing else is published. What predicts is beside it and is used in training and for retrieval.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.encoders import PAD, WORDS_BYTES, Text, Vision
from model.jepa.config import JepaConfig


class Head(nn.Module):
    """Features [B, W] to latents [B, D] through a hidden layer with batch norm, as SIGReg needs it."""

    def __init__(self, width: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, hidden, bias=False)
        self.norm = nn.BatchNorm1d(hidden)
        self.outer = nn.Linear(hidden, latent)

    def forward(self, features: Tensor) -> Tensor:
        """[B, W] to [B, D], float32."""
        found: Tensor = self.outer(self.norm(self.inner(features)).relu())
        return found.float()


class Predictor(nn.Module):
    """One latent, and what is known of the place that is asked for, to another latent.

    The place is a gate: for each place the prediction is linear in the latent, so what it asks for must be
    there to be read off by a straight line.
    """

    def __init__(self, latent: int, hidden: int, context: int = 0, out: int | None = None) -> None:
        super().__init__()
        self.inner = nn.Linear(latent, hidden)
        self.place = nn.Linear(context, hidden, bias=False) if context else None
        self.outer = nn.Linear(hidden, out or latent)

    def forward(self, latents: Tensor, place: Tensor | None = None, which: Tensor | None = None) -> Tensor:
        """[..., D] and [..., C] to [..., out], float32.

        With `which` [...], places are rows of `place` [P, C]: these few become gates, and not each that is
        asked for.
        """
        x = self.inner(latents)
        if self.place is None:
            x = nn.functional.gelu(x)
        else:
            gate = self.place(place)
            x = x * (gate if which is None else nn.functional.embedding(which, gate))
        found: Tensor = self.outer(x)
        return found.float()


class Towers(nn.Module):
    """Both encoders with their heads: what a teacher is a copy of."""

    def __init__(self, config: JepaConfig) -> None:
        super().__init__()
        vision, text = config.vision, config.text
        self.flat = config.pool == "flat"
        self.vision, self.text = Vision(vision), Text(text)
        width = vision.width * (vision.patches if self.flat else 1)
        self.see = Head(width, config.hidden, config.latent)
        self.read = Head(text.width, config.hidden, config.latent)

    def picture(self, patches: Tensor) -> Tensor:
        """Latents of all patches [B, P, W] to the picture's latent [B, D]."""
        found: Tensor = self.see(patches.flatten(1) if self.flat else patches.mean(1))
        return found

    def caption(self, words: Tensor, ids: Tensor) -> Tensor:
        """Latents of words [B, L, W], of numbers [B, L], to the caption's latent [B, D]."""
        seen = (ids != PAD)[:, :, None].to(words.dtype)
        found: Tensor = self.read((words * seen).sum(1) / seen.sum(1).clamp(min=1))
        return found


class Jepa(nn.Module):
    """Towers, predictors, and the tokenizer's bytes."""

    vocabulary: Tensor

    def __init__(self, config: JepaConfig) -> None:
        super().__init__()
        self.towers = Towers(config)
        tasks, latent, hidden = config.tasks, config.latent, config.hidden
        self.to_text, self.to_picture = Predictor(latent, hidden), Predictor(latent, hidden)
        self.scale = nn.Parameter(torch.tensor(2.3))  # log of the inverse temperature: begins at 10
        if tasks.words:
            self.to_words = Predictor(latent, hidden, context=config.text.width)
            self.words = nn.Linear(config.text.width, latent)
            self.words_scale = nn.Parameter(torch.tensor(2.3))
        if tasks.patches:
            width = config.vision.width
            self.to_patches = Predictor(width, hidden, context=width)
            self.patches_scale = nn.Parameter(torch.tensor(2.3))
            self.places = nn.Parameter(torch.randn(config.vision.patches, width) * 0.02)
        if tasks.future:
            self.to_future = Predictor(2 * latent, hidden, out=latent)
            self.future_scale = nn.Parameter(torch.tensor(2.3))
        self.register_buffer("vocabulary", torch.zeros(WORDS_BYTES, dtype=torch.uint8))
