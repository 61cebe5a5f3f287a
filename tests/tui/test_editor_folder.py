"""A worktree opens in an editor that takes folders, else in a shell; what goes wrong is one line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.app import SuspendNotSupported

from tui.editor import open_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its double of an editor is a shell script")


class App:
    """Stands in for the app: only lends the terminal."""

    def __init__(self, lends: bool = True) -> None:
        self.lends = lends

    @contextlib.contextmanager
    def suspend(self) -> Iterator[None]:
        if not self.lends:
            raise SuspendNotSupported
        yield

    def refresh(self) -> None:
        """Nothing to paint."""


def script(folder: Path, name: str, exit_: int = 0) -> Path:
    """A program that notes where it was started and with what."""
    path = folder / name
    path.write_text(f'#!/bin/sh\nprintf "%s|%s" "$PWD" "$*" > "{folder}/noted"\nexit {exit_}\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    worktree = tmp_path / "work tree"
    worktree.mkdir()
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("SHELL", str(script(tmp_path, "shell", 3)))
    return worktree


def opened(worktree: Path, **app: Any) -> tuple[str, str]:
    """What is said, and what was started where with what."""
    why = open_folder(App(**app), worktree)  # type: ignore[arg-type]
    noted = worktree.parent / "noted"
    return why, noted.read_text() if noted.exists() else ""


def test_an_editor_gets_the_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", f"{script(place.parent, 'vim')} -n")
    assert opened(place) == ("", f"{os.path.realpath(place)}|-n {place}")


@pytest.mark.parametrize("name", ["nano", "micro", "ed"])
def test_an_editor_of_files_only_gives_way_to_a_shell_whose_exit_says_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("EDITOR", str(script(place.parent, name, 9)))
    assert opened(place) == ("", f"{os.path.realpath(place)}|")


def test_without_an_editor_there_is_a_shell(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.editor.editor", list)
    assert opened(place)[1].endswith("|")


@pytest.mark.parametrize(
    ("command", "lends", "said"),
    [
        ("/no/such/editor", True, "cannot be started"),
        ("FAILS", True, "ended with exit 4"),
        ("vim", False, "handed"),
    ],
)
def test_what_goes_wrong_is_said(
    place: Path, monkeypatch: pytest.MonkeyPatch, command: str, lends: bool, said: str
) -> None:
    command = str(script(place.parent, "fails", 4)) if command == "FAILS" else command
    monkeypatch.setenv("EDITOR", command)
    assert said in opened(place, lends=lends)[0]
