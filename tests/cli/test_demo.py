"""The demo runs to its end on any machine, approves its own alone, and tells if it ended otherwise."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bare_machine import LACKS, without_extras
from cli_doubles import Place, admitted, environment, git, jetbox, proposed, started

from orchestrator import demo
from orchestrator.cli import demo_report
from state.journal import Journal
from state.views import Proposal
from state.workspace import Workspace

SHADOWS = ("state", "orchestrator", "tickets", "datagen", "yaml", "git", "rich")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo without the extra `embedded`, in a folder that has modules of its own named as ours are."""
    site = without_extras(tmp_path_factory.mktemp("bare") / "site")
    here = tmp_path_factory.mktemp("hostile")
    for name in SHADOWS:
        (here / f"{name}.py").write_text("raise SystemExit('the wrong module was imported')\n")
    for name in ("model", "tests", "tui"):
        (here / name).mkdir()
        (here / name / "__init__.py").write_text("raise SystemExit('the wrong package was imported')\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator.main", "demo", "--headless"],
        cwd=here,
        env=environment(here, OLLAMA_HOST="127.0.0.1:9", PYTHONPATH=site),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return here / demo.DEFAULT, done.stdout


@pytest.fixture
def journal(played: tuple[Path, str]) -> Iterator[Journal]:
    found = Journal.read(Workspace(played[0]).journal)
    yield found
    found.close()


def test_every_ticket_ends_as_the_script_says(played: tuple[Path, str], journal: Journal) -> None:
    _, said = played
    assert "Every ticket ended as it should" in said
    assert {r.ticket: r.state for r in demo.ended(journal)} == {
        "TICKET-001": "landed",
        "TICKET-002": "landed",
        "TICKET-003": "landed",
        "TICKET-004": "failed",
        "TICKET-005": "waiting",
        "TICKET-006": "landed",
        "TICKET-007": "waiting",
        "TICKET-008": "waiting",
        "TICKET-009": "backlog",
        "TICKET-010": "backlog",
        "TICKET-011": "backlog",
        "TICKET-012": "backlog",
    }
    assert "the recipe image/scenes needs numba, numpy" in said and "pip install 'jetbox[model]'" in said
    assert f"no model server answers at 127.0.0.1:9: start Ollama, or {LACKS}" in said
    told = said.splitlines()[1]
    assert "TICKET-005 is for a model: start Ollama" in told and LACKS in told
    assert not (played[0] / "models").exists()


def test_what_landed_is_on_the_branch_and_works(played: tuple[Path, str]) -> None:
    root, _ = played
    assert git(root, "status", "--porcelain") == ""
    assert "| all | 20000 |" in git(root, "show", "main:SUMMARY.md")
    subprocess.run(
        [sys.executable, "-m", "unittest", "discover", "-s", "tests", "-t", "."],
        cwd=root, env=environment(root), check=True, capture_output=True,
    )  # fmt: skip
    # What failed did not land.
    assert "sum(values) / len(values)" in git(root, "show", "main:steplen/numbers.py")
    data = next((root / "runs" / "TICKET-002").rglob("manifest.json"))
    assert json.loads(data.read_text())["count"] == 20_000


def test_only_the_script_s_own_merges_were_approved_by_their_digests(journal: Journal) -> None:
    approved = [e for e in journal.events() if e.type == "proposal.approved"]
    assert {e.ticket for e in approved} == {"TICKET-001", "TICKET-003", "TICKET-006"}
    assert {e.body["by"] for e in approved} == {"the demo's script"}


def test_a_change_that_the_script_does_not_foresee_is_not_approved(journal: Journal) -> None:
    real = next(p for p in journal.views.proposals("TICKET-001", 1) if p.kind == "merge")
    assert demo.foreseen(real)

    def other(**changes: object) -> Proposal:
        return real._replace(**changes)  # type: ignore[arg-type]

    assert not demo.foreseen(other(ticket="TICKET-004"))
    assert not demo.foreseen(other(ticket="TICKET-099"))
    assert not demo.foreseen(other(kind="network"))
    for changed in ([], ["steplen/numbers.py"], [*real.subject["changed"], "tools/evil.py"]):
        assert not demo.foreseen(other(subject={**real.subject, "changed": changed}))


