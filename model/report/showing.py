"""What a learner does, shown on held-out rows: puzzles step by step, captions found, images alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from datagen.scenes.scene import CELLS, COLOURS, SHAPES, SIZES
from model.hrm.learner import HrmLearner
from model.jepa.learner import JepaLearner
from model.learner import Columns, Learner
from model.measures import probe, retrieval, solve, spectrum
from model.report import boards, chart, gallery, terminal
from model.report.chart import Series
from model.report.document import Picture, Section
from model.report.words import caption, plain, share
from model.suites import seeing, solving

PUZZLES = {"puzzle/sudoku": "sudoku", "puzzle/maze": "maze"}
NAMES = {"shape": SHAPES, "colour": COLOURS, "size": SIZES, "position": CELLS}
"""What the numbers of a scene's attributes mean."""
_LOOKED = 128  # puzzles among which examples are chosen
_PROBED = 1200
_EXAMPLES, _ALIKE = 4, 5


def sections(learner: Learner, recipe: str, columns: Columns, *, probes: bool = True) -> list[Section]:
    """What there is to see of this learner on this data; nothing of kinds that are not known here.

    `probes` are left out where they were measured already.
    """
    if isinstance(learner, HrmLearner) and recipe in PUZZLES:
        return [puzzles(learner, PUZZLES[recipe], columns)]
    if isinstance(learner, JepaLearner) and recipe.startswith("image/"):
        return [scenes(learner, columns), *([probed(learner, columns)] if probes else [])]
    return []


def puzzles(learner: HrmLearner, kind: str, columns: Columns) -> Section:
    """A puzzle that took the model some steps to solve, and one that it did not solve."""
    question, answer = columns["question"][:_LOOKED], columns["answer"][:_LOOKED]
    steps = learner.config.steps
    found = solving.refined(learner, question, steps)
    right = np.stack([solve.solved(each, answer) for each in found.steps])
    section = Section(f"A {kind} step by step")
    section.says.append(
        f"The model answers the whole puzzle at once and then refines its answer, up to {steps} times. Here "
        f"are held-out puzzles, which it never saw in training; it solved {int(right[-1].sum())} of the "
        f"first {len(question)}. How sure it is, it says itself: nothing looks at the rules."
    )
    shown = []
    if right[-1].any():
        first = np.where(right[-1], right.argmax(axis=0), -1)
        shown.append((int(first.argmax()), "solved", "A held-out puzzle that it solved"))
    if not right[-1].all():
        wrong = (found.steps[-1] != answer).sum(axis=1)
        nearest = int(np.where(wrong > 0, wrong, 1 << 30).argmin())
        shown.append((nearest, "unsolved", "A held-out puzzle that it did not solve"))
    for row, name, title in shown:
        growth = boards.Growth(
            kind,
            question[row],
            answer[row].astype(np.uint16),
            found.steps[:, row],
            found.sure[:, row].tolist(),
        )
        picture = boards.picture(growth, title)
        section.shows.append(Picture(f"{kind}-{name}", title, picture, boards.text(growth)))
    return section


def scenes(learner: JepaLearner, columns: Columns) -> Section:
    """Captions found for images, and images held to be alike."""
    rows = retrieval.unique_rows(columns["key"], seeing.PAIRS, seed=0)
    part = {name: columns[name][rows] for name in ("image", "caption")}
    found = seeing.latents(learner, part)
    places = retrieval.ranks(found["text_from_image"], found["text"])
    section = Section("Images and their captions")
    section.says.append(
        f"From each held-out image the model predicts what its caption is like, as numbers, and the nearest "
        f"of {len(rows)} captions is looked up. Its own came first for {share(float(np.mean(places == 0)))} "
        f"of the images. No caption was written by the model."
    )
    shown = _examples(places)
    near = retrieval.nearest(found["text_from_image"][shown], found["text"], 3)
    examples = [
        gallery.Found(
            part["image"][row],
            caption(part["caption"][row]),
            [(caption(part["caption"][each]), int(each) == row) for each in near[at]],
            int(places[row]),
        )
        for at, row in enumerate(shown)
    ]
    title = "Images, and the three captions nearest to each"
    section.shows.append(
        Picture("captions", title, gallery.captions(examples, title), gallery.captions_text(examples))
    )
    section.shows.append(_alike(part, found["image"], shown))
    return section


