"""Two operations with backward passes of their own: on a CPU much of a small model's time lies between the
matrix products.

PyTorch's `rms_norm` is one kernel on a GPU and a handful of passes over memory on a CPU, where this one takes
a fifth of its time; a gated MLP keeps and passes over less, and writes the halves of its gradient into one
tensor in place of joining them later.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_LEAST = 1e-3  # of a norm: rows of nothing stay nothing


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_(min=_LEAST)
        scale = norm.reciprocal_().mul_(x.shape[-1] ** 0.5)
        y: Tensor = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (grad,) = grads
        y, scale = ctx.saved_tensors
        along = torch.linalg.vecdot(grad, y).unsqueeze(-1) / y.shape[-1]
        made: Tensor = torch.addcmul(grad, y, along, value=-1).mul_(scale)
        return made


class _Rows(torch.autograd.Function):
    """The gated MLP of each row of x [M, W]: two products forward, so that each half lies in one piece."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor) -> Tensor:
        to_gate, to_value = up.chunk(2)
        gate, value = torch.mm(x, to_gate.t()), torch.mm(x, to_value.t())
        opened = F.silu(gate)
        inner = opened * value
        ctx.save_for_backward(x, up, down, gate, value, opened, inner)
        return torch.mm(inner, down.t())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (grad,) = grads
        x, up, down, gate, value, opened, inner = ctx.saved_tensors
        both = x.new_empty(len(x), len(up))
        _halves(torch.mm(grad, down), gate, value, opened, both.chunk(2, 1))
        return torch.mm(both, up), torch.mm(both.t(), x), torch.mm(grad.t(), inner)


class _Columns(torch.autograd.Function):
    """The same of each column of x [W, M]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor) -> Tensor:
        gate, value = torch.mm(up, x).chunk(2)
        opened = F.silu(gate)
        inner = opened * value
        ctx.save_for_backward(x, up, down, gate, value, opened, inner)
        return torch.mm(down, inner)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (grad,) = grads
        x, up, down, gate, value, opened, inner = ctx.saved_tensors
        both = x.new_empty(len(up), x.shape[1])
        _halves(torch.mm(down.t(), grad), gate, value, opened, both.chunk(2))
        return torch.mm(up.t(), both), torch.mm(both, x.t()), torch.mm(grad, inner.t())


def _halves(grad: Tensor, gate: Tensor, value: Tensor, opened: Tensor, out: tuple[Tensor, ...]) -> None:
    """From the gradient of silu(gate) * value, which is used up, to those of gate and value, into `out`."""
    torch.mul(grad, opened, out=out[1])
    torch.ops.aten.silu_backward.grad_input(grad.mul_(value), gate, grad_input=out[0])


def norm(x: Tensor) -> Tensor:
    """[..., D] with a root mean square of 1 over the last axis; no weight."""
    if x.device.type != "cpu":
        return F.rms_norm(x, x.shape[-1:])
    made: Tensor = _Norm.apply(x)  # type: ignore[no-untyped-call]
    return made


def gated_rows(x: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """A gated MLP over the last axis: x [..., W], up [2 H, W] (gate, then value), down [W, H]."""
    made: Tensor = _Rows.apply(x.reshape(-1, x.shape[-1]), up, down)  # type: ignore[no-untyped-call]
    return made.view(x.shape)


def gated_columns(x: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """The same over the first axis: x [W, ...] to [W, ...]."""
    made: Tensor = _Columns.apply(x.reshape(len(x), -1), up, down)  # type: ignore[no-untyped-call]
    return made.view(x.shape)
