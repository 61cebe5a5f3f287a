"""The cockpit on a real pseudo-terminal: keys in, cells out, and the terminal given back."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import agents
import pytest
import seeds

from state.journal import Journal
from state.workspace import Workspace

if sys.platform == "win32":
    pytest.skip("needs a pseudo-terminal", allow_module_level=True)

import fcntl
import pty
import struct
import termios

import pyte

ROOT = Path(__file__).resolve().parents[2]
RUN = "import sys; from pathlib import Path; from tui.app import run; sys.exit(run(Path(sys.argv[1])))"
ENGINE = """
import sys, time
from pathlib import Path
from state.lock import Lock
from state.workspace import Workspace
with Lock(Workspace(Path(sys.argv[1])).lock):
    print("held", flush=True)
    time.sleep(120)
"""


class Terminal:
    """A cockpit in a terminal of its own, read by pyte."""

    def __init__(self, root: Path, code: str = RUN, size: tuple[int, int] = (120, 36), **env: str) -> None:
        self.columns, self.rows = size
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        unwanted = ("NO_COLOR", "COLORFGBG", "COLUMNS", "LINES")  # the last two would outrank the real size
        kept = {key: value for key, value in os.environ.items() if key not in unwanted}
        kept |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT), **env}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(root)],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=kept,
            start_new_session=True,
        )
        self.seen = b""
        self._screen = pyte.Screen(self.columns, self.rows)
        self._stream = pyte.ByteStream(self._screen)

    def read(self, timeout: float) -> bool:
        if not select.select([self.master], [], [], timeout)[0]:
            return False
        data = os.read(self.master, 1 << 20)
        self.seen += data
        self._stream.feed(data)
        return bool(data)

    def until(self, what: Callable[[str], bool] | str, most: float = 30.0) -> str:
        """Read until the screen shows it."""
        test = what if callable(what) else lambda text: what in text
        end = time.monotonic() + most
        while not test(self.text()):
            assert time.monotonic() < end, self.text()
            self.read(0.2)
        return self.text()

    def text(self) -> str:
        return "\n".join(self._screen.display)

    def keys(self, keys: str, quiet: float = 0.5) -> None:
        """Press keys after the keyboard was quiet."""
        end = time.monotonic() + quiet
        while (left := end - time.monotonic()) > 0:
            self.read(left)
        os.write(self.master, keys.encode())

    def ended(self, most: float = 15.0) -> int:
        """The exit code."""
        end = time.monotonic() + most
        while self.process.poll() is None:
            assert time.monotonic() < end, self.text()
            self.read(0.1)
        while self.read(0.1):
            pass
        return self.process.returncode

    def assert_restored(self) -> None:
        """The line discipline, the screen, the cursor and the mouse are as they were."""
        now = termios.tcgetattr(self.slave)
        assert now[:4] == self.before[:4]
        for on, off in (
            (b"\x1b[?1049h", b"\x1b[?1049l"),
            (b"\x1b[?25l", b"\x1b[?25h"),
            (b"\x1b[?1000h", b"\x1b[?1000l"),
        ):
            if on in self.seen:
                assert self.seen.rindex(off) > self.seen.rindex(on)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_terminal(root: Path, *args: object, **kwargs: object) -> Terminal:
        opened.append(Terminal(root, *args, **kwargs))  # type: ignore[arg-type]
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


def test_a_merge_is_approved_by_keys_and_the_terminal_given_back(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    story = seeds.busy(tmp_path)
    shown = terminal(tmp_path)
    shown.until("need you")
    shown.keys("4")
    shown.until("Waits for you")
    shown.keys("j")
    shown.until("merge 1 file: Parse numbers")
    shown.keys("\t")
    shown.until("return int(text.strip())")
    shown.keys("a")
    shown.until("Type 104 to go on")
    shown.keys("104")
    shown.keys("\r")
    shown.until("TICKET-104: approved")
    approved = [event for event in story.journal.events() if event.type == "proposal.approved"]
    assert len(approved) == 1 and approved[0].ticket == "TICKET-104"
    shown.keys("1")
    shown.until("Backlog")
    shown.keys("q")
    assert shown.ended() == 0
    shown.assert_restored()
    story.close()


def test_the_engine_killed_the_cockpit_says_so_and_leaves_the_terminal_whole(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    seeds.busy(tmp_path).close()
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert engine.stdout is not None and engine.stdout.readline() == b"held\n"
        shown = terminal(tmp_path)
        shown.until(f"engine {engine.pid}")
        engine.send_signal(signal.SIGKILL)
        engine.wait()
        shown.until("engine not running")
        shown.keys("q")
        assert shown.ended() == 0
        shown.assert_restored()
    finally:
        engine.kill()
        engine.wait()


def test_no_key_is_lost_at_30_a_second(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    seeds.many(tmp_path, 2000).close()
    shown = terminal(tmp_path)
    first = re.search(r"2 TICKET-(\d+)", shown.until("help"))
    assert first
    shown.keys("")
    for _ in range(60):
        due = time.monotonic() + 1 / 30
        os.write(shown.master, b"j")
        while (left := due - time.monotonic()) > 0:
            shown.read(left)
    shown.until(f"2 TICKET-{int(first[1]) + 600}")


def test_hostile_text_sends_no_escape_and_breaks_no_line(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    seeds.hostile(tmp_path).close()
    shown = terminal(tmp_path, size=(160, 40))
    shown.until("help")
    for keys, mark in (
        ("2", "Overview"),
        ("\t", "Output"),
        ("\t", "Diff"),
        ("\t", "Receipts"),
        ("\t", "Events"),
        ("\t", "Where things are"),
        ("4", "Waits for you"),
        ("\t", "@@"),
        ("1", "Backlog"),
        ("?", "Keys:"),
        ("\x1b", "Backlog"),
        ("/", "of 3"),
        ("goal", "of 3"),
        ("\x1b", "Backlog"),
    ):
        shown.keys(keys, quiet=0.3)
        shown.until(lambda text, mark=mark: mark in text and "help" in text.splitlines()[-1])
    assert shown.process.poll() is None
    body = shown.seen.decode("utf-8", "replace")
    assert "\x1b]0;owned" not in body and "\x9b" not in body
    assert not set("\u202e\u2066\u200b\ufeff\u2028\u2029\x00\x08\x7f\U000e0041\u200d") & set(body)
    assert "e" + "\u0301" * 3 not in body
    shown.keys("q")
    assert shown.ended() == 0


@pytest.mark.parametrize(
    ("env", "size"), [({"JETBOX_ASCII": "1"}, (80, 24)), ({"TERM": "xterm", "COLORTERM": ""}, (80, 24))]
)
def test_plain_terminals_get_plain_cells(
    terminal: Callable[..., Terminal], tmp_path: Path, env: dict[str, str], size: tuple[int, int]
) -> None:
    seeds.busy(tmp_path).close()
    shown = terminal(tmp_path, size=size, **env)
    text = shown.until("need you")
    if "JETBOX_ASCII" in env:
        assert text.isascii()
    else:
        assert b"38;2;" not in shown.seen
    shown.keys("q")
    assert shown.ended() == 0


def test_an_error_in_the_cockpit_is_no_exit_0_and_gives_the_terminal_back(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    seeds.busy(tmp_path).close()
    code = "import tui.cockpit\ntui.cockpit.Cockpit.poll = lambda self: 1 / 0\n" + RUN
    shown = terminal(tmp_path, code)
    assert shown.ended() != 0
    shown.assert_restored()


def test_the_diff_opens_in_the_editor_and_the_cockpit_comes_back(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    seeds.busy(tmp_path).close()
    copy = tmp_path / "seen.diff"
    editor = tmp_path / "edit.py"
    editor.write_text(f"import shutil, sys; shutil.copy(sys.argv[1], {str(copy)!r})")
    shown = terminal(tmp_path, EDITOR=f"{sys.executable} {editor}", VISUAL="")
    shown.until("need you")
    shown.keys("4j")
    shown.until("merge 1 file")
    shown.keys("o")
    shown.until(lambda _: copy.exists())
    assert copy.read_bytes() == seeds.diff_text()
    shown.keys("q")
    shown.until("Backlog")
    shown.keys("q")
    assert shown.ended() == 0


def test_a_worktree_is_taken_over_in_the_editor_and_handed_back(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    story = agents.working(tmp_path)
    worktree = story.workspace.worktree("TICKET-7", 1)
    worktree.mkdir(parents=True)
    editor = tmp_path / "edit.py"
    editor.write_text("import pathlib, sys; pathlib.Path(sys.argv[1], 'mine').write_text('by hand')")
    shown = terminal(tmp_path, EDITOR=f"{sys.executable} {editor}", VISUAL="")
    shown.until("1 running")
    shown.keys("2")
    shown.until("stuck, 2 of 5")
    shown.keys("o")
    shown.until("Hand TICKET-7 back?")
    assert (worktree / "mine").read_text() == "by hand"
    shown.until("you have its worktree")
    shown.keys("y")
    shown.until(lambda text: "you have its worktree" not in text)
    words = [event.type for event in story.journal.events() if event.type.startswith("asked.")]
    assert words == ["asked.take-over", "asked.hand-back"]
    shown.keys("1")
    shown.until("Backlog")
    shown.keys("q")
    assert shown.ended() == 0
    shown.assert_restored()
    story.close()


def test_what_a_start_needs_is_all_that_is_imported() -> None:
    heavy = (
        "pydantic",
        "yaml",
        "typer",
        "git",
        "psutil",
        "watchdog",
        "torch",
        "orchestrator",
        "httpx",
        "ollama",
        "xllamacpp",
        "numpy",
        "pynvml",
        "tree_sitter",
        "state.machine",
        "state.agent_view",
    )
    code = f"import sys, tui.app, tui.cockpit; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"


def test_the_cockpit_reads_a_journal_it_never_writes(
    tmp_path: Path, terminal: Callable[..., Terminal]
) -> None:
    seeds.busy(tmp_path).close()
    with_reader = Journal.read(Workspace(tmp_path).journal)
    head = with_reader.head()
    shown = terminal(tmp_path)
    shown.until("need you")
    shown.keys("jkhl421?")
    shown.keys("\x1b")
    shown.keys("q")
    assert shown.ended() == 0
    assert with_reader.head() == head
    with_reader.close()


SSH = """
import os, sys
from pathlib import Path
os.open(os.ttyname(0), os.O_RDWR)  # the first terminal that a session's leader opens is its own
from orchestrator.ssh_seal import SshSealer
from tui.app import run
sys.exit(run(Path(sys.argv[1]), None, lambda: SshSealer(Path(os.environ["KEY"]))))
"""


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen on this machine")
def test_the_terminal_is_lent_for_a_passphrase_and_the_screen_comes_back(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    key, root = tmp_path / "key", tmp_path / "project"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "right horse", "-f", str(key)]
    subprocess.run(make, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    story = seeds.busy(root)
    shown = terminal(root, code=SSH, KEY=str(key))
    shown.until("need you")
    shown.keys("4")
    shown.until("Can be approved")
    for passphrase, says in (("wrong", "not signed"), ("right horse", "TICKET-109: approved")):
        shown.keys("a")
        before = len(shown.seen)
        shown.until(lambda _, at=before: b"passphrase" in shown.seen[at:])
        left, entered = shown.seen.rindex(b"\x1b[?1049l"), shown.seen.rindex(b"\x1b[?1049h")
        assert entered < left < shown.seen.rindex(b"passphrase"), "it was asked for below the cockpit"
        shown.keys(f"{passphrase}\r")
        shown.until(says)
        assert shown.seen.rindex(b"\x1b[?1049h") > left and "Waits for you" in shown.text()
        assert passphrase.encode() not in shown.seen
    (approved,) = [event for event in story.journal.events() if event.type == "proposal.approved"]
    assert approved.body["contract"]["level"] == 2
    shown.keys("q")
    shown.until("Backlog")
    shown.keys("q")
    assert shown.ended() == 0
    shown.assert_restored()
    story.close()


MIND = """
import sys
from pathlib import Path
from orchestrator.lab.mind import Mind
from state.workspace import Workspace
from tui.app import run
root, double = Path(sys.argv[1]), Path(sys.argv[1]) / "double"
command = [sys.executable, "-P", double.read_text()]
sys.exit(run(root, open_mind=lambda: Mind.open(Workspace(root), command)))
"""


def test_the_lab_is_opened_asked_corrected_and_its_memory_switched_off_and_on(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    seeds.Story(tmp_path).close()
    (tmp_path / "double").write_text(str(ROOT / "tests/doubles/scripted_mind.py"))
    shown = terminal(tmp_path, MIND, size=(80, 24))
    shown.until("6 Lab")
    shown.keys("6")
    shown.until("sudoku4")
    shown.keys("p", quiet=0.1)
    shown.keys("n", quiet=0.1)
    shown.until("Q what colour")
    shown.keys("\r", quiet=0.1)
    shown.until("by the core")
    shown.keys("c", quiet=0.1)
    shown.until("The right answer")
    shown.keys("grelk\r", quiet=0.1)
    wanted = ("core unchanged", "-> grelk", "by the memory default")
    shown.until(lambda text: all(each in text for each in wanted))
    shown.keys("m", quiet=0.1)
    shown.until("1 of 1 lesson right")
    shown.keys("o", quiet=0.1)
    shown.until("is off")
    shown.keys("m", quiet=0.1)
    shown.until(lambda text: "by the core" in text and "Not as you said: grelk" in text)
    shown.keys("mo", quiet=0.1)
    shown.until("is on")
    shown.keys("m", quiet=0.1)
    shown.until("by the memory default")
    shown.keys("q")
    shown.until("No tickets yet")
    shown.keys("q")
    assert shown.ended() == 0
    shown.assert_restored()
