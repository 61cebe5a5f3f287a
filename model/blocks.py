"""Transformer blocks with passes of their own on a CPU: the mathematics of timm's blocks, less beside it.

Matrix products are half of a small model's step there. The rest is what this spares: a block is one function
with one backward pass, which casts each weight once, keeps heads in one layout, adds biases within the
products, and takes exponentials without looking for each row's maximum where none overflows. Without a
gradient (`ahead`) GELU and the sums between blocks are within the products as well. Weights, their names and
the results are those of timm's modules, to rounding; on other devices those run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEAST_SUM, _MOST_SUM = 1e-25, 1e25  # of exponentials: far from the ends of float32, which bf16 shares


class _Weights(NamedTuple):
    """A block's parameters in the order of its work."""

    norm1: Tensor
    norm1_bias: Tensor
    qkv: Tensor
    qkv_bias: Tensor
    proj: Tensor
    proj_bias: Tensor
    norm2: Tensor
    norm2_bias: Tensor
    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor


def _weights(block: Any) -> _Weights:
    layers = (block.norm1, block.attn.qkv, block.attn.proj, block.norm2, block.mlp.fc1, block.mlp.fc2)
    return _Weights(*(each for layer in layers for each in (layer.weight, layer.bias)))


def _cast(weights: Sequence[Tensor], heads: int, kind: torch.dtype) -> _Weights:
    """In the type of the products, norms as they are; queries come out divided by the root of their width."""
    w = _Weights(*weights)
    width = w.qkv.shape[1]
    scale = torch.ones(3 * width, 1)
    scale[:width] = (width // heads) ** -0.5
    return w._replace(
        qkv=(w.qkv * scale).to(kind),
        qkv_bias=(w.qkv_bias * scale[:, 0]).to(kind),
        **{name: getattr(w, name).to(kind) for name in _CAST},
    )


_CAST = ("proj", "proj_bias", "up", "up_bias", "down", "down_bias")


@cache
def _fused() -> bool:
    """Whether this PyTorch has products with an operation behind them, as it uses for compiled code."""
    try:
        x = torch.ones(2, 16, dtype=torch.bfloat16)
        w = torch.eye(16, dtype=torch.bfloat16)
        y = torch.ops.mkldnn._linear_pointwise(x, w, x[0], "gelu", [], "none")
        z = torch.ops.mkldnn._linear_pointwise.binary(x, x, w, x[0], "add")
        return bool(torch.equal(y, F.gelu(x + 1)) and torch.equal(z, x + 2))
    except (AttributeError, RuntimeError, NotImplementedError):
        return False


def _linear(x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
    """Rows [M, K] by w [N, K]."""
    if x.dtype is torch.bfloat16 and _fused():
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, w, bias, "none", [], "")
        return y
    return F.linear(x, w, bias)


def _gelu_linear(x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
    if _fused():
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, w, bias, "gelu", [], "none")
        return y
    return torch.ops.aten.gelu_(F.linear(x, w, bias))  # type: ignore[no-any-return]


def _add_linear(to: Tensor, x: Tensor, w: Tensor, bias: Tensor) -> Tensor:
    if _fused():
        y: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, to, w, bias, "add")
        return y
    return F.linear(x, w, bias).add_(to)


