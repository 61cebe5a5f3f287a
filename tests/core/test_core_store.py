"""Writing a version: the old one or the new one, never a mix; killed anywhere, on a full disk."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import scripted_core
from core_lab import CoreLab

from orchestrator.core import store
from state import core, words
from state.core import CoreRefused
from state.core_parse import parsed

posix = pytest.mark.skipif(sys.platform == "win32", reason="forks, to be killed at one instruction")


def killed_at(nth: int, work: Callable[[], object], near: str) -> bool:
    """Do some work in a process that is gone at its nth touch of a file whose path has `near` in it."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    count = 0

    def hook(event: str, args: tuple[object, ...]) -> None:
        nonlocal count
        touches = event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree")
        if touches and any(isinstance(each, str | os.PathLike) and near in str(each) for each in args):
            count += 1
            if count == nth:
                os._exit(9)

    try:
        sys.addaudithook(hook)
        work()
    finally:
        os._exit(0)


def whole(lab: CoreLab) -> None:
    """Every folder that bears a version's name is that version."""
    for folder in core.versions(lab.workspace).iterdir():
        if not folder.name.startswith("."):
            core.read(folder, folder.name)


@posix
def test_an_adoption_that_is_killed_anywhere_leaves_the_old_version_or_the_new_one(lab: CoreLab) -> None:
    first = lab.adopt(sudoku=b"first", mazes=b"other")
    seen, deaths = set(), 0
    for nth in range(1, 200, 3):
        died = killed_at(nth, lambda: lab.adopt(sudoku=b"second"), "/core/")
        deaths += died
        whole(lab)
        found = lab.current()
        assert found.version is not None and not found.passed
        seen.add(found.version.digest)
        if not died:
            break
    assert deaths >= 5 and first in seen
    second = lab.now()
    assert second != first and lab.bytes_of(second)["parts/sudoku/model.safetensors"] == b"second"
    assert not [path.name for path in core.versions(lab.workspace).iterdir() if path.name.startswith(".")]


@posix
@pytest.mark.parametrize("nth", [3, 12])
def test_an_approved_update_whose_engine_is_killed_is_installed_once_by_the_next(
    lab: CoreLab, nth: int
) -> None:
    first = lab.adopt(sudoku=b"first")
    lab.teach()
    ticket, asked = lab.asked()
    lab.say(words.approve, asked.id, asked.digest)
    killed_at(nth, lab.run, "/core/versions/.tmp")
    assert lab.now() in (first, asked.subject["core"])
    whole(lab)
    lab.run()
    assert lab.state(ticket) == "landed", lab.card(ticket)
    assert lab.now() == asked.subject["core"]
    assert [each.why for each in lab.current().standing.accepted] == ["adopt", "update"]
    assert len(lab.events(ticket, "proposal.used")) == 1


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_full_disk_leaves_the_old_version_and_nothing_of_the_new_one(
    lab: CoreLab, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    first = lab.adopt(sudoku=b"first", mazes=b"other")
    count, fsync = 0, os.fsync

    def full(fd: int) -> None:
        nonlocal count
        if ".tmp" in str(Path(f"/proc/self/fd/{fd}").readlink()):
            count += 1
            if count == nth:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(fd)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("what a descriptor is open on is asked of /proc")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        lab.adopt(sudoku=b"second")
    monkeypatch.undo()
    assert [path.name for path in core.versions(lab.workspace).iterdir()] == [first]
    assert len(lab.events(type_="core.set")) == 1


def test_the_same_parts_make_the_same_version_and_an_altered_one_is_made_anew(lab: CoreLab) -> None:
    first = lab.adopt(sudoku=b"first")
    weights = lab.version(first) / "parts/sudoku/model.safetensors"
    weights.write_bytes(b"altered")
    assert lab.now() == ""
    assert lab.adopt(sudoku=b"first") == first == lab.now()
    assert weights.read_bytes() == b"first" and len(lab.events(type_="core.set")) == 1


def test_a_version_is_taken_in_its_one_form_alone(lab: CoreLab) -> None:
    digest = lab.adopt(sudoku=b"first")
    data = lab.bytes_of(digest)["core.json"]
    assert parsed(data).parent is None
    newer = data.replace(b'"schema":1', b'"schema":2')
    with pytest.raises(CoreRefused, match="newer than this Jetbox reads"):
        parsed(newer)
    twice = data.replace(b'{"made"', b'{"made":{"by":"adopt"},"made"')
    odd = [b"", b"[]", b"{", data + b"\n", b" " + data, twice, data.replace(b"adopt", b"magic"),
           data.replace(b'"sudoku"', b'"../x"'), data.replace(b'"hrm"', b'7'), b"[" * 100_000,
           data.replace(b'"board"', b'"other"'), data.replace(b"null", b"NaN"), b"\xff" + data]  # fmt: skip
    for each in odd:
        with pytest.raises(CoreRefused):
            parsed(each)


def test_a_copy_is_held_against_what_was_read(tmp_path: Path) -> None:
    source = scripted_core.checkpoint(tmp_path / "trained") / "model.safetensors"
    with pytest.raises(CoreRefused, match="altered"):
        store.copy(source, tmp_path / "copy", "0" * 64)
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(CoreRefused):
        store.copy(tmp_path / "link", tmp_path / "other", "0" * 64)
