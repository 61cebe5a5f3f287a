"""A machine's user as an attack finds them: a home with secrets, a repository with worktrees, things at work.

All of it is planted in one temporary folder with random names, and gone afterwards. Files are readable and
writable by everyone, so that what stops an attack is the sandbox and not the mode of a file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from orchestrator import worktrees
from orchestrator.git import GitError, Repo
from orchestrator.sandbox.lend import uid_for
from orchestrator.snapshot import unrecordable
from state.safe_text import safe_lines
from state.workspace import Workspace

BRANCH, WHO, WHEN = "refs/heads/jetbox/T-1", "Jetbox <jetbox@localhost>", "1700000000 +0000"
GIT = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
VICTIM = "import time; os.write(READY, b'ready'); time.sleep(60)"


class NotHere(Exception):
    """The machine lacks what the attack needs; the message says what."""


@dataclass(frozen=True)
class Ran:
    """What the engine gets to see of a command."""

    output: bytes
    seconds: float
    exit: int | None
    reason: str


class Host:
    """Everything that an attack may go for, and what is observed while it runs."""

    def __init__(self, root: Path, sandboxed: bool, undo: contextlib.ExitStack) -> None:
        self.root, self.sandboxed, self.undo = root, sandboxed, undo
        self.token = f"jb{secrets.token_hex(12)}"
        self.secret = f"planted-{secrets.token_hex(16)}"
        self.home, self.repo, self.outside = root / "home", root / "project", root / "outside"
        workspace = Workspace(self.repo)
        self.jetbox = workspace.home
        self.worktree, self.other = workspace.worktree("T-1", 1), workspace.worktree("T-2", 1)
        self.uid = uid_for(self.worktree)
        self.typed = b""
        """What the person types on the terminal while the command runs."""
        self.shown = b""
        """What came out at the person's terminal, beside the command's output."""
        self.heard: list[bytes] = []
        """What the planted listeners got."""
        self.seen: dict[str, float] = {}
        """The highest figures that were observed while it ran."""
        self.looks: list[Callable[[list[int]], None]] = []
        """Called every few milliseconds with the pids of the attack's processes."""
        self.planted: dict[str, Any] = {}
        """What a judge compares with."""
        self.private: set[Path] = set()
        """What is not to be opened up."""
        self.params: dict[str, Any] = {}

    # Made and taken down --------------------------------------------------------------------------------

    @classmethod
    @contextlib.contextmanager
    def made(cls, base: Path | None, sandboxed: bool) -> Iterator[Host]:
        """A host of its own, with its user's home as HOME; nothing of it is left afterwards."""
        root = Path(tempfile.mkdtemp(prefix="jetbox-attack-", dir=base or _place())).resolve()
        root.chmod(0o755)
        undo = contextlib.ExitStack()
        host = cls(root, sandboxed, undo)
        undo.callback(host._remove)
        with undo:
            host._environment({"HOME": str(host.home), **GIT})
            host._build()
            undo.callback(host._kill)
            yield host

    def _build(self) -> None:
        for folder in (self.home, self.repo, self.outside):
            folder.mkdir()
        self.plant(
            self.home / ".gitconfig", "[user]\n\tname = A\n\temail = a@localhost\n[safe]\n\tdirectory = *\n"
        )
        self.git("init", "-q", "-b", "main", "--template=")
        self.plant(self.repo / "kept.txt", "first\n")
        self.plant(self.repo / ".gitignore", ".jetbox/\nruns/\n.venv/\n")
        self.git("add", ".")
        self.git("commit", "-qm", "first")
        repo = Repo.open(self.repo)
        self.base = self.git("rev-parse", "HEAD")
        worktrees.add(repo, self.worktree, self.base, BRANCH)
        self.git("worktree", "add", "-q", "--detach", str(self.other))
        admin = repo.git_dir_of(self.worktree)
        assert admin is not None
        self.admin = admin
        with (self.repo / ".git/config").open("a") as config:
            config.write(f'[remote "origin"]\n\turl = https://me:{self.secret}@git.invalid/me/project\n')
        self.params = {
            "token": self.token,
            "home": str(self.home),
            "repo": str(self.repo),
            "git": str(self.repo / ".git"),
            "admin": str(admin),
            "jetbox": str(self.jetbox),
            "worktree": str(self.worktree),
            "other": str(self.other),
            "outside": str(self.outside),
            "python": sys.executable,
            "engine": os.getpid(),
        }

    def open_up(self) -> None:
        """Let everyone read and write all that was planted."""
        for at, folders, files in os.walk(self.root):
            for name in (*folders, *files):
                path = Path(at, name)
                if path not in self.private and not path.is_symlink():
                    mode = path.stat().st_mode & 0o777
                    path.chmod(mode | (0o777 if name in folders else 0o666))

    def _kill(self) -> None:
        for _ in range(200):  # a chain that forks and exits runs into this sooner or later
            found = self.marked()
            for pid in found:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if not found:
                return
            time.sleep(0.001)

    def _remove(self) -> None:
        if self.root.exists():
            subprocess.run(["chmod", "-R", "u+rwX", str(self.root)], capture_output=True)
            subprocess.run(["rm", "-rf", "--one-file-system", str(self.root)], capture_output=True)

    def _environment(self, values: dict[str, str]) -> None:
        for name, value in values.items():
            before = os.environ.get(name)
            os.environ[name] = value
            if before is None:
                self.undo.callback(os.environ.pop, name, None)
            else:
                self.undo.callback(os.environ.__setitem__, name, before)

    @contextlib.contextmanager
    def lent(self, dropped: bool) -> Iterator[None]:
        """Without a sandbox too, a program without root's rights owns its worktree."""
        if dropped:
            _give(self.worktree, self.uid or 0)
        yield
        if dropped and self.worktree.is_dir() and not self.worktree.is_symlink():
            _give(self.worktree, 0)

    # Planted --------------------------------------------------------------------------------------------

    def plant(self, path: Path, text: str | None = None) -> Path:
        """A file, with the secret unless said."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{self.secret}\n" if text is None else text)
        return path

    def engine_has(self, **variables: str) -> None:
        """Variables in the engine's own environment."""
        self._environment(variables)

    def git(self, *args: str, at: Path | None = None) -> str:
        """Plain git, as the user types it."""
        done = subprocess.run(["git", *args], cwd=at or self.repo, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def fd(self, fd: int) -> int:
        """A descriptor that the engine did not close for its children."""
        os.set_inheritable(fd, True)
        self.undo.callback(os.close, fd)
        return fd

    def victim(
        self,
        code: str = VICTIM,
        *args: str,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        fds: tuple[int, ...] = (),
    ) -> subprocess.Popen[bytes]:
        """Another program at work, of the same user as the command; it has said that it is ready."""
        who: dict[str, Any] = {}
        if self.uid is not None:
            who = {"user": self.uid, "group": self.uid, "extra_groups": []}
        reading, writing = os.pipe()
        code = f"import os; READY = {writing}\n{code}"
        child = subprocess.Popen(
            [
                "/usr/bin/python3" if Path("/usr/bin/python3").exists() else "python3",
                "-I",
                "-S",
                "-c",
                code,
                *args,
            ],
            env=env or {},
            cwd=cwd or "/",
            pass_fds=(writing, *fds),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **who,
        )
        os.close(writing)
        said = os.read(reading, 4096)
        os.close(reading)
        self.planted["victim said"] = said.decode()
        self.undo.callback(child.wait)
        self.undo.callback(child.kill)
        self.params["victim"] = child.pid
        return child

    def listen(
        self, family: int, kind: int, address: Any, protocol: int = 0, answer: bytes = b""
    ) -> socket.socket:
        """A server of the host's: what it gets is in `heard`.

        Raises:
            NotHere: this machine has no such socket or address.
        """
        try:
            server = socket.socket(family, kind, protocol)
            self.undo.callback(server.close)
            if family != socket.AF_UNIX:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address)
            if family == socket.AF_UNIX and not address.startswith("\0"):
                Path(address).chmod(0o666)
            if kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
                server.listen()
        except OSError as error:
            raise NotHere(f"no such listener here: {error}") from error
        server.settimeout(0.05)
        stop = threading.Event()
        thread = threading.Thread(target=self._serve, args=(server, kind, answer, stop), daemon=True)
        thread.start()
        self.undo.callback(lambda: (stop.set(), thread.join()))
        return server

    def _serve(self, server: socket.socket, kind: int, answer: bytes, stop: threading.Event) -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                if kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
                    peer, _ = server.accept()
                    with peer:
                        peer.settimeout(0.5)
                        peer.sendall(answer)
                        self.heard.append(peer.recv(4096))
                else:
                    self.heard.append(server.recv(4096))

    # Observed -------------------------------------------------------------------------------------------

    def marked(self) -> list[int]:
        """Pids of processes that carry the attack's token in their arguments."""
        found = []
        for pid in psutil.pids():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                # The stages of a sandbox carry the command too, further to the right.
                if b"attack.py" in words[:5] and self.token.encode() in words[:6]:
                    found.append(pid)
        return found

    def peak(self, name: str, value: float) -> None:
        """Keep the highest figure."""
        self.seen[name] = max(self.seen.get(name, 0), value)

    def look(self, what: Callable[[list[int]], None]) -> None:
        """Look at the attack's processes again and again while it runs."""
        self.looks.append(what)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Look while the command runs."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.02):
                pids = self.marked()
                for look in self.looks:
                    with contextlib.suppress(OSError, psutil.Error, ValueError, IndexError):
                        look(pids)

        thread = threading.Thread(target=watch, daemon=True)
        if self.looks:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if self.looks:
                thread.join()

    def left_running(self, patience: float = 0.3) -> bool:
        """Whether something of the attack still runs when the engine believes that it ended."""
        until = time.monotonic() + patience
        found = 0
        while time.monotonic() < until:
            found += bool(self.marked())
            time.sleep(0.01)
        return found > 2  # a process that is being reaped may be seen once

    # What the host does next ----------------------------------------------------------------------------

    def checkpoint(self) -> bytes:
        """What comes after a command: its work is recorded, and the change is shown.

        Under the sandbox it is the product's own way; without, what a plain script does. Gives what is shown.
        """
        if self.sandboxed:
            repo = Repo.open(self.repo)
            done = worktrees.checkpoint(
                repo, self.worktree, "refs/jetbox/checkpoint", "a step", WHO, WHEN, self.base
            )
            return repo.diff(self.base, done.commit)
        subprocess.run(["git", "status"], cwd=self.worktree, capture_output=True, timeout=5)
        subprocess.run(["git", "add", "-A"], cwd=self.worktree, capture_output=True, timeout=5)
        shown = b""
        for at, _, files in os.walk(self.worktree):
            for name in files:
                if (Path(at) / name).name != ".git":
                    shown += os.fsencode(name) + b"\n"
        return shown

    def shown_output(self, output: bytes) -> str:
        """What a person gets to see of a command's output."""
        if self.sandboxed:
            return "\n".join(safe_lines(output.decode(errors="replace")))
        return output.decode("latin-1")

    def take_away(self) -> None:
        """Remove the worktree: the product's own way under the sandbox, what a plain script does without."""
        if not self.sandboxed:
            shutil.rmtree(self.worktree)
            return
        repo = Repo.open(self.repo)
        try:
            worktrees.remove(repo, self.worktree, self.base)
        except (GitError, OSError) as error:  # as the engine does with what can never be kept
            if not unrecordable(error):
                raise
            worktrees.discard(repo, self.worktree)

    def within(self, seconds: float, work: Callable[[], object]) -> bool:
        """Whether some work ends in time and without an error."""
        good: list[bool] = []

        def run() -> None:
            with contextlib.suppress(Exception):
                work()
                good.append(True)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(seconds)
        return bool(good)


