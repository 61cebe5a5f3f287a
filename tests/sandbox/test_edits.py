"""An edit touches the file it names in its worktree, and nothing else, whatever lies or moves there."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import edits, edits_by_path
from orchestrator.edit_path import parts
from orchestrator.edits import EditRefused

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="no folder descriptors there")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


class By:
    """The two ways to edit, behind the same three verbs."""

    def __init__(self, how: object) -> None:
        self._how = how

    def write(self, worktree: Path, path: str, data: bytes) -> None:
        self._how.write(worktree, parts(path), data)  # type: ignore[attr-defined]

    def read(self, worktree: Path, path: str) -> bytes:
        found: bytes = self._how.read(worktree, parts(path), edits.MOST)  # type: ignore[attr-defined]
        return found

    def remove(self, worktree: Path, path: str) -> None:
        self._how.remove(worktree, parts(path))  # type: ignore[attr-defined]


WAYS: dict[str, object] = {"by-path": edits_by_path}
if sys.platform != "win32":
    from orchestrator import edits_by_walk

    WAYS["by-walk"] = edits_by_walk


@pytest.fixture(params=sorted(WAYS))
def by(request: pytest.FixtureRequest) -> By:
    return By(WAYS[request.param])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A worktree with a file, beside a folder that no edit may reach."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "victim").write_bytes(b"outside")
    (tmp_path / "tree" / "src").mkdir(parents=True)
    (tmp_path / "tree" / "src" / "a.txt").write_bytes(b"old")
    return tmp_path / "tree"


def everything(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# What it does ----------------------------------------------------------------------------------------


def test_a_file_is_written_read_and_removed_with_its_folders(by: By, tree: Path) -> None:
    by.write(tree, "new/deep/er/b.txt", b"\x00\xffb")
    assert by.read(tree, "new/deep/er/b.txt") == b"\x00\xffb"
    by.write(tree, "new/deep/er/b.txt", b"")
    assert everything(tree / "new") == {"deep/er/b.txt": b""}
    by.remove(tree, "new/deep/er/b.txt")
    assert everything(tree) == {"src/a.txt": b"old"}


@posix
def test_the_mode_of_a_replaced_file_is_kept_but_for_what_gives_rights(by: By, tree: Path) -> None:
    (tree / "src" / "a.txt").chmod(0o4751)
    by.write(tree, "src/a.txt", b"new")
    assert (tree / "src" / "a.txt").stat().st_mode & 0o7777 == 0o751
    before = os.umask(0o027)
    try:
        by.write(tree, "src/fresh", b"x")
    finally:
        os.umask(before)
    assert (tree / "src" / "fresh").stat().st_mode & 0o777 == 0o640


@posix
def test_a_reader_of_the_old_file_keeps_it_whole(by: By, tree: Path) -> None:
    with (tree / "src" / "a.txt").open("rb") as file:
        by.write(tree, "src/a.txt", b"new and longer")
        assert file.read() == b"old"
    assert by.read(tree, "src/a.txt") == b"new and longer"


def test_names_of_every_script_are_names(by: By, tree: Path) -> None:
    for path in (
        "täglich/наука.py",
        "漢字/ページ.txt",
        "a b/c'd.txt",
        "-rf",
        "...",
        ".gitignore",
        ".github/x.yml",
    ):
        by.write(tree, path, b"1")
        assert by.read(tree, path) == b"1"


def test_what_is_not_there_is_said(by: By, tree: Path) -> None:
    for path in ("nothing", "no/thing"):
        with pytest.raises(EditRefused, match="there is no"):
            by.read(tree, path)
        with pytest.raises(EditRefused, match="there is no"):
            by.remove(tree, path)
    with pytest.raises(EditRefused, match="there is no folder"):
        by.write(tree / "gone", "x", b"")


def test_a_file_over_the_limit_is_neither_written_nor_read(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edits, "MOST", 4)
    edits.write(tree, "src/four", b"1234")
    assert edits.read(tree, "src/four") == b"1234"
    with pytest.raises(EditRefused, match="at most 4"):
        edits.write(tree, "src/four", b"12345")
    (tree / "src" / "five").write_bytes(b"12345")
    with pytest.raises(EditRefused, match="longer than 4"):
        edits.read(tree, "src/five")
    assert (tree / "src" / "four").read_bytes() == b"1234"


# What it refuses by the words ------------------------------------------------------------------------

BAD = [
    "", ".", "..", "/", "//", "a//b", "a/", "/etc/passwd", "../x", "a/../b", "a/./b", "a/..", "./a",
    "a\x00b", "a\nb", "a\x1b[2Jb", "a\x7fb", "a\x9bb", "a\u202eb", "a\u200bb", "a\ufeffb", "a\u2028b",
    "\udc80",
    "a\\b", "..\\x", "C:\\x", "\\\\server\\share",
    ".git", ".git/config", "a/.git", "a/b/.git/hooks/x", ".GIT/config", ".Git", "git~1", "GIT~1/config",
    "git~2", ".git.", ".git ", ".git. . ", ".git...", ".g\u200cit", ".git\u200d/config", "\u2060.git",
    ".git::$INDEX_ALLOCATION", ".git:x", ".git ::$DATA", "．ｇｉｔ/config",
    "a" * 256, "é" * 128, "a/" * 64 + "a", "a/" * 600 + "a", "a" * 200 + "/" + "b" * 200 + "/" + "c" * 900,
]  # fmt: skip
BAD_ON_WINDOWS = [
    "C:x", "c:/x", "a.txt:stream", "a.txt::$DATA", "con", "CON", "nul.txt", "a/aux.c", "COM1", "lpt9.log",
    "com¹", "prn .txt", "conin$", "CONOUT$", "clock$", "a.", "a ", "a/b. ", "a|b", "a<b", 'a"b', "a*b",
    "a?b", "...",
]  # fmt: skip


@pytest.mark.parametrize("path", BAD, ids=ascii)
def test_a_path_that_could_leave_or_hide_is_refused(path: str, tree: Path) -> None:
    before = everything(tree.parent)
    for edit in (
        lambda: edits.write(tree, path, b"x"),
        lambda: edits.read(tree, path),
        lambda: edits.remove(tree, path),
    ):
        with pytest.raises(EditRefused) as refused:
            edit()
        assert str(refused.value).isprintable() and len(str(refused.value)) < 200
    assert everything(tree.parent) == before


@pytest.mark.parametrize("path", BAD_ON_WINDOWS, ids=ascii)
def test_a_name_that_windows_reads_as_another_is_refused_there(path: str) -> None:
    with pytest.raises(EditRefused):
        parts(path, windows=True)
    assert parts(path, windows=False)


@pytest.mark.parametrize(
    "path", ["console.txt", "com.txt", "lpt10", "gitea/x", ".gitignore", "a.b.c", "aux_.c"]
)
def test_a_name_that_only_resembles_is_no_obstacle(path: str) -> None:
    assert "/".join(parts(path, windows=True)) == path


# What it refuses by what is there --------------------------------------------------------------------


def swap_folder(tree: Path) -> None:
    (tree / "src").rename(tree / "old")
    (tree / "src").symlink_to(tree.parent / "outside")
    (tree.parent / "outside" / "a.txt").write_bytes(b"outside")


def link_file(tree: Path) -> None:
    (tree / "src" / "a.txt").unlink()
    (tree / "src" / "a.txt").symlink_to(tree.parent / "outside" / "victim")


def link_inside(tree: Path) -> None:
    (tree / "src" / "b.txt").write_bytes(b"b")
    (tree / "src" / "a.txt").unlink()
    (tree / "src" / "a.txt").symlink_to("b.txt")


def dangling(tree: Path) -> None:
    (tree / "src" / "a.txt").unlink()
    (tree / "src" / "a.txt").symlink_to(tree.parent / "outside" / "made")


def second_name(tree: Path) -> None:
    (tree / "src" / "a.txt").unlink()
    (tree / "src" / "a.txt").hardlink_to(tree.parent / "outside" / "victim")


def pipe(tree: Path) -> None:
    (tree / "src" / "a.txt").unlink()
    os.mkfifo(tree / "src" / "a.txt")


def folder(tree: Path) -> None:
    (tree / "src" / "a.txt").unlink()
    (tree / "src" / "a.txt").mkdir()


def file_for_folder(tree: Path) -> None:
    (tree / "src" / "a.txt").unlink()
    (tree / "src").rmdir()
    (tree / "src").write_bytes(b"a file")


def tree_is_a_link(tree: Path) -> None:
    tree.rename(tree.parent / "real")
    tree.symlink_to("real")


@posix
@pytest.mark.parametrize(
    "plant",
    [
        swap_folder,
        link_file,
        link_inside,
        dangling,
        second_name,
        pipe,
        folder,
        file_for_folder,
        tree_is_a_link,
    ],
)
def test_what_is_no_plain_file_is_neither_read_nor_written(
    by: By, plant: Callable[[Path], None], tree: Path
) -> None:
    plant(tree)
    before = everything(tree.parent)
    with pytest.raises(EditRefused):
        by.write(tree, "src/a.txt", b"x")
    with pytest.raises(EditRefused):
        by.read(tree, "src/a.txt")
    assert everything(tree.parent) == before


@linux
def test_a_device_is_not_even_opened(tree: Path) -> None:
    (tree / "src" / "a.txt").unlink()
    try:
        os.mknod(tree / "src" / "a.txt", 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")
    with pytest.raises(EditRefused, match="not a file"):
        edits.read(tree, "src/a.txt")
    with pytest.raises(EditRefused, match="not a file"):
        edits.write(tree, "src/a.txt", b"x")


@posix
@pytest.mark.parametrize("plant", [link_file, second_name, pipe])
def test_removing_takes_the_name_alone_and_is_the_cure(
    by: By, plant: Callable[[Path], None], tree: Path
) -> None:
    plant(tree)
    by.remove(tree, "src/a.txt")
    assert (tree.parent / "outside" / "victim").read_bytes() == b"outside"
    by.write(tree, "src/a.txt", b"new")
    assert by.read(tree, "src/a.txt") == b"new"
    assert (tree.parent / "outside" / "victim").read_bytes() == b"outside"


def test_a_folder_is_not_removed(by: By, tree: Path) -> None:
    with pytest.raises(EditRefused, match="is a folder"):
        by.remove(tree, "src")


@posix
def test_nothing_is_removed_through_a_link(by: By, tree: Path) -> None:
    swap_folder(tree)
    with pytest.raises(EditRefused):
        by.remove(tree, "src/a.txt")
    assert (tree.parent / "outside" / "a.txt").exists()


# Races -----------------------------------------------------------------------------------------------


@linux
def test_200_swapped_links_lead_no_edit_out_of_the_worktree(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import races
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    for name in ("edits", "naive"):
        (tmp_path / name).mkdir()
    score = races.race(tmp_path / "edits", edits.write, edits.read, races=200, seconds=60)
    assert score.races == 200 and score.lost == 0
    control = races.race(
        tmp_path / "naive", races.naive_write, races.naive_read, races=10**6, seconds=60, enough=1
    )
    assert control.lost, "an edit that only checks was never led out: the race shows nothing"


@posix
@pytest.mark.parametrize("planted", ["link", "file", "folder"])
def test_a_name_that_another_process_takes_at_the_last_moment_is_told(
    planted: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.rename

    def rename(source: str, target: str, **more: int) -> None:
        real(source, target, **more)
        (tree / "src" / "a.txt").unlink()
        match planted:
            case "link":
                link = tree / "src" / "a.txt"
                link.symlink_to(tree.parent / "outside" / "victim")
            case "file":
                (tree / "src" / "a.txt").write_bytes(b"another's")
            case "folder":
                (tree / "src" / "a.txt").mkdir()

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(EditRefused, match="another process"):
        edits.write(tree, "src/a.txt", b"new")
    assert (tree.parent / "outside" / "victim").read_bytes() == b"outside"


def test_edits_of_one_folder_at_once_all_land(tree: Path) -> None:
    failed: list[BaseException] = []

    def many(worker: int) -> None:
        try:
            for number in range(25):
                edits.write(tree, f"src/{worker}-{number}", b"%d" % number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=many, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(everything(tree / "src")) == 101


# Errors and kills ------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("step", ["write", "fsync", "rename", "fchmod"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    step: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        edits.write(tree, "src/a.txt", b"new")
    monkeypatch.undo()
    assert everything(tree) == {"src/a.txt": b"old"}


@linux
def test_a_disk_that_is_really_full_leaves_the_old_file(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a small disk here")
    try:
        edits.write(disk, "a.txt", b"old")
        with pytest.raises(OSError) as full:
            edits.write(disk, "a.txt", bytes(1 << 20))
        assert full.value.errno == errno.ENOSPC
        assert everything(disk) == {"a.txt": b"old"}
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@posix
def test_what_a_killed_edit_leaves_is_taken_away_by_the_next_in_its_folder(tree: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from orchestrator import edits\n"
        "os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)\n"
        "edits.write(Path(sys.argv[1]), 'src/a.txt', b'half')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tree)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    left = [path.name for path in (tree / "src").iterdir()]
    assert len(left) == 2 and (tree / "src" / "a.txt").read_bytes() == b"old"
    edits.write(tree, "other/b.txt", b"b")
    assert len(list((tree / "src").iterdir())) == 2, "only its own folder is looked through"
    edits.write(tree, "src/b.txt", b"b")
    assert everything(tree / "src") == {"a.txt": b"old", "b.txt": b"b"}


@posix
def test_a_new_file_that_is_being_written_is_not_swept_away(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, inner = os.fsync, []

    def fsync(fd: int) -> None:
        if not inner:
            inner.append(True)
            edits.write(tree, "src/other.txt", b"other")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    edits.write(tree, "src/a.txt", b"new")
    assert everything(tree / "src") == {"a.txt": b"new", "other.txt": b"other"}


@posix
def test_sweeping_follows_no_link_and_takes_only_its_own(tree: Path) -> None:
    link = tree / "src" / ".jetbox-edit-0123456789abcdef.tmp"
    link.symlink_to(tree.parent / "outside" / "victim")
    kept = tree / "src" / ".jetbox-edit-note.tmp"
    kept.write_bytes(b"the user's")
    edits.write(tree, "src/a.txt", b"new")
    assert (tree.parent / "outside" / "victim").read_bytes() == b"outside"
    assert kept.exists() and link.is_symlink()


@linux
def test_no_descriptor_is_left_open(tree: Path) -> None:
    link_file(tree)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("src/a.txt", "src/b.txt", "no/such/../x", "src/a.txt/b", "x/y/z"):
        for edit in (lambda p=path: edits.write(tree, p, b""), lambda p=path: edits.read(tree, p)):
            with contextlib.suppress(EditRefused):
                edit()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# The command line ------------------------------------------------------------------------------------


def jetbox(*arguments: str, cwd: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator.main", "sandbox", "write", *arguments],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_the_verb_lands_an_edit_as_an_agent_s(tree: Path) -> None:
    (tree.parent / "new").write_bytes(b"by file\xff")
    done = jetbox("--worktree", "tree", "src/a.txt", "new", cwd=tree.parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (tree / "src" / "a.txt").read_bytes() == b"by file\xff"
    assert jetbox("--worktree", str(tree), "src/b.txt", "-", cwd=tree, stdin=b"by pipe").returncode == 0
    assert (tree / "src" / "b.txt").read_bytes() == b"by pipe"


@posix
def test_the_verb_refuses_in_one_line_and_with_1(tree: Path) -> None:
    (tree / "out").symlink_to(tree.parent / "outside")
    for path in ("out/victim", "../outside/victim", ".git/hooks/pre-commit", "a\x1b[2Jb"):
        done = jetbox("--worktree", ".", path, "-", cwd=tree, stdin=b"evil")
        assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"\x1b" not in done.stderr
    assert everything(tree.parent / "outside") == {"victim": b"outside"}
    assert jetbox("src/a.txt", "-", cwd=tree).returncode == 2
