"""What a newcomer is told holds: two commands, every package pinned, and checks that reach no network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tickets.load import load_text

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_two_commands_do_it_all_with_windows_beside_them() -> None:
    posix = re.findall(r"^    (python3 -m venv .*)$", README, re.MULTILINE)
    assert posix == [
        "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt '.[embedded]'"
        " && .venv/bin/jetbox demo",
        "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[dev]'"
        " && .venv/bin/python -m pytest -n auto",
    ]
    windows = re.findall(r"^    (py -3 -m venv .*)$", README, re.MULTILINE)
    spelled = [
        line.replace("&&", ";").replace(".venv/bin/", ".venv\\Scripts\\").replace("python3 ", "py -3 ")
        .replace(" ;", ";").replace("'", '"')
        for line in posix
    ]  # fmt: skip
    assert windows == spelled


def test_every_package_that_is_asked_for_is_pinned_to_what_is_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            assert re.fullmatch(r"[0-9][0-9a-z.]*", version), line
            assert pins.setdefault(canonicalize_name(name), version) == version, line
    asked = list(project["dependencies"])
    extras = project["optional-dependencies"]
    for extra in extras.values():
        asked += extra
    for text in asked:
        requirement = Requirement(text)
        if requirement.name == project["name"]:  # an extra that holds another one
            assert requirement.extras and requirement.extras <= extras.keys(), text
            continue
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None and requirement.specifier.contains(pin), text


def test_the_tickets_of_the_readme_load() -> None:
    from orchestrator.checks import BUILT_IN
    from orchestrator.kinds.base import installed

    found = re.findall(r"```yaml\n(kind:.*?)```", README, re.DOTALL)
    assert len(found) == 2
    for text in found:
        load_text(text.encode(), "tickets/TICKET-001.yaml", installed(), BUILT_IN.keys())


def test_every_verb_that_the_readme_names_is_there() -> None:
    from orchestrator.main import VERBS

    named = set(re.findall(r"(?:`|    )jetbox ([a-z][a-z-]*)", README))
    assert named and named <= {*VERBS}


def test_hooks_are_local() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]
    assert {hook["language"] for hook in hooks["repos"][0]["hooks"]} == {"system"}


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_the_checks_of_a_change_take_the_readme_s_own_words() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text(encoding="utf-8")
    (pattern,) = re.findall(r"sed -n '(.*)' README.md", text)
    taken = subprocess.run(["sed", "-n", pattern, "README.md"], cwd=ROOT, capture_output=True, text=True)
    assert taken.stdout.count("\n") == 1 and "pytest -n auto" in taken.stdout
    assert "pytest -n" not in text, "the command stands in the README alone"
