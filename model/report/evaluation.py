"""The report of an evaluation: figures over seeds, several models side by side, the baseline, pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datagen.manifest import Manifest
from model.baseline import Baseline
from model.learner import Columns
from model.measures.statements import ATTRIBUTES
from model.report import chart, showing, terminal
from model.report.chart import Series, number_text
from model.report.document import Document, Picture, Section, Table
from model.report.words import plain
from model.suites import Measured
from model.suites.catalogue import says
from model.suites.request import Request

if TYPE_CHECKING:
    from model.suites.conduct import Figure, Subject

_MOST_MODELS = 5  # in one table of 80 columns
_RECIPES = {
    "questions": "image/scenes",
    "sudoku": "puzzle/sudoku",
    "maze": "puzzle/maze",
    "scenes": "image/scenes",
}


@dataclass(frozen=True)
class Evaluated:
    """All that an evaluation found."""

    asked: Request
    subjects: Sequence[Subject]
    figures: Sequence[Mapping[str, Figure]]  # for each model
    cells: Sequence[Sequence[Measured]]  # for each model, by seed
    columns: Columns  # held-out rows
    manifest: Manifest
    wanted: Baseline | None
    regressed: Sequence[str]


def document(about: Evaluated) -> Document:
    """The whole report."""
    made = Document(f"Evaluation of {plain(about.subjects[0].name, 40)}: {about.asked.suite}")
    made.sections.append(_what(about))
    if about.wanted:
        made.sections.append(_against(about, about.wanted))
    made.sections.append(_figures(about))
    if len(about.subjects) > 1:
        made.sections.append(_compared(about))
    made.sections.append(_SECTIONS.get(about.asked.suite, _puzzles)(about))
    made.sections += showing.sections(
        about.subjects[0].learner, _RECIPES[about.asked.suite], about.columns, probes=False
    )
    return made


def _what(about: Evaluated) -> Section:
    section = Section("What was measured")
    held = len(about.columns["key"])
    rows = min(about.asked.rows, held)
    seeds = ", ".join(map(str, about.asked.seeds))
    section.says.append(
        f"Each figure is the mean over the seeds {seeds}; its spread is their standard deviation. A seed "
        f"draws which {rows:,} of the {held:,} held-out rows are looked at, how probes are fitted, and "
        "noise. Rows to learn from were not read."
    )
    table = [
        [each.name, each.meta.learner, f"{each.meta.step:,}", each.sha256[:12]] for each in about.subjects
    ]
    section.shows.append(Table(["model", "kind", "step", "weights"], table))
    data = [[about.manifest.recipe, f"{about.manifest.count:,}", about.manifest.content_sha256[:12]]]
    section.shows.append(Table(["data", "rows in all", "content"], data))
    return section


def _figures(about: Evaluated) -> Section:
    section = Section("Figures")
    rows = [
        [name, _mean(figure.mean), _spread(figure), str(len(figure.known)), says(name)]
        for name, figure in about.figures[0].items()
    ]
    section.shows.append(Table(["metric", "mean", "spread", "n", "meaning"], rows))
    return section


def _against(about: Evaluated, wanted: Baseline) -> Section:
    section = Section("Against the baseline")
    if about.regressed:
        section.says.append(
            f"Worse than the baseline by more than its tolerance: {', '.join(about.regressed)}."
        )
    else:
        section.says.append("Nothing is worse than the baseline by more than its tolerance.")
    rows = []
    for name, each in wanted.metrics.items():
        figure = about.figures[0].get(name)
        now = figure.mean if figure else None
        verdict = "worse" if name in about.regressed else "as good"
        rows.append(
            [name, number_text(each.value), _mean(now), f"± {each.tolerance:g}", each.better, verdict]
        )
    section.shows.append(Table(["metric", "baseline", "now", "tolerance", "better", ""], rows))
    return section


def _compared(about: Evaluated) -> Section:
    """All models side by side, and what tells their configurations apart."""
    section = Section("Side by side")
    options = [_flat(each.meta.config) for each in about.subjects]
    apart = sorted({n for each in options for n in each if any(other.get(n) != each[n] for other in options)})
    if apart:
        section.says.append("What tells the models apart in their configurations:")
        rows = [[name, *(each.get(name, "-") for each in options[:_MOST_MODELS])] for name in apart]
        section.shows.append(Table(["option", *_called(about)], rows))
    names = list(dict.fromkeys(name for each in about.figures for name in each))
    rows = []
    for name in names:
        found = [each.get(name) for each in about.figures[:_MOST_MODELS]]
        rows.append([name, *(f"{_mean(f.mean)} ± {_spread(f)}" if f else "-" for f in found)])
    section.shows.append(Table(["metric", *_called(about)], rows))
    if len(about.subjects) > _MOST_MODELS:
        section.says.append(
            f"The first {_MOST_MODELS} are shown; metrics.json has all {len(about.subjects)}."
        )
    main = "probe_mean" if about.asked.suite == "scenes" else "exact"
    means = [each[main].mean if main in each else None for each in about.figures]
    values = [math.nan if each is None else each for each in means]
    spreads = [each[main].spread if main in each else 0.0 for each in about.figures]
    called = [each.name for each in about.subjects]
    title = f"{main}: {says(main)}"
    image = chart.bars(title, called, values, spreads, most=1.0)
    section.shows.append(Picture("models", title, image, terminal.bars(called, values, 1.0)))
    return section


def _puzzles(about: Evaluated) -> Section:
    section = Section("Steps, rollouts and difficulty")
    details = [each.details for each in about.cells[0]]
    usual = int(details[0]["usual_steps"])
    curve = _mean_curve([each["by_step"] for each in details])
    steps = list(range(1, len(curve) + 1))
    section.says.append(
        f"It refines each answer step by step: {usual} steps as in training, here up to {len(curve)}. What "
        f"it gains or loses by more of them costs no training."
    )
    title = "Puzzles solved, by refinement step"
    line = Series("mean over seeds", steps, curve, dots=True)
    section.shows.append(
        Picture(
            "by-step",
            title,
            chart.lines(title, [line], "refinement steps", "share solved"),
            terminal.lines(None, line, "refinement steps"),
        )
    )
    rollouts = [each["by_rollouts"] for each in details]
    if all(rollouts):
        counts = [int(count) for count, _ in rollouts[0]]
        values = _mean_curve([[share for _, share in each] for each in rollouts])
        section.shows.append(
            Table(["noisy rollouts", *map(str, counts)], [["solved", *map(number_text, values)]])
        )
    bins = {name: int(size) for name, size in details[0]["bins"].items()}
    if bins:
        names = [name.replace("_", " ") for name in bins]
        figures = [about.figures[0][f"exact_{_key(name)}"] for name in bins]
        values = [math.nan if each.mean is None else each.mean for each in figures]
        title = "Puzzles solved, by difficulty"
        image = chart.bars(title, names, values, [each.spread for each in figures], most=1.0)
        tails = [f"of {size}" for size in bins.values()]
        section.shows.append(Picture("by-difficulty", title, image, terminal.bars(names, values, 1.0, tails)))
    return section


def _scenes(about: Evaluated) -> Section:
    section = Section("What the latents hold")
    figures, details = about.figures[0], about.cells[0][0].details
    probes = {name: figures[f"probe_{name}"] for name in ATTRIBUTES}
    means = {name: _number(each.mean) for name, each in probes.items()}
    spreads = {name: each.spread for name, each in probes.items()}
    marks = ("a model that learned nothing", dict(details["untrained"]))
    section.says.append(
        "A probe is a straight line fitted to latents; each row was judged by a probe that was fitted to "
        "others. The red mark is the same probe on the same model before any training."
    )
    section.shows.append(showing.probe_picture(means, spreads, marks))
    values = [_number(figures[f"caption_{name}"].mean) for name in ATTRIBUTES]
    title = "True captions preferred to nearly true ones; blind: 0.5"
    image = chart.bars(
        title,
        ATTRIBUTES,
        values,
        [figures[f"caption_{n}"].spread for n in ATTRIBUTES],
        ("a blind guess", [0.5] * len(ATTRIBUTES)),
        1.0,
    )
    section.shows.append(Picture("captions-swapped", title, image, terminal.bars(ATTRIBUTES, values, 1.0)))
    section.shows.append(showing.spectrum_picture({n: list(each) for n, each in details["spectrum"].items()}))
    for attribute, table in details["confusion"].items():
        section.shows.append(showing.confusion_picture(attribute, table))
    return section


def _questions(about: Evaluated) -> Section:
    section = Section("What it answers, and how sure it is")
    figures, details = about.figures[0], about.cells[0][0].details
    names = list(details["topics"])
    known = [figures[f"exact_{name.replace('-', '_')}"] for name in names]
    values, blind = [_number(each.mean) for each in known], [details["blind"][name] for name in names]
    section.says.append(
        "The red mark is right without the picture: the answer most often right of the same question."
    )
    title = "Questions answered rightly, by topic"
    image = chart.bars(
        title, names, values, [each.spread for each in known], ("without the picture", blind), 1.0
    )
    tails = [f"({each:.3f})" for each in blind]
    section.shows.append(Picture("by-topic", title, image, terminal.bars(names, values, 1.0, tails)))
    section.says.append(
        "How sure it is becomes a probability by a map fitted on half of the rows; of the other half:"
    )
    rows = [[f"{said:.3f}", f"{right:.3f}", f"{count:,}"] for said, right, count in details["reliability"]]
    section.shows.append(Table(["probability said", "share right", "questions"], rows))
    return section


_SECTIONS = {"scenes": _scenes, "questions": _questions}


def _called(about: Evaluated) -> list[str]:
    return [each.name for each in about.subjects[:_MOST_MODELS]]


def _key(name: str) -> str:
    """A bin's name as it stands in a metric."""
    return name.replace(" ", "_")


def _mean_curve(curves: Sequence[Sequence[float]]) -> list[float]:
    return [sum(values) / len(values) for values in zip(*curves, strict=True)]


def _mean(value: float | None) -> str:
    return "-" if value is None else number_text(value)


def _spread(figure: Figure) -> str:
    return number_text(figure.spread) if len(figure.known) > 1 else "-"


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    out: dict[str, str] = {}
    for name, value in options.items():
        out |= (
            _flat(value, f"{prefix}{name}.")
            if isinstance(value, Mapping)
            else {f"{prefix}{name}": str(value)}
        )
    return out
