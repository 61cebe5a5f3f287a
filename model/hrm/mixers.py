"""How cells learn of each other: five ways, each from [B, N, D] to [B, N, D].

`tokens` and `attention` know nothing of the board. `lines`, `units` and `local` know its geometry: which
cells share a row, a column, a box, or an edge. None knows what a digit means, or that digits may not repeat.

Costs in multiplications a cell, for N cells in lines of S, width D and expansion E: tokens 3 E N D; attention
4 D^2 + 2 N D; lines 3 x 2 E S D; units about 2 E D^2 x 3 / S; local 9 D.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.hrm.config import Grid, HrmConfig
from model.hrm.ops import gated


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


class Gated(nn.Module):
    """A gated MLP (SwiGLU) over the last axis; gate and up are one multiplication."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = weight(2 * hidden, width)
        self.down = nn.Parameter(torch.zeros(width, hidden))  # a block begins as the identity

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to the same."""
        return F.linear(gated(F.linear(x, self.up)), self.down)

    def first(self, x: Tensor) -> Tensor:
        """The same over the first axis: [width, ...] to the same, in two plain products."""
        flat = x.reshape(len(x), -1)
        return torch.mm(self.down, gated(torch.mm(self.up, flat), 0)).view(x.shape)


class Tokens(nn.Module):
    """One MLP over all cells, the same for each channel: the mixer of an MLP-Mixer."""

    def __init__(self, config: HrmConfig) -> None:
        super().__init__()
        cells = config.grid.cells
        self.mlp = Gated(cells, round(cells * config.expansion))

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] to the same."""
        return self.mlp.first(x.transpose(0, 1)).transpose(0, 1)


class Attention(nn.Module):
    """Attention over all cells; rotary positions in reading order."""

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

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] to the same."""
        batch, cells, width = x.shape
        qkv = F.linear(x, self.qkv).view(batch, cells, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(self._turned(q), self._turned(k), v)
        return F.linear(out.transpose(1, 2).reshape(batch, cells, width), self.out)

    def _turned(self, x: Tensor) -> Tensor:
        one, two = x.chunk(2, -1)
        return x * self.cos.to(x.dtype) + torch.cat((-two, one), -1) * self.sin.to(x.dtype)


class Lines(nn.Module):
    """An MLP along each row, each column and each box; every line of a kind has the same weights."""

    def __init__(self, config: HrmConfig) -> None:
        super().__init__()
        grid = config.grid
        self.grid = grid
        lengths = [grid.columns, grid.rows]
        if grid.box_rows and grid.box_columns:
            lengths.append(grid.box_rows * grid.box_columns)
        self.kinds = nn.ModuleList(Gated(length, round(length * config.expansion)) for length in lengths)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] to the same."""
        grid, (batch, cells, width) = self.grid, x.shape
        board = x.view(batch, grid.rows, grid.columns, width)
        rows: Tensor = self.kinds[0](board.transpose(2, 3))
        columns: Tensor = self.kinds[1](board.permute(0, 2, 3, 1))
        mixed = rows.transpose(2, 3) + columns.permute(0, 3, 1, 2)
        if grid.box_rows and grid.box_columns:
            high, wide = grid.box_rows, grid.box_columns
            down, across = grid.rows // high, grid.columns // wide
            boxes = board.view(batch, down, high, across, wide, width).permute(0, 1, 3, 5, 2, 4)
            boxed: Tensor = self.kinds[2](boxes.reshape(batch, down, across, width, high * wide))
            boxed = boxed.view(batch, down, across, width, high, wide).permute(0, 1, 4, 2, 5, 3)
            mixed = mixed + boxed.reshape(batch, grid.rows, grid.columns, width)
        return mixed.reshape(batch, cells, width)


class Units(nn.Module):
    """Each row, column and box sums up its cells, thinks, and tells all of them the same."""

    gather: Tensor
    kind: Tensor

    def __init__(self, config: HrmConfig) -> None:
        super().__init__()
        members = units_of(config.grid)
        self.register_buffer("gather", members / members.sum(1, keepdim=True).sqrt(), persistent=False)
        boxes = len(members) - config.grid.rows - config.grid.columns
        kinds = [0] * config.grid.rows + [1] * config.grid.columns + [2] * boxes
        self.register_buffer("kind", torch.tensor(kinds), persistent=False)
        self.kinds = nn.Parameter(torch.zeros(max(kinds) + 1, config.hidden))
        self.mlp = Gated(config.hidden, round(config.hidden * config.expansion))

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] to the same."""
        gather = self.gather.to(x.dtype)
        said: Tensor = self.mlp(torch.matmul(gather, x) + self.kinds[self.kind])
        return torch.matmul(gather.T, said)


class Local(nn.Module):
    """Each channel looks at the 3 x 3 cells around; beyond the edge there is nothing."""

    def __init__(self, config: HrmConfig) -> None:
        super().__init__()
        self.grid = config.grid
        self.taps = nn.Parameter(torch.randn(config.hidden, 1, 3, 3) / 3)
        self.out = weight(config.hidden, config.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] to the same."""
        batch, cells, width = x.shape
        board = x.view(batch, self.grid.rows, self.grid.columns, width).permute(0, 3, 1, 2)
        seen = F.conv2d(board, self.taps, padding=1, groups=width)
        return F.linear(F.silu(seen.permute(0, 2, 3, 1).reshape(batch, cells, width)), self.out)


_MIXERS = {"tokens": Tokens, "attention": Attention, "lines": Lines, "units": Units, "local": Local}


def mixer(name: str, config: HrmConfig) -> nn.Module:
    """The mixer of this name."""
    made: nn.Module = _MIXERS[name](config)
    return made
