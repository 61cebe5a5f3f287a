"""Which sandbox holds here? Each has to keep a small program in that tries to break out; the first one that
does is taken. That a program is installed proves nothing, nor does what it says of itself: what came of each
attempt is looked for outside.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.sandbox.backend import Backend
from orchestrator.sandbox.bare import Bare
from orchestrator.sandbox.policy import Policy
from orchestrator.sandbox.sandbox import Sandbox
from state.workspace import Workspace

_PATIENCE = 20.0  # seconds; a backend that takes longer to start a small program is none

# What is tried inside. Arguments: a secret file, a file to write, a port and an abstract name that listen,
# the pid of a victim, and a word by which a process that stays behind is found.
_PROBE = """
import os, signal, socket, sys
secret, outside, port, name, victim, word = sys.argv[1:7]
open("ran", "w").close()
def attempt(what):
    try:
        what()
    except BaseException:
        pass
def tell(path):
    with open(path, "rb") as file:
        os.write(1, file.read())
def knock(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(1)
        s.connect(address)
        s.sendall(word.encode())
def stay():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(30)", word])
        os._exit(0)
    os.wait()
attempt(lambda: tell(secret))
attempt(lambda: tell(f"/proc/{victim}/environ"))
attempt(lambda: open(outside, "w").close())
attempt(lambda: knock(socket.AF_INET, ("127.0.0.1", int(port))))
attempt(lambda: knock(socket.AF_UNIX, "\\0" + name))
attempt(lambda: os.kill(int(victim), signal.SIGKILL))
attempt(stay)
"""

ATTEMPTS = {
    "read": "read a file outside",
    "environment": "read the environment of a process outside",
    "write": "write a file outside",
    "loopback": "reach a server on this machine",
    "socket": "reach a local socket",
    "signal": "kill a process outside",
    "stay": "leave a process behind",
}
"""What is tried, for people."""


@dataclass(frozen=True)
class Tried:
    """What became of one backend."""

    backend: str
    obstacle: str = ""
    """Why it could not be tried or did not start; empty when it ran."""
    held: tuple[str, ...] = ()
    escaped: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it kept everything in."""
        return not self.obstacle and not self.escaped

    @property
    def why(self) -> str:
        """For people: what came of it."""
        if self.obstacle:
            return self.obstacle
        if self.escaped:
            return "it could be broken out of: " + ", ".join(ATTEMPTS[each] for each in self.escaped)
        return f"held in {len(self.held)} of {len(self.held)} attempts to break out"


@dataclass(frozen=True)
class Choice:
    """The sandbox that is used, and all that were tried before it."""

    sandbox: Sandbox
    tried: tuple[Tried, ...] = ()


def candidates() -> Iterator[Backend]:
    """The backends for this system, the strongest first; each is loaded only if those before did not hold."""
    if sys.platform == "linux":
        from orchestrator.sandbox.bubblewrap import Bubblewrap

        yield Bubblewrap()
        from orchestrator.sandbox.landlock import Landlock

        yield Landlock()
    elif sys.platform == "darwin":
        from orchestrator.sandbox.seatbelt import Seatbelt

        yield Seatbelt()
    elif sys.platform == "win32":
        from orchestrator.sandbox.windows import Job

        yield Job()


def choose(workspace: Workspace, policy: Policy, backends: Iterable[Backend] | None = None) -> Choice:
    """The first backend that keeps the probe in.

    Where none does, commands wait for a person's consent, and run in the first that started at all: what it
    bounds and ends is still worth having.
    """
    tried: list[Tried] = []
    leaky: Backend = Bare()
    for backend in candidates() if backends is None else backends:
        sandbox = Sandbox(backend, policy, workspace)
        tried.append(examine(sandbox))
        if tried[-1].holds:
            return Choice(sandbox, tuple(tried))
        if not tried[-1].obstacle and isinstance(leaky, Bare):
            leaky = backend
    return Choice(Sandbox(leaky, policy, workspace, holds=False), tuple(tried))


def examine(sandbox: Sandbox) -> Tried:
    """Try to break out of one sandbox, and look from outside what came of it."""
    name = sandbox.backend.name
    if obstacle := sandbox.backend.obstacle():
        return Tried(name, obstacle)
    home = sandbox.workspace.home
    try:
        home.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix="probe-", dir=home))
        place.chmod(0o711)  # as root, commands run as a user who has to get in
    except OSError as error:
        return Tried(name, f"nothing can be written to {home}: {error.strerror}")
    try:
        return _examine(sandbox, place)
    except Exception as error:  # whatever a backend meets on a strange machine: it is not used there
        return Tried(name, f"{type(error).__name__}: {error}"[:200])
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _examine(sandbox: Sandbox, place: Path) -> Tried:
    word = secrets.token_hex(16)
    worktree, secret, outside = place / "worktree", place / "secret", place / "outside"
    worktree.mkdir()
    secret.write_text(f"file-{word}")
    with _listening() as (port, name, heard), _victim(f"env-{word}") as victim:
        command = [sys.executable, "-I", "-S", "-c", _PROBE]
        command += [str(secret), str(outside), str(port), name, str(victim.pid), f"stay-{word}"]
        done = sandbox.run(command, worktree, timeout=_PATIENCE)
        if not (worktree / "ran").exists():
            said = done.output.decode(errors="replace").strip().splitlines()
            why = f"no command could be started: {(said or [done.reason])[-1]}"
            return Tried(sandbox.backend.name, why[:200])
        escaped = {
            "read": f"file-{word}".encode() in done.output,
            "environment": f"env-{word}".encode() in done.output,
            "write": outside.exists(),
            "signal": victim.poll() is not None,
            "stay": _left(f"stay-{word}"),
            **heard(),
        }
    held = tuple(each for each in ATTEMPTS if not escaped[each])
    return Tried(sandbox.backend.name, "", held, tuple(each for each in ATTEMPTS if escaped[each]))


@contextlib.contextmanager
def _listening() -> Iterator[tuple[int, str, Callable[[], dict[str, bool]]]]:
    """A server on the loopback and one on an abstract socket; what they give says which was reached."""
    name = f"jetbox-{secrets.token_hex(8)}"
    with contextlib.ExitStack() as held:
        tcp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        tcp.bind(("127.0.0.1", 0))
        servers = {"loopback": tcp}
        if sys.platform == "linux":
            local = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            local.bind(f"\0{name}")
            servers["socket"] = local
        for server in servers.values():
            server.listen(4)
            server.setblocking(False)

        def heard() -> dict[str, bool]:
            return {"socket": False, **{which: _reached(server) for which, server in servers.items()}}

        yield int(tcp.getsockname()[1]), name, heard


def _reached(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _victim(secret: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process outside, with something in its environment."""
    sleep = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]
    victim = subprocess.Popen(
        sleep, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env={**os.environ, "SECRET": secret}
    )
    try:
        yield victim
    finally:
        victim.kill()
        victim.wait()


def _left(word: str) -> bool:
    """Whether a process with this word among its arguments lives. Given a moment to be there."""
    import psutil

    time.sleep(0.02)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if word in process.cmdline():
                process.kill()
                return True
    return False
