"""What keeps latents from saying nothing: the terms of the loss, each a pure function of latents.

Predicting one latent from another is done perfectly by latents that are all alike. Each objective has its own
remedy: SIGReg holds their distribution near an isotropic Gaussian (LeJEPA, Balestriero and LeCun, arXiv
2511.08544), a teacher that follows slowly gives targets that no gradient can flatten (I-JEPA, 2301.08243),
contrast asks for the right one among many (InfoNCE over predicted latents, as in VL-JEPA, 2512.10942).
`combined` is contrast with SIGReg; `none` has no remedy and is there to collapse, as the control.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Objective = Literal["sigreg", "ema", "contrastive", "combined", "none"]
POINTS = 17  # of the characteristic function, on [0, 3]: LeJEPA's own choice
_REACH = 3.0


@dataclass(frozen=True)
class Remedy:
    """What an objective is made of."""

    contrast: bool  # a prediction is held against all targets of the batch; otherwise its distance counts
    teacher: bool  # targets come from a slow copy, without gradient
    gaussian: bool  # latents of each modality are held near an isotropic Gaussian


REMEDIES: dict[Objective, Remedy] = {
    "sigreg": Remedy(contrast=False, teacher=False, gaussian=True),
    "ema": Remedy(contrast=False, teacher=True, gaussian=False),
    "contrastive": Remedy(contrast=True, teacher=False, gaussian=False),
    "combined": Remedy(contrast=True, teacher=False, gaussian=True),
    "none": Remedy(contrast=False, teacher=False, gaussian=False),
}


def sigreg(latents: Tensor, directions: Tensor) -> Tensor:
    """How far latents [N, D] are from a standard Gaussian along random directions [D, K].

    This is the Epps-Pulley statistic: the mean over directions of N times the weighted square distance
    between the empirical characteristic function and the Gaussian's. About 1 for Gaussian samples of any
    number, of the order of N for collapsed ones. In float32 whatever autocast says: differences of means of
    cosines don't survive bfloat16.
    """
    with torch.autocast(latents.device.type, enabled=False):
        z = latents.float() @ functional.normalize(directions.float(), dim=0)
        t = torch.linspace(0, _REACH, POINTS, device=z.device)
        gaussian = torch.exp(-t.square() / 2)
        weight = gaussian * (2 * _REACH / (POINTS - 1))  # both halves of the line, by trapezoids
        weight = weight * torch.where((t == 0) | (t == _REACH), 0.5, 1.0)
        turned = z[:, :, None] * t
        off = (turned.cos().mean(0) - gaussian).square() + turned.sin().mean(0).square()
        return len(z) * (off @ weight).mean()


def contrast(predicted: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    """Symmetric InfoNCE by cosine: each prediction [N, D] finds its target [N, D] among all, and the reverse.

    `scale` is the inverse temperature, a scalar.
    """
    like = (functional.normalize(predicted, dim=1) @ functional.normalize(targets, dim=1).T).float() * scale
    own = torch.arange(len(like), device=like.device)
    return (functional.cross_entropy(like, own) + functional.cross_entropy(like.T, own)) / 2


def choice(
    predicted: Tensor, every: Tensor, wanted: Tensor, scale: Tensor, offered: Tensor | None = None
) -> Tensor:
    """InfoNCE one way: predictions [N, D] find number `wanted` [N] among the latents `offered` (bool [V])."""
    like = (functional.normalize(predicted, dim=1) @ functional.normalize(every, dim=1).T).float() * scale
    return functional.cross_entropy(like if offered is None else like.masked_fill(~offered, -1e4), wanted)


def distance(predicted: Tensor, targets: Tensor) -> Tensor:
    """The mean square distance of predictions [N, D] to their targets [N, D]."""
    return functional.mse_loss(predicted.float(), targets.float())
