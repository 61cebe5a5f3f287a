"""An evaluation run: figures over seeds from held-out rows alone, gone on with where it was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("torch")
import evaluated  # noqa: E402
import tiny_runs  # noqa: E402

from model import baseline, checkpoint, evaluate  # noqa: E402
from model.suites import Measured, conduct, solving  # noqa: E402

pytestmark = pytest.mark.usefixtures("tiny")


class Killed(BaseException):
    """The end of a process without a word, in this process."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data sets and untrained models of each kind."""
    base = tmp_path_factory.mktemp("evaluated")
    evaluated.data_set(base / "sudoku", "puzzle/sudoku", evaluated.puzzles())
    evaluated.data_set(base / "maze", "puzzle/maze", evaluated.mazes())
    evaluated.data_set(base / "scenes", "image/scenes", evaluated.scenes())
    return base


@pytest.fixture(scope="module")
def hrm(made: Path) -> Path:
    return evaluated.model(made / "hrm", "hrm", evaluated.SUDOKU)


@pytest.fixture(scope="module")
def jepa(made: Path) -> Path:
    return evaluated.model(made / "jepa", "jepa", evaluated.few_scenes.TINY, recipe="image/scenes")


def figures(run_dir: Path) -> dict[str, Any]:
    return dict(json.loads((run_dir / "metrics.json").read_text()))


def error_of(run_dir: Path) -> str:
    assert evaluate.main(run_dir) == 1
    result = tiny_runs.result(run_dir)
    assert result["ok"] is False
    assert "\n" not in result["error"]
    return str(result["error"])


def test_figures_are_means_over_seeds_with_their_spread_and_the_report_is_named_with_its_checksums(
    tmp_path: Path, made: Path, hrm: Path
) -> None:
    run = evaluated.ask(tmp_path / "run", "sudoku", [hrm], made / "sudoku")
    assert evaluate.main(run) == 0
    result, body = tiny_runs.result(run), figures(run)
    assert body["suite"] == "sudoku" and body["seeds"] == [0, 1, 2]
    cells = [json.loads(path.read_text())["metrics"] for path in sorted((run / "cells").iterdir())]
    assert len(cells) == 3
    for name in ("exact", "cells", "halt_brier"):
        values = [cell[name] for cell in cells]
        assert body["metrics"][name]["values"] == values
        assert result["metrics"][name] == pytest.approx(np.mean(values))
        assert result["metrics"][f"{name}_spread"] == pytest.approx(np.std(values, ddof=1))
    assert 0.05 < result["metrics"]["cells"] < 0.6  # an untrained model's guesses among four digits
    report = json.loads((run / result["artifact"]["path"]).read_text())
    named = {each["path"] for each in report["files"]}
    assert {"report/report.md", "report/report.txt", "metrics.json", "baseline.json"} <= named
    for each in report["files"]:
        assert hashlib.sha256((run / each["path"]).read_bytes()).hexdigest() == each["sha256"]
    titles = {each["path"]: each["title"] for each in tiny_runs.events(run, "artifact")}
    assert titles["report/report.txt"] and titles["report/report.md"]
    assert not tiny_runs.events(run, "alert")


def test_killed_for_real_it_keeps_every_finished_cell_to_the_byte_and_ends_in_the_same_figures(
    tmp_path: Path, made: Path, hrm: Path
) -> None:
    calm = evaluated.ask(tmp_path / "calm", "sudoku", [hrm], made / "sudoku", seeds=[0, 1, 2, 3])
    assert evaluate.main(calm) == 0
    run = evaluated.ask(tmp_path / "run", "sudoku", [hrm], made / "sudoku", seeds=[0, 1, 2, 3])
    process = tiny_runs.start(run, tmp_path / "packages", "model.evaluate")
    tiny_runs.until(lambda: len(list((run / "cells").glob("*.json"))) > 0)
    process.kill()
    process.communicate()
    kept = {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (run / "cells").glob("*.json")
    }
    assert tiny_runs.child(run, tmp_path / "packages", "model.evaluate")[0] == 0
    for name, (data, written) in kept.items():
        assert (run / "cells" / name).read_bytes() == data
        assert (run / "cells" / name).stat().st_mtime_ns == written  # not even written again
    assert (run / "metrics.json").read_bytes() == (calm / "metrics.json").read_bytes()
    assert tiny_runs.result(run)["metrics"] == tiny_runs.result(calm)["metrics"]


