"""docs/web.md: its commands do what it says, and the server that they start asks nobody anything."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from web_doubles import workspace

from orchestrator import extras
from orchestrator.cli.app import run

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "web.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (\S.*)$", TEXT, re.MULTILINE)
_HEARD = """
import os, sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        with open(os.environ["HEARD"], "a") as file:
            print(event, arguments[-1] if event == "socket.connect" else arguments, file=file)
sys.addaudithook(hook)
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", 9))  # so that it is seen to hear
"""


def test_the_commands_are_those_that_are_run_here() -> None:
    assert COMMANDS == [
        "pip install 'jetbox[web]'",
        "jetbox serve --page",
        "jetbox serve --cockpit",
        "python tests/web/pictures.py docs/pictures",
    ]
    for name in re.findall(r"\((pictures/[\w.-]+)\)", TEXT):
        made = (ROOT / "docs" / name).read_bytes()
        assert made.startswith(b"\x89PNG") and len(made) < 150_000


@pytest.mark.skipif(sys.platform == "win32", reason="ctrl-C is sent otherwise there")
@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("jetbox")])
def test_what_serves_prints_a_link_asks_nobody_and_leaves_nothing(tmp_path: Path, command: str) -> None:
    for library in ("gradio", "textual_serve", "websockets", "uvicorn"):
        pytest.importorskip(library)
    place, heard, site = workspace(tmp_path / "project"), tmp_path / "heard", tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_HEARD)
    spoiled = {"GRADIO_ANALYTICS_ENABLED": "True", "GRADIO_SHARE": "True", "GRADIO_MCP_SERVER": "True"}
    env = {**os.environ, **spoiled, "SPACE_ID": "a/b", "HOME": str(tmp_path), "HEARD": str(heard)}
    env["PYTHONPATH"] = os.pathsep.join([str(site), str(ROOT)])
    words = [sys.executable, "-m", "orchestrator.main", *command.split()[1:], "--port", "0", "--json"]
    child = subprocess.Popen(words, cwd=place.root, env=env, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        said = json.loads(child.stdout.readline())
        address = said["address"].removeprefix("http://")
        line = http.client.HTTPConnection(address, timeout=60)
        for _ in range(2):  # the link works once
            line.request("GET", said["link"].partition(address)[2])
            reply = line.getresponse()
            first = reply.status, reply.getheader("location"), reply.getheader("set-cookie", "")
            reply.read()
            if _ == 0:
                assert first[0] == 303 and "HttpOnly" in first[2] and "SameSite=Strict" in first[2]
                cookie, page = first[2].partition(";")[0], str(first[1])
        assert first[0] == 401 and page == ("/lab/" if "--page" in command else "/cockpit/")
        line = http.client.HTTPConnection(address, timeout=60)
        line.request("GET", page, headers={"Cookie": cookie})
        reply = line.getresponse()
        assert reply.status == 200 and b"<title>Jetbox" in reply.read()
        line.close()
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.wait(30)
        child.stdout.close()
    assert set(heard.read_text().splitlines()) == {"socket.connect ('127.0.0.1', 9)"}
    assert not (place.home / "web").exists() and not (place.home / "serve.token").exists()


@pytest.mark.parametrize(
    ("flag", "missing"), [("--page", "gradio"), ("--cockpit", "textual_serve"), ("--cockpit", "websockets")]
)
def test_without_the_extra_there_is_one_clear_line(
    flag: str,
    missing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == missing else there(name))
    monkeypatch.chdir(workspace(tmp_path / "project").root)
    assert run(["serve", flag]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"jetbox: `jetbox serve {flag}` needs {missing}: pip install 'jetbox[web]'"
    ]


def test_the_page_and_the_cockpit_are_never_one_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace(tmp_path / "project").root)
    assert run(["serve", "--page", "--cockpit"]) == 2
    assert "must not press keys" in capsys.readouterr().err
