"""The reasoner's own operations give PyTorch's numbers, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from model.hrm import ops
from model.hrm.mixers import Gated

Operation = Callable[[torch.Tensor], torch.Tensor]


GENERATOR = torch.Generator().manual_seed(1)
UP = torch.randn(12, 8, dtype=torch.float64, generator=GENERATOR)
DOWN = torch.randn(8, 6, dtype=torch.float64, generator=GENERATOR)


def plain_mlp(x: torch.Tensor, up: torch.Tensor = UP, down: torch.Tensor = DOWN) -> torch.Tensor:
    gate, value = F.linear(x, up).chunk(2, -1)
    return F.linear(F.silu(gate) * value, down)


def turned(x: torch.Tensor, given: Operation) -> torch.Tensor:
    cells = x.transpose(0, 2)
    return ops.gated_columns(cells, UP, DOWN, given(cells)).transpose(0, 2)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ops.norm, lambda x: F.rms_norm(x, x.shape[-1:], eps=0.0)),
        (lambda x: ops.gated_rows(x, UP, DOWN), plain_mlp),
        (lambda x: ops.gated_columns(x.transpose(0, 2), UP, DOWN).transpose(0, 2), plain_mlp),
        (lambda x: ops.gated_rows(x, UP, DOWN, x), lambda x: x + plain_mlp(x)),
        (lambda x: ops.gated_rows(x, UP, DOWN, 2 * x), lambda x: 2 * x + plain_mlp(x)),
        (lambda x: turned(x, lambda cells: cells), lambda x: x + plain_mlp(x)),
        (lambda x: turned(x, lambda cells: 2 * cells), lambda x: 2 * x + plain_mlp(x)),
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
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x)), "without gradients it is another path"


@pytest.mark.parametrize("fused", [True, False])
def test_where_nothing_learns_rows_are_what_they_are_where_something_does(
    monkeypatch: pytest.MonkeyPatch, *, fused: bool
) -> None:
    if not fused:
        monkeypatch.setattr(ops, "_fused", lambda: False)
    elif not ops._fused():
        pytest.skip("this PyTorch has no such products")
    x = torch.randn(7, 8, generator=torch.Generator().manual_seed(3)).bfloat16()
    up, down = UP.bfloat16(), DOWN.bfloat16()
    exact = plain_mlp(x.double(), up.double(), down.double())
    for learns in (False, True):
        up.requires_grad_(learns)
        for given, more in ((None, 0.0), (x, x.double()), (2 * x, 2 * x.double())):
            far = (ops.gated_rows(x, up, down, given) - (exact + more)).abs().max()
            assert far < 0.01 * exact.abs().max()  # what bf16 leaves


@pytest.mark.parametrize("over", [ops.gated_rows, ops.gated_columns])
def test_the_weights_of_a_gated_mlp_have_their_gradients(over: Callable[..., torch.Tensor]) -> None:
    x = torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.autograd.gradcheck(over, (x, UP.clone().requires_grad_(), DOWN.clone().requires_grad_()))


def test_rows_of_nothing_stay_finite() -> None:
    x = torch.tensor([[0.0] * 8, [2.0] * 8], requires_grad=True)
    y = ops.norm(x)
    assert torch.allclose(y, x / 2), "a row of nothing changes no other"
    y.sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


def test_an_mlp_over_the_first_axis_is_the_one_over_the_last() -> None:
    torch.manual_seed(0)
    mlp = Gated(6, 10)
    torch.nn.init.normal_(mlp.down)
    x = torch.randn(6, 2, 3)
    assert torch.allclose(mlp.first(x), mlp(x.movedim(0, -1)).movedim(-1, 0), atol=1e-5)