def test_a_cell_is_measured_once_and_a_torn_or_foreign_one_again(
    tmp_path: Path, made: Path, hrm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, real = [], solving.measure

    def counted(learner: Any, columns: Any, seed: int, options: Any) -> Any:
        if len(measured) == 2:
            raise Killed
        measured.append(seed)
        return real(learner, columns, seed, options)

    run = evaluated.ask(tmp_path / "run", "sudoku", [hrm], made / "sudoku")
    monkeypatch.setattr(solving, "measure", counted)
    with pytest.raises(Killed):
        evaluate.main(run)
    assert measured == [0, 1]
    cells = sorted((run / "cells").iterdir())
    cells[0].write_bytes(cells[0].read_bytes()[:-40])  # torn
    monkeypatch.setattr(solving, "measure", lambda *given: measured.append(given[2]) or real(*given))
    assert evaluate.main(run) == 0
    assert measured == [0, 1, 0, 2]
    evaluated.ask(run, "sudoku", [hrm], made / "sudoku", rows=20)  # another measurement in the same folder
    assert evaluate.main(run) == 0
    assert measured == [0, 1, 0, 2, 0, 1, 2]


def test_only_held_out_rows_are_read(tmp_path: Path, made: Path, hrm: Path) -> None:
    """Rows to learn from are made nonsense: not a figure moves. Held-out ones are: the figures do."""
    honest = evaluated.puzzles()
    poisoned, other = ({name: column.copy() for name, column in honest.items()} for _ in range(2))
    poisoned["answer"][honest["split"] == 0] = 0
    poisoned["guesses"][honest["split"] == 0] = 60_000
    other["answer"][honest["split"] == 1] = 0
    found = []
    for name, arrays in (("honest", honest), ("poisoned", poisoned), ("other", other)):
        data = evaluated.data_set(tmp_path / name, "puzzle/sudoku", arrays)
        run = evaluated.ask(tmp_path / f"run-{name}", "sudoku", [hrm], data)
        assert evaluate.main(run) == 0
        found.append(figures(run)["metrics"])
    assert found[0] == found[1]
    assert found[0]["cells"] != found[2]["cells"]


def test_a_checkpoint_with_one_flipped_byte_is_refused(tmp_path: Path, made: Path, hrm: Path) -> None:
    broken = shutil.copytree(hrm, tmp_path / hrm.name)
    weights = bytearray((broken / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (broken / "model.safetensors").write_bytes(weights)
    run = evaluated.ask(tmp_path / "run", "sudoku", [broken], made / "sudoku")
    assert "altered" in error_of(run)
    assert not (run / "cells").exists()


def test_a_worse_model_regresses_and_an_equal_one_does_not(tmp_path: Path, made: Path, hrm: Path) -> None:
    first = evaluated.ask(tmp_path / "first", "sudoku", [hrm], made / "sudoku")
    assert evaluate.main(first) == 0
    assert "regressed" not in tiny_runs.result(first)["metrics"]
    kept = first / "baseline.json"
    again = evaluated.ask(tmp_path / "again", "sudoku", [hrm], made / "sudoku", baseline=str(kept))
    assert evaluate.main(again) == 0
    assert tiny_runs.result(again)["metrics"]["regressed"] == 0
    body = json.loads(kept.read_text())
    body["metrics"]["cells"] |= {"value": 0.99, "tolerance": 0.01}
    body["metrics"]["halt_brier"] |= {"value": 0.0, "tolerance": 0.0}  # less is better
    body["metrics"]["gone"] = {"value": 1.0, "tolerance": 5.0, "better": "higher"}  # no longer measured
    better = tmp_path / "better.json"
    better.write_text(json.dumps(body))
    run = evaluated.ask(tmp_path / "run", "sudoku", [hrm], made / "sudoku", baseline=str(better))
    assert evaluate.main(run) == 0
    assert tiny_runs.result(run)["metrics"]["regressed"] == 3
    assert figures(run)["regressed"] == ["cells", "gone", "halt_brier"]
    assert "cells, gone, halt_brier" in (run / "report" / "report.txt").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "newer version"),
        ({"suite": "maze"}, "of the suite 'maze'"),
        ({"metrics": {}}, "names no metrics"),
        ({"metrics": {"exact": {"value": "1", "tolerance": 0, "better": "higher"}}}, "no number"),
        ({"metrics": {"exact": {"value": 1, "tolerance": -1, "better": "higher"}}}, "no number"),
        ({"metrics": {"exact": {"value": 1e400, "tolerance": 0, "better": "higher"}}}, "no number"),
        ({"metrics": {"exact": {"value": 1, "tolerance": 0, "better": "redder"}}}, "higher or lower"),
        ({"metrics": {"exact": {"value": 1}}}, "needs value"),
    ],
)
def test_a_baseline_that_cannot_be_compared_with_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    good = {
        "schema": 1,
        "suite": "sudoku",
        "metrics": {"exact": {"value": 1, "tolerance": 0.1, "better": "higher"}},
    }
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(good))
    assert baseline.read(path, "sudoku").regressed({"exact": 0.9}) == []
    path.write_text(json.dumps(good | change))
    with pytest.raises(baseline.BaselineError, match=said):
        baseline.read(path, "sudoku")


