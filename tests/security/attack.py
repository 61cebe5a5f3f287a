"""The harness of the attack battery: one attack, one throwaway repository, one verdict.

An attack is a small Python program that runs as a command in a worktree, as a model's command would. Whether
it succeeded is judged from the host alone: by files, listeners, processes and figures there, never by what
the program says of itself. Reading is the exception: it succeeded when a random secret, planted for this one
run, shows up in the captured output or in a file left in the worktree.

Without a sandbox the same program has to succeed, else its failure inside proves nothing. Nothing real is
touched: secrets, homes, sockets and victims are planted, bombs are of bounded size, and as root the program's
uid is dropped unless the attack is about root's rights.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import select
import signal
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attacked_host import Host, NotHere, Ran

from orchestrator.sandbox.backend import Unusable
from orchestrator.sandbox.box import MIB, Limits
from state.workspace import Workspace

if TYPE_CHECKING:
    from orchestrator.sandbox.sandbox import Sandbox

PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else "python3"
SMALL = Limits(memory=256 * MIB, processes=64, file=32 * MIB, growth=48 * MIB, entries=2000, scratch=32 * MIB)
"""Bounds of every command here, so that what breaks them stays small."""

PRELUDE = """\
import ctypes, fcntl, json, mmap, os, resource, select, signal, socket, stat, struct, subprocess, sys, time
from pathlib import Path
P = json.loads({params!r})
TOKEN, HERE = P["token"], Path.cwd()
ARM = os.uname().machine == "aarch64"
libc = ctypes.CDLL(None, use_errno=True)
print("started", TOKEN, flush=True)
def attempt(function, *args):
    try:
        return function(*args)
    except BaseException as error:
        print(getattr(function, "__name__", function), repr(error)[:200], flush=True)
def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def syscall(number, *args):
    return checked(libc.syscall(number, *args))
def show(path):
    attempt(lambda: print(open(path, "rb").read(4_000_000).decode("latin-1"), flush=True))
def put(path, text=None, mode="w"):
    def write():
        with open(path, mode) as file:
            file.write(text or TOKEN)
    attempt(write)