def _powers(q: Tensor, k: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Exponentials of scores [B * H, N, M], and the sums of rows; or the softmax, and None.

    The softmax does not care what is subtracted from a row, so nothing is, unless the sums tell that this was
    too much or too little for the numbers: then it is done again with each row's maximum.
    """
    scores = torch.bmm(q, k.transpose(1, 2))
    if mask is None:
        powers = scores.exp_()
        sums = powers.sum(-1, keepdim=True)
        low, high = torch.aminmax(sums)
        if float(low) > _LEAST_SUM and float(high) < _MOST_SUM:
            return powers, sums
        scores = torch.bmm(q, k.transpose(1, 2))
    else:
        batch = len(mask)
        scores = (scores.view(batch, -1, *scores.shape[1:]) + mask.to(scores.dtype)).view_as(scores)
    return torch.softmax(scores, -1), None


def _norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor] = torch.native_layer_norm(x, x.shape[-1:], weight, bias, eps)
    return found


def _heads(rows: Tensor, batch: int, heads: int, parts: int) -> Tensor:
    """Rows [B * N, parts * D] by their heads: [parts, B * H, N, D / H]."""
    x = rows.view(batch, -1, parts, heads, rows.shape[1] // (parts * heads)).permute(2, 0, 3, 1, 4)
    return x.reshape(parts, batch * heads, *x.shape[3:])


def _merged(x: Tensor, heads: int) -> Tensor:
    """Heads [B * H, N, D / H] side by side again: [B * N, D]."""
    x = x.view(-1, heads, *x.shape[1:]).transpose(1, 2)
    return x.reshape(-1, heads * x.shape[-1])


class _Block(torch.autograd.Function):
    """One block over x [B, N, D]; the products are in `kind`, the sums between in x's own type."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        mask: Tensor | None,
        heads: int,
        eps: tuple[float, float],
        kind: torch.dtype,
        *params: Tensor,
    ) -> Tensor:
        batch, count, width = x.shape
        w = _cast(params, heads, kind)
        x = x.reshape(-1, width)
        h, mean1, rate1 = _norm(x, w.norm1, w.norm1_bias, eps[0])
        h = h.to(kind)
        qkv = _heads(_linear(h, w.qkv, w.qkv_bias), batch, heads, 3)
        part, sums = _powers(qkv[0], qkv[1], mask)
        if sums is not None:
            part.mul_(sums.float().reciprocal_())
        o = _merged(torch.bmm(part, qkv[2]), heads)
        between = x + _linear(o, w.proj, w.proj_bias)
        h2, mean2, rate2 = _norm(between, w.norm2, w.norm2_bias, eps[1])
        h2 = h2.to(kind)
        u = _linear(h2, w.up, w.up_bias)
        a = F.gelu(u)
        y = between + _linear(a, w.down, w.down_bias)
        ctx.save_for_backward(x, mean1, rate1, h, qkv, part, o, between, mean2, rate2, h2, u, a, *w)
        ctx.heads = heads
        return y.view(batch, count, width)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, mean1, rate1, h, qkv, part, o, between, mean2, rate2, h2, u, a, *rest = ctx.saved_tensors
        w, heads, kind = _Weights(*rest), ctx.heads, h.dtype
        batch, count, width = grads[0].shape
        each = width // heads
        g = grads[0].reshape(-1, width)
        low = g.to(kind)
        d_down, d_down_bias = low.t().mm(a), low.sum(0)
        du = low.mm(w.down)
        torch.ops.aten.gelu_backward.grad_input(du, u, grad_input=du)
        d_up, d_up_bias = du.t().mm(h2), du.sum(0)
        g, d_norm2, d_norm2_bias = _back_norm(du.mm(w.up), between, mean2, rate2, w.norm2, w.norm2_bias, g)

        low = g.to(kind)
        d_proj, d_proj_bias = low.t().mm(o), low.sum(0)
        (do,) = _heads(low.mm(w.proj), batch, heads, 1)
        d_qkv = torch.empty_like(qkv)
        torch.bmm(part.transpose(1, 2), do, out=d_qkv[2])
        ds = torch.bmm(do, qkv[2].transpose(1, 2))
        ds = torch.ops.aten._softmax_backward_data(ds, part, -1, kind)
        torch.bmm(ds, qkv[1], out=d_qkv[0])
        torch.bmm(ds.transpose(1, 2), qkv[0], out=d_qkv[1])
        rows = d_qkv.view(3, batch, heads, count, each).permute(1, 3, 0, 2, 4).reshape(-1, 3 * width)
        d_weight, d_bias = rows.t().mm(h).float(), rows.sum(0).float()
        d_weight[:width] *= each**-0.5
        d_bias[:width] *= each**-0.5
        g, d_norm1, d_norm1_bias = _back_norm(rows.mm(w.qkv), x, mean1, rate1, w.norm1, w.norm1_bias, g)
        first = (d_norm1, d_norm1_bias, d_weight, d_bias, d_proj, d_proj_bias)
        second = (d_norm2, d_norm2_bias, d_up, d_up_bias, d_down, d_down_bias)
        made = (one.float() for one in (*first, *second))
        return g.view(batch, count, width), None, None, None, None, *made


