"""The gates for real, in the sandbox there is: what is right holds, what is wrong is named with its place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import config
from orchestrator.checks import BUILT_IN
from orchestrator.gates import gate
from orchestrator.gates.gate import GATES, SKIPPED
from orchestrator.sandbox.choose import choose
from state.workspace import Workspace

Take = Callable[..., tuple[int | None, str]]
Files = dict[str, str | bytes]
GOOD_GO = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n'
GOOD_JAVA = "package a.b;\npublic class Hello { public static void main(String[] x) {} }\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    made = tmp_path / "checkout"
    made.mkdir()
    return made


@pytest.fixture
def take(checkout: Path, tmp_path: Path) -> Take:
    """Write files, take a gate over them as a ticket would: its exit code and what it says."""

    def run(name: str, files: Files, changed: tuple[str, ...] = ()) -> tuple[int | None, str]:
        for path, text in files.items():
            file = checkout / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        workspace = Workspace(tmp_path)
        sandbox = choose(workspace, config.load(workspace).policy).sandbox
        finished = sandbox.run(gate.command(name, changed), checkout, timeout=120)
        assert finished.reason == "exited", finished
        return finished.exit, finished.output.decode()

    return run


def alone(name: str, checkout: Path, path: str) -> subprocess.CompletedProcess[str]:
    """Take a gate with another PATH and no sandbox."""
    env = {**os.environ, "PATH": path}
    command = gate.command(name, ())
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False)


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def test_every_gate_is_a_built_in_check_with_a_program_of_its_own() -> None:
    assert {"python", "go", "java", "web-smoke"} == set(GATES) <= set(BUILT_IN)
    for name in GATES:
        module = gate.command(name, ())[-1]
        assert Path(gate.__file__).with_name(f"{module.rpartition('.')[2]}.py").is_file()


@pytest.mark.parametrize("name", sorted(GATES))
def test_with_nothing_to_look_at_it_does_not_hold(name: str, take: Take) -> None:
    code, said = take(name, {"README": "nothing here"})
    assert (code, "there is no" in said) in ((1, True), (SKIPPED, False))


# Python ---------------------------------------------------------------------------------------------


def test_python_that_compiles_holds_and_is_not_run(take: Take, checkout: Path) -> None:
    mark = "open('ran', 'w').close()"
    assert take("python", {"a.py": mark, "pkg/b.py": 'x = "\\d"\n', "node_modules/c.py": "def"}) == (0, "")
    assert not (checkout / "ran").exists()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"def f(:\n", "bad.py:1: SyntaxError"),
        (b"if x:\npass\n", "bad.py:2: IndentationError"),
        (b"x = 1\nreturn\n", "bad.py:2: SyntaxError"),
        (b"x = '\xff'\n", "bad.py"),
        (b"x = 1\0\n", "bad.py"),
        (b"(" * 5000, "bad.py"),
        (b"-" * 200_000 + b"1", "bad.py"),
    ],
)
def test_python_that_does_not_compile_is_named_with_its_line(source: bytes, says: str, take: Take) -> None:
    code, said = take("python", {"good.py": "x = 1\n", "bad.py": source})
    assert code == 1 and says in said and "good.py" not in said and len(said.splitlines()) == 1


def test_a_module_of_the_worktree_is_in_no_gate_s_way(take: Take, checkout: Path) -> None:
    evil = "raise SystemExit(0)"
    names = ("warnings.py", "pathlib.py", "sitecustomize.py", "orchestrator/__init__.py")
    files: Files = dict.fromkeys(names, evil)
    assert take("python", {**files, "bad.py": "def"})[0] == 1


def test_a_link_that_leads_out_is_not_followed(take: Take, checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("def")
    (checkout / "link.py").symlink_to(tmp_path / "outside.py")
    assert take("python", {"a.py": ""}) == (0, "")


# Tools ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "program"), [("go", "go"), ("java", "javac"), ("web-smoke", "chromium")])
def test_without_its_tool_a_gate_is_skipped_and_says_so(name: str, program: str, checkout: Path) -> None:
    if (
        any(Path(each).is_absolute() and Path(each).exists() for each in gate.CHROMIUM)
        and name == "web-smoke"
    ):
        pytest.skip("the browser lies where it is found without a PATH")
    done = alone(name, checkout, "/nowhere")
    assert (done.returncode, done.stdout) == (SKIPPED, f"{program} is not installed\n")


@pytest.mark.parametrize("where", [".venv/bin", "node_modules/.bin", "bin"])
def test_a_tool_that_the_change_brings_along_is_no_judge_of_it(where: str, checkout: Path) -> None:
    (checkout / "bad.go").write_text("this is no Go")
    fake = checkout / where / "go"
    fake.parent.mkdir(parents=True)
    fake.write_text("#!/bin/sh\nexit 0\n")
    fake.chmod(0o755)
    done = alone("go", checkout, str(fake.parent))
    assert (done.returncode, done.stdout) == (SKIPPED, "go is not installed\n")


@needs("go")
def test_go_that_builds_holds(take: Take) -> None:
    assert take("go", {"go.mod": "module m\n\ngo 1.18\n", "main.go": GOOD_GO}) == (0, "")


@needs("go")
def test_go_programs_beside_each_other_are_each_built(take: Take) -> None:
    bad = GOOD_GO.replace('fmt.Println("hello")', "fmt.Println(missing)")
    code, said = take("go", {"one.go": GOOD_GO, "two.go": bad})
    assert code == 1 and "two.go:5:" in said and "missing" in said and "one.go" not in said


@needs("go")
def test_what_vet_finds_is_told(take: Take) -> None:
    wrong = GOOD_GO.replace('fmt.Println("hello")', 'fmt.Printf("%d", "text")')
    code, said = take("go", {"go.mod": "module m\n\ngo 1.18\n", "cmd/main.go": wrong})
    assert code == 1 and "cmd/main.go:5:" in said and "Printf" in said


@needs("javac")
def test_java_that_compiles_holds_and_what_does_not_is_named(take: Take) -> None:
    assert take("java", {"src/a/b/Hello.java": GOOD_JAVA, "odd name/Main.java": "class Main {}"}) == (0, "")
    code, said = take("java", {"src/a/b/Bad.java": 'package a.b;\nclass Bad { int x = "text"; }\n'})
    assert code == 1 and "src/a/b/Bad.java:2: error" in said


@needs("javac")
def test_java_programs_with_classes_of_one_name_are_each_compiled(take: Take) -> None:
    code, said = take(
        "java", {"one/Main.java": "class Main {}", "two/Main.java": "class Main { int x = y; }"}
    )
    assert code == 1 and "two/Main.java:1: error" in said and "one/Main.java" not in said


def test_a_receipt_says_the_first_line_of_what_was_found() -> None:
    assert gate.said(b"\n a.py:1: bad\nmore\n") == "a.py:1: bad"
    assert gate.said(b"") == "it did not say why"
    assert gate.tool("python") == sys.executable and gate.tool("go") == (shutil.which("go") or "")