def test_a_baseline_that_is_no_file_of_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    with pytest.raises(baseline.BaselineError, match="can't be read"):
        baseline.read(path, "sudoku")
    path.write_text("[" * 100_000)
    with pytest.raises(baseline.BaselineError, match="not a JSON object"):
        baseline.read(path, "sudoku")


def test_a_baseline_survives_being_written_and_read(tmp_path: Path) -> None:
    made = baseline.proposed("sudoku", {"exact": 0.9, "halt_brier": 0.1}, {"exact": 0.03})
    (tmp_path / "b.json").write_bytes(made.encode())
    assert baseline.read(tmp_path / "b.json", "sudoku") == made
    assert made.metrics["exact"].tolerance == pytest.approx(0.06)
    assert made.metrics["halt_brier"].better == "lower"


def test_several_models_stand_side_by_side_with_what_tells_them_apart(
    tmp_path: Path, made: Path, hrm: Path
) -> None:
    other = evaluated.model(tmp_path / "flat", "hrm", evaluated.SUDOKU | {"ablate": ["hierarchy"]}, seed=1)
    run = evaluated.ask(tmp_path / "run", "sudoku", [hrm, other], made / "sudoku", names=["full", "flat"])
    assert evaluate.main(run) == 0
    body = figures(run)
    assert [each["name"] for each in body["models"]] == ["full", "flat"]
    assert body["metrics"] == body["models"][0]["metrics"] != body["models"][1]["metrics"]
    text = (run / "report" / "report.txt").read_text()
    assert "model.ablate" in text and "hierarchy" in text
    assert (run / "report" / "models.png").is_file()


def test_scenes_are_measured_beside_a_model_that_learned_nothing(
    tmp_path: Path, made: Path, jepa: Path
) -> None:
    run = evaluated.ask(tmp_path / "run", "scenes", [jepa], made / "scenes", rows=40, seeds=[0, 1])
    assert evaluate.main(run) == 0
    metrics = tiny_runs.result(run)["metrics"]
    # Untrained itself, the model is as good as its control: training added nothing.
    assert abs(metrics["over_untrained"]) < 0.15
    assert metrics["recall_image_to_text"] < 0.25
    assert 1 <= metrics["rank"] <= 16
    assert 0.25 < metrics["energy_auroc"] < 0.75
    assert {"caption_colour", "caption_mean", "contradiction", "knn_mean", "text_rank"} <= metrics.keys()
    names = {path.name for path in (run / "report").iterdir()}
    assert {"probe.png", "spectrum.png", "captions.png", "alike.png", "confusion-colour.png"} <= names
    assert not tiny_runs.events(run, "alert")


def test_mazes_are_measured_by_the_length_of_their_path(tmp_path: Path, made: Path) -> None:
    model = evaluated.model(tmp_path / "maze", "hrm", evaluated.MAZE, recipe="puzzle/maze")
    run = evaluated.ask(tmp_path / "run", "maze", [model], made / "maze")
    assert evaluate.main(run) == 0
    assert "exact_length_0-7" in tiny_runs.result(run)["metrics"]
    assert (run / "report" / "maze-unsolved.png").is_file()


def test_a_model_of_another_kind_is_refused_before_any_work(
    tmp_path: Path, made: Path, hrm: Path, jepa: Path
) -> None:
    assert "solved by an hrm" in error_of(evaluated.ask(tmp_path / "a", "sudoku", [jepa], made / "sudoku"))
    assert "measures a jepa" in error_of(evaluated.ask(tmp_path / "b", "scenes", [hrm], made / "scenes"))


