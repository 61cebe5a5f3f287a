"""The suite `questions`: how often a reasoner over pictures is right, beside who never sees the picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")
import evaluated  # noqa: E402
import few_scenes  # noqa: E402
import tiny_runs  # noqa: E402

from datagen.draws import Draws  # noqa: E402
from datagen.scenes import words  # noqa: E402
from model import checkpoint, evaluate, learners  # noqa: E402
from model.hrm.scene import SceneReasoner  # noqa: E402
from model.learner import DataInfo  # noqa: E402
from model.part import Answer, Question  # noqa: E402
from model.suites import Options, asking  # noqa: E402

MODEL: dict[str, Any] = {
    "task": "scene", "vision": {"width": 32, "depth": 1, "heads": 2}, "freeze": [],
    "hidden": 16, "heads": 2, "sight": 16,
}  # fmt: skip
OPTIONS = Options(rows=400)


def columns(count: int, seed: int = 0) -> dict[str, Any]:
    """Scenes with a question each, as a data set of `image/scenes` holds them."""
    made = few_scenes.columns(count, seed)
    question, answer, topic = words.questions(Draws("test/question", seed, 0, count), made["objects"])
    return made | {"question": question, "answer": answer, "topic": topic}


def untrained() -> SceneReasoner:
    one = learners.build("hrm", MODEL, DataInfo("image/scenes", {}, {}, 64), 0)
    assert isinstance(one, SceneReasoner)
    one.prepare(columns(200, seed=9))
    return one.eval()


def answering(monkeypatch: pytest.MonkeyPatch, truth: dict[bytes, str], know: Any) -> None:
    """In the place of the model's pass: the truth where it knows, with the certainty that it has of it."""

    def answer(part: object, questions: list[Question], *, steps: int = 0) -> list[Answer]:
        found = []
        for number, each in enumerate(questions):
            assert each.image is not None
            right, sure = know(number)
            found.append(Answer(truth[each.image.tobytes() + each.text.encode()] if right else "?", sure))
        return found

    monkeypatch.setattr(asking.ScenePart, "answer", answer)


def truths(rows: dict[str, Any]) -> dict[bytes, str]:
    said = zip(rows["image"], words.texts(rows["question"]), words.texts(rows["answer"]), strict=True)
    return {image.tobytes() + asked.encode(): answer for image, asked, answer in said}


def test_who_never_sees_the_picture_is_right_in_a_third_and_no_more() -> None:
    rows = columns(1500, seed=3)
    guess = asking.blind()
    said = [guess.guess(text) for text in words.texts(rows["question"])]
    right = np.mean([one == other for one, other in zip(said, words.texts(rows["answer"]), strict=True)])
    assert 0.28 < right < 0.42
    assert guess.guess("how many objects are there?") in words.NUMBERS
    assert guess.guess("what colour is the thing that nobody drew?") in words.LEGEND["colour"]
    assert guess.guess("why?") == guess.any


def test_a_model_that_knows_when_it_is_right_has_figures_that_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = columns(400)
    one = untrained()
    answering(monkeypatch, truths(rows), lambda number: (number % 4 != 0, 2.0 if number % 4 else -2.0))
    wise = asking.measure(one, rows, 0, OPTIONS).metrics
    assert wise["exact"] == pytest.approx(0.75, abs=0.01)
    assert wise["sure_auroc"] == 1.0
    assert wise["exact_kept"] == pytest.approx(0.75 / 0.8, abs=0.02)
    assert wise["sure_calibration_error"] < 0.03
    answering(monkeypatch, truths(rows), lambda number: (number % 4 != 0, float(number % 7)))
    fool = asking.measure(one, rows, 0, OPTIONS).metrics
    assert fool["exact"] == wise["exact"]
    assert 0.4 < fool["sure_auroc"] < 0.6
    assert fool["exact_kept"] < 0.8


def test_a_model_that_learned_nothing_is_not_better_than_blind_and_each_topic_is_told_apart() -> None:
    rows = columns(400)
    found = asking.measure(untrained(), rows, 0, OPTIONS)
    assert found.metrics["exact"] < found.metrics["blind"]
    assert found.metrics["over_blind"] == pytest.approx(found.metrics["exact"] - found.metrics["blind"])
    assert set(found.details["topics"]) == set(words.TOPICS)
    assert sum(found.details["topics"].values()) == 400
    shares = [
        found.metrics[f"exact_{name.replace('-', '_')}"] * count
        for name, count in found.details["topics"].items()
    ]
    assert sum(shares) == pytest.approx(found.metrics["exact"] * 400)
    assert sum(count for _, _, count in found.details["reliability"]) == 200


def test_blind_does_not_change_with_the_pictures_and_the_same_seed_gives_the_same_figures() -> None:
    rows, one = columns(200), untrained()
    before = asking.measure(one, rows, 1, OPTIONS).metrics
    assert asking.measure(one, rows, 1, OPTIONS).metrics == before
    turned = {**rows, "image": rows["image"][::-1].copy()}
    after = asking.measure(one, turned, 1, OPTIONS).metrics
    assert after["blind"] == before["blind"]
    assert after["sure_auroc"] != before["sure_auroc"]


@pytest.mark.usefixtures("tiny")
def test_an_evaluation_run_measures_it_over_three_seeds_and_reports_it_by_topic(tmp_path: Path) -> None:
    rows = columns(160) | {"split": (np.arange(160) % 2).astype(np.uint8)}
    data = evaluated.data_set(tmp_path / "data", "image/scenes", rows)
    one = untrained()
    config = {"learner": "hrm", "model": MODEL, "batch": 8, "steps": 1}
    told = {"recipe": "image/scenes", "options": {}, "columns": {}, "rows": 64, "encoder": None}
    meta = checkpoint.Meta(
        learner="hrm", config=config | {"optimizer": {"name": "adamw", "lr": 0.1}}, config_key="0" * 64,
        data=told | {"content_sha256": "0" * 64}, seed=0, step=1, phase="end", metrics={"loss": 1.0},
        memory={"precision": "fp32"},
    )  # fmt: skip
    folder = checkpoint.save(tmp_path / "model", meta, one.state_dict(), {"nothing": torch.zeros(1)})
    run = evaluated.ask(tmp_path / "run", "questions", [folder], data)
    assert evaluate.main(run) == 0
    body = json.loads((run / "metrics.json").read_text())
    assert body["metrics"]["exact"]["n"] == 3
    assert "without the picture" in (run / "report" / "report.txt").read_text()
    board = evaluated.model(tmp_path / "board", "hrm", evaluated.SUDOKU)
    wrong = evaluated.ask(tmp_path / "wrong", "questions", [board], data)
    assert evaluate.main(wrong) == 1
    assert "hrm of the task scene" in tiny_runs.result(wrong)["error"]
