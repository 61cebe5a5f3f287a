"""`jetbox models` and the doctor: who serves which role, with the cure; against a scripted Ollama."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_doubles import jetbox
from scripted_ollama import ScriptedOllama
from scripting import Made

ROLES = """\
roles:
  coder: [{model: absent:7b}, {model: "far:1b-cloud"}, {model: here, context: 8192, label: small}]
  critic: [{model: here, context: 8192}]
"""


@pytest.fixture
def server() -> Iterator[ScriptedOllama]:
    made = (Made("here:latest", 50 << 20), Made("far:1b-cloud", 1, remote="https://ollama.com:443"))
    with ScriptedOllama(["yes"], made) as double:
        yield double


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models.yaml").write_text(ROLES)
    (tmp_path / ".git").mkdir()
    return tmp_path


def test_each_role_shows_who_serves_it_and_why_the_others_do_not(
    server: ScriptedOllama, folder: Path
) -> None:
    done = jetbox("models", cwd=folder, OLLAMA_HOST=server.where)
    assert done.returncode == 0, done.stderr
    lines = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
    assert "absent:7b is not there: `ollama pull absent:7b`" in lines["coder"]
    assert "far:1b-cloud would be run by somebody else" in done.stdout
    assert "used" in lines["critic"] and "8192 tokens of context" in lines["critic"]
    report = json.loads(jetbox("models", "--json", cwd=folder, OLLAMA_HOST=server.where).stdout)
    coder = next(each for each in report["roles"] if each["role"] == "coder")
    assert [each["used"] for each in coder["candidates"]] == [False, False, True]


def test_a_model_is_loaded_tried_and_unloaded_by_its_name(server: ScriptedOllama, folder: Path) -> None:
    assert "8192 tokens" in jetbox("models", "load", "here", cwd=folder, OLLAMA_HOST=server.where).stdout
    assert server.held["here:latest"].context == 8192
    listed = jetbox("models", cwd=folder, OLLAMA_HOST=server.where).stdout
    assert "in memory: ollama/here" in listed
    tried = jetbox("models", "try", "here", "--within", "20", cwd=folder, OLLAMA_HOST=server.where)
    assert tried.returncode == 0 and "keeps to a schema" in tried.stdout, tried
    assert jetbox("models", "unload", "ollama/here", cwd=folder, OLLAMA_HOST=server.where).returncode == 0
    assert not server.held


def test_what_cannot_be_is_one_line(server: ScriptedOllama, folder: Path) -> None:
    for arguments, says in (
        (("load", "her"), "did you mean 'here'?"),
        (("load", "absent:7b"), "`ollama pull absent:7b`"),
        (("load", "far:1b-cloud"), "somebody else"),
    ):
        done = jetbox("models", *arguments, cwd=folder, OLLAMA_HOST=server.where)
        assert done.returncode == 1 and says in done.stderr and done.stderr.count("\n") == 1, done
    (folder / "models.yaml").write_text("roles: {coder: [{model: a, provider: olama}]}\n")
    done = jetbox("models", cwd=folder, OLLAMA_HOST=server.where)
    assert done.returncode == 2 and "models.yaml:1:" in done.stderr


def test_the_doctor_names_who_serves_a_role_and_what_would_be_better(
    server: ScriptedOllama, folder: Path
) -> None:
    done = jetbox("doctor", "--json", cwd=folder, OLLAMA_HOST=server.where)
    found = {each["name"]: each for each in json.loads(done.stdout)["findings"]}
    assert found["coder"]["state"] == "ok"
    assert found["coder"]["said"].startswith("here (small) by ollama, 8192 tokens")
    assert "not absent:7b (is not there)" in found["coder"]["said"]
    assert found["planner"]["state"] == "note" and found["planner"]["cure"].startswith("`ollama pull ")
    assert not server.held and not server.bodies("/api/chat")  # looking loads nothing and asks no model
