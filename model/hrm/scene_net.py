"""The parts of the reasoner over pictures: what it sees, what it is asked, and the recursion between both.

*Sight* reads of each of nine places, a 3 x 3 grid over the picture, what stands there, from the latents of
the patches that the place lies on. *Reading* makes a few cells of the words of a question. In *Thinking*
these cells are refined in cycles, as in `model/hrm/net.py`, and look at the places by attention. Several
questions about a picture look at it together.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datagen.scenes.scene import COLOURS, SHAPES, SIZES
from model.encoders import PAD
from model.hrm.mixers import Gated, weight
from model.hrm.ops import norm

PLACES = 9
KINDS = (len(SHAPES) + 1, len(COLOURS) + 1, len(SIZES) + 1)
"""What may stand in a place: a shape, a colour and a size, or nothing, which is the first of each."""
_FAR = -1e4  # added to what is not to be looked at


class Sight(nn.Module):
    """Latents of patches to beliefs and tokens of the nine places, by the same weights for each."""

    windows: Tensor

    def __init__(self, side: int, width: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("windows", windows(side), persistent=False)
        self.near = weight(hidden, width * self.windows.shape[1])
        self.gain = nn.Parameter(torch.ones(PLACES, hidden))
        self.place = nn.Parameter(torch.randn(PLACES, hidden) * 0.5)
        self.tell = weight(sum(KINDS), hidden)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """[B, P, W] to the inner numbers [B, 9, H] and the beliefs' logits [B, 9, 19] of all places."""
        even = F.layer_norm(latents.float(), latents.shape[-1:])
        near = even[:, self.windows].flatten(2)
        inner = F.gelu(F.linear(near, self.near) * self.gain + self.place)
        return inner, F.linear(inner, self.tell)


class Reading(nn.Module):
    """Words to cells: each word with its neighbours, then each cell looks for the words that are its own."""

    def __init__(self, length: int, cells: int, words: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.near = weight(hidden, 3 * words)
        self.order = nn.Parameter(torch.randn(length, hidden) * 0.3)
        self.word = Gated(hidden, hidden)
        self.ask = nn.Parameter(torch.randn(cells, hidden))
        self.kv = weight(2 * hidden, hidden)
        self.out = weight(hidden, hidden)
        self.cell = Gated(hidden, 2 * hidden)

    def forward(self, embedded: Tensor, seen: Tensor) -> Tensor:
        """Embedded words [B, L, W], of which `seen` [B, L] are words, to cells [B, N, D]."""
        embedded = F.pad(embedded * seen[:, :, None], (0, 0, 1, 1))
        near = torch.cat((embedded[:, :-2], embedded[:, 1:-1], embedded[:, 2:]), -1)
        words = norm(F.linear(near, self.near) + self.order)
        words = norm(words + self.word(words))
        k, v = keys(words, self.kv, self.heads)
        far = torch.zeros_like(seen, dtype=words.dtype).masked_fill(~seen, _FAR)[:, None, None]
        q = split(self.ask[None], self.heads)
        found = F.linear(looked(q, k, v, far), self.out)
        cells = norm(self.ask + found)
        return norm(cells + self.cell(cells))


class Block(nn.Module):
    """Cells hear of each other, look at the places, and pass an MLP each; normed after each sum."""

    def __init__(self, cells: int, hidden: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.heads = heads
        self.mix = nn.Parameter(torch.zeros(cells, cells))
        self.mixed = weight(hidden, hidden)
        self.query = weight(hidden, hidden)
        self.out = weight(hidden, hidden)
        self.mlp = Gated(hidden, round(hidden * expansion))

    def forward(self, x: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Cells [B * R, N, D] over keys and values [B, H, 9, D / H] to the same; R questions a picture."""
        rows, cells, hidden = x.shape
        x = norm(x + F.linear(self.mix @ x, self.mixed))
        together = F.linear(x, self.query).view(len(k), -1, hidden)
        found = looked(split(together, self.heads), k, v).view(rows, cells, hidden)
        x = norm(x + F.linear(found, self.out))
        return norm(x + self.mlp(x))


class Thinking(nn.Module):
    """The recursion over cells with places in view."""

    def __init__(self, cells: int, hidden: int, heads: int, expansion: float, layers: int) -> None:
        super().__init__()
        blocks = [Block(cells, hidden, heads, expansion) for _ in range(layers)]
        self.networks = nn.ModuleList([nn.ModuleList(blocks)])
        self.heads = heads
        self.kv = weight(2 * hidden, hidden)
        self.y0 = nn.Parameter(torch.randn(cells, hidden))
        self.z0 = nn.Parameter(torch.randn(cells, hidden))

    def view(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of places [B, 9, D]."""
        return keys(places, self.kv, self.heads)

    def cycle(
        self, asked: Tensor, y: Tensor, z: Tensor, view: tuple[Tensor, Tensor], l_cycles: int
    ) -> tuple[Tensor, Tensor]:
        """One cycle: z `l_cycles` times from itself, y and the question, then y once from itself and z."""
        for _ in range(l_cycles):
            z = self._through(z + y + asked, view)
        return self._through(y + z, view), z

    def _through(self, x: Tensor, view: tuple[Tensor, Tensor]) -> Tensor:
        for block in self.networks[0].children():
            x = block(x, *view)
        return x


def windows(side: int) -> Tensor:
    """int64 [9, K]: the patches of a picture of side x side that each place lies on, as many for each."""
    edges = [(at * side // 3, -(-(at + 1) * side // 3)) for at in range(3)]
    width = max(last - first for first, last in edges)
    spans = [[min(first, side - width) + step for step in range(width)] for first, _ in edges]
    return torch.tensor(
        [[y * side + x for y in spans[at // 3] for x in spans[at % 3]] for at in range(PLACES)]
    )


def words_seen(words: Tensor) -> Tensor:
    """Which of words [B, L] are words."""
    return words != PAD


def split(x: Tensor, heads: int) -> Tensor:
    """[B, N, D] to [B, H, N, D / H]."""
    return x.view(len(x), x.shape[1], heads, -1).transpose(1, 2)


def keys(x: Tensor, kv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Keys and values [B, H, N, D / H] of x [B, N, D]."""
    k, v = F.linear(x, kv).chunk(2, -1)
    return split(k, heads), split(v, heads)


def looked(q: Tensor, k: Tensor, v: Tensor, far: Tensor | None = None) -> Tensor:
    """Attention of queries [B, H, N, D / H] to [B, N, D]; for so few cells this is fastest."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if far is not None:
        scores = scores + far
    found: Tensor = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
    return found