def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]
def daemon(work, *args):
    # Leave the group, the session and the parent behind.
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            null = os.open("/dev/null", os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            attempt(work, *args)
        os._exit(0)
"""


@dataclass(frozen=True)
class Attack:
    """One attempt to break out, with all that is needed to tell whether it did."""

    id: str
    kind: str
    """The class it belongs to, as in the table of the documentation."""
    tries: str
    """One line: what it wants."""
    payload: str
    """Python, run after `PRELUDE`; `P` holds the host's `params`."""
    judge: Callable[[Host, Ran], bool]
    """True when it succeeded; looks at the host alone."""
    prepare: Callable[[Host], None] = lambda host: None
    """Plants what the attack goes for. Raises NotHere where this machine cannot."""
    rights: str = "user"
    """Whose rights it has without a sandbox: a `user`'s even if root calls, the `caller`'s, or `root`'s."""
    timeout: float = 8.0
    """Seconds of wall time that the command gets."""
    limits: Limits = SMALL
    terminal: bool = False
    """The engine has a controlling terminal."""
    readable: Callable[[Host], tuple[Path, ...]] = lambda host: ()
    slow: bool = False
    """Left to the benchmark."""


@dataclass(frozen=True)
class Verdict:
    """What came of an attack."""

    attack: str
    through: bool | None
    """None where nothing can be said; `said` tells why."""
    seconds: float
    said: str = ""
    ran: bool = True
    """False where this machine lacks what the attack needs, so that it was not tried."""


def run_attack(attack: Attack, sandbox: Sandbox | None, base: Path | None = None) -> Verdict:
    """Run one attack on a host of its own: in a sandbox, or without one to show that it works.

    Args:
        attack: what is run.
        sandbox: None for a plain subprocess.
        base: a folder that every user can enter; a temporary one by default.
    """
    began = time.monotonic()
    if sandbox is None and attack.rights == "root" and os.geteuid() != 0:
        return Verdict(attack.id, None, 0.0, "needs root", ran=False)
    with contextlib.ExitStack() as undo:
        host = undo.enter_context(Host.made(base, sandboxed=sandbox is not None))
        try:
            attack.prepare(host)
        except NotHere as why:
            return Verdict(attack.id, None, time.monotonic() - began, str(why), ran=False)
        host.open_up()
        script = host.worktree / "attack.py"
        script.write_text(PRELUDE.format(params=json.dumps(host.params)) + attack.payload)
        argv = [PYTHON, "-I", "-S", "attack.py", host.token]

        def start() -> Ran:
            if sandbox is None:
                return _plain(argv, attack, host)
            held = replace(sandbox, workspace=Workspace(host.repo))
            done = held.run(
                argv,
                host.worktree,
                readable=attack.readable(host),
                git_dir=host.repo / ".git",
                timeout=attack.timeout,
                limits=attack.limits,
                mark=host.token,
            )
            return Ran(done.output, done.seconds, done.exit, done.reason)

        with host.watched():
            try:
                ran = _on_terminal(start, host) if attack.terminal else start()
            except Unusable as why:
                return Verdict(attack.id, None, time.monotonic() - began, str(why))
            except Exception:  # whatever it is, a command must not be able to break the engine's call
                said = f"it broke the engine's call: {traceback.format_exc()[-1500:]}"
                return Verdict(attack.id, True, time.monotonic() - began, said)
        if f"started {host.token}".encode() not in ran.output:
            said = f"it did not start: {ran.reason} {ran.exit} {ran.output[-600:].decode(errors='replace')}"
            return Verdict(attack.id, None, time.monotonic() - began, said)
        through = attack.judge(host, ran)
        said = f"{ran.reason} {ran.exit}: {ran.output[-600:].decode(errors='replace')}"
    return Verdict(attack.id, through, time.monotonic() - began, said)


def _plain(argv: list[str], attack: Attack, host: Host) -> Ran:
    """What a program without a sandbox does: a child with its environment, descriptors and terminal."""
    dropped = host.uid is not None and attack.rights == "user"
    who: dict[str, Any] = {"user": host.uid, "group": host.uid, "extra_groups": []} if dropped else {}
    began = time.monotonic()
    with host.lent(dropped):
        child = subprocess.Popen(
            argv, cwd=host.worktree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, close_fds=False, **who
        )
        reason = "exited"
        try:
            output, _ = child.communicate(timeout=attack.timeout)
        except subprocess.TimeoutExpired:
            reason = "timeout"
            child.terminate()
            output, _ = child.communicate()
        return Ran(output, time.monotonic() - began, child.returncode, reason)


def _on_terminal(start: Callable[[], Ran], host: Host) -> Ran:
    """Run from a process that has a terminal of its own, as an engine in a person's terminal has."""
    master, slave = os.openpty()
    back, forth = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            terminal = os.open(
                os.ttyname(slave), os.O_RDWR
            )  # the first one opened becomes the controlling one
            os.fchmod(terminal, 0o666)
            os.dup2(terminal, 0)
            for fd in (terminal, master, slave, back):
                os.close(fd)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.write(forth, pickle.dumps(start()))
        finally:
            os._exit(0)
    os.close(forth)
    os.write(master, host.typed)
    answer, shown = bytearray(), bytearray()
    while True:
        ready, _, _ = select.select([back, master], [], [], 20)
        if master in ready:
            shown += os.read(master, 65536)
        if back in ready:
            data = os.read(back, 65536)
            if not data:
                break
            answer += data
        if not ready:
            break
    while select.select([master], [], [], 0.05)[0]:
        shown += os.read(master, 65536)
    host.shown = bytes(shown)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for fd in (master, slave, back):
        os.close(fd)
    return pickle.loads(bytes(answer)) if answer else Ran(b"", 0.0, None, "died")
