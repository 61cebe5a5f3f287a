"""A run outlives its starter, is never doubled, and ends in the same bytes however often it was killed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator import runs
from orchestrator.child import PROBE_WAIT
from state.lock import Lock, held
from state.process import process_start

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and process groups of POSIX")
REQUEST = {
    "schema": 1, "recipe": "text/worked-steps", "seed": 7, "count": 3000, "shards": 10, "options": {},
}  # fmt: skip
LONG = REQUEST | {"count": 2_000_000, "shards": 500}
PATIENCE = 60.0


def wait_for(what: Callable[[], Any], patience: float = PATIENCE) -> Any:
    deadline = time.monotonic() + patience
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return found


def finish(run_dir: Path) -> runs.Result:
    wait_for(lambda: not runs.alive(run_dir))
    found = runs.result(run_dir)
    assert found, (run_dir / "output.log").read_text()
    return found


def process_of(run_dir: Path) -> dict[str, Any]:
    """What `process.json` says once it names a living process."""

    def read() -> dict[str, Any] | None:
        try:
            body: dict[str, Any] = json.loads((run_dir / "process.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return body if process_start(body["pid"]) == body["start"] else None

    found: dict[str, Any] = wait_for(read)
    return found


def outcome(run_dir: Path) -> dict[str, str]:
    paths = [run_dir / "result.json", *sorted((run_dir / "data").iterdir())]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "runs" / "TICKET-001" / "1"
    yield folder
    assert runs.stop(folder, 0.0)


HOST = """
import sys
sys.path.insert(0, sys.argv[1])
from orchestrator import child
sys.exit(child.main([sys.argv[2], "probe", *sys.argv[3:]]))
"""


def host(tmp_path: Path, run_dir: Path, body: str, **options: Any) -> subprocess.Popen[str]:
    """Host a module made for one test: what `runs.start` starts, but with a place to import it from."""
    (tmp_path / "probe.py").write_text(body)
    run_dir.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", HOST, str(tmp_path), str(run_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_start_returns_at_once_and_the_run_is_alive_from_then_on(run_dir: Path) -> None:
    begun = time.monotonic()
    runs.start(run_dir, "datagen", REQUEST)
    assert runs.alive(run_dir)
    assert time.monotonic() - begun < 2
    assert finish(run_dir).ok
    assert json.loads((run_dir / "request.json").read_text()) == REQUEST


def test_the_events_of_a_run_arrive_while_it_works(run_dir: Path) -> None:
    runs.start(run_dir, "datagen", REQUEST)
    tail, events = runs.Tail(run_dir), []
    while runs.alive(run_dir):
        events += tail.read()
        time.sleep(0.01)
    events += tail.read()
    types = [event["type"] for event in events]
    assert types[0] == "phase" and types[-1] == "artifact" and types.count("checkpoint") == 10
    assert runs.progress(events).fraction == 1.0
    assert tail.offset == (run_dir / "events.jsonl").stat().st_size


def test_starting_a_live_or_finished_run_again_does_nothing(run_dir: Path) -> None:
    for _ in range(3):
        runs.start(run_dir, "datagen", REQUEST)
    first = process_of(run_dir)
    runs.start(run_dir, "datagen", REQUEST)
    finish(run_dir)
    before = outcome(run_dir)
    runs.start(run_dir, "datagen", REQUEST)
    assert not runs.alive(run_dir)
    assert json.loads((run_dir / "process.json").read_text()) == first
    assert outcome(run_dir) == before


def test_a_run_folder_keeps_its_first_request(run_dir: Path) -> None:
    runs.start(run_dir, "datagen", REQUEST)
    with pytest.raises(runs.RunError, match="another request"):
        runs.start(run_dir, "datagen", REQUEST | {"seed": 8})
    finish(run_dir)
    with pytest.raises(runs.RunError, match="another request"):
        runs.start(run_dir, "datagen", REQUEST | {"seed": 8})
    assert json.loads((run_dir / "data/manifest.json").read_text())["seed"] == 7


def test_a_second_host_on_the_same_folder_leaves_with_zero_and_touches_nothing(run_dir: Path) -> None:
    runs.start(run_dir, "datagen", LONG)
    first = process_of(run_dir)
    command = [sys.executable, "-P", "-m", "orchestrator.child", str(run_dir), "datagen"]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 0 and "already running" in second.stdout
    assert process_of(run_dir) == first
    assert runs.alive(run_dir)


def test_many_who_start_at_once_start_one(run_dir: Path) -> None:
    threads = [threading.Thread(target=runs.start, args=(run_dir, "datagen", LONG)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process_of(run_dir)
    hosts = [p for p in psutil.process_iter(["cmdline"]) if str(run_dir) in (p.info["cmdline"] or [])]
    assert len(hosts) == 1


def test_asking_whether_a_lock_is_held_never_keeps_anyone_from_it(tmp_path: Path) -> None:
    path, over = tmp_path / "lock", threading.Event()
    Lock(path).acquire()
    (tmp_path / "other").touch()

    def ask() -> None:
        while not over.is_set():
            held(tmp_path / "other")

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(200):
            lock = Lock(tmp_path / "other")
            assert lock.acquire(PROBE_WAIT)
            lock.release()
    finally:
        over.set()
        for asker in askers:
            asker.join()
    assert not held(tmp_path / "nowhere")


@posix
def test_a_run_survives_the_kill_of_its_starter_and_is_adopted(run_dir: Path, tmp_path: Path) -> None:
    script = (
        "import sys, time, json; from pathlib import Path; from orchestrator import runs;"
        "runs.start(Path(sys.argv[1]), 'datagen', json.loads(sys.argv[2])); print('started', flush=True);"
        "time.sleep(60)"
    )
    request = REQUEST | {"count": 12_000}
    command = [sys.executable, "-P", "-c", script, str(run_dir), json.dumps(request)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout and parent.stdout.readline() == "started\n"
        parent.kill()
    assert runs.alive(run_dir), "the child went down with its starter"
    first = process_of(run_dir)
    runs.start(run_dir, "datagen", request)  # what an engine that comes back would do
    assert process_of(run_dir) == first
    assert finish(run_dir).ok
    undisturbed = tmp_path / "undisturbed"
    runs.start(undisturbed, "datagen", request)
    finish(undisturbed)
    assert outcome(run_dir) == outcome(undisturbed)


@posix
def test_twenty_kills_at_random_moments_leave_the_bytes_of_an_undisturbed_run(tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    runs.start(undisturbed, "datagen", REQUEST)
    wanted = finish(undisturbed) and outcome(undisturbed)
    rng, kills, number = random.Random(20), 0, 0
    while kills < 20:
        number += 1
        folder = tmp_path / str(number)
        while runs.result(folder) is None:
            runs.start(folder, "datagen", REQUEST)
            pid = process_of(folder)["pid"] if rng.random() < 0.7 else None
            time.sleep(rng.uniform(0, 0.25))
            if pid is None:
                pid = process_of(folder)["pid"] if runs.alive(folder) else 0
            if runs.alive(folder) and pid and kills < 20:
                with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
            wait_for(lambda folder=folder: not runs.alive(folder))
        assert outcome(folder) == wanted
        for line in (folder / "events.jsonl").read_bytes().splitlines():
            json.loads(line)
        events = runs.Tail(folder).read()
        assert not [event for event in events if event["type"] == "alert"]
        assert [event["type"] for event in events][-1] == "artifact"


@posix
def test_stop_ends_a_run_and_a_start_goes_on_with_it(run_dir: Path, tmp_path: Path) -> None:
    request = REQUEST | {"count": 12_000}
    runs.start(run_dir, "datagen", request)
    wait_for(lambda: (run_dir / "data/shard-00001.jsonl").exists())
    assert runs.stop(run_dir, 5.0)
    assert not runs.alive(run_dir)
    assert runs.result(run_dir) is None
    kept = (run_dir / "data/shard-00000.jsonl").stat().st_mtime_ns
    runs.start(run_dir, "datagen", request)
    assert finish(run_dir).ok
    assert (run_dir / "data/shard-00000.jsonl").stat().st_mtime_ns == kept
    assert runs.stop(run_dir, 0.0), "stopping what has ended is no error"


@posix
def test_a_run_that_ignores_the_request_to_end_is_killed_with_its_group(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    body = """
import signal, subprocess, sys, time
def main(run_dir):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (run_dir / "helper.tmp").write_text(str(helper.pid))
    (run_dir / "helper.tmp").rename(run_dir / "helper")
    time.sleep(600)