def test_a_training_that_the_script_does_not_foresee_is_not_started(journal: Journal) -> None:
    merge = next(p for p in journal.views.proposals("TICKET-001", 1) if p.kind == "merge")
    training = {"model": "hrm", "configuration": "hrm-sudoku4", "seed": 1, "length": "0.5 core-minutes"}
    real = merge._replace(ticket="TICKET-010", kind="start", subject={"training": training})
    assert demo.foreseen(real)
    assert not demo.foreseen(real._replace(ticket="TICKET-001"))
    assert not demo.foreseen(real._replace(kind="core"))
    assert not demo.foreseen(real._replace(subject={}))
    for name, value in (("model", "jepa"), ("configuration", "my.yaml"), ("seed", 2)):
        assert not demo.foreseen(real._replace(subject={"training": {**training, name: value}}))


def test_another_end_than_the_script_s_is_told(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    shipped = demo.script()
    for ticket, end in (
        ("TICKET-001", demo.End(state="failed")),
        ("TICKET-004", demo.End(state="failed", says="something else")),
        ("TICKET-099", demo.End(state="landed")),
    ):
        changed = shipped.model_copy(update={"ends": shipped.ends | {ticket: end}})
        monkeypatch.setattr(demo, "script", lambda changed=changed: changed)
        assert [r.ticket for r in demo.ended(journal) if not r.as_wanted] == [ticket]
    monkeypatch.setattr(demo, "script", lambda: shipped)
    place.write(admitted("TICKET-099"), *started("TICKET-099"), proposed("TICKET-099"))
    other = Journal.read(place.workspace.journal)
    try:
        assert not any(r.as_wanted for r in demo.ended(other))
    finally:
        other.close()


@pytest.mark.parametrize(("exit_code", "runs"), [(0, 2), (1, 1)])
def test_a_model_that_could_not_be_made_is_told_with_its_log(
    exit_code: int,
    runs: int,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Making:
        def wait(self) -> int:
            return exit_code

    served: list[Workspace] = []
    monkeypatch.setattr(demo_report, "serve", lambda workspace, **_: served.append(workspace))
    place.write(admitted("TICKET-005"))
    demo_report.play(place.root, Making())
    assert served == [place.workspace] * runs
    said = capsys.readouterr().out
    assert ("TICKET-005 could not be made" in said and "toy.log" in said) == (exit_code != 0)


def test_the_script_says_how_each_of_its_tickets_ends() -> None:
    script = demo.script()
    assert script.tickets == sorted(script.ends) and len(script.tickets) >= 5


def test_a_folder_that_holds_anything_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "work.txt").write_text("mine")
    done = jetbox("demo", str(mine), "--headless", cwd=tmp_path)
    assert done.returncode == 1 and "is there already" in done.stderr
    assert [path.name for path in mine.iterdir()] == ["work.txt"]


def test_the_default_folder_is_numbered_where_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # as in a hook of git's
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    monkeypatch.setenv("HOME", str(tmp_path))  # git knows nobody there
    assert [demo.make(None).name for _ in range(2)] == ["jetbox-demo", "jetbox-demo-2"]
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert git(tmp_path / "jetbox-demo", "log", "--format=%an").strip() == "Jetbox Demo"
    assert git(tmp_path / "jetbox-demo", "status", "--porcelain") == ""


def test_without_a_terminal_the_demo_names_its_other_way_and_makes_nothing(tmp_path: Path) -> None:
    done = jetbox("demo", "there", cwd=tmp_path)
    assert done.returncode == 2 and "--headless" in done.stderr
    assert not (tmp_path / "there").exists()
