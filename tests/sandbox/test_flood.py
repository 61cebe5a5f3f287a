"""A command may print what it likes: it costs the engine no memory, and no byte goes uncounted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import process
from orchestrator.process import HEAD, TAIL, Keeper

ROOT = Path(__file__).resolve().parents[2]


def test_a_flood_of_64_mb_costs_the_engine_less_than_20(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "benchmarks" / "flood.py"),
            "--bytes",
            str(64 << 20),
            "--backend",
            "none",
        ],
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        check=False,
    )
    found = json.loads(done.stdout)
    assert found["counted"] == found["seen"] == 64 << 20 and found["exit"] == 0, found
    assert found["peak_growth_mb"] < 20, found
    assert found["kept"] <= HEAD + 2 * TAIL + 100 and found["followed"] == HEAD
    assert done.returncode == 0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=40), max_size=30))
def test_head_and_tail_are_kept_and_every_byte_between_is_counted(pieces: list[bytes]) -> None:
    before = process.HEAD, process.TAIL
    process.HEAD = process.TAIL = 16
    try:
        keeper = Keeper()
        for piece in pieces:
            keeper.add(piece)
        keeper.close()
        whole, kept = b"".join(pieces), keeper.bytes()
    finally:
        process.HEAD, process.TAIL = before
    if len(kept) == len(whole):
        assert kept == whole
        return
    head, told, tail = kept[:16], kept[16:-16], kept[-16:]
    assert whole.startswith(head) and whole.endswith(tail)
    middle, _, more = told.rpartition(b"left out ...]\n")
    count = int(middle.rpartition(b"[... ")[2].split()[0])
    assert count + 16 + len(more) + 16 == len(whole)
