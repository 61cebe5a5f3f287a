"""One holder at a time, and none longer than it lives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from state_doubles import python, result

from state.lock import Held, Lock, held, holder
from state.process import is_alive, own_identity, process_start

HOLD = """
import sys, time
from pathlib import Path
from state.lock import Lock
lock = Lock(Path(sys.argv[1]))
print("ours" if lock.acquire() else "held", flush=True)
time.sleep(float(sys.argv[2]))
"""
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="descriptors are inherited on POSIX only")


def hold(path: Path, seconds: float = 60) -> subprocess.Popen[str]:
    process = python(HOLD, str(path), str(seconds))
    assert process.stdout is not None and process.stdout.readline() == "ours\n"
    return process


def test_a_lock_has_one_holder_until_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "home" / "engine.lock"
    assert not held(path) and holder(path) is None
    process = hold(path)
    assert held(path) and holder(path) == process.pid
    assert result(python(HOLD, str(path), "0")) == "held\n"
    assert not Lock(path).acquire(timeout=0.05)
    with pytest.raises(Held), Lock(path):
        pass
    assert holder(path) == process.pid, "who asks in vain signs nothing"
    process.kill()
    process.wait()
    assert holder(path) is None and not held(path)
    with Lock(path) as lock:
        assert lock.fd >= 0 and holder(path) == os.getpid()
    assert holder(path) is None and not held(path)
    process.communicate()


def test_who_waits_gets_it_when_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    process = hold(path, 0.3)
    began = time.monotonic()
    assert Lock(path).acquire(timeout=30)
    assert time.monotonic() - began < 20
    process.communicate()


@POSIX
def test_an_inherited_descriptor_keeps_the_lock_after_its_holder_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = """
import os, subprocess, sys, time
from pathlib import Path
from state.lock import Lock
lock = Lock(Path(sys.argv[1])); assert lock.acquire()
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE,
                         pass_fds=[lock.fd])
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, other.pid, child.stdin.fileno(), flush=True)
time.sleep(60)
"""
    process = python(code, str(path))
    assert process.stdout is not None
    child, other, _ = map(int, process.stdout.readline().split())
    os.kill(child, 19)  # SIGSTOP: it does not see its end of input, as a git that is at work would not
    process.kill()
    process.wait()
    try:
        assert holder(path) is None, "the one who signed is dead"
        assert held(path) and not Lock(path).acquire(timeout=0.1), "but its child still works"
    finally:
        os.kill(child, 9)
    assert Lock(path).acquire(timeout=10), "a child that does not inherit it keeps nothing"
    os.kill(other, 9)
    process.communicate()


@POSIX
def test_a_child_takes_the_lock_over_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = Lock(path)
    assert lock.acquire()
    code = """
import os, sys
from pathlib import Path
from state.lock import Lock
lock = Lock(Path(sys.argv[1])); print(lock.adopt(int(sys.argv[2])), flush=True); sys.stdin.read()
"""
    child = python(code, str(path), str(lock.fd), stdin=subprocess.PIPE, pass_fds=[lock.fd])
    assert child.stdout is not None and child.stdout.readline() == "True\n"
    lock.hand_over()
    with pytest.raises(Held):
        _ = lock.fd
    assert held(path) and holder(path) == child.pid
    child.communicate("")
    assert not held(path)


@POSIX
def test_a_descriptor_of_another_file_or_without_the_lock_is_not_adopted(tmp_path: Path) -> None:
    path, other = tmp_path / "lock", tmp_path / "other"
    first = Lock(path)
    assert first.acquire()
    other.touch()
    for file in (other, path):
        fd = os.open(file, os.O_RDWR)
        assert not Lock(path).adopt(fd)
        os.close(fd)
    assert holder(path) == os.getpid()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "x", '{"pid": "x", "start": 1}', '{"pid": -1, "start": ""}', "\x00"]
)
def test_a_lock_file_with_anything_in_it_names_no_holder(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text(text)
    assert holder(tmp_path / "lock") is None
    assert Lock(tmp_path / "lock").acquire()


def test_a_recycled_pid_is_another_process(tmp_path: Path) -> None:
    own = own_identity()
    path = tmp_path / "lock"
    path.write_text(json.dumps(own))
    assert holder(path) == os.getpid()
    path.write_text(json.dumps({**own, "start": f"{own['start']}0"}))
    assert holder(path) is None
    process = hold(tmp_path / "other")
    start = process_start(process.pid)
    assert start and is_alive(process.pid, start)
    process.kill()
    process.wait()
    assert not is_alive(process.pid, start) and process_start(process.pid) is None
    process.communicate()


def test_a_holder_that_cannot_sign_still_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    lock = Lock(tmp_path / "lock")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert lock.acquire()
    assert held(tmp_path / "lock")
