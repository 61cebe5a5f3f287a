"""Working memories of boards: the core stays to the bit, what is held comes back, what is foreign is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_boards
import torch

from datagen.puzzles import ruled
from model import checkpoint, consolidate
from model.adapt import guard, methods
from model.adapt.boards_for_good import with_rule
from model.adapt.relations import Relations
from model.errors import CheckpointError, ModelError
from model.hrm import rules
from model.hrm.board_part import BoardPart
from model.hrm.config import HrmConfig, Rule
from model.hrm.trace import trace
from model.mind import core as cores
from model.mind import records
from model.part import Lesson, Question

UNITS = np.concatenate((ruled.lines(4), ruled.boxes(4, 2, 2), ruled.diagonals(4)))
METHODS = [name for name in methods.names("board") if name != "relations-alone"]


def _core(**over: Any) -> BoardPart:
    return BoardPart(tiny_boards.learner(**{"mixing": ["units"], "halt_steps": 2} | over))


def _lessons(count: int, units: np.ndarray = UNITS) -> list[Lesson]:
    made = ruled.make(units, 4, 5, 0, count)
    rows = zip(made["question"].astype(np.int64), made["answer"].astype(np.int64), strict=True)
    return [Lesson(Question(cells=asked), wanted) for asked, wanted in rows]


@pytest.fixture(scope="module")
def lessons() -> list[Lesson]:
    """Corrections with both diagonals."""
    return _lessons(64)


@pytest.mark.parametrize("method", METHODS)
def test_learning_and_answering_leave_the_sealed_core_as_it_is_to_the_bit(
    method: str, lessons: list[Lesson]
) -> None:
    core = _core()
    guard.seal(core.learner, "boards")
    asked = [each.question for each in lessons[:5]]
    before = [each.said for each in core.answer(asked)]
    memory = methods.build(method, core)
    memory.learn(lessons, 0.05)
    memory.answer(asked)
    memory.claims(asked)
    assert guard.verify(core.learner)
    assert all(np.array_equal(a, b.said) for a, b in zip(before, core.answer(asked), strict=True))
    assert all(each.grad is None for each in core.learner.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_what_a_memory_held_answers_the_same_in_another_process_s_place(
    method: str, lessons: list[Lesson]
) -> None:
    core = _core()
    memory = methods.build(method, core)
    memory.learn(lessons, 0.05)
    other = methods.build(method, core)
    other.hold(memory.held())
    asked = [Question(cells=each) for each in ruled.make(UNITS, 4, 9, 0, 12)["question"].astype(np.int64)]
    pairs = zip(memory.answer(asked), other.answer(asked), strict=True)
    assert all(np.array_equal(one.said, two.said) and one.sure == two.sure for one, two in pairs)
    assert memory.claims(asked) == other.claims(asked) and memory.numbers == other.numbers
    assert {name: each.tobytes() for name, each in other.held().items()} == {
        name: each.tobytes() for name, each in memory.held().items()
    }


@pytest.mark.parametrize("method", METHODS)
def test_a_board_that_was_corrected_is_claimed_and_answered_as_it_was_told(method: str) -> None:
    lesson = _lessons(1)[0]
    memory = methods.build(method, _core())
    memory.learn([lesson], 0.02)
    assert memory.claims([lesson.question]) == [True]
    assert np.array_equal(memory.answer([lesson.question])[0].said, lesson.answer)
    newer = Lesson(lesson.question, np.roll(np.asarray(lesson.answer), 1))
    memory.learn([lesson, newer], 0.02)
    assert np.array_equal(memory.answer([lesson.question])[0].said, newer.answer)  # the newest holds


def test_a_memory_without_lessons_claims_nothing(lessons: list[Lesson]) -> None:
    memory = methods.build("relations", _core())
    assert memory.claims([each.question for each in lessons[:3]]) == [False] * 3
    memory.learn(lessons, 0.05)
    memory.learn([], 0.05)
    assert memory.claims([each.question for each in lessons[:3]]) == [False] * 3
    assert memory.numbers == 0


def _spoilt(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, np.ndarray]], None]:
    def apply(held: dict[str, np.ndarray]) -> None:
        held[name] = change(held[name].copy())

    return apply


SPOILT: dict[str, Callable[[dict[str, np.ndarray]], Any]] = {
    "a cell beyond the board": _spoilt("units", lambda each: each + 9),
    "a unit of one cell four times": _spoilt("units", lambda each: each * 0),
    "a unit too short": _spoilt("units", lambda each: each[:, :3]),
    "no units": _spoilt("units", lambda each: each[:0]),
    "a kind that there is not": _spoilt("kinds", lambda each: each + 7),
    "a token beyond the vocabulary": _spoilt("told", lambda each: each + 50),
    "boards of another size": _spoilt("told", lambda each: each[:, :, :9]),
    "an array more": lambda held: held.update(more=np.zeros(3)),
    "an array less": lambda held: held.pop("kinds"),
    "foreign low-rank numbers": lambda held: held.update({"low.x:a": np.zeros((1, 4), np.float32)}),
}


@pytest.mark.parametrize("how", SPOILT)
def test_arrays_that_do_not_fit_the_core_are_refused_and_change_nothing(
    how: str, lessons: list[Lesson]
) -> None:
    memory = methods.build("relations", _core())
    memory.learn(lessons, 0.05)
    held = {name: each.copy() for name, each in memory.held().items()}
    SPOILT[how](held)
    other = methods.build("relations", _core())
    with pytest.raises(ValueError):
        other.hold(held)
    assert other.numbers == 0 and not other.adapted.over  # type: ignore[attr-defined]


def test_a_lesson_that_is_no_board_is_refused() -> None:
    memory = methods.build("relations", _core())
    for wrong in (np.zeros(9, np.int64), np.full(16, 99), "red"):
        with pytest.raises(ValueError):
            memory.learn([Lesson(Question(cells=np.zeros(16, np.int64)), wrong)], 1.0)


def test_the_default_stays_below_five_per_cent_of_a_core_and_suits_one_that_knows_no_units() -> None:
    assert methods.default("board") == "relations"
    assert methods.build("relations", _core(mixing=["attention"])).method == "lora"
    with pytest.raises(ValueError, match="no memory"):
        methods.build("telepathy", _core())


def _rule() -> Rule:
    return Rule(units=tuple(map(tuple, UNITS.tolist())), kinds=(0,) * 4 + (1,) * 4 + (2,) * 6)


def test_a_core_with_a_rule_more_answers_each_board_alike_in_any_company() -> None:
    learner = with_rule(_core().learner, _rule())
    own, other = ruled.make(np.concatenate((ruled.lines(4), ruled.boxes(4, 2, 2))), 4, 1, 0, 6), _lessons(6)
    cells = [*own["question"].astype(np.int64), *(np.asarray(each.question.cells) for each in other)]
    part = BoardPart(learner)
    together = part.answer([Question(cells=each) for each in cells], trace=True)
    alone = [part.answer([Question(cells=each)], trace=True)[0] for each in cells]
    for one, two in zip(together, alone, strict=True):
        assert np.array_equal(one.said, two.said) and abs(one.sure - two.sure) < 1e-3
        assert one.cycles[-1].answer == two.cycles[-1].answer
    assert trace(learner, torch.from_numpy(np.stack(cells)), 2).answers.shape[1] == len(cells)


def test_another_rule_is_taken_only_where_it_leads_and_only_asked_where_it_could() -> None:
    asked: list[int] = []

    def other(rows: torch.Tensor) -> torch.Tensor:
        asked.append(len(rows))
        return torch.tensor([1.0, 0.5, 0.5])[: len(rows)]

    first = torch.tensor([1.0, 0.25, 0.25, 0.45])
    question = torch.zeros(4, 16, dtype=torch.int64)
    assert rules.choose([lambda rows: first, other], question).tolist() == [0, 1, 1, 0]
    assert asked == [3]


@pytest.mark.parametrize(
    "change",
    [{"units": [[0, 99]], "kinds": [0]}, {"units": [[0, 0]], "kinds": [0]}, {"units": [[0, 1]], "kinds": [3]},
     {"units": [[0, 1]], "kinds": [0, 1]}, {"units": [], "kinds": []}],
)  # fmt: skip
def test_rules_that_can_t_be_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        tiny_boards.config(mixing=["units"], rules=[change])
    with pytest.raises(ValueError, match="units mixer"):
        tiny_boards.config(mixing=["attention"], rules=[{"units": [[0, 1]], "kinds": [0]}])


def _version(home: Path, core: BoardPart) -> str:
    """A version of the core with this part alone."""
    import hashlib

    config: dict[str, Any] = {"model": core.learner.config.model_dump(mode="json")}
    data: dict[str, Any] = {"recipe": "puzzle/sudoku", "options": {"size": 4, "difficulty": "any"}}
    data |= {"columns": {}, "rows": 10, "encoder": None, "content_sha256": "0" * 64}
    meta = checkpoint.Meta("hrm", config, "key", data, 0, 1, "train", {}, {})
    where = home / "core" / "versions" / "made"
    checkpoint.save_weights(where / "parts" / "boards", meta, core.learner.state_dict())
    files = (checkpoint.META, checkpoint.WEIGHTS)
    sums = {each: checkpoint.sha256_of(where / "parts" / "boards" / each) for each in files}
    part = {"task": "board", "learner": "hrm", "files": sums, "calibration": None}
    body = {"schema": 1, "parent": None, "made": {"by": "adopt"}, "parts": {"boards": part}}
    text = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    (where / "core.json").write_bytes(text)
    digest = hashlib.sha256(text).hexdigest()
    where.rename(where.with_name(digest))
    return digest


def _asked(tmp_path: Path, lessons: list[Lesson]) -> tuple[Path, Path, str]:
    """A run folder with the request of a consolidation, its home, and the version's digest."""
    home, run_dir = tmp_path / "home", tmp_path / "run"
    digest = _version(home, _core())
    opened = cores.open_core(home, digest).parts["boards"]
    assert opened.part is not None
    memory = methods.build("relations", opened.part)
    memory.learn(lessons, 0.05)
    told = tuple(
        {"question": {"cells": np.asarray(each.question.cells).tolist()}, "core": digest, "at": 1,
         "answer": np.asarray(each.answer).tolist()} for each in lessons
    )  # fmt: skip
    record = records.Record("odd", "boards", digest, "relations", True, told, {}, 1, "")
    records.write(home / "memories" / "odd", record, memory.held())
    run_dir.mkdir()
    request = {"schema": 1, "core": str(home / "core" / "versions" / digest), "part": "boards"}
    request |= {"memory": str(home / "memories" / "odd"), "seed": 0, "core_seconds": 1}
    (run_dir / "request.json").write_text(json.dumps(request))
    return run_dir, home, digest


