"""The suite `scenes`: what a JEPA's latents of pictures and captions hold."""

from __future__ import annotations

import numpy as np
import torch

from model.errors import RequestError
from model.jepa.learner import JepaLearner
from model.learner import Columns, Learner
from model.measures import energy, probe, retrieval, spectrum, statements
from model.suites import Measured, Options

PAIRS = 256
"""Scenes, all different, among which an image looks for its caption and a caption for its image."""
_SINGULAR = 256  # at most so many singular values are kept for the picture of the spectrum
Latents = dict[str, np.ndarray]


def measure(learner: Learner, control: Learner, columns: Columns, seed: int, options: Options) -> Measured:
    """All measures of the suite on at most `options.rows` rows; `control` is the same, untrained."""
    learner, control = jepa(learner), jepa(control)
    control.net.vocabulary.copy_(learner.net.vocabulary)  # the words are no matter of training
    rows = retrieval.unique_rows(columns["key"], options.rows, seed)  # no scene is in two folds of a probe
    seen = {name: column[rows] for name, column in columns.items()}
    found, blind = latents(learner, seen), latents(control, seen)
    labels = probe.scene_labels(seen)
    judged = {name: probe.cross(found["image"], label, seed) for name, label in labels.items()}
    untrained = {name: probe.cross(blind["image"], label, seed) for name, label in labels.items()}
    near = {name: _near(found["image"], label, seed) for name, label in labels.items()}
    metrics = {f"probe_{name}": each.accuracy for name, each in judged.items()}
    metrics["probe_mean"] = _mean(each.accuracy for each in judged.values())
    metrics["knn_mean"] = _mean(near.values())
    metrics["untrained_probe_mean"] = _mean(each.accuracy for each in untrained.values())
    metrics["over_untrained"] = metrics["probe_mean"] - metrics["untrained_probe_mean"]
    metrics |= _spectra(found) | _pairs(found, seen["key"], seed) | _said(learner, seen, seed)
    details = {
        "chance": {name: each.chance for name, each in judged.items()},
        "untrained": {name: each.accuracy for name, each in untrained.items()},
        "confusion": {name: _confusion(each) for name, each in judged.items()},
        "spectrum": {name: _spectrum(found[name]) for name in ("image", "text")},
        "rows": len(rows),
    }
    return Measured(metrics, details)


def jepa(learner: Learner) -> JepaLearner:
    """The learner as what the suite needs; RequestError where it is another kind."""
    if not isinstance(learner, JepaLearner):
        raise RequestError(f"the suite scenes measures a jepa, not a {type(learner).__name__}")
    return learner


def latents(learner: JepaLearner, columns: Columns) -> Latents:
    """`image`, `text`, `text_from_image`, `image_from_text` of images and captions: float32 [N, D] each."""
    learner.eval()
    with torch.no_grad():
        found = learner.latents(learner.prepare(columns))
    return {name: rows.float().cpu().numpy() for name, rows in found.items()}


def _near(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """Nearest neighbours of half the rows among the other half."""
    order = np.random.default_rng([seed, 2]).permutation(len(x))
    bank, asked = order[::2], order[1::2]
    return probe.neighbours(x[bank], y[bank], x[asked], y[asked]).accuracy


def _spectra(found: Latents) -> dict[str, float]:
    deviations = spectrum.deviations(found["image"])
    return {
        "rank": spectrum.effective_rank(found["image"]),
        "text_rank": spectrum.effective_rank(found["text"]),
        "still_dimensions": float(np.mean(deviations < 0.05 * max(1e-12, float(deviations.max())))),
    }


def _pairs(found: Latents, keys: np.ndarray, seed: int) -> dict[str, float]:
    rows = retrieval.unique_rows(keys, PAIRS, seed)
    part = {name: each[rows] for name, each in found.items()}
    metrics = {}
    for name, asked, answers in (
        ("recall_image_to_text", part["text_from_image"], part["text"]),
        ("recall_text_to_image", part["image_from_text"], part["image"]),
    ):
        metrics[name] = retrieval.recall(asked, answers)
        metrics[f"{name}_at_5"] = retrieval.recall(asked, answers, k=5)
    metrics["energy_auroc"] = energy.pairs_auroc(part["text_from_image"], part["text"], seed)
    return metrics


def _said(learner: JepaLearner, columns: Columns, seed: int) -> dict[str, float]:
    """How often the true one of two statements lies closer to the picture; blind: one half."""
    rows = retrieval.unique_rows(columns["key"], PAIRS, seed)
    objects, images = columns["objects"][rows], columns["image"][rows]
    metrics = {}
    for attribute in statements.ATTRIBUTES:
        true, false = statements.swapped(objects, attribute, seed)
        metrics[f"caption_{attribute}"] = _prefers(learner, images, true, false)
    metrics["caption_mean"] = _mean(metrics.values())
    pairs, true, false = statements.contradicted(objects)
    if len(pairs):
        metrics["contradiction"] = _prefers(learner, images[pairs], true, false)
    return metrics


def _prefers(learner: JepaLearner, images: np.ndarray, true: np.ndarray, false: np.ndarray) -> float:
    right = latents(learner, {"image": images, "caption": true})
    wrong = latents(learner, {"image": images, "caption": false})
    return energy.preferred(right["text_from_image"], right["text"], wrong["text"])


def _confusion(judged: probe.Judged) -> dict[str, list[int] | list[list[int]]]:
    labels, counts = judged.confusion()
    return {"labels": labels.tolist(), "counts": counts.tolist()}


def _spectrum(x: np.ndarray) -> list[float]:
    """Singular values as shares of the greatest."""
    values = spectrum.singular_values(x)[:_SINGULAR]
    return [round(float(each), 6) for each in values / max(1e-30, float(values[0]))]


def _mean(values: object) -> float:
    return float(np.mean(list(values)))  # type: ignore[call-overload]
