"""`jetbox serve`: it prints where it is, serves its workspace alone, and ends clean."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bare_machine import without_extras
from cli_doubles import Place, environment, jetbox

from orchestrator.cli.app import run

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")


@pytest.fixture
def serving(place: Place) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    command = [sys.executable, "-P", "-m", "orchestrator.main", "serve", "--port", "0", "--json"]
    flags = subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0
    child = subprocess.Popen(
        command, cwd=place.root, env=environment(place.root), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, creationflags=flags,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        yield child, json.loads(child.stdout.readline())
    finally:
        child.kill()
        child.wait(30)
        child.stdout.close()
        if child.stderr:
            child.stderr.close()


def health(said: dict[str, str], token: str) -> int:
    line = http.client.HTTPConnection(said["address"].removeprefix("http://"), timeout=20)
    line.request("GET", "/health", headers={"Authorization": f"Bearer {token}"})
    status = line.getresponse().status
    line.close()
    return status


def test_it_prints_where_it_is_and_ctrl_c_ends_it_clean(
    place: Place, serving: tuple[subprocess.Popen[str], dict[str, str]]
) -> None:
    child, said = serving
    assert said["address"].startswith("http://127.0.0.1:")
    held = Path(said["token_file"])
    assert held.parent == place.root / ".jetbox" and held.read_text().strip() == said["token"]
    assert health(said, said["token"]) == 200 and health(said, "x") == 401
    second = jetbox("serve", "--port", "0", cwd=place.root)
    assert second.returncode == 1 and "is served already" in second.stderr and second.stdout == ""
    assert held.exists()
    child.send_signal(signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGINT)
    out, errors = child.communicate(timeout=30)
    assert child.returncode == 0 and out == "" and "Traceback" not in errors
    assert not held.exists()
    assert errors.count("refused GET /health") == 1 and said["token"] not in errors


def test_one_that_was_killed_leaves_nothing_that_counts(
    place: Place, serving: tuple[subprocess.Popen[str], dict[str, str]]
) -> None:
    child, said = serving
    child.kill()
    child.wait(30)
    command = [sys.executable, "-P", "-m", "orchestrator.main", "serve", "--port", "0", "--json"]
    again = subprocess.Popen(command, cwd=place.root, env=environment(place.root), stdout=subprocess.PIPE,
                             text=True)  # fmt: skip
    assert again.stdout is not None
    try:
        fresh = json.loads(again.stdout.readline())
        assert fresh["token"] != said["token"]
        assert health(fresh, said["token"]) == 401 and health(fresh, fresh["token"]) == 200
    finally:
        again.terminate()
        assert again.wait(30) == (0 if os.name == "posix" else again.returncode)
        again.stdout.close()


def test_without_the_extra_it_says_what_to_install(place: Place, tmp_path: Path) -> None:
    site = without_extras(tmp_path / "site")
    for verb in (["serve"], ["schema", "api"]):
        done = jetbox(*verb, cwd=place.root, PYTHONPATH=site)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        assert "pip install 'jetbox[api]'" in done.stderr


def test_there_is_no_way_to_listen_elsewhere(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place.root)
    assert run(["serve", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--host" not in shown and "--bind" not in shown and "--port" in shown
    for wrong in (["--host", "0.0.0.0"], ["--port", "70000"], ["--port", "-1"], ["0.0.0.0:80"]):
        assert run(["serve", *wrong]) == 2
    assert not (place.root / ".jetbox" / "serve.lock").exists()