"""
    with host(tmp_path, run_dir, body, start_new_session=True) as process:
        wait_for((run_dir / "helper").exists)
        begun = time.monotonic()
        assert runs.stop(run_dir, 0.5)
        assert 0.4 < time.monotonic() - begun < 10
        assert process.wait() == -signal.SIGKILL
    helper = int((run_dir / "helper").read_text())
    wait_for(lambda: process_start(helper) is None)


@posix
def test_a_recycled_pid_is_never_signalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_KILL_WAIT", 0.3)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as innocent:
        try:
            lock = Lock(tmp_path / "run.lock")
            assert lock.acquire()
            for body in ({"pid": innocent.pid, "start": "an earlier life"}, {"pid": innocent.pid}, [], "x"):
                (tmp_path / "process.json").write_text(json.dumps(body))
                assert runs._own_process(tmp_path) is None
            assert not runs.stop(tmp_path, 0.0), "someone holds the lock, and it is not known who"
            assert innocent.poll() is None
            lock.release()
        finally:
            innocent.kill()


@posix
def test_started_by_hand_in_a_shell_only_the_host_itself_is_stopped(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    body = "import time\ndef main(run_dir):\n    time.sleep(600)\n"
    with host(tmp_path, run_dir, body) as process:  # in the group of this test
        process_of(run_dir)
        assert runs.stop(run_dir, 5.0)
        assert process.wait() == -signal.SIGTERM


@pytest.mark.parametrize(
    "call",
    [
        "socket.create_connection(('192.0.2.1', 9), 1)",
        "socket.create_connection(('example.org', 80), 1)",
        "socket.getaddrinfo('example.org', 80)",
        "socket.gethostbyname('example.org')",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))",
        "__import__('urllib.request').request.urlopen('http://192.0.2.1:9/')",
    ],
)
def test_a_run_reaches_no_network(call: str, tmp_path: Path) -> None:
    body = f"import socket\ndef main(run_dir):\n    {call}\n"
    with host(tmp_path, tmp_path / "run", body) as process:
        process.communicate()
    assert process.returncode == 1
    found = runs.result(tmp_path / "run")
    assert found and not found.ok and found.error and "may not use the network" in found.error


def test_a_run_reaches_no_server_of_this_machine(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        call = f"socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 1)"
        exec(call, {"socket": socket})  # the control: it can be reached
        server.accept()[0].close()
        with host(tmp_path, tmp_path / "run", f"import socket\ndef main(run_dir):\n    {call}\n") as process:
            process.communicate()
        with pytest.raises(BlockingIOError):
            server.accept()
    found = runs.result(tmp_path / "run")
    assert found and not found.ok and found.error


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no more than Python's own refusal")
def test_native_code_in_a_run_reaches_no_server_of_this_machine(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        body = (
            "import ctypes, socket, struct\n"
            "def main(run_dir):\n"
            "    libc = ctypes.CDLL(None)\n"
            "    made = libc.socket(2, 1, 0)\n"
            f"    port = socket.htons({server.getsockname()[1]})\n"
            "    address = struct.pack('=HH4s8x', 2, port, bytes((127, 0, 0, 1)))\n"
            "    libc.connect(made, address, 16)\n"
            "    (run_dir / 'tried').touch()\n"
        )
        (tmp_path / "free.py").write_text(body)
        free = "import pathlib, free; free.main(pathlib.Path.cwd())"
        subprocess.run([sys.executable, "-c", free], cwd=tmp_path, check=True)
        server.accept()[0].close()  # the control: it can be reached
        with host(tmp_path, tmp_path / "run", body) as process:
            process.communicate()
        assert (tmp_path / "run" / "tried").exists()
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def main(run_dir):\n    raise KeyError('a\\nb\\x1b[31m')", "KeyError"),
        ("def main(run_dir):\n    raise MemoryError", "MemoryError"),
        ("def main(run_dir):\n    return 0", "ended without writing result.json"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
        ("x = (", "SyntaxError"),
    ],
)
def test_whatever_goes_wrong_in_a_run_becomes_one_clear_line(body: str, words: str, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with host(tmp_path, run_dir, body) as process:
        process.communicate()
    assert process.returncode == 1
    found = runs.result(run_dir)
    assert found and not found.ok and found.error
    assert words in found.error and found.error.isprintable()
    assert not runs.alive(run_dir)
    if "without" not in words:
        assert "Traceback" in (run_dir / "error.txt").read_text()


def test_a_run_yields_to_the_person_at_the_machine(tmp_path: Path) -> None:
    body = (
        "import json, psutil\ndef main(run_dir):\n"
        "    (run_dir / 'nice').write_text(str(psutil.Process().nice()))\n"
        "    (run_dir / 'result.json').write_text(json.dumps({'v': 1, 'ok': True}))\n"
    )
    with host(tmp_path, tmp_path / "run", body) as process:
        process.communicate()
    assert int((tmp_path / "run" / "nice").read_text()) > psutil.Process().nice()


def test_a_run_sees_no_secret_and_no_import_path() -> None:
    source = {
        "PATH": "/bin", "LC_ALL": "C", "OMP_NUM_THREADS": "1", "PYTHONPATH": "/x", "PYTHONSTARTUP": "/x",
        "AWS_SECRET_ACCESS_KEY": "x", "GITHUB_TOKEN": "x", "SSH_AUTH_SOCK": "x", "HTTPS_PROXY": "x",
        "GIT_DIR": "x", "LD_PRELOAD": "x",
    }  # fmt: skip
    kept = runs.environment(source)
    assert kept == {
        "PATH": "/bin", "LC_ALL": "C", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1",
    }  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_started_process_holds_only_what_it_needs(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JETBOX_TEST_TOKEN", "secret")
    with (run_dir.parent.parent.parent / "open").open("w") as other:
        os.set_inheritable(other.fileno(), True)
        runs.start(run_dir, "datagen", LONG)
        pid = process_of(run_dir)["pid"]
        assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
        targets = set()
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it lives: it may close one as we look
                targets.add(str(entry.readlink()))
    assert str(run_dir.parent.parent.parent / "open") not in targets
    assert "/dev/null" in targets
    assert os.getsid(pid) == pid != os.getsid(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"ok": true}',
        '{"v": 2, "ok": true}',
        '{"v": 1, "ok": 1}',
        '{"v": 1, "ok": false}',
        '{"v": 1, "ok": false, "error": " "}',
        '{"v": 1, "ok": true, "metrics": {"a": "b"}}',
        '{"v": 1, "ok": true, "metrics": {"a": NaN}}',
        '{"v": 1, "ok": true, "metrics": {"a": 1e999}}',
        '{"v": 1, "ok": true, "artifact": {}}',
        '{"v": 1, "ok": true, "artifact": {"path": "../x", "sha256": "%s"}}' % ("0" * 64),
        '{"v": 1, "ok": true, "artifact": {"path": "/etc/passwd", "sha256": "%s"}}' % ("0" * 64),
        '{"v": 1, "ok": true, "artifact": {"path": "C:x", "sha256": "%s"}}' % ("0" * 64),
        '{"v": 1, "ok": true, "artifact": {"path": "x", "sha256": "0"}}',
        "[" * 5000,
        "\x00\xff",
        " " * (2 * runs.MAX_RESULT),
    ],
)
def test_a_result_that_can_not_be_understood_is_a_failure(text: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(text.encode("latin-1"))
    found = runs.result(tmp_path)
    assert found and not found.ok and found.error and "broken" in found.error


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert runs.result(tmp_path) is None
    body = {
        "v": 1,
        "ok": True,
        "metrics": {"rows": 3},
        "artifact": {"path": "data/m.json", "sha256": "a" * 64},
    }
    (tmp_path / "result.json").write_text(json.dumps(body))
    artifact = runs.Artifact("data/m.json", "a" * 64)
    assert runs.result(tmp_path) == runs.Result(True, None, {"rows": 3}, artifact)
    (tmp_path / "result.json").write_text('{"v": 1, "ok": false, "error": "no \\u001b[2J room"}')
    assert runs.result(tmp_path) == runs.Result(False, "no  [2J room")


def test_a_host_imports_nothing_heavy() -> None:
    code = (
        "import sys, orchestrator.child, datagen.__main__;"
        "bad = {'pydantic','yaml','git','rich','textual','torch','sqlite3','asyncio'};"
        "sys.exit(' '.join(bad & {m.split('.')[0] for m in sys.modules}) or 0)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