def _place() -> Path:
    """Where every user can go, and better not /tmp: inside that is another folder anyway."""
    for folder in (Path("/srv"), Path("/var/lib"), Path.home()):
        entered = all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents) if path.exists())
        if folder.is_dir() and os.access(folder, os.W_OK) and (entered or os.geteuid() != 0):
            return folder
    return Path(tempfile.gettempdir())


def _give(top: Path, uid: int) -> None:
    subprocess.run(["chown", "-hR", f"{uid}:{uid}", str(top)], capture_output=True)


# Judges ---------------------------------------------------------------------------------------------------


def told(host: Host, ran: Ran) -> bool:
    """The planted secret came out, or lies in a file of the worktree."""
    if host.secret.encode() in ran.output:
        return True
    for at, _, files in os.walk(host.worktree):
        for name in files:
            path = Path(at, name)
            with contextlib.suppress(OSError):
                if path.is_file() and not path.is_symlink() and host.secret.encode() in path.read_bytes():
                    return True
    return False


def heard(host: Host, ran: Ran) -> bool:
    """A listener of the host's got something that names this attack."""
    time.sleep(0.08)
    return any(host.token.encode() in got for got in host.heard)


def written(name: str) -> Callable[[Host, Ran], bool]:
    """The file that a parameter names carries the token."""

    def judge(host: Host, ran: Ran) -> bool:
        path = Path(host.params[name])
        return path.is_file() and host.token.encode() in path.read_bytes()

    return judge


def dead(host: Host, ran: Ran) -> bool:
    """The victim is no more, or no longer runs."""
    time.sleep(0.03)
    victim = psutil.Process(host.params["victim"]) if psutil.pid_exists(host.params["victim"]) else None
    return victim is None or victim.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED)