def _back_norm(
    grad: Tensor, x: Tensor, mean: Tensor, rate: Tensor, weight: Tensor, bias: Tensor, beside: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of a norm's input, with what comes `beside` it, of its weight and of its bias."""
    dx, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
        grad.to(x.dtype), x, x.shape[-1:], mean, rate, weight, bias, [True, True, True]
    )
    return dx.add_(beside), d_weight, d_bias


def _plain(blocks: Iterable[nn.Module]) -> list[Any]:
    return list(blocks)  # whose parts are timm's, and known to no type checker


def _own(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def through(blocks: Iterable[nn.Module], x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Rows [B, N, D] through timm's blocks, with a gradient; `mask` [B, 1, 1, N] is added to the scores."""
    if not _own(x):
        for block in _plain(blocks):
            block.attn.fused_attn = x.device.type != "cpu"
            x = block(x) if mask is None else block(x, attn_mask=mask)
        return x
    autocast = torch.is_autocast_enabled("cpu")
    kind = torch.get_autocast_dtype("cpu") if autocast else x.dtype
    with torch.autocast("cpu", enabled=False):
        for block in _plain(blocks):
            eps = block.norm1.eps, block.norm2.eps
            x = _Block.apply(x, mask, block.attn.num_heads, eps, kind, *_weights(block))  # type: ignore[no-untyped-call]
    return x


@torch.no_grad()
def ahead(blocks: Iterable[nn.Module], x: Tensor, asked: Tensor | None = None) -> Tensor:
    """The same without a gradient, all of it in autocast's type where that is on: [B, N, D] to [B, N, D].

    Of rows `asked` [B, K] alone, [B, K, D], where given: the last block then does the others' keys and values
    and nothing more.
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        x = x.to(torch.get_autocast_dtype(device))
    if not _own(x) or x.dtype is not torch.bfloat16:
        x = through(blocks, x)
        return x if asked is None else chosen(x, asked)
    with torch.autocast("cpu", enabled=False):
        cast = [_cast(_weights(each), each.attn.num_heads, x.dtype) for each in _plain(blocks)]
        return _ahead(blocks, cast, x, asked)


def _ahead(
    blocks: Iterable[nn.Module], weights: Sequence[_Weights], x: Tensor, asked: Tensor | None
) -> Tensor:
    batch, _, width = x.shape
    x = x.reshape(-1, width)
    for place, (block, w) in enumerate(zip(_plain(blocks), weights, strict=True), 1):
        heads = block.attn.num_heads
        h = _norm(x, w.norm1, w.norm1_bias, block.norm1.eps)[0]
        if asked is None or place < len(weights):
            q, k, v = _heads(_linear(h, w.qkv, w.qkv_bias), batch, heads, 3)
        else:
            k, v = _heads(_linear(h, w.qkv[width:], w.qkv_bias[width:]), batch, heads, 2)
            h, x = (chosen(each.view(batch, -1, width), asked).view(-1, width) for each in (h, x))
            (q,) = _heads(_linear(h, w.qkv[:width], w.qkv_bias[:width]), batch, heads, 1)
        part, sums = _powers(q, k, None)
        o = torch.bmm(part, v)
        if sums is not None:
            o.mul_(sums.reciprocal_())
        x = _add_linear(x, _merged(o, heads), w.proj, w.proj_bias)
        h = _norm(x, w.norm2, w.norm2_bias, block.norm2.eps)[0]
        x = _add_linear(x, _gelu_linear(h, w.up, w.up_bias), w.down, w.down_bias)
    return x.view(batch, -1, width)


def chosen(rows: Tensor, which: Tensor) -> Tensor:
    """Of rows [B, N, D] those of the numbers [B, K], so [B, K, D]: a copy of whole rows, both ways."""
    batch, count, width = rows.shape
    at = which + torch.arange(batch, device=which.device)[:, None] * count
    return rows.reshape(-1, width).index_select(0, at.flatten()).view(batch, -1, width)
