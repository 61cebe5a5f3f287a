"""Three operations with backward passes of their own: on a CPU much of a small model's time lies between the
matrix products.

PyTorch's `rms_norm` is one kernel on a GPU and a handful of passes over memory on a CPU; a norm of weights,
which each row of latents is put through here, is one of its kernels on a CPU. A gated MLP keeps for its
backward pass what that multiplies by, and not what this would be made of again: less is kept, and where
nothing learns, nothing is. What it is added to is added within its last product, forward and backward.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_LEAST = 1e-3  # of a norm: rows of nothing stay nothing


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y, norm = _normed(x)
        ctx.save_for_backward(y, norm)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (grad,) = grads
        y, norm = ctx.saved_tensors
        # From y, whose norm is known, as if it had been the input; then the input's norm is the scale.
        length = y.shape[-1]
        scale = (length / norm).to(y.dtype)
        root = torch.full_like(norm, length**0.5)
        flat = grad.contiguous().view(-1, length)
        made, _ = torch.ops.aten._weight_norm_interface_backward(flat, y.view(-1, length), scale, root, 0)
        back: Tensor = made.view(y.shape)
        return back


def _normed(x: Tensor) -> tuple[Tensor, Tensor]:
    """To [..., D] with a root mean square of 1, and the norms that x had, [M, 1]."""
    length = x.shape[-1]
    flat = x.contiguous().view(-1, length)
    root = torch.full((len(flat), 1), length**0.5, dtype=x.dtype)
    y, norm = torch._weight_norm_interface(flat, root, 0)
    if len(norm) and float(norm.min()) < _LEAST:
        norm = norm.clamp(min=_LEAST)
        y = flat * (length**0.5 / norm).to(x.dtype)
    return y.view(x.shape), norm


class _Rows(torch.autograd.Function):
    """The gated MLP of each row of x [M, W]: two products forward, so that each half lies in one piece."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor, onto: Tensor | None) -> Tensor:
        to_gate, to_value = up.chunk(2)
        kept = _opened(torch.mm(x, to_gate.t()), torch.mm(x, to_value.t()))
        ctx.own = onto is x
        ctx.save_for_backward(x, up, down, *kept)
        return _sum(onto, kept.inner, down.t())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        (grad,) = grads
        x, up, down, opened, steep, inner = ctx.saved_tensors
        both = x.new_empty(len(x), len(up))
        _halves(torch.mm(grad, down), steep, opened, both.chunk(2, 1))
        to_x = _sum(grad if ctx.own else None, both, up)
        return to_x, torch.mm(x.t(), both).t(), torch.mm(grad.t(), inner), _to_onto(ctx, grad)


class _Columns(torch.autograd.Function):
    """The same of each column of x [W, M]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor, onto: Tensor | None) -> Tensor:
        kept = _opened(*torch.mm(up, x).chunk(2))
        ctx.own = onto is x
        ctx.save_for_backward(x, up, down, *kept)
        return _sum(onto, down, kept.inner)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        (grad,) = grads
        x, up, down, opened, steep, inner = ctx.saved_tensors
        both = x.new_empty(len(up), x.shape[1])
        _halves(torch.mm(down.t(), grad), steep, opened, both.chunk(2))
        to_x = _sum(grad if ctx.own else None, up.t(), both)
        # The long matrix lies as it is and the short one is turned: 1.7 times as fast as the other way.
        return to_x, torch.mm(x, both.t()).t(), torch.mm(grad, inner.t()), _to_onto(ctx, grad)


class _Opened(NamedTuple):
    opened: Tensor  # silu(gate); the slope of the product along value
    steep: Tensor  # its slope along gate
    inner: Tensor  # silu(gate) * value, the product


def _opened(gate: Tensor, value: Tensor) -> _Opened:
    """A gated product and its slopes, from gate and value, which are used up; with one exponential a number.

    With s = sigmoid(gate): the slope along gate is value * (s + silu(gate) * (1 - s)), which lies between the
    product and value as s does between 0 and 1.
    """
    share = torch.sigmoid(gate)
    opened = gate.mul_(share)
    inner = opened * value
    return _Opened(opened, torch.lerp(inner, value, share, out=value), inner)


def _halves(grad: Tensor, steep: Tensor, opened: Tensor, out: tuple[Tensor, ...]) -> None:
    """From the gradient of silu(gate) * value to those of gate and value, into `out`."""
    torch.mul(grad, steep, out=out[0])
    torch.mul(grad, opened, out=out[1])


def _to_onto(ctx: Any, grad: Tensor) -> Tensor | None:
    """The gradient of what is added to; where that is the input, it is within the input's."""
    return grad if ctx.needs_input_grad[3] and not ctx.own else None


