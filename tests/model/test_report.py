"""Reports: pictures of what happened, pages for a terminal and in Markdown, whatever a caption says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("PIL")
pytest.importorskip("torch")
import evaluated  # noqa: E402
import tiny_runs  # noqa: E402
from PIL import Image  # noqa: E402

from datagen.runlog import RunLog  # noqa: E402
from model import checkpoint, report  # noqa: E402
from model.report import boards, chart, gallery, series, terminal, words  # noqa: E402
from model.report.chart import Limit, Series  # noqa: E402
from model.report.document import Document, Picture, Section, Table  # noqa: E402

HOSTILE = (
    "a [red](http://x) | `circle` <img src=x>\n# big\x1b[31m\u202e\u200b \N{CJK UNIFIED IDEOGRAPH-4E2D}"
    + "!" * 900
)


def pixels(image: Image.Image) -> bytes:
    return image.tobytes()


def coloured(image: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(image).reshape(-1, 3) == colour).all(axis=1).sum())


def test_other_numbers_draw_another_picture_and_the_same_the_same() -> None:
    x = list(range(50))

    def drawn(factor: float) -> Image.Image:
        return chart.lines(
            "Loss", [Series("training", x, [factor * (each + 1) for each in x])], "steps", "loss"
        )

    assert drawn(1).size == (800, 500)
    assert pixels(drawn(1)) == pixels(drawn(1))
    bent = chart.lines("Loss", [Series("training", x, [(each + 1) ** 2 for each in x])], "steps", "loss")
    assert pixels(bent) != pixels(drawn(1))
    assert coloured(drawn(1), chart.COLOURS[0]) > 300


def test_a_threshold_is_drawn_and_named() -> None:
    line = [Series("held-out", [1, 2, 3], [0.2, 0.6, 0.9], dots=True)]
    without = chart.lines("Exact", line, "steps", "share")
    limited = chart.lines("Exact", line, "steps", "share", Limit("wanted: at least", 0.98))
    assert not coloured(without, chart.LIMIT)
    assert coloured(limited, chart.LIMIT) > 300
    text = terminal.lines(None, line[0], "steps", Limit("wanted: at least", 0.98))
    assert "wanted: at least 0.980" in text[-1]
    assert any("╌" in row for row in text[:3])


@pytest.mark.parametrize(
    "values",
    [[], [float("nan")], [1.0], [0.0, 0.0, 0.0], [1e-30, 1e30], [-5.0, 5.0], [float("inf"), 1.0, 2.0]],
)
def test_no_values_draw_no_error(values: list[float]) -> None:
    one = Series("odd", list(range(len(values))), values)
    for log in (False, True):
        assert chart.lines("Odd", [one], "steps", "odd", log=log).size == (800, 500)
        assert all(len(row) <= 80 for row in terminal.lines(one, one, "steps", log=log))
    chart.bars("Odd", ["x"] * len(values), values)
    terminal.bars(["x"] * len(values), values)


def test_a_spike_among_a_million_points_stays_visible() -> None:
    y = np.zeros(1_000_000)
    y[123_456] = 9.0
    x, kept = chart.thin(np.arange(len(y), dtype=float), y)
    assert len(x) < 4000 and kept.max() == 9.0


def test_ticks_are_round_and_within() -> None:
    assert [name for _, name in chart.ticks(0, 1)] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert [name for _, name in chart.ticks(0, 12_000)] == ["0", "2k", "4k", "6k", "8k", "10k", "12k"]
    assert [name for _, name in chart.ticks(10, 350)][:2] == ["100", "200"]
    assert chart.log_ticks(-2, 0)[0] == (0.01, "0.01")


def test_braille_joins_points_and_shows_which_way_a_curve_goes() -> None:
    rows = terminal.lines(Series("up", [0, 100], [0, 1]), None, "steps")
    cells = [row[9:] for row in rows[:12]]
    first = [next(at for at, c in enumerate(row) if ord(c) >= 0x2800 and c != chr(0x2800)) for row in cells]
    assert first == sorted(first, reverse=True)  # the higher, the further to the right
    assert sum(1 for row in cells for c in row if ord(c) > 0x2800) >= 69


def test_hostile_text_cannot_steer_a_terminal_or_become_markdown() -> None:
    for text in (words.plain(HOSTILE), words.markdown(HOSTILE)):
        assert "\n" not in text and "\x1b" not in text and "\u202e" not in text and "\u200b" not in text
        assert len(text) < 900
    shown = words.markdown(HOSTILE)
    for sign in "[]()|`<>#!":
        assert all(shown[at - 1] == "\\" for at, c in enumerate(shown) if c == sign)
    assert words.plain("an ordinary caption, at the top left") == "an ordinary caption, at the top left"


def document(text: str) -> Document:
    image = chart.bars("Bars", [text], [0.5])
    long = Table(["metric", "mean", "meaning"], [[text, "0.5", text], ["b", "1", "words and " * 30]])
    picture = Picture("bars", text, image, terminal.bars([text], [0.5], tails=[text[:20]]))
    return Document(
        text, [Section(text, [text], [long, picture, Table([text, text, text, text], [[text] * 4])])]
    )


def test_pages_with_hostile_text_are_safe_and_at_most_80_wide(tmp_path: Path) -> None:
    written = document(HOSTILE).write(tmp_path / "report")
    text = (tmp_path / "report" / "report.txt").read_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text and "\u202e" not in text
    page = (tmp_path / "report" / "report.md").read_text()
    assert "\x1b" not in page and "](http" not in page and "<img" not in page.replace("\\<img", "")
    heads = [line for line in page.splitlines() if line.startswith("#")]
    assert len(heads) == 2  # the title and the section's, none out of the text
    assert {each.path.name for each in written} == {"bars.png", "report.txt", "report.md"}
    assert "!" in page and "(bars.png)" in page


def test_sentences_at_the_end_of_a_table_are_wrapped_and_not_cut() -> None:
    meaning = "what this metric means, told at some length so that a person understands it without a manual"
    rows = terminal.table(
        ["metric", "mean", "meaning"], [["exact", "0.5", meaning], ["cells", "0.7", "short"]]
    )
    assert max(map(len, rows)) <= 80
    assert set(meaning.split()) <= set(" ".join(rows).split())


def growth(kind: str) -> boards.Growth:
    arrays = evaluated.puzzles(4) if kind == "sudoku" else evaluated.mazes(2)
    question, answer = arrays["question"][0], arrays["answer"][0].astype(np.uint16)
    wrong = answer.copy()
    at = int(np.flatnonzero(question != answer)[0])
    wrong[at] = 2 if kind == "maze" else answer[at] % 4 + 1
    return boards.Growth(kind, question, answer, np.stack([wrong, answer]), [0.25, 0.75])


@pytest.mark.parametrize("kind", ["sudoku", "maze"])
def test_a_puzzle_is_shown_step_by_step_with_its_wrong_cells_marked(kind: str) -> None:
    grown = growth(kind)
    names = [name for name, _ in grown.panels()]
    assert names == ["the puzzle", "step 1: 1 wrong, 25% sure", "step 2: solved, 75% sure"]
    text = "\n".join(boards.text(grown))
    assert ("!" if kind == "sudoku" else "So•") in text
    assert max(map(len, text.splitlines())) <= 80
    solved = boards.Growth(kind, grown.question, grown.answer, grown.steps[1:], [0.5])
    assert "!" not in "\n".join(boards.text(solved)) and "So" not in "\n".join(boards.text(solved))
    mark = chart.LIMIT if kind == "sudoku" else boards.MISSED
    assert coloured(boards.picture(grown, "x"), mark) > 100 > coloured(boards.picture(solved, "x"), mark)


def test_a_board_of_nine_fits_a_terminal() -> None:
    cells = np.ones(81, dtype=np.uint16)
    steps = np.stack([cells + 1] * 7)
    assert max(map(len, boards.text(boards.Growth("sudoku", cells * 0, cells, steps, [0.123] * 7)))) <= 80


def test_the_right_caption_is_told_from_wrong_ones() -> None:
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    found = [
        gallery.Found(image, "mine", [("other", False), ("mine", True)], 1),
        gallery.Found(image, HOSTILE, [(HOSTILE, False)], 17),
    ]
    lines = gallery.captions_text(found)
    assert any(line.lstrip().startswith("✓ 2. mine") for line in lines)
    assert "its own came as number 18" in lines[-1]
    assert max(map(len, lines)) <= 80
    picture = gallery.captions(found, "Captions")
    none = gallery.captions([gallery.Found(image, "mine", [("other", False)] * 2, 1)] * 2, "Captions")
    assert coloured(picture, gallery.GOOD) > 5
    assert not coloured(none, gallery.GOOD)


def test_a_step_that_was_written_again_counts_as_it_was_last(tmp_path: Path) -> None:
    lines = [
        {"v": 1, "type": "metric", "name": "loss", "split": "train", "step": 10, "value": 5.0},
        {"v": 1, "type": "metric", "name": "loss", "split": "train", "step": 20, "value": 4.0},
        {"v": 1, "type": "metric", "name": "loss", "split": "train", "step": 10, "value": 3.0},
        {"v": 1, "type": "metric", "name": "loss", "split": "train", "step": 15, "value": float("nan")},
        {"v": 1, "type": "metric", "name": ["x"], "step": 1, "value": 1},
        {"v": 1, "type": "breaker", "state": "open", "message": "the loss rose"},
        {"v": 2, "type": "metric", "name": "loss", "split": "train", "step": 30, "value": 1.0},
    ]
    body = "\n".join(map(json.dumps, lines)) + "\n{broken\n" + "[" * 70_000 + "\n" + '{"v":1,"type":"metric"'
    (tmp_path / "events.jsonl").write_text(body)
    history = series.read(tmp_path)
    curve = history.series("loss", "train", "training")
    assert curve is not None and list(curve.x) == [10, 20] and list(curve.y) == [3.0, 4.0]
    assert history.warnings == ["the loss rose"] and history.breaker == "open"
    assert series.read(tmp_path / "nothing").metrics == {}


def trained(base: Path) -> Path:
    """The folder of a training run, as the loop leaves it before its result."""
    data = evaluated.data_set(base / "data", "puzzle/sudoku", evaluated.puzzles())
    run = base / "run"
    folder = evaluated.model(run, "hrm", evaluated.SUDOKU)
    checkpoint.index(run, {"best": folder.name, "last": folder.name, "phases": {}})
    (run / "request.json").write_text(json.dumps({"schema": 1, "learner": "hrm", "data": str(data)}))
    (run / "thresholds.json").write_text(json.dumps({"schema": 1, "metrics": {"exact": {"min": 0.98}}}))
    with RunLog(run) as log:
        for step in (10, 20, 30):
            log.emit("metric", name="loss", value=1 / step, step=step, split="train")
            log.emit("metric", name="loss", value=2 / step, step=step, split="heldout")
            log.emit("metric", name="exact", value=step / 40, step=step, split="heldout")
    return run


def test_a_training_run_gets_its_report(tmp_path: Path) -> None:
    run = trained(tmp_path)
    with RunLog(run) as log:
        assert report.write(run, log) == run / "report" / "report.json"
    assert not tiny_runs.events(run, "alert")
    named = {each["path"]: each["title"] for each in tiny_runs.events(run, "artifact")}
    assert {
        "report/report.md",
        "report/report.txt",
        "report/curve-loss.png",
        "report/curve-exact.png",
    } <= named.keys()
    assert all(named.values())
    text = (run / "report" / "report.txt").read_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "at least 0.980" in text and "not met" in text
    assert "A sudoku step by step" in text and "held-out" in text


def test_a_report_that_cannot_be_made_is_an_alert_and_no_error(tmp_path: Path) -> None:
    run = trained(tmp_path)
    weights = next((run / "checkpoints").iterdir()) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with RunLog(run) as log:
        assert report.write(run, log) is None
    assert "torn" in tiny_runs.events(run, "alert")[0]["message"]
