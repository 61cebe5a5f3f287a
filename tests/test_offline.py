"""Nothing reaches the network: the whole demo runs with none, and asks for no address but the loopback's."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.reach import LOCAL, server

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


def test_the_demo_runs_to_its_ends_without_any_network(tmp_path: Path) -> None:
    prefix = without_network()
    if prefix is None:
        pytest.skip("no network namespace can be made here")
    done = subprocess.run([*prefix, *JETBOX, "demo", str(tmp_path / "demo"), "--headless"], timeout=200)
    assert done.returncode == 0


def test_the_demo_asks_for_no_address_but_the_loopback(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(RECORDER)
    seen = tmp_path / "seen.txt"
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "SEEN": str(seen)}
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
