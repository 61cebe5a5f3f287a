"""Landlock: what a command under it can reach, judged from outside, in each strength that this machine has.

Every attack has a control that shows that it works where nothing holds it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from landlock_lab import WAYS, Way, as_user, called, every_way, interpreter, own, place_for, running, wait_for

# What is tried inside. Each attempt stands alone; what came of it is looked for outside.
ATTACKS = """
import ctypes, json, os, resource, signal, socket, subprocess, sys
signal.signal(signal.SIGURG, signal.SIG_IGN)
it = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
open("ran", "w").close()
def attempt(what):
    try:
        what()
    except BaseException as error:
        print("refused:", error)
def put(path, mode="w"):
    with open(path, mode) as file:
        file.write("attacked")
def tell(path):
    with open(path, "rb") as file:
        sys.stdout.buffer.write(file.read(4096))
def send(family, kind, address):
    with socket.socket(family, kind) as s:
        s.settimeout(2)
        s.connect(address)
        s.send(it["word"].encode())
def linked():
    os.link(it["outside"] + "/linked", "link")
    put("link")
def through():
    os.symlink(it["outside"], "way")
    put("way/through")
def mapped():
    libc.shmat.restype = ctypes.c_void_p
    at = libc.shmat(it["segment"], None, 0)
    if at not in (None, 2 ** 64 - 1):
        ctypes.memmove(at, b"attacked", 8)
def stay():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for each in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), each)
            sleep = "import time; time.sleep(40)"
            os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", sleep, "stay-" + it["word"]])
        os._exit(0)
    os.wait()
