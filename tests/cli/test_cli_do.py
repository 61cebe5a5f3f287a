"""`jetbox do`: one goal, said and followed; without a terminal, beside an engine, and cut off."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from cli_doubles import Place, environment, jetbox

from state.lock import holder

NOBODY = "127.0.0.1:9"  # where no model server is
DO = ("do", "Say hello in a file", "--check", "test -f hello", "--no-plan")


@contextlib.contextmanager
def beside(place: Place, *args: str) -> Iterator[subprocess.Popen[str]]:
    """A command of Jetbox's at work."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "orchestrator.main", *args],
        cwd=place.root,
        env=environment(place.root, OLLAMA_HOST=NOBODY),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def engine(place: Place) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """Another command that works on a ticket of its own until it is told to leave."""
    place.workspace.tickets.mkdir()
    spec = {
        "kind": "run",
        "goal": "Take its time",
        "accept": [{"run": "true"}],
        "with": {"steps": ["sleep 1000"]},
    }
    (place.workspace.tickets / "TICKET-001.yaml").write_text(json.dumps(spec))
    return beside(place, "run", "TICKET-001")


def until_it_works(place: Place) -> None:
    end = time.monotonic() + 30
    while holder(place.workspace.lock) is None:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("goal", ["short", "x" * 241, "two\nlines of it"])
def test_a_goal_that_is_none_is_told_and_leaves_no_ticket(place: Place, goal: str) -> None:
    done = jetbox("do", goal, "--check", "true", cwd=place.root)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "goal" in done.stderr
    assert not list(place.workspace.home.rglob("TICKET-*.yaml"))


def test_without_a_server_and_a_terminal_it_says_what_it_waits_for(place: Place) -> None:
    done = jetbox(*DO, cwd=place.root, OLLAMA_HOST=NOBODY)
    assert done.returncode == 3
    assert NOBODY in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_it_goes_on_by_itself_when_the_engine_beside_it_ends(place: Place) -> None:
    with engine(place):
        until_it_works(place)
        with beside(place, *DO) as process:
            time.sleep(1.0)  # time to be wrong in: it must still be there
            assert process.poll() is None
            assert jetbox("cancel", "TICKET-001", cwd=place.root).returncode == 0
            said, _ = process.communicate(timeout=60)
            assert process.returncode == 3, said


def test_ctrl_c_ends_it_beside_an_engine(place: Place) -> None:
    with engine(place):
        until_it_works(place)
        with beside(place, *DO) as process:
            assert process.stdout is not None
            assert "TICKET-" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=30)
            assert process.returncode == 130, said
            assert "Traceback" not in said