def _sum(onto: Tensor | None, one: Tensor, two: Tensor) -> Tensor:
    """The product of two matrices, added to a third if there is one."""
    return torch.mm(one, two) if onto is None else torch.addmm(onto, one, two)


def _ahead(x: Tensor, up: Tensor, down: Tensor, onto: Tensor | None) -> Tensor:
    """The gated MLP of rows where nothing learns; within the products what can be done there."""
    to_gate, to_value = up.chunk(2)
    if x.device.type != "cpu" or x.dtype is not torch.bfloat16 or not len(x) or not _fused():
        inner = F.silu(torch.mm(x, to_gate.t()), inplace=True).mul_(torch.mm(x, to_value.t()))
        return _sum(onto, inner, down.t())
    linear = torch.ops.mkldnn._linear_pointwise
    opened = linear(x, to_gate, None, "swish", [], "")
    inner = linear.binary(x, opened, to_value, None, "mul")
    return _sum(onto, inner, down.t())


@cache
def _fused() -> bool:
    """Whether this PyTorch has products with SiLU or a factor behind them, as it uses for compiled code."""
    try:
        x, w = torch.ones(2, 16, dtype=torch.bfloat16), torch.eye(16, dtype=torch.bfloat16)
        opened = torch.ops.mkldnn._linear_pointwise(x, w, None, "swish", [], "")
        doubled = torch.ops.mkldnn._linear_pointwise.binary(x, x + 1, w, None, "mul")
        return bool(torch.equal(opened, F.silu(x)) and torch.equal(doubled, x + 1))
    except (AttributeError, RuntimeError, NotImplementedError):
        return False


def _learning(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in tensors)


def norm(x: Tensor) -> Tensor:
    """[..., D] with a root mean square of 1 over the last axis; no weight."""
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.rms_norm(x, x.shape[-1:])
    if not _learning(x):
        return _normed(x)[0]
    made: Tensor = _Norm.apply(x)  # type: ignore[no-untyped-call]
    return made


def gated_rows(x: Tensor, up: Tensor, down: Tensor, onto: Tensor | None = None) -> Tensor:
    """A gated MLP over the last axis: x [..., W], up [2 H, W] (gate, then value), down [W, H].

    Added to `onto`, of the shape of x, where it is given; x itself is a residual connection.
    """
    flat = x.reshape(-1, x.shape[-1])
    base = flat if onto is x else None if onto is None else onto.reshape(flat.shape)
    if _learning(x, up, down, onto):
        made: Tensor = _Rows.apply(flat, up, down, base)  # type: ignore[no-untyped-call]
    else:
        made = _ahead(flat, up, down, base)
    return made.view(x.shape)


def gated_columns(x: Tensor, up: Tensor, down: Tensor, onto: Tensor | None = None) -> Tensor:
    """The same over the first axis: x [W, ...] to [W, ...]."""
    flat = x.reshape(len(x), -1)
    base = flat if onto is x else None if onto is None else onto.reshape(flat.shape)
    if _learning(x, up, down, onto):
        made: Tensor = _Columns.apply(flat, up, down, base)  # type: ignore[no-untyped-call]
    else:
        gate, value = torch.mm(up, flat).chunk(2)
        made = _sum(base, down, F.silu(gate, inplace=True).mul_(value))
    return made.view(x.shape)
