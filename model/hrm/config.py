"""What a reasoner is made of: the `model` part of its preset, strictly parsed.

Everything that changes a number is here, so a checkpoint with its configuration is the whole model.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Mixing = Literal["tokens", "attention", "lines", "units", "local"]
Ablation = Literal["hierarchy", "recursion", "deep_supervision", "halting"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
MOST_CELLS = 4096  # of a grid: attention over more would not fit beside anything else


class Part(BaseModel):
    """Unknown keys and loose types are refused, and nothing changes it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def lists_to_tuples(raw: object) -> object:
    """A mapping with tuples for its lists: YAML and JSON know lists alone."""
    if not isinstance(raw, dict):
        return raw  # pydantic says that it is no mapping
    return {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}


class Grid(Part):
    """The board: cells in reading order, and boxes where it has them."""

    rows: int = Field(ge=1, le=MOST_CELLS)
    columns: int = Field(ge=1, le=MOST_CELLS)
    box_rows: int | None = Field(default=None, ge=1)
    box_columns: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _boxes_fill_it(self) -> Self:
        if (self.box_rows is None) != (self.box_columns is None):
            raise ValueError("give both box_rows and box_columns, or neither")
        high, wide = self.box_rows or 1, self.box_columns or 1
        if self.rows % high or self.columns % wide:
            raise ValueError("the boxes do not fill the grid")
        if self.cells > MOST_CELLS:
            raise ValueError(f"a grid has at most {MOST_CELLS} cells")
        return self

    @property
    def cells(self) -> int:
        """How many cells the board has."""
        return self.rows * self.columns


class Depth(Part):
    """Until this share of the training is done, so many cycles."""

    until: Share
    h_cycles: int = Field(ge=1, le=16)
    l_cycles: int = Field(ge=1, le=32)


class Rule(Part):
    """Another set of units for the same cells, which a consolidation taught: boards may come under any."""

    units: tuple[tuple[int, ...], ...] = Field(min_length=1, max_length=256)
    kinds: tuple[int, ...] = Field(min_length=1, max_length=256)
    """A number of the grid's kinds (rows, columns, boxes) for each unit."""
    rank: int = Field(default=0, ge=0, le=64)
    """Of the low-rank change of the weights that is its own; 0 where it needs none."""

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, raw: object) -> object:
        made = lists_to_tuples(raw)
        if isinstance(made, dict) and isinstance(made.get("units"), tuple):
            rows = (tuple(each) if isinstance(each, list) else each for each in made["units"])
            made = made | {"units": tuple(rows)}
        return made

    @model_validator(mode="after")
    def _one_kind_each(self) -> Self:
        if len(self.units) != len(self.kinds):
            raise ValueError("a rule has as many kinds as units")
        return self


MOST_RULES = 8  # each is asked for every question


class HrmConfig(Part):
    """A reasoner; the defaults are those of the presets for small boards."""

    vocabulary: int = Field(ge=2, le=4096)
    """How many token ids the questions and the answers use together, from 0."""
    blank: int | None = Field(default=0, ge=0)
    """The id of a cell to be filled in; None where any cell of the answer may differ from the question."""
    grid: Grid
    hidden: int = Field(default=128, ge=8, le=4096)
    layers: int = Field(default=2, ge=1, le=16)
    heads: int = Field(default=4, ge=1, le=64)
    expansion: float = Field(default=2.0, gt=0.0, le=8.0)
    mixing: tuple[Mixing, ...] = ("units",)
    networks: Literal[1, 2] = 1
    """One network for both levels (the tiny recursive variant), or one each."""
    h_cycles: int = Field(default=2, ge=1, le=16)
    l_cycles: int = Field(default=4, ge=1, le=32)
    depth: tuple[Depth, ...] = ()
    """A curriculum of cycles; after its last entry `h_cycles` and `l_cycles` hold."""
    gradient: Literal["cycle", "one_step"] = "cycle"
    """Through all of the last cycle, or through the last call of each level alone."""
    halt_steps: int = Field(default=4, ge=1, le=64)
    """The most refinement steps of a puzzle in training, and those of an assessment."""
    exploration: Share = 0.4
    halt_bias: float = Field(default=-4.0, ge=-10.0, le=0.0)
    halt_weight: float = Field(default=0.5, ge=0.0, le=10.0)
    loss_on: Literal["blanks", "all"] = "all"
    augment: Literal["none", "sudoku", "square"] = "none"
    """Symmetries under which a row is drawn: those of Sudoku, or turns and flips of a square."""
    reveal: Share = 0.0
    """Share of the rows that are partly filled in at the start of the training; none from its middle on."""
    ablate: tuple[Ablation, ...] = ()
    rules: tuple[Rule, ...] = Field(default=(), max_length=MOST_RULES)
    """Rules beside that of the grid; the network itself finds out which one a board follows."""

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, raw: object) -> object:
        return lists_to_tuples(raw)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.mixing or len(set(self.mixing)) != len(self.mixing):
            raise ValueError("mixing: name one or more different mixers")
        if "attention" in self.mixing and (self.hidden % self.heads or self.hidden // self.heads % 2):
            raise ValueError("heads: hidden must be an even multiple of it")
        if self.augment == "sudoku" and (self.grid.box_rows is None or self.blank != 0):
            raise ValueError("augment: sudoku needs a grid with boxes and 0 for blanks")
        if self.augment == "square" and self.grid.rows != self.grid.columns:
            raise ValueError("augment: square needs as many rows as columns")
        if self.blank is None and self.loss_on == "blanks":
            raise ValueError("loss_on: blanks needs a blank")
        self._rules_fit()
        return self

    def _rules_fit(self) -> None:
        kinds = 3 if self.grid.box_rows else 2
        for rule in self.rules:
            if "units" not in self.mixing or "halting" in self.ablate:
                raise ValueError("rules need the units mixer, and a halting value to choose by")
            if any(not unit or len(set(unit)) != len(unit) for unit in rule.units):
                raise ValueError("a unit of a rule has a cell or more, each once")
            if any(not 0 <= cell < self.grid.cells for unit in rule.units for cell in unit):
                raise ValueError("a rule names a cell beyond the grid")
            if any(not 0 <= kind < kinds for kind in rule.kinds):
                raise ValueError("a rule names a kind of units that the grid has not")

    @property
    def steps(self) -> int:
        """Refinement steps of a puzzle: one where deep supervision is ablated."""
        return 1 if "deep_supervision" in self.ablate else self.halt_steps

    def cycles(self, progress: float) -> tuple[int, int]:
        """H and L cycles at this share of the training."""
        if "recursion" in self.ablate:
            return 1, 1
        for each in self.depth:
            if progress < each.until:
                return each.h_cycles, each.l_cycles
        return self.h_cycles, self.l_cycles
