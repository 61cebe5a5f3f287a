"""The net: a small llama (RMSNorm, RoPE, SwiGLU), forward and backward by hand, and Adam. numpy alone.

Tokens of one sequence are the rows of a matrix; there is no batch. Gradients are needed at a reply's tokens
alone, so that the last layer is worked out there and nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]  # of float32
    Numbers = NDArray[np.int64]

EPSILON = 1e-5
ROPE_BASE = 10000.0


@dataclass(frozen=True)
class Shape:
    """How large it is."""

    tokens: int
    width: int = 64
    heads: int = 4
    hidden: int = 192
    layers: int = 2

    @property
    def head(self) -> int:
        """Numbers of one head."""
        return self.width // self.heads


class Net:
    """Weights by name, inputs x outputs, with the forward pass that keeps what the backward pass needs."""

    def __init__(self, shape: Shape, seed: int) -> None:
        import numpy as np

        self.shape = shape
        random = np.random.default_rng(seed)
        d, f = shape.width, shape.hidden

        def some(rows: int, columns: int, scale: float) -> Array:
            return (random.standard_normal((rows, columns)) * scale).astype(np.float32)

        self.weights: dict[str, Array] = {
            "in": some(shape.tokens, d, 0.5),
            "out": some(d, shape.tokens, 0.5 / d**0.5),
        }
        for layer in range(shape.layers):
            self.weights |= {
                f"{layer}.norm": np.ones(d, np.float32),
                f"{layer}.qkv": some(d, 3 * d, d**-0.5),
                f"{layer}.o": some(d, d, 0.5 * d**-0.5),
                f"{layer}.norm2": np.ones(d, np.float32),
                f"{layer}.up": some(d, 2 * f, d**-0.5),
                f"{layer}.down": some(f, d, 0.5 * f**-0.5),
            }
        self.weights["norm"] = np.ones(d, np.float32)
        self._turns = (np.zeros((0, shape.head // 2), np.float32),) * 2

    def _rope(self, length: int) -> tuple[Array, Array]:
        import numpy as np

        if len(self._turns[0]) < length:
            half = self.shape.head // 2
            speed = ROPE_BASE ** (-np.arange(half) / half)
            angle = np.arange(max(length, 4096))[:, None] * speed[None]
            self._turns = (np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32))
        return self._turns[0][:length], self._turns[1][:length]

    def logits(self, ids: Numbers, at: Numbers) -> tuple[Array, list[Any]]:
        """What comes after the tokens at some places, and what `backward` needs.

        Args:
            ids: the sequence.
            at: the places, rising.
        """
        import numpy as np

        w, shape = self.weights, self.shape
        turns = self._rope(len(ids))
        x = w["in"][ids]
        everywhere = np.arange(len(ids))
        kept: list[Any] = [ids]
        for layer in range(shape.layers):
            places = at if layer == shape.layers - 1 else everywhere
            x, keep = self._layer(f"{layer}.", x, places, turns)
            kept.append(keep)
        h, inverse = _norm(x)
        kept += [h, inverse]
        return (h * w["norm"]) @ w["out"], kept

    def _layer(
        self, name: str, x: Array, at: Numbers, turns: tuple[Array, Array]
    ) -> tuple[Array, tuple[Any, ...]]:
        import numpy as np

        w, shape = self.weights, self.shape
        d, heads, size = shape.width, shape.heads, shape.head
        h, inverse = _norm(x)
        scaled = h * w[name + "norm"]
        some = len(at) < len(x)
        if some:
            q = scaled[at] @ w[name + "qkv"][:, :d]
            kv = scaled @ w[name + "qkv"][:, d:]
            k, v = kv[:, :d], kv[:, d:]
        else:
            qkv = scaled @ w[name + "qkv"]
            q, k, v = qkv[:, :d], qkv[:, d : 2 * d], qkv[:, 2 * d :]

        def split(flat: Array) -> Array:
            return np.ascontiguousarray(flat.reshape(len(flat), heads, size).transpose(1, 0, 2))

        cos, sin = turns
        qh = _turn(split(q), cos[at], sin[at])
        kh = _turn(split(k), cos, sin)
        vh = split(v)
        scores = qh @ kh.transpose(0, 2, 1)
        scores *= 1 / math.sqrt(size)
        np.copyto(scores, -1e9, where=np.arange(len(x))[None] > at[:, None])
        scores -= scores.max(axis=2, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=2, keepdims=True)
        mixed = np.ascontiguousarray((scores @ vh).transpose(1, 0, 2)).reshape(len(at), d)
        y = x[at] + mixed @ w[name + "o"]
        h2, inverse2 = _norm(y)
        scaled2 = h2 * w[name + "norm2"]
        up = scaled2 @ w[name + "up"]
        gate, value = up[:, : shape.hidden], up[:, shape.hidden :]
        sigmoid = 1 / (1 + np.exp(-gate))
        acted = gate * sigmoid * value
        z = y + acted @ w[name + "down"]
        attended = (at, h, inverse, scaled, qh, kh, vh, scores, mixed)
        return z, (*attended, h2, inverse2, scaled2, gate, value, sigmoid, acted)

    def backward(self, kept: list[Any], error: Array) -> dict[str, Array]:
        """The gradient of every weight, from that of the logits."""
        import numpy as np

        w, shape = self.weights, self.shape
        ids, *layers, h, inverse = kept
        grads: dict[str, Array] = {}
        grads["out"] = (h * w["norm"]).T @ error
        dh = error @ w["out"].T
        grads["norm"] = (dh * h).sum(axis=0)
        dx = _unnorm(dh * w["norm"], h, inverse)
        turns = self._rope(len(ids))
        for layer in reversed(range(shape.layers)):
            dx = self._unlayer(f"{layer}.", layers[layer], dx, turns, grads)
        into = np.zeros_like(w["in"])
        np.add.at(into, ids, dx)
        grads["in"] = into
        return grads

    def _unlayer(
        self, name: str, keep: tuple[Any, ...], dz: Array, turns: tuple[Array, Array], grads: dict[str, Array]
    ) -> Array:
        import numpy as np

        at, h, inverse, scaled, qh, kh, vh, scores, mixed = keep[:9]
        h2, inverse2, scaled2, gate, value, sigmoid, acted = keep[9:]
        w, shape = self.weights, self.shape
        d, heads, size = shape.width, shape.heads, shape.head
        grads[name + "down"] = acted.T @ dz
        dacted = dz @ w[name + "down"].T
        silu = gate * sigmoid
        dup = np.concatenate([dacted * value * (sigmoid + silu * (1 - sigmoid)), dacted * silu], axis=1)
        grads[name + "up"] = scaled2.T @ dup
        dscaled2 = dup @ w[name + "up"].T
        grads[name + "norm2"] = (dscaled2 * h2).sum(axis=0)
        dy = dz + _unnorm(dscaled2 * w[name + "norm2"], h2, inverse2)
        grads[name + "o"] = mixed.T @ dy
        dmixed = (dy @ w[name + "o"].T).reshape(len(at), heads, size).transpose(1, 0, 2)
        dmixed = np.ascontiguousarray(dmixed)
        dv = scores.transpose(0, 2, 1) @ dmixed
        dscores = dmixed @ vh.transpose(0, 2, 1)
        inner = np.einsum("hij,hij->hi", dscores, scores)
        dscores -= inner[:, :, None]
        dscores *= scores
        dscores *= 1 / math.sqrt(size)
        cos, sin = turns
        dq = _turn(dscores @ kh, cos[at], -sin[at])
        dk = _turn(dscores.transpose(0, 2, 1) @ qh, cos, -sin)

        def join(split: Array) -> Array:
            return split.transpose(1, 0, 2).reshape(split.shape[1], d)

        dqf, dkv = join(dq), np.concatenate([join(dk), join(dv)], axis=1)
        grads[name + "qkv"] = np.concatenate([scaled[at].T @ dqf, scaled.T @ dkv], axis=1)
        dscaled = dkv @ w[name + "qkv"][:, d:].T
        dscaled[at] += dqf @ w[name + "qkv"][:, :d].T
        grads[name + "norm"] = (dscaled * h).sum(axis=0)
        dx = _unnorm(dscaled * w[name + "norm"], h, inverse)
        dx[at] += dy
        return dx


def _norm(x: Array) -> tuple[Array, Array]:
    import numpy as np

    inverse = 1 / np.sqrt((x * x).mean(axis=1, keepdims=True) + np.float32(EPSILON))
    return x * inverse, inverse


def _unnorm(dh: Array, h: Array, inverse: Array) -> Array:
    out: Array = (dh - h * (dh * h).mean(axis=1, keepdims=True)) * inverse
    return out


def _turn(x: Array, cos: Array, sin: Array) -> Array:
    """RoPE as llama.cpp does it for this architecture: neighbours are pairs."""
    import numpy as np

    out = np.empty_like(x)
    even, odd = x[..., 0::2], x[..., 1::2]
    out[..., 0::2] = even * cos - odd * sin
    out[..., 1::2] = even * sin + odd * cos
    return out


class Adam:
    """Adam with bias correction; one rate for all weights."""

    def __init__(self, weights: dict[str, Array]) -> None:
        import numpy as np

        self._first = {name: np.zeros_like(each) for name, each in weights.items()}
        self._second = {name: np.zeros_like(each) for name, each in weights.items()}
        self._step = 0

    def step(self, weights: dict[str, Array], grads: dict[str, Array], rate: float) -> None:
        """Move the weights, in place; gradients of a norm above 1 are shortened to it."""
        import numpy as np

        self._step += 1
        size = math.sqrt(sum(float(np.vdot(each, each)) for each in grads.values()))
        shorten = np.float32(min(1.0, 1.0 / (size + 1e-9)))
        one, two = 0.9, 0.98
        rate *= math.sqrt(1 - two**self._step) / (1 - one**self._step)
        for name, grad in grads.items():
            grad *= shorten
            first, second = self._first[name], self._second[name]
            first += np.float32(1 - one) * (grad - first)
            second += np.float32(1 - two) * (grad * grad - second)
            weights[name] -= np.float32(rate) * first / (np.sqrt(second) + np.float32(1e-8))
