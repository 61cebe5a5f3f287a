"""How cells learn of each other: five ways, each from latents to latents of the same shape. What a mixer says
is added to what it is given beside them, within its last product where it has one that can.

Latents are [N, B, D] for those that are `cells_first`, [B, N, D] for the others: a product over the cells of
all puzzles at once is a plain one where cells come first, and four times as dear as many small ones.

`tokens` and `attention` know nothing of the board. `lines`, `units` and `local` know its geometry: which
cells share a row, a column, a box, or an edge. None knows what a digit means, or that digits may not repeat.

Costs in multiplications a cell, for N cells in lines of S, width D and expansion E: tokens 3 E N D; attention
4 D^2 + 2 N D; lines 3 x 2 E S D; units about 2 E D^2 x 3 / S; local 9 D.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.hrm.config import Grid, HrmConfig
from model.hrm.ops import gated_columns, gated_rows


def weight(out: int, into: int) -> nn.Parameter:
    """A matrix [out, into], LeCun normal cut at two deviations."""
    made = torch.empty(out, into)
    nn.init.trunc_normal_(made, std=into**-0.5, a=-2 * into**-0.5, b=2 * into**-0.5)
    return nn.Parameter(made)


def units_of(grid: Grid) -> Tensor:
    """Which cells lie in which row, column and box: [units, cells] of 0 and 1."""
    row, column = torch.arange(grid.rows), torch.arange(grid.columns)
    at_row, at_column = torch.meshgrid(row, column, indexing="ij")
    kinds = [at_row, at_column]
    if grid.box_rows and grid.box_columns:
        across = grid.columns // grid.box_columns
        kinds.append(at_row // grid.box_rows * across + at_column // grid.box_columns)
    members = [F.one_hot(kind.reshape(-1)).T for kind in kinds]
    return torch.cat(members).float()


def kinds_of(grid: Grid) -> list[int]:
    """The kind of each of these units: 0 for rows, 1 for columns, 2 for boxes."""
    boxes = grid.cells // (grid.box_rows * grid.box_columns) if grid.box_rows and grid.box_columns else 0
    return [0] * grid.rows + [1] * grid.columns + [2] * boxes


def wiring(members: Tensor, kinds: Sequence[int]) -> dict[str, Tensor]:
    """The buffers of a `Units` mixer for units [U, cells] of 0 and 1, and their kinds."""
    return {
        "gather": members / members.sum(1, keepdim=True).sqrt(),
        "kind": torch.tensor(kinds, device=members.device),
    }


class Gated(nn.Module):
    """A gated MLP (SwiGLU); gate and value are one matrix."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = weight(2 * hidden, width)
        self.down = nn.Parameter(torch.zeros(width, hidden))  # a block begins as the identity

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """[..., width] to the same, added to `onto` where that is given."""
        return gated_rows(x, self.up, self.down, onto)

    def first(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """The same over the first axis: [width, ...] to the same."""
        return gated_columns(x, self.up, self.down, onto)


class Tokens(nn.Module):
    """One MLP over all cells, the same for each channel: the mixer of an MLP-Mixer."""

    cells_first = True

    def __init__(self, config: HrmConfig) -> None:
        super().__init__()
        cells = config.grid.cells
        self.mlp = Gated(cells, round(cells * config.expansion))

    def forward(self, x: Tensor, onto: Tensor) -> Tensor:
        """[N, B, D] to the same, added to `onto`."""
        return self.mlp.first(x, onto)


class Attention(nn.Module):
    """Attention over all cells; rotary positions in reading order."""

    cells_first = False

    cos: Tensor
    sin: Tensor

    def __init__(self, config: HrmConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = weight(3 * config.hidden, config.hidden)
        self.out = weight(config.hidden, config.hidden)
        per_head = config.hidden // config.heads
        speed = 10_000.0 ** -(torch.arange(0, per_head, 2) / per_head)
        angle = torch.outer(torch.arange(config.grid.cells).float(), speed).repeat(1, 2)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, x: Tensor, onto: Tensor) -> Tensor:
        """[B, N, D] to the same, added to `onto`."""
        batch, cells, width = x.shape
        qkv = F.linear(x, self.qkv).view(batch, cells, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(self._turned(q), self._turned(k), v)
        return onto + F.linear(out.transpose(1, 2).reshape(batch, cells, width), self.out)

    def _turned(self, x: Tensor) -> Tensor:
        one, two = x.chunk(2, -1)
        return x * self.cos.to(x.dtype) + torch.cat((-two, one), -1) * self.sin.to(x.dtype)


class Lines(nn.Module):
    """An MLP along each row, each column and each box; every line of a kind has the same weights."""

    cells_first = True

    def __init__(self, config: HrmConfig) -> None:
        super().__init__()
        grid = config.grid
        self.grid = grid
        lengths = [grid.columns, grid.rows]
        if grid.box_rows and grid.box_columns:
            lengths.append(grid.box_rows * grid.box_columns)
        self.kinds = nn.ModuleList(Gated(length, round(length * config.expansion)) for length in lengths)

    def forward(self, x: Tensor, onto: Tensor) -> Tensor:
        """[N, B, D] to the same, added to `onto`."""
        grid = self.grid
        board = x.view(grid.rows, grid.columns, *x.shape[1:])
        mixed = self._along(0, board.transpose(0, 1)).transpose(0, 1) + self._along(1, board)
        if grid.box_rows and grid.box_columns:
            high, wide = grid.box_rows, grid.box_columns
            down, across = grid.rows // high, grid.columns // wide
            boxes = board.view(down, high, across, wide, -1).permute(1, 3, 0, 2, 4)
            boxed = self._along(2, boxes.reshape(high * wide, -1))
            boxed = boxed.view(high, wide, down, across, -1).permute(2, 0, 3, 1, 4)
            mixed = mixed + boxed.reshape(board.shape)
        return onto + mixed.reshape(x.shape)

    def _along(self, kind: int, lines: Tensor) -> Tensor:
        mlp = self.kinds[kind]
        assert isinstance(mlp, Gated)
        return mlp.first(lines)


class Units(nn.Module):
    """Each row, column and box sums up its cells, thinks, and tells all of them the same."""

    cells_first = True

    gather: Tensor
    kind: Tensor

    def __init__(self, config: HrmConfig) -> None:
        super().__init__()
        kinds = kinds_of(config.grid)
        for name, each in wiring(units_of(config.grid), kinds).items():
            self.register_buffer(name, each, persistent=False)
        self.kinds = nn.Parameter(torch.zeros(max(kinds) + 1, config.hidden))
        self.mlp = Gated(config.hidden, round(config.hidden * config.expansion))

    def forward(self, x: Tensor, onto: Tensor) -> Tensor:
        """[N, B, D] to the same, added to `onto`."""
        gather = self.gather.to(x.dtype)
        heard = torch.mm(gather, x.reshape(len(x), -1)).view(len(gather), *x.shape[1:])
        said: Tensor = self.mlp(heard + self.kinds[self.kind][:, None])
        return torch.addmm(onto.reshape(len(x), -1), gather.T, said.view(len(gather), -1)).view(x.shape)


class Local(nn.Module):
    """Each channel looks at the 3 x 3 cells around; beyond the edge there is nothing."""

    cells_first = False

    def __init__(self, config: HrmConfig) -> None:
        super().__init__()
        self.grid = config.grid
        self.taps = nn.Parameter(torch.randn(config.hidden, 1, 3, 3) / 3)
        self.out = weight(config.hidden, config.hidden)

    def forward(self, x: Tensor, onto: Tensor) -> Tensor:
        """[B, N, D] to the same, added to `onto`."""
        batch, cells, width = x.shape
        board = x.view(batch, self.grid.rows, self.grid.columns, width).permute(0, 3, 1, 2)
        seen = F.conv2d(board, self.taps, padding=1, groups=width)
        return onto + F.linear(F.silu(seen.permute(0, 2, 3, 1).reshape(batch, cells, width)), self.out)


Mixer = Tokens | Attention | Lines | Units | Local
_MIXERS: dict[str, Callable[[HrmConfig], Mixer]] = {
    "tokens": Tokens,
    "attention": Attention,
    "lines": Lines,
    "units": Units,
    "local": Local,
}


def mixer(name: str, config: HrmConfig) -> Mixer:
    """The mixer of this name."""
    return _MIXERS[name](config)
