"""Reading a data set for training or evaluation: only what may be read, and only when it is intact.

Data of any provenance but `synthetic` and `interaction` is refused before a row is read; each shard's size
and checksum are checked before its first row is given.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from datagen import manifest as manifests
from datagen import rows
from datagen.errors import BrokenData, ProvenanceRefused
from datagen.manifest import PROVENANCES, Manifest
from datagen.recipe import Row


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
    if split is not None and split not in rows.SPLITS:
        raise ValueError(f"no split {split!r}; there are {' and '.join(rows.SPLITS)}")
    return _rows(data_dir, manifest(data_dir), split)


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