outside, victim = it["outside"], it["victim"]
attempt(lambda: tell(it["secret"]))
attempt(lambda: tell(f"/proc/{victim}/environ"))
attempt(lambda: sys.stdout.write(str(os.listdir(outside))))
attempt(lambda: subprocess.run([outside + "/tool"], check=True))
attempt(lambda: put(outside + "/new"))
attempt(lambda: put(outside + "/changed"))
attempt(lambda: os.truncate(outside + "/emptied", 0))
attempt(lambda: os.unlink(outside + "/removed"))
attempt(lambda: os.rename(outside + "/moved", "moved"))
attempt(lambda: os.mkdir(outside + "/folder"))
attempt(lambda: put(it["readable"] + "/new"))
attempt(linked)
attempt(through)
attempt(lambda: send(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", it["tcp"])))
attempt(lambda: send(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", it["udp"])))
attempt(lambda: send(socket.AF_UNIX, socket.SOCK_STREAM, it["path"]))
attempt(lambda: send(socket.AF_UNIX, socket.SOCK_STREAM, chr(0) + it["name"]))
attempt(mapped)
attempt(lambda: resource.prlimit(victim, resource.RLIMIT_NOFILE, (7, 7)))
attempt(lambda: os.kill(victim, signal.SIGUSR1))
attempt(lambda: os.kill(-1, signal.SIGURG))
attempt(stay)
"""

VICTIM = """
import signal, sys
signal.signal(signal.SIGUSR1, lambda *_: open(sys.argv[1], "w").close())
signal.signal(signal.SIGURG, lambda *_: open(sys.argv[1] + "-all", "w").close())
print("ready", flush=True)
while True:
    signal.pause()
"""


@dataclass(frozen=True)
class Aftermath:
    """What was found outside after all that is tried inside."""

    ran: bool
    output: str
    reached: Mapping[str, bool]


def _attacked(way: Way, *, held: bool) -> Aftermath:
    """Lay out everything, let the attacks run, held or not, and look."""
    word = os.urandom(8).hex()
    with place_for(way) as place, contextlib.ExitStack() as undo:
        worktree, outside, readable = place / "worktree", place / "outside", place / "readable"
        secret = place / "secret"
        secret.write_text(f"file-{word}")
        for folder in (worktree, outside, readable):
            folder.mkdir()
            folder.chmod(0o777)
            own(way, folder)
        runner = way.command_uid(worktree) if held else way.uid
        for name in ("changed", "emptied", "removed", "moved", "linked"):
            (outside / name).write_text("whole")
            (outside / name).chmod(0o666)
            os.chown(outside / name, runner, -1)
        (outside / "tool").write_text(f"#!/bin/sh\necho tool-{word}\n")
        (outside / "tool").chmod(0o755)
        signalled, everyone = outside / "signalled", outside / "signalled-all"
        victim = undo.enter_context(
            subprocess.Popen(
                [interpreter(), "-I", "-S", "-c", VICTIM, str(signalled)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                env={"SECRET": f"env-{word}"},
                **as_user(runner),
            )
        )
        undo.callback(victim.kill)
        assert victim.stdout is not None
        victim.stdout.readline()
        segment, memory = _segment(undo, runner)
        heard = _listening(undo, place, word)
        told = {"word": word, "secret": str(secret), "outside": str(outside), "readable": str(readable)}
        told |= {"victim": victim.pid, "segment": segment, **heard.targets}
        if held:
            done = way.python(ATTACKS, worktree, json.dumps(told), readable=[readable])
        else:
            command = [interpreter(), "-I", "-S", "-c", ATTACKS, json.dumps(told)]
            done = subprocess.run(
                command,
                cwd=worktree,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
                **as_user(way.uid),
            )
        if not held:
            wait_for(lambda: running(f"stay-{word}"))
            wait_for(lambda: signalled.exists() and everyone.exists())
        stayed = running(f"stay-{word}")
        for pid in stayed:
            os.kill(pid, signal.SIGKILL)
        reached = {
            "read a file": f"file-{word}" in done.stdout,
            "read an environment": f"env-{word}" in done.stdout,
            "list a folder": "'linked'" in done.stdout,
            "run a program": f"tool-{word}" in done.stdout,
            "make a file": (outside / "new").exists(),
            "change a file": (outside / "changed").read_text() != "whole",
            "empty a file": (outside / "emptied").read_text() != "whole",
            "remove a file": not (outside / "removed").exists(),
            "move a file": not (outside / "moved").exists(),
            "make a folder": (outside / "folder").exists(),
            "write what is readable": (readable / "new").exists(),
            "write by a hard link": (outside / "linked").read_text() != "whole",
            "write through a link": (outside / "through").exists(),
            "map shared memory": bytes(memory) == b"attacked",
            "limit a process": _open_files(victim.pid) == "7",
            "signal a process": signalled.exists(),
            "signal all processes": everyone.exists(),
            "stay behind": bool(stayed),
            **heard.reached(),
        }
        return Aftermath((worktree / "ran").exists(), done.stdout + done.stderr, reached)


def _open_files(pid: int) -> str:
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line.split()[3] for line in limits if line.startswith("Max open files"))


def _segment(undo: contextlib.ExitStack, owner: int) -> tuple[int, ctypes.Array[ctypes.c_char]]:
    """A System V shared memory segment that its owner and everybody can write, and its content here."""
    libc = ctypes.CDLL(None, use_errno=True)
    identity = int(libc.shmget(0, 4096, 0o1666))  # IPC_PRIVATE, IPC_CREAT
    undo.callback(libc.shmctl, identity, 0, None)  # IPC_RMID
    libc.shmat.restype = ctypes.c_void_p
    at = libc.shmat(identity, None, 0)
    undo.callback(libc.shmdt, ctypes.c_void_p(at))
    return identity, (ctypes.c_char * 8).from_address(at)


@dataclass(frozen=True)
class Heard:
    """Servers on this machine."""

    targets: Mapping[str, Any]
    reached: Callable[[], dict[str, bool]]


def _listening(undo: contextlib.ExitStack, place: Path, word: str) -> Heard:
    path, name = place / "socket", f"jetbox-{word}"
    servers = {
        "reach a TCP port": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        "reach a UDP port": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        "reach a local socket": (socket.AF_UNIX, socket.SOCK_STREAM, str(path)),
        "reach an abstract socket": (socket.AF_UNIX, socket.SOCK_STREAM, f"\0{name}"),
    }
    made = {}
    for what, (family, kind, address) in servers.items():
        made[what] = undo.enter_context(socket.socket(family, kind))
        made[what].bind(address)
        made[what].setblocking(False)
        if kind == socket.SOCK_STREAM:
            made[what].listen()
    path.chmod(0o777)

    def reached() -> dict[str, bool]:
        return {what: _visited(server) for what, server in made.items()}

    ports = {what[8:11].lower(): made[what].getsockname()[1] for what in list(servers)[:2]}
    return Heard({**ports, "path": str(path), "name": name}, reached)


def _visited(server: socket.socket) -> bool:
    try:
        if server.type == socket.SOCK_DGRAM:
            return bool(server.recv(100))
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@functools.cache
def control() -> Aftermath:
    """The same attacks where nothing holds them, as an ordinary user."""
    return _attacked(WAYS["user"], held=False)


@functools.cache
def aftermath(name: str) -> Aftermath:
    return _attacked(called(name), held=True)


ATTEMPTS = (
    "read a file", "read an environment", "list a folder", "run a program", "make a file", "change a file",
    "empty a file", "remove a file", "move a file", "make a folder", "write what is readable",
    "write by a hard link", "write through a link", "map shared memory", "limit a process",
    "signal a process", "signal all processes", "stay behind",
    "reach a TCP port", "reach a UDP port", "reach a local socket", "reach an abstract socket",
)  # fmt: skip


@every_way
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_command_cannot(attempt: str, name: str) -> None:
    found = aftermath(name)
    assert control().reached[attempt], "this attack does not work even where nothing holds it"
    assert found.ran, found.output
    assert not found.reached[attempt], found.output


def test_every_attempt_is_judged() -> None:
    assert set(control().reached) == set(ATTEMPTS)
