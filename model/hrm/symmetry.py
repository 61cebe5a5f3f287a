"""Drawing a puzzle in another of its forms, so that a training row rarely comes twice in the same dress.

The symmetries are those by which train and test are told apart (the canonical form leaves them out), so no
form of a training puzzle is a test puzzle.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.hrm.config import Grid


def _orders(rows: int, length: int, rng: torch.Generator) -> Tensor:
    """A permutation of 0 .. length - 1 for each row: [rows, length]."""
    return torch.rand(rows, length, generator=rng).argsort(1)


def sudoku(question: Tensor, answer: Tensor, grid: Grid, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Digits renamed; bands, stacks, and lines within them in another order; perhaps transposed. [B, N] both.

    0 stays 0. Transposed only where the boxes are square, half the time.
    """
    high, wide = grid.box_rows or 1, grid.box_columns or 1
    count, size = len(question), grid.rows
    digits = torch.cat((torch.zeros(count, 1, dtype=torch.int64), _orders(count, size, rng) + 1), 1)
    row = _lines(count, size, high, rng)
    column = _lines(count, size, wide, rng)
    cell = row[:, :, None] * size + column[:, None, :]
    if high == wide:
        turned = torch.rand(count, generator=rng) < 0.5
        cell = torch.where(turned[:, None, None], cell.transpose(1, 2), cell)
    cell = cell.reshape(count, size * size)
    made = [digits.gather(1, each.long().gather(1, cell)).to(each.dtype) for each in (question, answer)]
    return made[0], made[1]


def renamed(
    question: Tensor, answer: Tensor, vocabulary: int, blank: int | None, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Every token but the blank under another name, drawn for each row: both [B, N], as given."""
    names = torch.arange(vocabulary)
    digits = names[names != (-1 if blank is None else blank)]
    table = names.repeat(len(question), 1)
    table[:, digits] = digits[_orders(len(question), len(digits), rng)]
    made = [table.gather(1, each.long()).to(each.dtype) for each in (question, answer)]
    return made[0], made[1]


def _lines(count: int, size: int, band: int, rng: torch.Generator) -> Tensor:
    """An order of `size` lines that keeps bands of `band` lines together: [count, size]."""
    bands = _orders(count, size // band, rng)
    within = _orders(count * (size // band), band, rng).view(count, size // band, band)
    return (bands[:, :, None] * band + within).reshape(count, size)


def square(question: Tensor, answer: Tensor, grid: Grid, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """One of the eight turns and flips of a square, drawn for each row: both [B, N], as given."""
    count, size = len(question), grid.rows
    flips = torch.rand(3, count, 1, 1, generator=rng) < 0.5
    cell = torch.arange(size * size).view(1, size, size).expand(count, size, size)
    cell = torch.where(flips[0], cell.flip(1), cell)
    cell = torch.where(flips[1], cell.flip(2), cell)
    cell = torch.where(flips[2], cell.transpose(1, 2), cell).reshape(count, size * size)
    return question.gather(1, cell), answer.gather(1, cell)


def reveal(question: Tensor, answer: Tensor, blank: int | None, share: float, rng: torch.Generator) -> Tensor:
    """Questions of which that share of the rows has a random part of its blanks filled in: [B, N]."""
    count = len(question)
    chosen = torch.rand(count, 1, generator=rng) < share
    part = torch.rand(count, 1, generator=rng)
    filled = chosen & (torch.rand(question.shape, generator=rng) < part)
    if blank is not None:
        filled &= question == blank
    return torch.where(filled, answer, question)
