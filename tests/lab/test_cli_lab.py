"""`jetbox lab` on the command line, over the double of the mind: what it prints, and its exit codes."""

from __future__ import annotations

import json
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from mind_doubles import DOUBLE, workspace

from orchestrator.cli.app import run
from state.workspace import Workspace

PUZZLE = "1... ..3. .4.. ...2"
SHOWN = ["--scene", "small red circle, top left; large blue star, right"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    root = tmp_path / "project"
    root.mkdir()
    subprocess.run(["git", "init", "-q", "--template=", str(root)], check=True)
    made = workspace(root)
    monkeypatch.chdir(root)
    monkeypatch.setattr("orchestrator.lab.mind.host_command", lambda workspace: DOUBLE)
    monkeypatch.setenv("NO_COLOR", "1")
    return made


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    found = run(["lab", *arguments])
    out = capsys.readouterr()
    assert found == code, out.err
    return out.out + out.err


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(said(capsys, *arguments, "--json"))


def test_the_group_alone_shows_parts_and_memories(
    place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys)
    assert "sudoku4" in out and "scenes" in out and "No memories" in out


def test_a_board_is_asked_as_digits_and_dots(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "ask", "sudoku4", PUZZLE)
    assert found["answer"] == [1, 3, 2, 4, 4, 2, 3, 1, 2, 4, 1, 3, 3, 1, 4, 2]
    out = said(capsys, "ask", "sudoku4", PUZZLE, "--reflect")
    assert "cycle 3" in out and "consistent over" in out and "90.0%" in out


def test_an_answer_that_is_held_back_ends_with_1(
    place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "ask", "sudoku4", "11.. .... .... ....", code=1)
    assert "held back" in out


def test_a_scene_is_asked_in_words(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "ask", "scenes", "what colour is the star?", *SHOWN)["answer"] == "blue"


def test_a_picture_is_read_from_a_png(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes([200, 0, 0]) * 32 for _ in range(32))
    head = struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (place.root / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    found = told(capsys, "ask", "scenes", "what colour is it?", "--picture", "a.png")
    assert isinstance(found["answer"], str)
    (place.root / "b.png").write_bytes(b"no picture")
    assert "b.png" in said(capsys, "ask", "scenes", "what?", "--picture", "b.png", code=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", "sudoku9", PUZZLE),
        ("ask", "latents", "x"),
        ("ask", "sudoku4", "12"),
        ("ask", "sudoku4", PUZZLE, *SHOWN),
        ("ask", "scenes", "what colour is the star?"),
        ("ask", "scenes", "what colour is the star?", "--scene", "small mauve circle, top"),
        ("ask", "scenes", "what colour is the star?", *SHOWN, "--picture", "none.png"),
        ("memory", "burn"),
        ("memory", "on"),
        ("memory", "copy", "a"),
        ("keep", "perhaps"),
    ],
)
def test_wrong_use_is_a_line_and_2(
    arguments: tuple[str, ...], place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, *arguments, code=2)
    assert out.startswith("jetbox: ") and len(out.splitlines()) == 1


def test_a_correction_tells_before_and_after_and_that_the_core_is_unchanged(
    place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "correct", "scenes", "what colour is the star?", "azure", *SHOWN)
    assert "before: blue" in out and "after: azure" in out and "bit for bit" in out


def test_corrections_that_recur_propose_an_update_and_end_with_3(
    place: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.core.propose.consider", lambda workspace, name: f"TICKET-7 of {name}")
    out = said(capsys, "correct", "scenes", "what colour is the star?", "azure", *SHOWN, code=3)
    assert "TICKET-7 of default" in out and "asks you" in out


def test_a_trace_is_shown_again_without_a_mind(
    place: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = told(capsys, "ask", "sudoku4", PUZZLE, "--reflect")["record"]
    monkeypatch.setattr("orchestrator.lab.mind.host_command", lambda workspace: ["no-such-program"])
    assert record in said(capsys, "trace")
    assert "cycle 1" in said(capsys, "trace", record)
    assert told(capsys, "trace", record)["id"] == record
    assert "no answer" in said(capsys, "trace", "zz", code=1)


def test_keeping_is_off_until_it_is_said_and_can_be_forgotten(
    place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "keep")["on"] is False
    said(capsys, "ask", "sudoku4", PUZZLE)
    assert told(capsys, "keep", "on")["rows"] == 0
    said(capsys, "ask", "sudoku4", PUZZLE)
    assert told(capsys, "keep")["rows"] == 1
    found = told(capsys, "keep", "off", "--forget")
    assert (found["on"], found["rows"], found["removed"]) == (False, 0, 1)


def test_what_a_mind_says_steers_no_terminal(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "correct", "scenes", "what colour is the star?", "a\x1b]0;owned\x07b", *SHOWN)
    assert "\x1b" not in out and "\x07" not in out
