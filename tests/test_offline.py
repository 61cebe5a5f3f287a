"""Nothing reaches the network: the whole demo runs with none, and asks for no address but the loopback's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