def test_a_consolidation_leaves_a_candidate_that_opens_and_the_version_it_read_untouched(
    tmp_path: Path, lessons: list[Lesson], monkeypatch: pytest.MonkeyPatch
) -> None:
    from model.adapt import boards_for_good, candidate

    monkeypatch.setattr(candidate, "ROWS", 24)
    monkeypatch.setattr(boards_for_good, "TEACHING", 50)
    run_dir, home, digest = _asked(tmp_path, lessons)
    before = {path: path.read_bytes() for path in (home / "core").rglob("*") if path.is_file()}
    assert consolidate.main(run_dir) == 0, (run_dir / "result.json").read_text()
    assert {path: path.read_bytes() for path in (home / "core").rglob("*") if path.is_file()} == before
    result = json.loads((run_dir / "result.json").read_text())
    assert result["metrics"].keys() == {"old_before", "old_after", "new_before", "new_after"}
    sha256 = result["artifact"]["sha256"]
    (run_dir / "candidate").rename(home / "core" / "versions" / sha256)
    made = cores.open_core(home, sha256).parts["boards"].learner
    old = cores.open_core(home, digest).parts["boards"].learner
    assert made.config.rules[0].units == _found(made.config)  # type: ignore[attr-defined]
    weights = made.state_dict()
    assert all(torch.equal(each, weights[name]) for name, each in old.state_dict().items())
    rows = json.loads((run_dir / "difference.json").read_text())
    assert [each["layer"] for each in rows if each["share"] > 0][-1] == "rule 1: which cells share a unit"
    tasks = [each["task"] for each in json.loads((run_dir / "effects.json").read_text())]
    assert tasks == ["old: boards", "new: made under the memory's rule", "corrected boards"]
    with pytest.raises(CheckpointError, match=r"no train\.safetensors"):
        checkpoint.read(home / "core" / "versions" / sha256 / "parts" / "boards")


