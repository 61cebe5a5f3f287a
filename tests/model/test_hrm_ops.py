"""The reasoner's own operations give PyTorch's numbers, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from model.hrm import ops
from model.hrm.mixers import Gated

Operation = Callable[[torch.Tensor], torch.Tensor]


def plain_gate(both: torch.Tensor) -> torch.Tensor:
    gate, up = both.chunk(2, -1)
    return F.silu(gate) * up


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ops.norm, lambda x: F.rms_norm(x, x.shape[-1:], eps=0.0)),
        (ops.gated, plain_gate),
        (lambda x: ops.gated(x.transpose(0, 2), 0).transpose(0, 2), plain_gate),
    ],
)
def test_an_operation_and_its_gradient_are_those_of_the_plain_one(ours: Operation, theirs: Operation) -> None:
    x = torch.randn(3, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x.requires_grad_(True)
    assert torch.allclose(ours(x), theirs(x))
    assert torch.autograd.gradcheck(ours, (x,))
    wish = torch.randn_like(theirs(x))
    (mine,), (other,) = torch.autograd.grad(ours(x), x, wish), torch.autograd.grad(theirs(x), x, wish)
    assert torch.allclose(mine, other)


def test_rows_of_nothing_stay_finite() -> None:
    x = torch.zeros(2, 8, requires_grad=True)
    ops.norm(x).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


def test_an_mlp_over_the_first_axis_is_the_one_over_the_last() -> None:
    torch.manual_seed(0)
    mlp = Gated(6, 10)
    torch.nn.init.normal_(mlp.down)
    x = torch.randn(6, 2, 3)
    assert torch.allclose(mlp.first(x), mlp(x.movedim(0, -1)).movedim(-1, 0), atol=1e-5)
