"""Nothing reaches the network: the whole demo runs with none, and asks for no address but the loopback's."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from bare_machine import without_extras

from orchestrator import demo
from orchestrator.reach import LOCAL, server
from state.journal import Journal
from state.workspace import Workspace

RECORDER = """
import os, sys

def hook(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        address = args[1] if event in ("socket.connect", "socket.sendto") else args[0]
        with open(os.environ["SEEN"], "a") as file:
            file.write(f"{event} {address!r}\\n")

sys.addaudithook(hook)
"""
JETBOX = [sys.executable, "-P", "-m", "orchestrator.main"]


def without_network() -> list[str] | None:
    """A command prefix that takes every network away, where this machine lets us."""
    for prefix in (["unshare", "-n"], ["unshare", "-rn"]):
        if shutil.which(prefix[0]) and not subprocess.run([*prefix, "true"], capture_output=True).returncode:
            return prefix
    return None


def test_the_prefix_does_take_the_network_away() -> None:
    prefix = without_network()
    if prefix is None:
        pytest.skip("no network namespace can be made here")
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen(1)
        reach = f"import socket; socket.create_connection(('127.0.0.1', {made.getsockname()[1]}), 5)"
        assert subprocess.run([sys.executable, "-c", reach], capture_output=True, timeout=60).returncode == 0
        done = subprocess.run([*prefix, sys.executable, "-c", reach], capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"OSError" in done.stderr or b"ConnectionRefusedError" in done.stderr


def test_the_demo_runs_to_its_ends_without_any_network_nor_a_model(tmp_path: Path) -> None:
    prefix = without_network()
    if prefix is None:
        pytest.skip("no network namespace can be made here")
    env = {**os.environ, "PYTHONPATH": without_extras(tmp_path / "site")}
    command = [*prefix, *JETBOX, "demo", str(tmp_path / "demo"), "--headless"]
    assert subprocess.run(command, env=env, timeout=200).returncode == 0


@pytest.mark.timeout(1000)
def test_the_whole_demo_lands_with_a_real_model_and_without_any_network(tmp_path: Path) -> None:
    """The one test that makes the demo's toy, lets it answer, and trains: some minutes of a processor.

    Where no network namespace can be made, it proves all but the last part of its name.
    """
    pytest.importorskip("numpy")
    pytest.importorskip("xllamacpp")
    pytest.importorskip("torch")
    prefix, root = without_network() or [], tmp_path / "demo"
    env = {**os.environ, "OLLAMA_HOST": "127.0.0.1:9"}  # nobody: the toy is the only model

    def run(*arguments: str, cwd: Path = tmp_path) -> str:
        command = [*prefix, *JETBOX, *arguments]
        done = subprocess.run(command, env=env, timeout=800, capture_output=True, text=True, cwd=cwd)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "Every ticket ended as it should" in run("demo", str(root), "--headless")
    journal = Journal.read(Workspace(root).journal)
    try:
        states = {each.ticket: each.state for each in demo.ended(journal)}
    finally:
        journal.close()
    landed = dict.fromkeys(states, "landed")
    assert states == landed | {"TICKET-004": "failed"} and "TICKET-005" in states
    shown = ["git", "-C", str(root), "show", "main:steplen/variance.py"]
    assert b"def variance" in subprocess.run(shown, capture_output=True, check=True).stdout
    replayed = json.loads(run("replay", "TICKET-005", "--json", cwd=root))
    assert replayed["identical"] is True
    assert sum(step["key"].startswith("call:") for step in replayed["steps"]) == len(
        demo.script().toy.replies
    )


def test_the_demo_asks_for_no_address_but_the_loopback(tmp_path: Path) -> None:
    seen = tmp_path / "seen.txt"
    env = {**os.environ, "PYTHONPATH": without_extras(tmp_path / "site", RECORDER), "SEEN": str(seen)}
    env.pop("OLLAMA_HOST", None)
    done = subprocess.run(
        [*JETBOX, "demo", str(tmp_path / "demo"), "--headless"], env=env, timeout=200, capture_output=True
    )
    assert done.returncode == 0
    lines = seen.read_text().splitlines()
    assert lines, "the recorder has seen nothing: this test could not fail"
    assert [line for line in lines if "127.0.0.1" not in line] == []
    servers = {f"('127.0.0.1', {server(each).port})" for each in LOCAL}
    connects = {line.removeprefix("socket.connect ") for line in lines if line.startswith("socket.connect ")}
    assert connects <= servers, "something else than a model server was addressed"