def probed(learner: JepaLearner, columns: Columns) -> Section:
    """What a linear probe reads from the latents of images, and how many directions they use."""
    part = {name: column[:_PROBED] for name, column in columns.items()}
    found = seeing.latents(learner, part)
    judged = {name: probe.cross(found["image"], label) for name, label in probe.scene_labels(part).items()}
    section = Section("What the latents of images hold")
    section.says.append(
        "A straight line fitted to the latents tells these attributes of held-out scenes (of the first "
        "object, in reading order); the red mark is what always naming the most frequent answer would reach. "
        "Each row was judged by a probe that was fitted to other rows."
    )
    section.shows.append(
        probe_picture(
            {name: each.accuracy for name, each in judged.items()},
            None,
            ("the most frequent answer", {name: each.chance for name, each in judged.items()}),
        )
    )
    section.shows.append(spectrum_picture({name: _shares(found[name]) for name in ("image", "text")}))
    return section


def probe_picture(
    values: dict[str, float], spreads: dict[str, float] | None, marks: tuple[str, dict[str, float]]
) -> Picture:
    """The probe's accuracy by attribute, with a mark to compare with."""
    names = list(values)
    heights, ticks = [values[name] for name in names], [marks[1].get(name, np.nan) for name in names]
    title = "What a linear probe reads from an image's latents"
    image = chart.bars(
        title, names, heights, [spreads[n] for n in names] if spreads else None, (marks[0], ticks), 1.0
    )
    tails = [f"({each:.3f})" for each in ticks]
    return Picture(
        "probe", title, image, [*terminal.bars(names, heights, 1.0, tails), f"  (in brackets: {marks[0]})"]
    )


def spectrum_picture(shares: dict[str, list[float]]) -> Picture:
    """Singular values of latents, as shares of the greatest."""
    series = [
        Series(name, range(1, len(each) + 1), [max(v, 1e-6) for v in each]) for name, each in shares.items()
    ]
    title = "Directions that the latents use: a flat line is many, a steep one few"
    image = chart.lines(title, series, "direction", "size, as a share of the greatest", log=True)
    return Picture(
        "spectrum", title, image, terminal.lines(series[0], None, "direction (of images)", log=True)
    )


def confusion_picture(attribute: str, table: dict[str, Any]) -> Picture:
    """What the probe mistakes for what: labels [C] and counts [C][C], as the suite keeps them."""
    known = NAMES.get(attribute, ())
    names = [known[label] if label < len(known) else str(label) for label in table["labels"]]
    counts = np.array(table["counts"], dtype=np.int64).reshape(len(names), len(names))
    title = f"Probe: {attribute}, what is taken for what"
    return Picture(
        f"confusion-{attribute}", title, chart.table(title, names, names, counts), _worst(names, counts)
    )


def _worst(names: list[str], counts: np.ndarray, most: int = 5) -> list[str]:
    """The most frequent mistakes in words."""
    rates = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    np.fill_diagonal(rates, 0)
    order = np.argsort(-rates, axis=None, kind="stable")[:most]
    pairs = [(int(at) // len(names), int(at) % len(names)) for at in order]
    lines = [
        f"  {plain(names[true], 14)} is taken for {plain(names[said], 14)}: {share(float(rates[true, said]))}"
        for true, said in pairs
        if rates[true, said] > 0
    ]
    return lines or ["  no mistakes"]


def _alike(part: Columns, images: np.ndarray, shown: list[int]) -> Picture:
    near = retrieval.nearest(images[shown], images, min(_ALIKE + 1, len(images)))
    others = [
        [each for each in row if each != own][:_ALIKE] for own, row in zip(shown, near.tolist(), strict=True)
    ]
    title = "Images, and those whose latents are nearest"
    picture = gallery.alike(part["image"][shown], np.stack([part["image"][each] for each in others]), title)
    text = []
    for number, (own, row) in enumerate(zip(shown, others, strict=True), 1):
        text.append("  " + plain(f"image {number}: {caption(part['caption'][own])}", 78))
        text += [
            "    " + plain(f"{place}. {caption(part['caption'][each])}", 76)
            for place, each in enumerate(row[:2], 1)
        ]
    return Picture("alike", title, picture, text)


def _examples(places: np.ndarray) -> list[int]:
    """Rows to show: mostly such that found their caption first, and one that did not, where there is one."""
    right, wrong = np.flatnonzero(places == 0), np.flatnonzero(places > 0)
    take = min(len(wrong), max(1, _EXAMPLES - len(right)))
    return [int(each) for each in (*right[: _EXAMPLES - take], *wrong[:take])]


def _shares(x: np.ndarray) -> list[float]:
    values = spectrum.singular_values(x)
    return [float(each) for each in values / max(1e-30, float(values[0]))]