def test_foreign_data_and_data_without_held_out_rows_are_refused(
    tmp_path: Path, made: Path, hrm: Path
) -> None:
    assert "no column" in error_of(evaluated.ask(tmp_path / "a", "sudoku", [hrm], made / "scenes"))
    learning = evaluated.puzzles(30, split=np.zeros(30, dtype=np.uint8))
    data = evaluated.data_set(tmp_path / "data", "puzzle/sudoku", learning)
    assert "no held-out rows" in error_of(evaluated.ask(tmp_path / "b", "sudoku", [hrm], data))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"suite": "chess"}, "suite"),
        ({"models": []}, "models"),
        ({"seeds": [1, 1]}, "seeds must differ"),
        ({"seeds": [True]}, "seeds"),
        ({"names": ["one", "two"]}, "2 names"),
        ({"extra": 1}, "extra"),
        ({"options": {"noise": -1}}, "noise"),
    ],
)
def test_a_wrong_request_is_one_line_that_names_what_is_wrong(tmp_path: Path, change: Any, said: str) -> None:
    run = evaluated.ask(tmp_path / "run", "sudoku", [tmp_path], tmp_path)
    good = json.loads((run / "request.json").read_text())
    (run / "request.json").write_text(json.dumps(good | change))
    assert said in error_of(run)


def test_a_full_disk_is_a_clear_line_and_finished_cells_stay(
    tmp_path: Path, made: Path, hrm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, real, written = (
        evaluated.ask(tmp_path / "run", "sudoku", [hrm], made / "sudoku"),
        conduct.files.replace,
        [],
    )

    def full(path: Path, data: bytes) -> None:
        if path.parent.name == "cells" and len(written) == 1:
            raise OSError(28, os.strerror(28), str(path))
        written.append(path)
        real(path, data)

    monkeypatch.setattr(conduct.files, "replace", full)
    assert "disk is full" in error_of(run)
    kept = {path: path.read_bytes() for path in (run / "cells").iterdir()}
    assert len(kept) == 1
    monkeypatch.setattr(conduct.files, "replace", real)
    assert evaluate.main(run) == 0
    assert all(path.read_bytes() == data for path, data in kept.items())


def test_a_report_that_fails_is_an_alert_and_the_figures_stand(
    tmp_path: Path, made: Path, hrm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model.report import evaluation

    def fails(about: Any) -> Any:
        raise RuntimeError("no paper")

    monkeypatch.setattr(evaluation, "document", fails)
    run = evaluated.ask(tmp_path / "run", "sudoku", [hrm], made / "sudoku")
    assert evaluate.main(run) == 0
    assert "no paper" in tiny_runs.events(run, "alert")[0]["message"]
    result = tiny_runs.result(run)
    assert "exact" in result["metrics"]
    assert [each["path"] for each in json.loads((run / result["artifact"]["path"]).read_text())["files"]] == [
        "metrics.json",
        "baseline.json",
    ]


def test_a_mean_over_fewer_seeds_than_were_asked_for_says_so(
    tmp_path: Path, made: Path, hrm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(learner: Any, columns: Any, seed: int, options: Any) -> Measured:
        return Measured({"exact": 0.5, "halt_auroc": 0.9 if seed else None}, {"by_step": [0.5]})

    monkeypatch.setattr(solving, "measure", measured)
    run = evaluated.ask(tmp_path / "run", "sudoku", [hrm], made / "sudoku")
    assert evaluate.main(run) == 0
    metrics = tiny_runs.result(run)["metrics"]
    assert metrics["halt_auroc"] == 0.9 and metrics["halt_auroc_seeds"] == 2
    assert "exact_seeds" not in metrics


# Rows that chose ------------------------------------------------------------------------------------


def chosen_by(rows: int, content: str) -> Any:
    """A subject of which a checkpoint was chosen by so many rows of such data."""
    told: dict[str, Any] = {"data": {"content_sha256": content}, "config": {"assess": {"rows": rows}}}
    meta = checkpoint.Meta("hrm", config_key="", seed=0, step=1, phase="end", metrics={}, memory={}, **told)
    return conduct.Subject("one", Path("nowhere"), None, meta)  # type: ignore[arg-type]  # not asked


def test_no_row_that_chose_a_checkpoint_is_measured_where_others_are_left() -> None:
    columns = {"key": np.arange(900, dtype=np.uint64), "question": np.arange(900)}
    subjects = [chosen_by(100, "these"), chosen_by(300, "these"), chosen_by(800, "other data")]
    found, chose = conduct.unseen(columns, subjects, "these")
    assert chose == 0
    assert found["question"].tolist() == found["key"].tolist() == list(range(300, 900))


def test_where_all_rows_chose_the_result_says_so() -> None:
    columns = {"key": np.arange(400, dtype=np.uint64)}
    assert conduct.unseen(columns, [chosen_by(512, "these")], "these") == (columns, 400)
    assert conduct.unseen(columns, [chosen_by(200, "these")], "these") == (columns, 200)
    assert conduct.unseen(columns, [chosen_by(512, "other data")], "these") == (columns, 0)
