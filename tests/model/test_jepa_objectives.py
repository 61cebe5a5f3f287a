"""The terms that keep latents from saying nothing, each beside a case it must tell apart."""

from __future__ import annotations

import torch
from torch import Tensor

from model.jepa.objectives import choice, contrast, distance, sigreg


def _normal(count: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_sigreg_is_near_its_least_on_a_gaussian_and_large_on_what_collapsed() -> None:
    directions = _normal(32, 128, seed=1)
    for count in (64, 512, 4096):
        good = float(sigreg(_normal(count, 32), directions))
        assert 0.7 < good < 1.4, count
        point = float(sigreg(torch.zeros(count, 32), directions))
        line = float(sigreg(_normal(count, 1).expand(count, 32), directions))
        wide = float(sigreg(3 * _normal(count, 32), directions))
        assert min(point, line, wide) > 5 * good * count / 64, count


def test_sigreg_moves_collapsed_latents_apart() -> None:
    latents = (0.01 * _normal(256, 8)).requires_grad_()
    step = torch.optim.Adam([latents], lr=0.05)
    for turn in range(60):
        step.zero_grad()
        sigreg(latents, _normal(8, 64, seed=turn)).backward()
        step.step()
    assert float(sigreg(latents.detach(), _normal(8, 64, seed=99))) < 2
    assert 0.8 < float(latents.detach().std()) < 1.2


def test_sigreg_is_reckoned_in_float32_under_autocast() -> None:
    latents, directions = _normal(256, 32), _normal(32, 64, seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(sigreg(latents, directions), sigreg(latents.clone(), directions))
        low = sigreg(latents, directions)
    assert torch.equal(low, sigreg(latents, directions))


def test_contrast_is_low_for_pairs_high_for_strangers_and_the_same_both_ways() -> None:
    one, two, scale = _normal(32, 16), _normal(32, 16, seed=1), torch.tensor(10.0)
    assert float(contrast(one, one, scale)) < 0.1
    assert float(contrast(one, two, scale)) > 3.0
    assert torch.allclose(contrast(one, two, scale), contrast(two, one, scale))
    alike = torch.ones(32, 16)
    assert (
        abs(float(contrast(alike, alike, scale)) - torch.tensor(32.0).log()) < 1e-5
    )  # collapse is no way out


def test_a_choice_is_among_what_is_offered() -> None:
    every, wanted, scale = _normal(6, 16), torch.tensor([1, 4]), torch.tensor(20.0)
    assert float(choice(every[wanted], every, wanted, scale)) < 0.05
    assert float(choice(every[[0, 0]], every, wanted, scale)) > 3.0
    twins = torch.cat([every, every])
    offered = torch.arange(12) < 6  # the second half is equal to the first, and not offered
    assert float(choice(every[wanted], twins, wanted, scale, offered)) < 0.05
    assert float(choice(every[wanted], twins, wanted, scale)) > 0.6


def test_distance_is_nothing_for_collapsed_latents() -> None:
    assert float(distance(torch.ones(8, 4), torch.ones(8, 4))) == 0  # which is why it needs a remedy
