"""Does a data set hold together? Every problem found, as a line; an empty list means that it does.

`python -P -m datagen.verify DATA_DIR` prints them and exits 1 when there are any.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datagen import manifest as manifests
from datagen import rows
from datagen.distinct import Distinct
from datagen.errors import BrokenData
from datagen.files import open_regular
from datagen.manifest import PROVENANCES, Manifest, Shard


def verify(data_dir: Path) -> list[str]:
    """Hold the files of a data folder against its manifest, row by row."""
    try:
        manifest = manifests.read(data_dir)
        return list(_problems(data_dir, manifest))
    except (BrokenData, OSError) as error:
        return [str(error)]


def _problems(data_dir: Path, manifest: Manifest) -> Iterator[str]:
    if manifest.provenance not in PROVENANCES:
        yield f"provenance {manifest.provenance!r} is not one of {', '.join(PROVENANCES)}"
    if sum(shard.rows for shard in manifest.shards) != manifest.count:
        yield f"the shards' rows do not add up to {manifest.count}"
    named = {shard.path for shard in manifest.shards}
    for path in sorted([*data_dir.glob("shard-*.jsonl"), *data_dir.glob("shard-*.safetensors")]):
        if path.name not in named:
            yield f"{path.name} is not in the manifest"
    if manifest.form == "columns":
        yield from _column_problems(data_dir, manifest)
    else:
        yield from _row_problems(data_dir, manifest)


def _column_problems(data_dir: Path, manifest: Manifest) -> Iterator[str]:
    from datagen import columns

    totals, whole = columns.Totals(manifest.columns), True
    for shard in manifest.shards:
        try:
            totals.add(columns.read(data_dir / shard.path, manifest.columns, shard))
        except BrokenData as error:
            whole = False
            yield str(error)
    if not whole or not manifest.shards:
        return
    if totals.content() != manifest.content_sha256:
        yield "the rows are not those of content_sha256"
    if totals.splits() != manifest.splits:
        yield f"the splits are {totals.splits()}, not {manifest.splits}"
    if shared := totals.shared():
        yield f"train and test share {shared} problems"


def _row_problems(data_dir: Path, manifest: Manifest) -> Iterator[str]:
    content, splits, ids, inputs = hashlib.sha256(), Counter[str](), Distinct(), Distinct()
    sides = {split: Distinct() for split in rows.SPLITS}
    for shard in manifest.shards:
        path = data_dir / shard.path
        if not path.is_file():
            yield f"{shard.path} is missing"
            continue
        yield from _shard_problems(path, shard)
        with open_regular(path) as lines:
            for number, line in enumerate(lines, 1):
                content.update(line)
                row = _row(line)
                if isinstance(row, str):
                    yield f"{shard.path}:{number}: {row}"
                    break  # one broken line says enough about its shard
                ids.add(row["id"])
                splits[row["split"]] += 1
                inputs.add(row["input"])
                sides[row["split"]].add(row["input"])
    if content.hexdigest() != manifest.content_sha256:
        yield "the rows are not those of content_sha256"
    if splits != Counter(manifest.splits):
        yield f"the splits are {dict(splits)}, not {manifest.splits}"
    if ids.duplicates():
        yield f"{ids.duplicates()} rows have the id of another"
    shared = inputs.duplicates() - sum(side.duplicates() for side in sides.values())
    if shared:
        yield f"train and test share {shared} inputs"


def _shard_problems(path: Path, shard: Shard) -> Iterator[str]:
    size = path.stat().st_size
    if size != shard.bytes:
        yield f"{shard.path} has {size} bytes, not {shard.bytes}"
    elif manifests.digest(path) != shard.sha256:
        yield f"{shard.path} has other content than its sha256"
    with open_regular(path) as lines:
        count = sum(1 for _ in lines)
    if count != shard.rows:
        yield f"{shard.path} has {count} rows, not {shard.rows}"


def _row(line: bytes) -> dict[str, Any] | str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(row, dict):
        return "not an object"
    return rows.problem(row) or row


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -P -m datagen.verify DATA_DIR")
    found = verify(Path(sys.argv[1]))
    print(
        "\n".join(line if line.isprintable() else ascii(line) for line in found)
        or "the data set holds together"
    )
    sys.exit(1 if found else 0)
