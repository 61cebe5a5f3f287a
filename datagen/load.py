"""Reading a data set for training or evaluation: only what may be read, and only when it is intact.

Data of any provenance but `synthetic` and `interaction` is refused before a row is read; each shard's size
and checksum are checked before its first row is given. `read` gives rows, `columns` gives arrays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from datagen import manifest as manifests
from datagen import rows
from datagen.errors import BrokenData, ProvenanceRefused
from datagen.manifest import PROVENANCES, Manifest
from datagen.recipe import Row

if TYPE_CHECKING:
    import numpy as np


def manifest(data_dir: Path) -> Manifest:
    """The manifest of a data set that may be read; ProvenanceRefused otherwise."""
    found = manifests.read(data_dir)
    if found.provenance not in PROVENANCES:
        raise ProvenanceRefused(
            f"{data_dir} says provenance {found.provenance!r}; only {' and '.join(PROVENANCES)} data is read"
        )
    return found


def read(data_dir: Path, split: str | None = None) -> Iterator[Row]:
    """The rows in order, or those of one split; BrokenData where a file is not what the manifest says."""
    _check_split(split)
    found = manifest(data_dir)
    if found.form != "rows":
        raise BrokenData(f"{data_dir} holds columns, not rows: a model of text can't learn from it")
    return _rows(data_dir, found, split)


def columns(data_dir: Path, split: str | None = None) -> dict[str, np.ndarray]:
    """Every column of all rows in order, or of those of one split: arrays with the rows on their first axis.

    Raises:
        BrokenData: a file is missing, torn, altered, or the set holds no columns; it says what to do.
        ProvenanceRefused: the data is neither synthetic nor a person's own.
    """
    _check_split(split)
    found = manifest(data_dir)
    if found.form != "columns":
        raise BrokenData(f"{data_dir} holds rows, not columns: it was made by {found.recipe}")
    import numpy as np

    from datagen import columns as files

    if not found.shards or sum(shard.rows for shard in found.shards) != found.count:
        raise BrokenData(f"{data_dir}: the shards' rows do not add up to {found.count}; make it again")
    for shard in found.shards:  # before room is made for what a manifest claims
        path = data_dir / shard.path
        if not path.is_file() or path.stat().st_size != files.file_bytes(found.columns, shard.rows):
            raise BrokenData(f"{path} is missing or torn; make the data set again")
    parts: dict[str, list[np.ndarray]] = {name: [] for name in found.columns}
    for shard in found.shards:
        arrays = files.read(data_dir / shard.path, found.columns, shard)
        side = None if split is None else arrays["split"] == rows.SPLITS.index(split)
        for name, array in arrays.items():
            parts[name].append(array if side is None else array[side])
    return {name: np.concatenate(parts.pop(name)) for name in found.columns}


def _check_split(split: str | None) -> None:
    if split is not None and split not in rows.SPLITS:
        raise ValueError(f"no split {split!r}; there are {' and '.join(rows.SPLITS)}")


def _rows(data_dir: Path, found: Manifest, split: str | None) -> Iterator[Row]:
    for shard in found.shards:
        path = data_dir / shard.path
        if not path.is_file() or path.stat().st_size != shard.bytes:
            raise BrokenData(f"{path} is missing or torn; make the data set again")
        if manifests.digest(path) != shard.sha256:
            raise BrokenData(f"{path} was altered; make the data set again")
        with path.open("rb") as lines:
            for line in lines:
                row: Row = json.loads(line)
                wrong = rows.problem(row)
                if wrong:
                    raise BrokenData(f"{path}: {wrong}")
                if split is None or row["split"] == split:
                    yield row
