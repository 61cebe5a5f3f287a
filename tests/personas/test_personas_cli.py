"""`jetbox personas`: the list, the prompt as it is sent, a Modelfile, made on a server only when asked."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator import personas
from orchestrator.providers.base import ProviderError
from orchestrator.providers.modelfile import Recipe, text

OWN = """\
describe: says hello
model: quick
prompt: {role: You greet., format: One line.}
examples: [{user: Ada, reply: Hello "Ada"}]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "--template=", str(tmp_path)], check=True)
    (tmp_path / "personas").mkdir()
    (tmp_path / "personas" / "greeter.yaml").write_text(OWN)
    return tmp_path


class Double(ThreadingHTTPServer):
    """Stands in for Ollama: its lists, and `/api/create`, which it remembers."""

    def __init__(self, remote: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.made: list[dict[str, Any]] = []
        self.remote = {"remote_host": "https://ollama.com:443"} if remote else {}

    @property
    def where(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Double

    def do_GET(self) -> None:
        self._say(
            {"models": [{"name": "small:1b", "model": "small:1b", "digest": "d", **self.server.remote}]}
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/create":
            self.server.made.append(body)
        self._say({"status": "success"})

    def _say(self, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def double(request: pytest.FixtureRequest) -> Iterator[Double]:
    with Double(getattr(request, "param", False)) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def jetbox(*arguments: str, cwd: Path, ollama: str = "127.0.0.1:9") -> subprocess.CompletedProcess[str]:
    import os

    env = {**os.environ, "OLLAMA_HOST": ollama, "HOME": str(cwd), "XDG_CONFIG_HOME": str(cwd)}
    command = [sys.executable, "-P", "-m", "orchestrator.main", "personas", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_the_list_has_the_shipped_ones_and_the_project_s_own(project: Path) -> None:
    found = {each["name"]: each for each in json.loads(jetbox("--json", cwd=project).stdout)}
    assert set(found) == {*personas.names(None), "greeter"}
    assert found["greeter"]["file"] == "personas/greeter.yaml" and found["coder"]["file"] is None
    assert found["coder"]["works"] and not found["planner"]["works"]
    lines = jetbox(cwd=project).stdout.splitlines()
    assert any(line.startswith("greeter ") and "says hello" in line for line in lines)


def test_what_is_shown_is_what_a_model_is_told(project: Path) -> None:
    shown = jetbox("show", "coder", cwd=project).stdout
    assert shown == personas.render(personas.load("coder", None)) + "\n"
    value = json.loads(jetbox("show", "planner", "--json", cwd=project).stdout)
    assert value["name"] == "planner" and value["schema"]["type"] == "object"


def test_an_unknown_persona_and_a_broken_file_are_one_line_each(project: Path) -> None:
    done = jetbox("show", "codr", cwd=project)
    assert done.returncode == 2 and "did you mean 'coder'?" in done.stderr and done.stderr.count("\n") == 1
    (project / "personas" / "bad.yaml").write_text("describe: x\n")
    done = jetbox(cwd=project)
    assert done.returncode == 2 and "personas/bad.yaml:1:1: " in done.stderr


def test_a_modelfile_holds_the_prompt_the_numbers_and_the_examples(project: Path) -> None:
    printed = jetbox("export", "greeter", "--model", "small:1b", cwd=project).stdout
    assert printed == (
        'FROM small:1b\nSYSTEM """'
        + personas.render(personas.load("greeter", project / "personas"))
        + '\n"""\nMESSAGE user """Ada"""\nMESSAGE assistant """Hello "Ada"\n"""\n'
    )
    of_its_role = jetbox("export", "writer", cwd=project).stdout
    assert of_its_role.startswith("FROM gemma3:12b\n") and "PARAMETER temperature 0.5\n" in of_its_role


def test_it_is_made_on_the_server_only_when_asked(project: Path, double: Double) -> None:
    jetbox("export", "greeter", "--model", "small:1b", cwd=project, ollama=double.where)
    assert not double.made
    done = jetbox("export", "greeter", "--model", "small:1b", "--create", cwd=project, ollama=double.where)
    assert done.returncode == 0 and "jetbox-greeter" in done.stdout, done.stderr
    (body,) = double.made
    assert (body["model"], body["from"], body["stream"]) == ("jetbox-greeter", "small:1b", False)
    assert body["system"] == personas.render(personas.load("greeter", project / "personas"))
    assert body["messages"] == [
        {"role": "user", "content": "Ada"},
        {"role": "assistant", "content": 'Hello "Ada"'},
    ]


@pytest.mark.parametrize("double", [True], indirect=True)
def test_nothing_is_built_on_a_model_that_somebody_else_runs(project: Path, double: Double) -> None:
    done = jetbox("export", "greeter", "--model", "small:1b", "--create", cwd=project, ollama=double.where)
    assert done.returncode == 1 and "somebody else" in done.stderr and not double.made


def test_a_server_that_is_not_there_and_a_model_it_lacks_are_one_line(project: Path, double: Double) -> None:
    for model, ollama, said in (
        ("small:1b", "127.0.0.1:9", "127.0.0.1:9"),
        ("x:2b", double.where, "pull x:2b"),
    ):
        done = jetbox("export", "greeter", "--model", model, "--create", cwd=project, ollama=ollama)
        assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1


def test_a_text_that_a_modelfile_cannot_hold_is_refused() -> None:
    with pytest.raises(ProviderError, match="--create"):
        text(Recipe("m", 'a """ b', {}))
