"""Two operations with backward passes of their own: on a CPU much of a small model's time lies between the
matrix products.

PyTorch's `rms_norm` is one kernel on a GPU and a handful of passes over memory on a CPU, where this one takes
a fifth of its time; the gate's backward writes both halves into one tensor in place of joining them later.
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


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, both: Tensor, dim: int) -> Tensor:
        gate, up = both.chunk(2, dim)
        opened = F.silu(gate)
        ctx.dim = dim
        ctx.save_for_backward(both, opened)
        return opened * up

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        both, opened = ctx.saved_tensors
        gate, up = both.chunk(2, ctx.dim)
        made = torch.empty_like(both)
        to_gate, to_up = made.chunk(2, ctx.dim)
        torch.mul(grad, opened, out=to_up)
        torch.ops.aten.silu_backward.grad_input(grad * up, gate, grad_input=to_gate)
        return made, None


def norm(x: Tensor) -> Tensor:
    """[..., D] with a root mean square of 1 over the last axis; no weight."""
    if x.device.type != "cpu":
        return F.rms_norm(x, x.shape[-1:])
    made: Tensor = _Norm.apply(x)  # type: ignore[no-untyped-call]
    return made


def gated(both: Tensor, dim: int = -1) -> Tensor:
    """Silu of the first half along `dim`, times the second half."""
    made: Tensor = _Gate.apply(both, dim)  # type: ignore[no-untyped-call]
    return made
