"""Starting is cheap, every verb explains itself, and the cockpit's way loads only what it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_doubles import Place, environment, jetbox, proposed, started
from cli_doubles import admitted as admitted_event

from orchestrator import main as main_module
from orchestrator.cli.app import APP
from orchestrator.main import VERBS

HEAVY = (
    "torch",
    "mcp",
    "httpx",
    "httpx2",
    "ollama",
    "textual",
    "numpy",
    "numba",
    "PIL",
    "safetensors",
    "timm",
)
LOOKING = (
    ["status"], ["status", "--json"], ["inbox"], ["show", "TICKET-001"], ["log"], ["check"],
    ["verify"], ["doctor"], ["schema", "ticket"], ["approve", "abcd"],
)  # fmt: skip

PROBE = """
import json, sys
sys.argv = ["jetbox", *{arguments!r}]
from orchestrator.main import main
try:
    code = main()
except SystemExit as left:
    code = left.code
sys.stdout = sys.__stdout__
print("\\nPROBE" + json.dumps([code, sorted({{name.partition('.')[0] for name in sys.modules}})]))
"""

COCKPIT = """
import json, sys, types
from pathlib import Path
fake = types.ModuleType("tui.app")
def run(root, start_engine, sealer, open_mind):
    print(json.dumps([str(root), callable(start_engine), sorted(name for name in sys.modules)]))
    return 7
fake.run = run
sys.modules["tui.app"] = fake
sys.stdin.isatty = sys.stdout.isatty = lambda: True
sys.argv = ["jetbox", *{arguments!r}]
from orchestrator.main import main
sys.exit(main())
"""


def probe(arguments: list[str], cwd: Path) -> tuple[int, set[str]]:
    done = python(PROBE.format(arguments=arguments), cwd)
    code, modules = json.loads(done.stdout.rpartition("PROBE")[2])
    return code, set(modules)


def python(text: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", text], cwd=cwd, env=environment(cwd), capture_output=True, text=True
    )


def names_of_commands() -> list[str]:
    return [each.name or "" for each in (*APP.registered_commands, *APP.registered_groups)]


def test_the_list_of_verbs_is_the_command_line_s() -> None:
    assert sorted(VERBS) == sorted(names_of_commands())


def test_help_loads_only_what_it_prints_with(tmp_path: Path) -> None:
    code, modules = probe(["--help"], tmp_path)
    assert code == 0
    assert "typer" in modules
    assert not modules & {*HEAVY, "pydantic", "yaml", "git", "rich", "sqlite3", "watchdog"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    from orchestrator.cli.app import run

    assert run([verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"Example:\n    jetbox {verb}" in said, said


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_no_verb_loads_the_cockpit_or_a_model_library(arguments: list[str], place: Place) -> None:
    place.write(admitted_event(), *started(), proposed())
    _, modules = probe(arguments, place.root)
    clients = {"httpx", "httpx2", "ollama"} if arguments[0] == "doctor" else set()  # it asks the servers
    assert not modules & ({*HEAVY} - clients)


@pytest.mark.parametrize("arguments", [[], ["."], ["sub"]])
def test_the_cockpit_is_opened_without_what_it_need_not_load(arguments: list[str], place: Place) -> None:
    (place.root / "sub").mkdir()
    done = python(COCKPIT.format(arguments=arguments), place.root)
    assert done.returncode == 7, done.stderr
    root, can_start, modules = json.loads(done.stdout)
    assert Path(root) == place.root and can_start
    loaded = {name.partition(".")[0] for name in modules}
    assert not loaded & {"typer", "pydantic", "yaml", "git", "rich", "sqlite3", "watchdog", "psutil", *HEAVY}
    assert {name for name in modules if name.startswith("orchestrator.")} == {
        "orchestrator.main", "orchestrator.background", "orchestrator.workspaces",
    }  # fmt: skip
    assert (place.root / ".jetbox" / ".gitignore").read_text() == "*\n"


def test_a_folder_named_like_a_verb_does_not_hide_it(place: Place) -> None:
    (place.root / "status").mkdir()
    assert jetbox("status", cwd=place.root).returncode == 0
    assert python(COCKPIT.format(arguments=["./status"]), place.root).returncode == 7


def test_without_a_terminal_the_cockpit_says_what_to_use(place: Place) -> None:
    done = jetbox(cwd=place.root)
    assert done.returncode == 2
    assert done.stderr == "jetbox: the cockpit needs a terminal: `jetbox status` prints the board\n"


def test_without_a_repository_it_says_so_in_one_line(tmp_path: Path) -> None:
    for arguments in ([], ["status"], ["run"], ["init"]):
        done = jetbox(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert "no git repository here" in done.stderr and done.stderr.count("\n") == 1
        assert not list(tmp_path.glob(".jetbox"))


def test_wrong_use_is_one_line_and_code_2(place: Place) -> None:
    for arguments in (["statu"], ["status", "--jsn"], ["show"], ["run", "--until", "noon"]):
        done = jetbox(*arguments, cwd=place.root)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("jetbox: ")


def test_a_trace_is_shown_only_on_demand(place: Place) -> None:
    assert "Traceback" not in jetbox("show", "TICKET-009", cwd=place.root).stderr
    assert "Traceback" in jetbox("show", "TICKET-009", "--debug", cwd=place.root).stderr


def test_the_fast_path_ends_with_the_cockpit_s_code(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["jetbox", str(place.root / "nowhere")])
    assert main_module.main() == 2  # no folder and no verb: the command line answers
    assert "nowhere" in capsys.readouterr().err
