"""Transformer blocks with passes of their own on a CPU: the mathematics of timm's blocks, less beside it.

Matrix products are half of a small model's step there. The rest is what this spares: a block is one function
with one backward pass, which casts each weight once, keeps heads in one layout, adds biases within the
products, and takes exponentials without looking for each row's maximum where no score can overflow. Without a
gradient (`ahead`) GELU and the sums between blocks are within the products as well, and a batch goes through
in parts that stay in a core's cache. Weights, their names and the results are those of timm's modules, to
rounding; on other devices those run.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_HIGHEST = 60.0  # of scores: its exponential times any number of tokens is far from the end of float32
_PART_BYTES = 1 << 20  # of a block's widest rows: half of what they and their neighbours take is in the cache


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
        w = torch.ops.mkldnn._reorder_linear_weight(torch.eye(16, dtype=torch.bfloat16), 2)
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


def _powers(scores: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """In place of scores [B * H, N, M] their exponentials, and the sums of rows; or the softmax, and None."""
    if mask is None:
        low, high = torch.aminmax(scores)
        if -_HIGHEST < float(low) and float(high) < _HIGHEST:
            powers = scores.exp_()
            return powers, powers.sum(-1, keepdim=True)
    else:
        batch = len(mask)
        scores = (scores.view(batch, -1, *scores.shape[1:]) + mask.to(scores.dtype)).view_as(scores)
    return torch.softmax(scores, -1), None


def _norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor] = torch.native_layer_norm(x, x.shape[-1:], weight, bias, eps)
    return found


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
        each = width // heads
        w = _cast(params, heads, kind)
        x = x.reshape(-1, width)
        h, mean1, rate1 = _norm(x, w.norm1, w.norm1_bias, eps[0])
        h = h.to(kind)
        qkv = _linear(h, w.qkv, w.qkv_bias).view(batch, count, 3, heads, each)
        qkv = qkv.permute(2, 0, 3, 1, 4).contiguous().view(3, -1, count, each)
        part, sums = _powers(torch.bmm(qkv[0], qkv[1].transpose(1, 2)), mask)
        if sums is not None:
            part.mul_(sums.float().reciprocal_())
        o = torch.bmm(part, qkv[2]).view(batch, heads, count, each).transpose(1, 2).reshape(-1, width)
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
        do = low.mm(w.proj).view(batch, count, heads, each).transpose(1, 2).reshape(-1, count, each)
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
        made = (d_norm1, d_norm1_bias, d_weight, d_bias, d_proj, d_proj_bias)
        made += (d_norm2, d_norm2_bias, d_up, d_up_bias, d_down, d_down_bias)
        return g.view(batch, count, width), None, None, None, None, *(one.float() for one in made)


def _back_norm(
    grad: Tensor, x: Tensor, mean: Tensor, rate: Tensor, weight: Tensor, bias: Tensor, beside: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of a norm's input, with what comes `beside` it, of its weight and of its bias."""
    dx, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
        grad.to(x.dtype), x, x.shape[-1:], mean, rate, weight, bias, [True, True, True]
    )
    return dx.add_(beside), d_weight, d_bias


def _own(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def through(blocks: Sequence[nn.Module], x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Rows [B, N, D] through timm's blocks, with a gradient; `mask` [B, 1, 1, N] is added to the scores."""
    if not _own(x):
        for block in blocks:
            block.attn.fused_attn = True  # type: ignore[union-attr]
            x = block(x) if mask is None else block(x, attn_mask=mask)
        return x
    autocast = torch.is_autocast_enabled("cpu")
    kind = torch.get_autocast_dtype("cpu") if autocast else x.dtype
    with torch.autocast("cpu", enabled=False):
        for block in blocks:
            one: Any = block
            eps = one.norm1.eps, one.norm2.eps
            x = _Block.apply(x, mask, one.attn.num_heads, eps, kind, *_weights(one))  # type: ignore[no-untyped-call]
    return x


@torch.no_grad()
def ahead(blocks: Sequence[nn.Module], x: Tensor) -> Tensor:
    """The same without a gradient, all of it in autocast's type where that is on: [B, N, D] to [B, N, D]."""
    device = x.device.type
    if torch.is_autocast_enabled(device):
        x = x.to(torch.get_autocast_dtype(device))
    if not _own(x) or x.dtype is not torch.bfloat16:
        return through(blocks, x)
    with torch.autocast("cpu", enabled=False):
        cast = [_packed(block) for block in blocks]
        widest = max(each.up_bias.shape[0] for each in cast) * x.shape[1] * x.element_size()
        parts = x.split(max(1, _PART_BYTES // widest))
        return torch.cat([_ahead(blocks, cast, part) for part in parts])


def _packed(block: Any) -> _Weights:
    w = _cast(_weights(block), block.attn.num_heads, torch.bfloat16)
    if not _fused():
        return w
    names = ("qkv", "proj", "up", "down")
    return w._replace(**{name: torch.ops.mkldnn._reorder_linear_weight(getattr(w, name)) for name in names})


def _ahead(blocks: Sequence[Any], weights: Sequence[_Weights], x: Tensor) -> Tensor:
    batch, count, width = x.shape
    x = x.reshape(-1, width)
    for block, w in zip(blocks, weights, strict=True):
        heads = block.attn.num_heads
        h = _norm(x, w.norm1, w.norm1_bias, block.norm1.eps)[0]
        qkv = _linear(h, w.qkv, w.qkv_bias).view(batch, count, 3, heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.contiguous().view(3, batch * heads, count, -1)
        part, sums = _powers(torch.bmm(q, k.transpose(1, 2)), None)
        o = torch.bmm(part, v)
        if sums is not None:
            o.mul_(sums.reciprocal_())
        o = o.view(batch, heads, count, -1).transpose(1, 2).reshape(-1, width)
        x = _add_linear(x, o, w.proj, w.proj_bias)
        h = _norm(x, w.norm2, w.norm2_bias, block.norm2.eps)[0]
        x = _add_linear(x, _gelu_linear(h, w.up, w.up_bias), w.down, w.down_bias)
    return x.view(batch, count, width)
