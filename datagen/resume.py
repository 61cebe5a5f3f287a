"""What an interrupted run left: which shards are kept, and what is removed before it goes on."""

from __future__ import annotations

from pathlib import Path

from datagen import manifest, runlog
from datagen.manifest import MANIFEST, Shard, shard_name
from datagen.request import Request

DATA = "data"


def kept(run_dir: Path, asked: Request, version: str, form: str) -> dict[str, Shard]:
    """The shards of this very request that are whole, by name."""
    key = asked.key(version)
    spans = enumerate(asked.ranges())
    wanted = {f"{DATA}/{shard_name(n, form)}": stop - start for n, (start, stop) in spans}
    recorded = {
        event["path"]: event.get("sha256")
        for event in runlog.checkpoints(run_dir)
        if event.get("key") == key and event.get("path") in wanted
    }
    whole = {}
    for where, sha256 in recorded.items():
        path = run_dir / where
        if path.is_file() and manifest.digest(path) == sha256:
            whole[path.name] = Shard(path.name, wanted[where], path.stat().st_size, sha256)
    return whole


def tidy(run_dir: Path, kept: dict[str, Shard], *, complete: bool) -> None:
    """Remove what an interrupted or different run left: a word on rows not there, halves, other shards."""
    data = run_dir / DATA
    for path in data.glob(".*.tmp"):
        path.unlink()
    if not complete:  # first of all: no word on rows that are about to go
        (run_dir / runlog.RESULT).unlink(missing_ok=True)
        (data / MANIFEST).unlink(missing_ok=True)
    for pattern in ("shard-*.jsonl", "shard-*.safetensors"):
        for path in data.glob(pattern):
            if path.name not in kept:
                path.unlink()
