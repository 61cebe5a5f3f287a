"""The transformer blocks' own passes on a CPU: what timm's modules compute, to rounding."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import Tensor, nn

from model import blocks
from model.encoders import Vision, VisionConfig
from model.vision_ops import timm


def _blocks(scale: float = 1.0) -> nn.ModuleList:
    timm()
    block = importlib.import_module("timm.models.vision_transformer").Block
    torch.manual_seed(0)
    made = nn.ModuleList(block(32, 4, 2.0, qkv_bias=True) for _ in range(2))
    with torch.no_grad():
        for name, each in made.named_parameters():  # norms and biases begin where they do nothing
            each.add_(torch.randn_like(each) * 0.3)
            if "qkv.weight" in name:
                each.mul_(scale)
    return made


def _timm(made: nn.ModuleList, x: Tensor, mask: Tensor | None = None) -> Tensor:
    for block in made:
        block.attn.fused_attn = False
        x = block(x, attn_mask=mask)
    return x


def _seen(made: nn.ModuleList, x: Tensor, y: Tensor) -> list[Tensor]:
    """Values and all gradients of a fixed sum of them."""
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad((y * weight).sum(), [x, *made.parameters()])
    return [y.detach(), *grads]


@pytest.mark.parametrize("masked", [False, True])
def test_values_and_every_gradient_are_those_of_timm(masked: bool) -> None:
    made, x = _blocks(), torch.randn(3, 6, 32, requires_grad=True)
    mask = torch.zeros(3, 1, 1, 6)
    mask[1, ..., 4:] = -1e4
    given = mask if masked else None
    ours, theirs = (_seen(made, x, run(made, x, given)) for run in (blocks.through, _timm))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_under_autocast_they_are_as_near_to_float32_as_those_of_timm() -> None:
    made, x = _blocks(), torch.randn(16, 10, 32, requires_grad=True)
    exact = _seen(made, x, _timm(made, x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = [run(made, x) for run in (blocks.through, _timm)]
    ours, theirs = (_seen(made, x, y) for y in found)
    assert [one.dtype for one in ours] == [right.dtype for right in exact]
    triples = list(zip(exact, ours, theirs, strict=True))
    apart = [float((one - right).norm() / right.norm()) for right, one, _ in triples]
    usual = [float((other - right).norm() / right.norm()) for right, _, other in triples]
    assert sum(apart) <= 1.1 * sum(usual)  # over twelve seeds: 0.92 of it


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_scores_whose_exponentials_overflow_or_vanish_make_a_softmax_all_the_same(kind: torch.dtype) -> None:
    q = torch.zeros(2, 3, 4)
    q[0, :, 0] = torch.tensor([200.0, -200.0, 1.0])
    k = torch.ones(2, 5, 4) * torch.arange(5.0)[:, None] / 4 + 1
    found, sums = blocks._powers(q.to(kind), k.to(kind), None)
    assert sums is None
    wanted = torch.softmax(torch.bmm(q.to(kind), k.to(kind).transpose(1, 2)).float(), -1)
    torch.testing.assert_close(found.float(), wanted, rtol=0, atol=4e-3)
    small, sums = blocks._powers(q.to(kind) / 100, k.to(kind), None)
    assert sums is not None, "the usual case takes no maximum"
    wanted = torch.softmax(torch.bmm((q / 100).to(kind), k.to(kind).transpose(1, 2)).float(), -1)
    torch.testing.assert_close((small / sums).float(), wanted, rtol=0, atol=4e-3)


def test_large_scores_go_through_a_block_as_through_timm() -> None:
    made, x = _blocks(scale=30.0), torch.randn(3, 6, 32, requires_grad=True)
    ours, theirs = (_seen(made, x, run(made, x)) for run in (blocks.through, _timm))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))


@pytest.mark.parametrize("fused", [True, False])
def test_without_a_gradient_they_are_as_near_and_asked_rows_are_the_same_rows(
    monkeypatch: pytest.MonkeyPatch, fused: bool
) -> None:
    if not fused:  # as on a processor or a PyTorch that has no such products
        monkeypatch.setattr(blocks, "_fused", lambda: False)
    made, x = _blocks(), torch.randn(5, 6, 32)
    asked = torch.stack([torch.randperm(6)[:2] for _ in range(5)])
    exact = _timm(made, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        every, some = blocks.ahead(made, x), blocks.ahead(made, x, asked)
        theirs = _timm(made, x.bfloat16())
    assert every.dtype is torch.bfloat16 and not every.requires_grad
    assert (every - exact).norm() <= 1.5 * (theirs - exact).norm()
    picked = blocks.chosen(every, asked)
    torch.testing.assert_close(some, picked, rtol=0.02, atol=0.02 * float(picked.abs().max()))
    plain = blocks.ahead(made, x, asked)
    torch.testing.assert_close(plain, blocks.chosen(exact, asked), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("registers", [0, 2])
def test_a_linear_stem_takes_patches_as_its_convolution_would(registers: int) -> None:
    torch.manual_seed(0)
    config = VisionConfig(size=16, patch=4, width=32, depth=1, stem="patch", registers=registers)
    vision, pictures = Vision(config), torch.randn(3, 3, 16, 16)
    keep = torch.stack([torch.randperm(16)[:5] for _ in range(3)])
    theirs = vision.net._pos_embed(vision.net.patch_embed(pictures))
    torch.testing.assert_close(vision._tokens(pictures), theirs)
    torch.testing.assert_close(
        vision._tokens(pictures, keep)[:, registers:], blocks.chosen(theirs[:, registers:], keep)
    )
    torch.testing.assert_close(
        vision.targets(pictures, keep), blocks.chosen(vision.targets(pictures), keep), rtol=1e-4, atol=1e-4
    )
