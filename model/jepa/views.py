"""How scenes are looked at in training: pictures in other light, captions with words hidden."""

from __future__ import annotations

import torch
from torch import Tensor

from model.jepa.config import Augment


def scaled(pictures: Tensor) -> Tensor:
    """Bytes [B, S, S, 3] to float32 [B, 3, S, S] from -1 to 1."""
    return (pictures.permute(0, 3, 1, 2) / 127.5).sub_(1)


def augment(pictures: Tensor, how: Augment, rng: torch.Generator) -> Tensor:
    """Bytes [B, S, S, 3] to float32 [B, 3, S, S]: shifted, in other light, noisy; the caption stays true."""
    count, size, device = len(pictures), pictures.shape[1], pictures.device
    if how.shift:
        moves = torch.randint(-how.shift, how.shift + 1, (count, 2), generator=rng).to(device)
        line = torch.arange(size, device=device)
        y = (line + moves[:, :1]).clamp(0, size - 1)
        x = (line + moves[:, 1:]).clamp(0, size - 1)
        rows = torch.arange(count, device=device)[:, None, None] * size  # whole pixels, by one number each
        at = (rows + y[:, :, None]) * size + x[:, None, :]
        pictures = pictures.reshape(-1, 3).index_select(0, at.flatten()).view(pictures.shape)
    found = scaled(pictures)
    if how.light or how.tint:
        drawn = torch.rand(count, 5, generator=rng).to(device) * 2 - 1
        gain = 1 + how.light * drawn[:, :1] + how.tint * drawn[:, 2:]
        found.mul_(gain[:, :, None, None]).add_((how.light * drawn[:, 1])[:, None, None, None])
    if how.noise:
        found.add_(torch.randn(found.shape, generator=rng).to(device), alpha=how.noise)
    return found


def augment_clip(frames: Tensor, how: Augment, rng: torch.Generator) -> Tensor:
    """Bytes [B, F, S, S, 3] to float32 [F * B, 3, S, S], frame by frame: each clip's frames changed alike."""
    drawn, changed = rng.get_state(), []
    for frame in frames.unbind(1):
        rng.set_state(drawn)
        changed.append(augment(frame, how, rng))
    return torch.cat(changed)


def mask_words(ids: Tensor, rarity: Tensor, asked: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which words [B, L] are hidden (bool), and the places of those asked for, int64 [B, K].

    Each caption loses its own share of its words, from a third to all; words are drawn by `rarity` [V]. Fewer
    than K may be hidden: the places beyond are then not among the hidden.
    """
    weight = rarity[ids]
    chance = torch.rand(ids.shape, generator=rng).to(ids.device).clamp(min=1e-9)
    order = (chance.log() / weight.clamp(min=1e-9)).masked_fill(weight == 0, -torch.inf)  # Gumbel's top-k
    ranked = order.argsort(dim=1, descending=True)
    length = (weight > 0).sum(1, keepdim=True)
    share = 1 / 3 + 2 / 3 * torch.rand(len(ids), 1, generator=rng).to(ids.device)
    gone = torch.arange(ids.shape[1], device=ids.device) < (share * length).ceil()
    hidden = torch.zeros_like(gone).scatter_(1, ranked, gone)
    return hidden, ranked[:, :asked]
