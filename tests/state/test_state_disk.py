"""A full disk, a folder that cannot be written to, and bytes to give away."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from state_doubles import about, admitted, filled, python, result

from state.ballast import Ballast
from state.blobs import Blobs
from state.journal import DiskFull, Journal, JournalError


@contextlib.contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[Path]:
    """A mount, where this user and system allow one; the test is skipped where not."""
    folder.mkdir(exist_ok=True)
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("needs root on Linux to mount a small disk")
    if subprocess.run(["mount", *arguments, str(folder)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(folder: Path) -> Path:
    """Leave no room."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    return path


def write_until_full(journal: Journal, transactions: int = 10_000) -> int:
    """How many pairs of events were acknowledged before the disk was full."""
    for number in range(transactions):
        note = f"{number} " + "y" * 3000
        try:
            journal.append(*[about("ticket.note", "TICKET-001", note=note) for _ in range(2)])
        except DiskFull as error:
            assert "disk is full" in str(error)
            return number
    raise AssertionError("the disk is never full")


@pytest.mark.parametrize("kib", [4, 32, 48, 64, 100, 160, 200, 400, 1000])
def test_a_full_disk_of_any_size_writes_nothing_by_halves_and_goes_on(tmp_path: Path, kib: int) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs") as disk:
        path, pairs = disk / "journal.db", 0
        try:
            journal = Journal.open(path)
            journal.append(admitted())
            pairs = write_until_full(journal)
            assert journal.fault() is None and journal.view_fault() is None, "reading goes on"
            assert len(journal.events()) == 1 + 2 * pairs
            journal.close()
        except DiskFull:
            assert kib < 300, "there was room to begin"
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        journal = Journal.open(path)
        assert journal.head()[0] in (0, 1 + 2 * pairs)
        journal.append(admitted("TICKET-002"), about("ticket.note", "TICKET-002", note="room again"))
        assert journal.fault() is None and journal.view_fault() is None
        journal.close()