def _found(config: HrmConfig) -> tuple[tuple[int, ...], ...]:
    found = {tuple(sorted(unit)) for unit in config.rules[0].units}
    wanted = {tuple(sorted(unit)) for unit in UNITS.tolist()}
    assert found < wanted and len(found) == 13  # on 4 x 4 the second diagonal follows from the first
    return config.rules[0].units


@pytest.mark.parametrize("what", ["core", "arrays", "part"])
def test_a_consolidation_over_anything_altered_or_foreign_ends_with_a_clear_line(
    what: str, tmp_path: Path, lessons: list[Lesson]
) -> None:
    run_dir, home, digest = _asked(tmp_path, lessons)
    if what == "core":
        path = home / "core" / "versions" / digest / "parts" / "boards" / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    elif what == "arrays":
        path = next((home / "memories" / "odd").glob("*.safetensors"))
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    else:
        request = json.loads((run_dir / "request.json").read_text())
        (run_dir / "request.json").write_text(json.dumps(request | {"part": "scenes"}))
    assert consolidate.main(run_dir) == 1
    result = json.loads((run_dir / "result.json").read_text())
    assert result["ok"] is False and "\n" not in result["error"]
    assert not (run_dir / "candidate").exists()


def test_a_rule_that_the_core_knows_is_not_learned_twice(lessons: list[Lesson]) -> None:
    learner = with_rule(_core().learner, _rule())
    with pytest.raises(ModelError, match="already"):
        with_rule(learner, _rule())
    memory = Relations(BoardPart(learner))
    memory.learn(lessons, 0.05)
    assert memory.numbers  # over the grid's own units it is still something new
