"""The data of a run: read, checked, and handed to the learner as tensors of its two sides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from datagen import load
from datagen.manifest import Manifest
from model.errors import UnfitData

if TYPE_CHECKING:
    from torch import Tensor

    from model.learner import Learner


def look(folder: Path) -> Manifest:
    """The manifest of data that can be learned from, read before anything heavy is loaded.

    DataError where it may not or can't be read, UnfitData where it holds no columns or a side has no row.
    """
    found = load.manifest(folder)
    if found.form != "columns":
        raise UnfitData(f"{folder} holds rows of text, made by {found.recipe}: training takes columns")
    empty = [side for side in ("train", "test") if not found.splits.get(side)]
    if empty:
        raise UnfitData(f"{folder} has no row in its {' and '.join(empty)} part; make a larger data set")
    return found


class Data:
    """Both sides of a data set; `train` and `heldout` are there after `prepare`."""

    def __init__(self, folder: Path, encoder: Path | None) -> None:
        """Read a data set; DataError or UnfitData where it may not or can't be learned from."""
        from model import checkpoint
        from model.learner import DataInfo

        manifest = look(folder)
        self.content = manifest.content_sha256
        meta = None if encoder is None else encoder / checkpoint.META
        self.encoder = checkpoint.sha256_of(meta) if meta and meta.is_file() else None  # None: not there
        self._columns = {side: load.columns(folder, side) for side in ("train", "test")}
        first = self._columns["train"]
        self.info = DataInfo(
            recipe=manifest.recipe,
            options=manifest.parameters,
            columns={name: (column.dtype.name, column.shape[1:]) for name, column in first.items()},
            rows=len(next(iter(first.values()))),
            encoder=encoder,
        )
        self.train: dict[str, Tensor] = {}
        self.heldout: dict[str, Tensor] = {}
        self.bytes = (0, 0)  # of these tensors, and of the columns they were made of

    def prepare(self, learner: Learner, heldout_rows: int) -> None:
        """Make the tensors that this learner reads; of the held-out rows at most so many, the first."""
        few = {name: column[:heldout_rows] for name, column in self._columns["test"].items()}
        try:
            self.train = learner.prepare(self._columns["train"])
            self.heldout = learner.prepare(few)
        except (ValueError, KeyError) as error:
            said = f"there is no column {error}" if isinstance(error, KeyError) else str(error)
            raise UnfitData(f"data of {self.info.recipe} is not for this learner: {said}") from error
        read = [array for columns in self._columns.values() for array in columns.values()]
        tensors = [*self.train.values(), *self.heldout.values()]
        self.bytes = sum(int(each.nbytes) for each in tensors), sum(int(each.nbytes) for each in read)
        self._columns = {"train": {}, "test": {}}

    def described(self) -> dict[str, Any]:
        """For a checkpoint's JSON."""
        return {
            "recipe": self.info.recipe,
            "options": dict(self.info.options),
            "columns": {name: [kind, list(shape)] for name, (kind, shape) in self.info.columns.items()},
            "rows": self.info.rows,
            "encoder": None if self.info.encoder is None else str(self.info.encoder),
            "encoder_sha256": self.encoder,
            "content_sha256": self.content,
        }