def test_the_ballast_lets_the_engine_say_that_the_disk_is_full(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=24m", "tmpfs") as disk:
        ballast = Ballast(disk / "ballast")
        assert ballast.ensure() and ballast.ensure()
        journal = Journal.open(disk / "journal.db")
        journal.append(admitted())
        fill_up(disk)
        write_until_full(journal)
        assert not Ballast(disk / "another").ensure(), "no room, and no error"
        assert not (disk / "another").exists()
        ballast.release()
        journal.append(about("engine.paused", "", why="disk full"))
        assert journal.views.engine()["why"] == "disk full"
        assert not ballast.ensure(), "the last bytes are not taken away again"
        (disk / "filler").unlink()
        assert ballast.ensure()
        journal.close()


@pytest.mark.parametrize("size", [1, 65_536, 100_000, 4 * 1024 * 1024])
def test_the_ballast_is_allocated_and_made_once(tmp_path: Path, size: int) -> None:
    ballast = Ballast(tmp_path / "ballast", size)
    assert ballast.ensure()
    stat = ballast.path.stat()
    assert stat.st_size == size
    if hasattr(stat, "st_blocks"):
        assert stat.st_blocks * 512 >= size, "a sparse file gives nothing back"
    assert ballast.ensure() and ballast.path.stat().st_mtime_ns == stat.st_mtime_ns
    ballast.release()
    ballast.release()
    assert not ballast.path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
@pytest.mark.parametrize("limit", [4096, 20_000, 61_440, 100_000, 250_000])
def test_a_limit_on_file_sizes_is_a_full_disk(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "journal.db"
    code = """
import resource, signal, sys
from pathlib import Path
from state.journal import DiskFull, Journal
from state_doubles import about, admitted
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
count = 0
try:
    journal = Journal.open(Path(sys.argv[1]))
    while True:
        journal.append(admitted(f"T-{count}"), about("ticket.note", f"T-{count}", note="z" * 900))
        count += 1
except DiskFull:
    print(count)
"""
    count = int(result(python(code, str(path), str(limit))))
    with contextlib.closing(Journal.open(path)) as journal:
        assert journal.head()[0] == 2 * count
        journal.append(admitted("TICKET-002"))
        assert journal.fault() is None and journal.view_fault() is None


@pytest.mark.parametrize("call", ["os.fsync", "Path.replace", "Path.mkdir", "Path.open"])
def test_a_blob_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    blobs, real = Blobs(tmp_path / "blobs"), []

    def full(*_: object, **__: object) -> object:
        real.append(call)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr({"os": "os.", "Path": "pathlib.Path."}[call.split(".")[0]] + call.split(".")[1], full)
        with pytest.raises(OSError, match="No space"):
            blobs.put(b"some output")
    assert real, "the failure was injected where nothing calls"
    assert [file for file in tmp_path.rglob("*") if file.is_file()] in ([], [tmp_path])
    assert blobs.get(blobs.put(b"some output")) == b"some output"


def test_a_blob_on_a_full_disk_is_whole_or_not_there(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=256k", "tmpfs") as disk:
        blobs, names = Blobs(disk / "blobs"), []
        with pytest.raises(OSError, match="No space"):
            for number in range(100):
                names.append(blobs.put(bytes([number]) * 30_000))
        assert names and all(blobs.fault(name) is None for name in names)
        assert len([file for file in disk.rglob("*") if file.is_file()]) == len(names), "a half is left"


def kill_writer(path: Path, and_index: bool) -> None:
    code = """
import os, sys
from pathlib import Path
from state_doubles import filled
filled(Path(sys.argv[1])); os.kill(os.getpid(), 9)
"""
    python(code, str(path)).communicate()
    assert path.with_name("journal.db-wal").stat().st_size
    if not and_index:
        path.with_name("journal.db-shm").unlink()


@pytest.mark.parametrize("left", ["closed", "log", "log-and-index"])
def test_a_read_only_disk_is_read(tmp_path: Path, left: str) -> None:
    (tmp_path / "home").mkdir()
    path = tmp_path / "home" / "journal.db"
    if left == "closed":
        filled(path).close()
    else:
        kill_writer(path, left == "log-and-index")
    with mounted(tmp_path / "read-only", "--bind", "-o", "ro", str(tmp_path / "home")) as disk:
        if subprocess.run(["touch", str(disk / "x")], capture_output=True).returncode == 0:
            subprocess.run(["mount", "-o", "remount,bind,ro", str(disk)], check=True)
        with contextlib.closing(Journal.read(disk / "journal.db")) as journal:
            assert len(journal.views.board()) == 3
            assert journal.fault() is None and journal.view_fault() is None
            with pytest.raises(JournalError, match="reading only"):
                journal.append(admitted())
        with pytest.raises(JournalError, match="rights"):
            Journal.open(disk / "journal.db")
        with pytest.raises(JournalError):
            Journal.open(disk / "other" / "journal.db")
    assert len(Journal.open(path).events()) == 3 * (3 + 20 + 1)


@pytest.mark.skipif(sys.platform == "win32", reason="rights of files are others there")
@pytest.mark.parametrize("left", ["closed", "log", "log-and-index"])
def test_a_folder_without_write_access_is_read(left: str) -> None:
    code = """
import contextlib, os, sys
from pathlib import Path
from state.journal import Journal, JournalError
if os.geteuid() == 0:  # whom rights do not bind
    os.setgid(65534); os.setuid(65534)
path = Path(sys.argv[1])
with contextlib.closing(Journal.read(path)) as journal:
    assert len(journal.views.board()) == 3
    assert journal.fault() is None and journal.view_fault() is None
try:
    Journal.open(path)
except JournalError as error:
    assert "rights" in str(error)
else:
    sys.exit("opened for writing")
"""
    with tempfile.TemporaryDirectory() as name:  # others may not enter the tests' own folder
        path = Path(name) / "home" / "journal.db"
        path.parent.mkdir()
        if left == "closed":
            filled(path).close()
        else:
            kill_writer(path, left == "log-and-index")
        Path(name).chmod(0o755)
        path.chmod(0o444)
        path.parent.chmod(0o555)
        try:
            result(python(code, str(path)))
        finally:
            path.parent.chmod(0o755)
