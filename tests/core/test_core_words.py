"""Words on the core: sealed, in order, on record; and what fronts are told of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import scripted_core
from core_lab import CoreLab

from orchestrator.cli.app import run as jetbox
from orchestrator.cli.models import schema
from orchestrator.core import propose as proposing
from orchestrator.core.memory import Memory
from orchestrator.core.propose import Past, due
from orchestrator.core.weighing import BadFigures, differences, effects, losses
from state import core_words
from state.approval_key import KeySealer
from state.core import CoreRefused
from state.words import Refused


def test_the_history_says_who_when_and_why_and_what_was_refused(lab: CoreLab) -> None:
    first, second = lab.adopt(sudoku=b"first"), lab.adopt(sudoku=b"second")
    lab.revert(first)
    with pytest.raises(Refused, match="in force already"):
        lab.revert(first)
    said = lab.current().standing
    assert [(each.why, each.core, each.before) for each in said.settings] == [
        ("adopt", first, None), ("adopt", second, first), ("revert", first, second),
    ]  # fmt: skip
    assert {each.by for each in said.settings} == {"tester"} and all(each.at for each in said.settings)
    assert "in force already" in said.refusals[0].why and said.refusals[0].by == "tester"


def test_without_a_word_there_is_no_version_whatever_lies_there(lab: CoreLab) -> None:
    assert lab.adopt(sudoku=b"first")
    other = CoreLab(lab.root.parent / "other")
    try:
        (other.workspace.home / "core").mkdir()
        lab.version(lab.now()).parent.rename(other.workspace.home / "core" / "versions")
        with other.journal():
            pass
        assert other.current().version is None and "no core yet" in other.current().why
    finally:
        other.close()


def test_a_version_can_be_sealed_anew_after_a_change_of_the_key(lab: CoreLab) -> None:
    first = lab.adopt(sudoku=b"first")
    lab.sealer.path.unlink()
    lab.sealer = KeySealer()
    assert lab.now() == "" and "not made with your key" in lab.current().why
    with pytest.raises(Refused, match="never in force"):
        lab.revert(first)
    with lab.journal() as journal:
        core_words.adopt(journal, lab.workspace, first, "tester", sealer=lab.sealer)
    assert lab.now() == first


def test_what_is_passed_over_is_put_on_record_once(lab: CoreLab) -> None:
    first = lab.adopt(sudoku=b"first")
    (lab.version(first) / "core.json").write_bytes(b"{}")
    for _ in range(3):
        with lab.journal() as journal:
            core_words.notice(journal, lab.current(), "tester")
    assert len(lab.refused()) == 1


# Proposing ------------------------------------------------------------------------------------------


def remembered(lessons: int, at: int = 10, core: str = "c", **more: Any) -> Memory:
    taught = tuple(("rule", at + n) for n in range(lessons))
    right = more.get("right", lessons)
    return Memory("rules", "sudoku", core, "relations", "d", "a", taught, "l", Path(), right)


def test_corrections_that_recur_make_an_update_due_once_and_a_denial_holds() -> None:
    past = Past(core="c", since=5)
    assert due(remembered(3), past) and not due(remembered(2), past)
    assert due(remembered(1), past, 1) and not due(remembered(9), past, 0)
    assert not due(remembered(3, at=1), past)  # given before the core was set
    assert not due(remembered(3, core="other"), past)
    assert not due(remembered(3), Past(core=None))
    assert due(remembered(4, right=2), past) and not due(remembered(4, right=1), past)
    assert not due(remembered(3), Past("c", 5, digests=frozenset({("d", "c")})))
    assert not due(remembered(3), Past("c", 5, denied={("d", "c"): "no"}))
    assert not due(remembered(9), Past("c", 5, open=frozenset({"rules"})))
    asked = Past("c", 5, asked={"rules": 11}, digests=frozenset({("older", "c")}))
    assert not due(remembered(3), asked)  # two of them came before the last proposal
    assert due(remembered(5), asked)


def test_a_proposal_is_a_ticket_that_loads_and_is_written_once(lab: CoreLab) -> None:
    lab.adopt(sudoku=b"first")
    lab.teach()
    ticket = lab.propose()
    assert lab.propose() == ticket
    lab.teach(lessons=6)
    assert lab.propose() != ticket
    assert len(lab.events(type_="core.asked")) == 2


def test_the_lab_proposes_under_the_persons_settings_alone(lab: CoreLab, tmp_path: Path) -> None:
    lab.adopt(sudoku=b"first")
    lab.teach(lessons=3)
    settings = tmp_path / "home" / "jetbox" / "config.yaml"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text("lab: {propose_after: 0}\n")
    assert proposing.consider(lab.workspace, "rules") == ""
    settings.write_text("lab: {propose_after: 4}\n")
    assert proposing.consider(lab.workspace, "rules") == ""
    settings.unlink()
    assert proposing.consider(lab.workspace, "rules") == "TICKET-001"
    lab.teach(lessons=9)
    assert proposing.consider(lab.workspace, "rules") == ""  # while the first one is on its way


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"schema": 2}', b'{"schema": 1, "name": "other"}', b"\xff", b"[" * 99_999],
    ids=["empty", "list", "newer", "other", "bytes", "deep"],
)
def test_a_memory_that_is_no_memory_is_refused_in_one_line(lab: CoreLab, body: bytes) -> None:
    lab.adopt(sudoku=b"first")
    (lab.teach() / "memory.json").write_bytes(body)
    with pytest.raises(CoreRefused) as refused:
        lab.propose()
    assert "\n" not in str(refused.value)


# Figures --------------------------------------------------------------------------------------------


def test_a_task_may_lose_one_point_and_no_more() -> None:
    kept = {"old_before": 0.99, "old_after": 0.98}
    assert losses(kept, []) == []
    assert losses({**kept, "old_after": 0.9799}, [])
    assert losses({"old_before": 0.99}, []) and losses({}, [])
    row = {"task": "mazes", "measure": "exact", "before": 0.9, "after": 0.88, "rows": 500}
    assert losses(kept, [{**row, "rows": 150}]) == []  # three answers
    assert losses(kept, [{**row, "rows": 150, "after": 0.87}])
    assert losses(kept, [row]) == ["mazes, exact: 90.0% to 88.0%"]
    assert losses(kept, [{**row, "measure": "ece", "before": 0.05, "after": 0.01}]) == []
    assert losses({**kept, "old_after": float("nan")}, [])


def test_figures_that_are_none_are_refused() -> None:
    row = {"task": "a", "measure": "exact", "before": 1, "after": 1, "rows": 9}
    assert effects([row])[0]["after"] == 1.0
    for wrong in (
        {"task": "a\x1b[2J"},
        {"after": "1"},
        {"after": float("inf")},
        {"rows": 0},
        {"before": True},
    ):
        with pytest.raises(BadFigures):
            effects([{**row, **wrong}])
    for odd in ([], {}, None, [1], [row] * 65):
        with pytest.raises(BadFigures):
            effects(odd)
    layer = {"shape": [2, 2], "before": 1.0, "change": 0.1, "share": 0.1, "largest": 0.1}
    assert differences({"a": layer, "b": {**layer, "share": 0.2}})[0]["layer"] == "b"
    with pytest.raises(BadFigures):
        differences([{**layer, "layer": "a", "shape": [-1]}])


# The command line -----------------------------------------------------------------------------------


def test_the_command_line_adopts_shows_verifies_and_reverts(
    lab: CoreLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(lab.root)
    assert jetbox(["core"]) == 0 and "No core yet" in capsys.readouterr().out
    made = {name: scripted_core.checkpoint(tmp_path / name, name.encode()) for name in ("one", "two")}
    assert jetbox(["core", "adopt", f"sudoku={made['one']}"]) == 0
    first = lab.now()
    assert jetbox(["core", "adopt", f"sudoku={made['two']}", "--json"]) == 0
    assert jetbox(["core", "revert"]) == 2 and first[:12] in capsys.readouterr().err
    assert jetbox(["core", "revert", first[:12]]) == 0 and lab.now() == first
    capsys.readouterr()
    assert jetbox(["core", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    jsonschema.validate(told, schema("core"))
    assert told["core"] == first and [each["why"] for each in told["history"]] == ["adopt", "adopt", "revert"]
    assert jetbox(["core", "verify"]) == 0 and jetbox(["verify"]) == 0
    assert f"core {first[:12]}" in capsys.readouterr().out
    (lab.version(first) / "parts/sudoku/model.safetensors").write_bytes(b"x")
    assert jetbox(["core"]) == 1 and jetbox(["core", "verify"]) == 1 and jetbox(["verify"]) == 1
    assert "altered" in capsys.readouterr().out
    assert jetbox(["core", "adopt", "sudoku=nowhere"]) == 1
    assert jetbox(["core", "adopt", "sudoku"]) == 2
    lab.teach()
    assert jetbox(["core", "propose", "nothing"]) == 1
    assert jetbox(["core", "propose", "rules"]) == 0 and "TICKET-001" in capsys.readouterr().out


def test_what_is_approved_on_the_command_line_shows_effects_and_difference(
    lab: CoreLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from orchestrator.cli.words import render

    lab.adopt(sudoku=b"first")
    lab.teach()
    _, asked = lab.asked()
    capsys.readouterr()
    render(lab.workspace, asked)
    shown = capsys.readouterr().out
    for words in (
        "the new rule, exact: 0.2 to 0.91 on 512 rows",
        "blocks.0.mix (64x64): 25.00%",
        "jetbox core revert",
    ):
        assert words in shown
