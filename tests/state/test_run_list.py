"""The list of runs tells how each stands, at a price that does not grow with the run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from state.lock import Lock
from state.run_list import Glances, places, request


def events(folder: Path, *given: dict[str, Any], request: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "request.json").write_text(json.dumps(request or {"learner": "hrm"}))
    with (folder / "events.jsonl").open("a") as file:
        for n, each in enumerate(given):
            file.write(json.dumps({"v": 1, "t": float(n), "at": "", **each}) + "\n")
    return folder


def progress(done: int) -> dict[str, Any]:
    return {"type": "progress", "done": done, "total": 100, "unit": "steps"}


def test_a_run_is_running_done_failed_or_interrupted(tmp_path: Path) -> None:
    for name, result in (
        ("A", None),
        ("B", {"v": 1, "ok": True}),
        ("C", {"v": 1, "ok": False, "error": "no disk"}),
    ):
        folder = events(tmp_path / name / "1", {"type": "phase", "name": "train"}, progress(3))
        if result:
            (folder / "result.json").write_text(json.dumps(result))
    alive = events(tmp_path / "D" / "2", progress(40))
    with Lock(alive / "run.lock"):
        seen = Glances().look(places(tmp_path))
    found = {glance.place.ticket: glance for glance in seen}
    assert {name: glance.state for name, glance in found.items()} == {
        "A": "interrupted", "B": "done", "C": "failed", "D": "running"
    }  # fmt: skip
    assert seen[0].place.ticket == "D" and seen[0].place.attempt == 2
    assert found["C"].error == "no disk" and found["A"].phase == "train"
    assert found["D"].done == 40 and found["D"].kind == "train"


def test_a_glance_reads_the_end_of_a_long_run_and_finds_its_phase_before_it(tmp_path: Path) -> None:
    folder = events(
        tmp_path / "A" / "1", {"type": "phase", "name": "load"}, {"type": "phase", "name": "train"}
    )
    with (folder / "events.jsonl").open("a") as file:
        row = {"v": 1, "t": 1.0, "at": "", "type": "metric", "name": "x", "value": 1, "note": "y" * 2000}
        for _ in range(3000):
            file.write(json.dumps(row) + "\n")
    events(folder, progress(77))
    looks = Glances()
    (glance,) = looks.look(places(tmp_path))
    assert (glance.phase, glance.done) == ("train", 77)
    events(folder, {"type": "phase", "name": "save"}, progress(78))
    (glance,) = looks.look(places(tmp_path))
    assert (glance.phase, glance.done) == ("save", 78)


def test_the_latest_come_first_and_only_run_folders_are_listed(tmp_path: Path) -> None:
    for n, name in enumerate(("T-1/1", "T-2/1", "T-2/2")):
        folder = events(tmp_path / name, progress(1))
        os.utime(folder / "events.jsonl", (n, n))
    (tmp_path / "T-3" / "1").mkdir(parents=True)  # nothing in it yet
    events(tmp_path / "T-2" / "1-resumes", progress(1))
    (tmp_path / "file").touch()
    assert [(p.ticket, p.attempt) for p in places(tmp_path)] == [("T-2", 2), ("T-2", 1), ("T-1", 1)]
    assert len(places(tmp_path, most=2)) == 2
    assert places(tmp_path / "none") == []


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")
@pytest.mark.parametrize("what", ["events.jsonl", "result.json", "request.json", "run.lock"])
@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "garbage"])
def test_a_folder_with_odd_things_in_it_is_a_row_and_never_blocks(
    tmp_path: Path, what: str, kind: str
) -> None:
    folder = events(tmp_path / "A" / "1", progress(5))
    (folder / what).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(folder / what)
    elif kind == "link":
        (folder / what).symlink_to("/etc/passwd")
    elif kind == "folder":
        (folder / what).mkdir()
    else:
        (folder / what).write_bytes(b"\xff\x00{" * 999)
    looks = Glances()
    for _ in range(2):
        (glance,) = looks.look(places(tmp_path))
        assert glance.state in ("running", "done", "failed", "interrupted")
    assert isinstance(request(folder), dict)


def test_a_result_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    folder, looks = events(tmp_path / "A" / "1", progress(5)), Glances()
    (folder / "result.json").write_text('{"v":1,"ok":false,"error":"x"}')
    assert looks.look(places(tmp_path))[0].state == "failed"
    (folder / "result.json").unlink()
    assert looks.look(places(tmp_path))[0].state == "interrupted"
    (folder / "result.json").write_text('{"v":1,"ok":true}')
    assert looks.look(places(tmp_path))[0].state == "done"
