"""The circuit breaker opens on what has gone wrong, and never on a healthy curve, however noisy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import tiny_runs
from hypothesis import given
from hypothesis import strategies as st

from model import breaker
from model.breaker import History, Verdict
from model.config import Breaker, Floor, Rise, Spike

RULES = Breaker(warmup=100)


def judged(losses: list[float], rules: Breaker = RULES, every: int = 50) -> list[tuple[int, Verdict]]:
    """What a run with these held-out losses hears, and at which step."""
    past = History()
    return [
        (step, verdict)
        for step, loss in zip(range(every, 10**9, every), losses, strict=False)
        for verdict in breaker.assessment(rules, past, step, {"loss": loss})
    ]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_stops_at_once_and_has_no_warm_up(bad: float) -> None:
    (verdict,) = breaker.finite(1, {"the loss": bad, "the gradients' norm": 1.0})
    assert (verdict.rule, verdict.act) == ("finite", "stop")
    assert "the loss" in verdict.message and "step 1" in verdict.message
    (step, verdict) = judged([2.0, bad])[0]
    assert (step, verdict.rule, verdict.act) == (100, "finite", "stop")


def test_a_loss_that_climbs_out_of_what_was_gained_stops_and_says_its_numbers() -> None:
    diverging = [2.0, 1.5, 1.0, 0.5, 0.4, 1.9, 2.2, 2.5]
    step, verdict = judged(diverging)[0]
    assert step == 400  # the third assessment in a row over the limit
    assert (verdict.rule, verdict.act) == ("rise", "stop")
    assert verdict.numbers["best"] == 0.4 and verdict.numbers["limit"] == pytest.approx(1.2)
    assert "best 0.4" in verdict.message


def test_a_slow_drift_stops_although_no_single_step_of_it_is_large() -> None:
    drift = [2.0, 1.0, 0.5] + [0.5 + 0.02 * n for n in range(100)]
    step, verdict = judged(drift)[0]
    assert verdict.rule == "rise"
    assert 0.5 + 0.02 * (step / 50 - 4) == pytest.approx(verdict.numbers["limit"], abs=0.1)


def test_one_or_two_bad_assessments_are_no_divergence() -> None:
    assert judged([2.0, 1.0, 0.5, 5.0, 5.0, 0.5, 5.0, 5.0, 0.4]) == []


def test_within_the_warm_up_only_what_is_no_number_counts() -> None:
    rules = Breaker(warmup=1000, floors={"exact": Floor(at_least=0.5)})
    past = History()
    for step, loss in enumerate([1.0, 9.0, 9.0, 9.0, 9.0], 1):
        assert breaker.assessment(rules, past, step * 100, {"loss": loss, "exact": 0.0}) == []
    assert breaker.steps(rules, past, 0, [1.0] * 50 + [1e6]) == []
    assert breaker.assessment(rules, past, 600, {"loss": math.nan}) != []


def test_a_gradient_far_over_its_usual_is_warned_of_once_and_stops_where_that_is_asked() -> None:
    norms = [1.0 + 0.1 * (n % 7) for n in range(200)]
    (verdict,) = breaker.steps(RULES, History(), 0, [*norms, 50.0, 30.0, 1.0])
    assert (verdict.rule, verdict.act) == ("spike", "warn")
    assert verdict.numbers["step"] == 200 and verdict.numbers["norm"] == 50
    strict = Breaker(warmup=100, spike=Spike(act="stop"))
    assert breaker.stops(breaker.steps(strict, History(), 0, [*norms, 50.0])) is not None


def test_a_floor_holds_from_its_step_on_and_an_unmeasured_one_is_not_held() -> None:
    rules = Breaker(warmup=100, floors={"rank": Floor(at_least=8, after=300)})

    def at(step: int, **measures: float) -> list[Verdict]:
        return breaker.assessment(rules, History(), step, {"loss": 1.0, **measures})

    assert at(299, rank=2.0) == [] and at(300, rank=8.0) == []
    (verdict,) = at(300, rank=7.9)
    assert (verdict.rule, verdict.act) == ("floor", "stop")
    assert "collapsed" in verdict.message and "7.9" in verdict.message and "at least 8" in verdict.message
    (verdict,) = at(300)
    assert "rank is not measured" in verdict.message


@given(
    st.lists(st.floats(-0.25, 0.25), min_size=30, max_size=80),
    st.floats(0.5, 10),
    st.floats(0.0, 0.9),
    st.floats(2, 20),
)
def test_a_noisy_but_healthy_curve_never_stops(
    noise: list[float], first: float, end: float, halving: float
) -> None:
    """Falling towards a share of the first loss, each assessment off by up to a quarter of the gain."""
    gain = first * max(1 - end, 0.1)
    curve = [first - (first - first * end) * (1 - 0.5 ** (n / halving)) for n in range(len(noise))]
    noisy = [value + gain * 0.9 * off for value, off in zip(curve, noise, strict=True)]
    noisy[0] = first + gain * 0.25  # an untrained model is the worst of all
    assert breaker.stops(verdict for _, verdict in judged(noisy)) is None


@given(st.lists(st.floats(0.2, 1.9), min_size=20, max_size=300))
def test_gradients_that_vary_by_less_than_tenfold_are_never_warned_of(norms: list[float]) -> None:
    assert breaker.steps(RULES, History(), 95, norms) == []


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40), st.integers(0, 40))
def test_a_history_that_was_kept_and_read_judges_alike(losses: list[float], cut: int) -> None:
    whole = [verdict.message for _, verdict in judged(losses)]
    past, heard = History(), []
    for number, loss in enumerate(losses, 1):
        if number == cut:
            past = breaker.history(past.body())
        heard += [each.message for each in breaker.assessment(RULES, past, number * 50, {"loss": loss})]
        breaker.steps(RULES, past, number, [loss])
    assert heard == whole
    assert len(past.norms) <= RULES.spike.window and len(past.losses) <= RULES.rise.window


@pytest.mark.parametrize(
    "body", [{}, {"norms": 1, "losses": [], "first": None, "best": None}, {"norms": ["x"]}]
)
def test_a_broken_memory_is_said_to_be_one(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        breaker.history({"losses": [], "first": None, "best": None, **body})


STOPPING: dict[str, tuple[dict[str, Any], str]] = {
    "a loss that is no number": ({"model": {"spoil": 500}}, "the loss is nan at step 21"),
    "a rank under its floor": (
        {"breaker": {"warmup": 5, "floors": {"rank": {"at_least": 1e6, "after": 20}}}},
        "the latents have collapsed: held-out rank is",
    ),
    "a loss that rises": (
        {
            "optimizer": {
                "name": "adamw",
                "lr": 3.0,
                "average": 0.0,
                "clip": None,
                "warmup": 39,
                "final": 1.0,
            },
            "breaker": {"warmup": 1, "rise": {"share": 0.01, "window": 1}},
            "assess": {"every": 4, "rows": 30},
        },
        "is over",
    ),
}


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("what", STOPPING)
def test_an_open_breaker_ends_the_run_in_one_line_and_keeps_the_best(
    what: str, tmp_path: Path, sums: Path
) -> None:
    pytest.importorskip("torch")
    from model import checkpoint, train

    over, says = STOPPING[what]
    tiny_runs.request(tmp_path / "run", sums, **over)
    assert train.main(tmp_path / "run") == 1
    ended = tiny_runs.result(tmp_path / "run")
    assert not ended["ok"] and says in ended["error"]
    opened = [each for each in tiny_runs.events(tmp_path / "run", "breaker") if each["state"] == "open"]
    assert ended["error"] in [each["message"] for each in opened] and all(each["rule"] for each in opened)
    found = checkpoint.newest(tmp_path / "run")
    assert found.meta is not None and not found.refused
    weights = checkpoint.weights(found.folder, found.meta)
    assert all(bool(each.isfinite().all()) for each in weights.values())
    assert len(tiny_runs.events(tmp_path / "run", "metric")) > 0


def test_there_is_no_way_to_ask_for_a_run_without_a_breaker() -> None:
    from model import config
    from model.errors import RequestError

    body: dict[str, Any] = {"learner": "tiny", "batch": 4, "steps": 4}
    for off in (None, False, {"off": True}, {"finite": None}, {"rise": None}):
        with pytest.raises(RequestError, match="breaker"):
            config.config({**body, "breaker": off})
    assert config.config(body).breaker == Breaker(rise=Rise())
