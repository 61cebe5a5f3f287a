"""The circuit breaker: when a run of training has gone wrong, told from its history alone.

`judge` is a pure function; the loop feeds it and obeys it. There is no way to train without it. What it
remembers is bounded and part of each checkpoint, so that a resumed run is judged as if it had never
stopped.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from model.config import Act, Breaker

_LEAST_GAIN = 0.1  # of the first loss: before anything is gained, noise is no loss of it


@dataclass(frozen=True)
class Verdict:
    """One rule's word, with the numbers it stands on."""

    rule: Literal["finite", "rise", "spike", "floor"]
    act: Act
    message: str
    numbers: Mapping[str, float]


@dataclass
class History:
    """What the rules look at."""

    norms: list[float] = field(default_factory=list)  # of the gradients, at the latest steps
    losses: list[float] = field(default_factory=list)  # held out, at the latest assessments
    first: float | None = None  # the first held-out loss
    best: float | None = None  # the lowest held-out loss

    def body(self) -> dict[str, Any]:
        """For a checkpoint's JSON."""
        return asdict(self)


def history(body: Mapping[str, Any]) -> History:
    """A history from a checkpoint's JSON; ValueError where it is none."""
    try:
        first, best = body["first"], body["best"]
        return History(
            [float(each) for each in body["norms"]],
            [float(each) for each in body["losses"]],
            None if first is None else float(first),
            None if best is None else float(best),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the breaker's memory is broken: {error}") from None


def finite(step: int, numbers: Mapping[str, float]) -> list[Verdict]:
    """Whether loss, gradients or a measure ceased to be numbers. No warm-up, no threshold, no way round."""
    return [
        Verdict("finite", "stop", f"{name} is {value} at step {step}", {"step": float(step)})
        for name, value in numbers.items()
        if not math.isfinite(value)
    ]


def steps(rules: Breaker, past: History, start: int, norms: Sequence[float]) -> list[Verdict]:
    """Judge the gradients' norms of the steps from `start` on, and remember them."""
    verdicts, worst = [], 0.0
    at, median_then = start, 0.0
    for step, norm in enumerate(norms, start):
        if step >= rules.warmup and len(past.norms) >= min(5, rules.spike.window):
            median = statistics.median(past.norms)
            if norm > rules.spike.times * median and norm > worst:
                worst, at, median_then = norm, step, median
        past.norms = [*past.norms, norm][-rules.spike.window :]
    if worst:
        message = (
            f"the gradients' norm rose to {worst:.3g} at step {at}, {rules.spike.times:g} times its usual"
        )
        numbers = {"norm": worst, "median": median_then, "times": rules.spike.times, "step": float(at)}
        verdicts.append(Verdict("spike", rules.spike.act, message, numbers))
    return verdicts


def assessment(rules: Breaker, past: History, step: int, measures: Mapping[str, float]) -> list[Verdict]:
    """Judge one assessment on held-out rows, and remember its loss."""
    verdicts = list(finite(step, {f"held-out {name}": value for name, value in measures.items()}))
    if verdicts:
        return verdicts
    loss = measures["loss"]
    past.first = loss if past.first is None else past.first
    past.best = loss if past.best is None else min(past.best, loss)
    past.losses = [*past.losses, loss][-rules.rise.window :]
    if step >= rules.warmup:
        verdicts += _rise(rules, past.losses, past.first, past.best)
        verdicts += _floors(rules, step, measures)
    return verdicts


def stops(verdicts: Iterable[Verdict]) -> Verdict | None:
    """The first verdict that ends the run."""
    return next((verdict for verdict in verdicts if verdict.act == "stop"), None)


def _rise(rules: Breaker, losses: Sequence[float], first: float, best: float) -> list[Verdict]:
    gain = max(first - best, _LEAST_GAIN * abs(first))
    limit = best + rules.rise.share * gain
    if len(losses) < rules.rise.window or min(losses) <= limit:
        return []
    message = (
        f"held-out loss {losses[-1]:.4g} is over {limit:.4g} in {len(losses)} assessments in a row: "
        f"more than {rules.rise.share:.0%} of what was gained since {first:.4g} is lost (best {best:.4g})"
    )
    numbers = {"loss": losses[-1], "best": best, "first": first, "limit": limit}
    return [Verdict("rise", rules.rise.act, message, numbers)]


def _floors(rules: Breaker, step: int, measures: Mapping[str, float]) -> list[Verdict]:
    verdicts = []
    for name, floor in rules.floors.items():
        if step < floor.after or measures.get(name, -math.inf) >= floor.at_least:
            continue
        value = measures.get(name)
        numbers = {"at_least": floor.at_least} | ({} if value is None else {"value": value})
        collapsed = "the latents have collapsed: " if "rank" in name else ""
        what = "is not measured, but must be" if value is None else f"is {value:.4g}, and must be"
        message = f"{collapsed}held-out {name} {what} at least {floor.at_least:g} from step {floor.after} on"
        verdicts.append(Verdict("floor", floor.act, message, numbers))
    return verdicts
