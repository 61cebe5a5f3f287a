"""What the journal costs: `python benchmarks/journal.py` prints one JSON object.

- `append`: appends a second, each fsynced, of the engine's mix of events on a journal with many tickets,
  against a bare sqlite3 insert of the same columns with the same pragmas on the same file system. Blocks of
  the two alternate, and the figure is the median of the blocks' ratios, so that a disk that slows down
  slows both; `ratio_of_all` is that of the whole times, folds of the log among them.
- `open`: seconds from `Journal.open` to a journal ready to write, and the same for `Journal.read`, with the
  memory of the process, at several sizes. Each is measured in a process of its own, the median of several.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from state.canonical import canonical
from state.connect import PRAGMAS
from state.events import New
from state.journal import Journal

SPEC = {
    "kind": "run",
    "goal": "Reject duplicate keys when loading ticket YAML",
    "accept": [{"run": "python -m pytest -q tests", "red": True}, "standard", {"file": "README.md"}],
    "labels": ["M0", "loader"],
    "paths": ["tickets/**", "tests/unit/**"],
    "with": {"steps": ["python tools/change.py --in-place tickets/load.py", "python -m compileall tickets"]},
    "budget": {"time": 1200},
}
BASE = "5f3c9a1be2d44c0a8f7e6d5c4b3a29180716fe5d"


def admitted(count: int) -> Iterator[New]:
    """One ticket after another, ready to start."""
    for number in range(count):
        ticket, revision = f"TICKET-{number:05}", hashlib.sha256(b"%d" % number).hexdigest()
        path = f"tickets/{ticket}.yaml"
        yield New("ticket.admitted", {"path": path, "spec": SPEC, "revision": revision, "needs": []}, ticket)
        yield New("ticket.ready", {}, ticket)


def work(tickets: int, first_seq: int) -> Iterator[New]:
    """What the engine writes while it works: for each attempt six actions, the last three of them checks."""
    seq = first_seq
    for number in range(10**9):
        ticket, attempt = f"TICKET-{number * 7919 % tickets:05}", number // tickets + 1
        revision = hashlib.sha256(b"%d" % number).hexdigest()
        seq += 1
        yield New("attempt.started", _start(ticket, attempt, revision), ticket, attempt)
        for action in range(6):
            seq += 1
            intent = seq
            yield New("action.intent", _intent(action, revision), ticket, attempt)
            seq += 1
            progress = {
                "key": f"action-{action}",
                "fraction": action / 6,
                "eta": [3.0, 9.5],
                "text": "12 of 70",
            }
            yield New("action.progress", progress, ticket, attempt)
            seq += 1
            yield New("action.outcome", _outcome(action, intent, revision), ticket, attempt)


def _start(ticket: str, attempt: int, revision: str) -> dict[str, Any]:
    branch = f"ticket/{ticket}-reject-duplicate-keys"
    return {
        "revision": revision, "spec": SPEC, "base_ref": "refs/heads/main", "base": BASE,
        "branch": branch, "checks": SPEC["accept"], "comment": "",
    }  # fmt: skip


def _intent(action: int, revision: str) -> dict[str, Any]:
    return {
        "key": f"action-{action}", "task": f"task-{action // 3}", "title": "python -m pytest -q tests",
        "command": "python -m pytest -q tests", "tree": revision[:40], "parent": BASE,
    }  # fmt: skip


def _outcome(action: int, intent: int, revision: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "key": f"action-{action}", "task": f"task-{action // 3}", "intent": intent, "status": "done",
        "exit": 0, "seconds": 1.25, "output": f"blob:{revision}", "result": {"commit": BASE, "tree": BASE},
    }  # fmt: skip
    if action >= 3:
        body["receipt"] = {
            "name": f"check-{action}", "side": "merged", "tree": revision[:40], "revision": revision,
            "passed": True, "summary": "12 passed in 0.31s",
        }  # fmt: skip
    return body


class Bare:
    """The reference: one table, one insert, the same pragmas."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("PRAGMA journal_mode=WAL", *PRAGMAS):
            self.db.execute(pragma)
        self.db.execute(
            "CREATE TABLE events (seq INTEGER PRIMARY KEY, at INTEGER, ticket TEXT, attempt INTEGER,"
            " type TEXT, body TEXT, hash BLOB)"
        )

    def insert(self, new: New, body: str) -> None:
        self.db.execute(
            "INSERT INTO events (at, ticket, attempt, type, body, hash) VALUES (?,?,?,?,?,?)",
            (time.time_ns() // 1_000_000, new.ticket, new.attempt, new.type, body, b"\0" * 32),
        )


def fill(path: Path, tickets: int, events: int) -> None:
    """A journal of this many events, written in large transactions."""
    journal = Journal.open(path)
    stream = iter(admitted(tickets))
    while batch := list(islice(stream, 5_000)):
        journal.append(*batch)
    first = journal.head()[0]
    stream = iter(work(tickets, first))
    left = events - first
    while left > 0:
        batch = list(islice(stream, min(5_000, left)))
        journal.append(*batch)
        left -= len(batch)
    journal.close()


def measure_append(folder: Path, tickets: int, blocks: int, size: int) -> dict[str, Any]:
    """Alternate blocks of appends and bare inserts of the same events."""
    path = folder / "append.db"
    fill(path, tickets, 0)
    journal, bare = Journal.open(path), Bare(folder / "bare.db")
    stream = work(tickets, journal.head()[0])
    for new in islice(stream, _WARM_UP):
        bare.insert(new, canonical(new.body))
        journal.append(new)
    rates: list[tuple[float, float]] = []
    for _ in range(blocks):
        block = list(islice(stream, size))
        bodies = [canonical(new.body) for new in block]
        start = time.perf_counter()
        for new, body in zip(block, bodies, strict=True):
            bare.insert(new, body)
        middle = time.perf_counter()
        for new in block:
            journal.append(new)
        end = time.perf_counter()
        rates.append((size / (end - middle), size / (middle - start)))
    journal.close()
    ratios = sorted(ours / reference for ours, reference in rates)
    return {
        "tickets": tickets,
        "events": blocks * size,
        "per_second": round(statistics.median(ours for ours, _ in rates)),
        "reference_per_second": round(statistics.median(reference for _, reference in rates)),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_of_all": round(_harmonic(rates, 0) / _harmonic(rates, 1), 3),
        "ratio_lowest": round(ratios[0], 3),
        "ratio_highest": round(ratios[-1], 3),
        "wanted": 0.6,
    }


def open_once(path: Path, how: str) -> dict[str, float]:
    """In a process of its own: seconds until the journal is there, and the memory then (MiB)."""
    start = time.perf_counter()
    if how == "verify":
        journal = Journal.read(path)
        fault = journal.fault()
        assert fault is None, fault
    else:
        journal = getattr(Journal, how)(path)
        journal.views.counts()
    seconds = time.perf_counter() - start
    mib = psutil.Process().memory_info().rss / (1 << 20)
    journal.close()
    return {"seconds": seconds, "mib": mib}


def measure_open(folder: Path, tickets: int, events: int) -> dict[str, Any]:
    """Opening a journal of this many events."""
    path = folder / f"open-{events}.db"
    fill(path, tickets, events)
    result: dict[str, Any] = {"events": events, "file_mib": round(path.stat().st_size / (1 << 20), 1)}
    for how, times in (("open", 5), ("read", 5), ("verify", 1)):
        found = [
            json.loads(
                subprocess.run(
                    [sys.executable, __file__, "--open-once", how, str(path)],
                    check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(_ROOT)},
                ).stdout
            )
            for _ in range(times)
        ]  # fmt: skip
        result[f"{how}_seconds"] = round(statistics.median(one["seconds"] for one in found), 4)
        result[f"{how}_mib"] = round(max(one["mib"] for one in found), 1)
    path.unlink()
    return result


def _harmonic(rates: list[tuple[float, float]], which: int) -> float:
    return statistics.harmonic_mean(rate[which] for rate in rates)


_WARM_UP = 5_000  # events: both logs have grown to their full size, and are written over from then on
_ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="where to write; decides which disk is measured")
    parser.add_argument("--tickets", type=int, default=10_000)
    parser.add_argument("--blocks", type=int, default=41)
    parser.add_argument("--size", type=int, default=200, help="events a block")
    parser.add_argument("--events", type=int, nargs="*", default=[20_000, 100_000, 1_000_000])
    parser.add_argument("--open-once", nargs=2, metavar=("HOW", "PATH"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.open_once:
        print(json.dumps(open_once(Path(given.open_once[1]), given.open_once[0])))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        result = {
            "append": measure_append(folder, given.tickets, given.blocks, given.size),
            "open": [measure_open(folder, given.tickets, events) for events in given.events],
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
