"""A run's view is the same however its file is cut, holds what matters of it, and stays small."""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.curve import BUCKETS, RECENT, Series
from state.run_view import CURVES, RunReader, RunView, Threshold, thresholds

EVIL = "\x1b[2J\x1b]0;owned\x07\u202eesrever"


def line(type_: str, t: float = 1.0, **fields: Any) -> bytes:
    return (
        json.dumps({"v": 1, "t": t, "at": "2030-01-01T00:00:00Z", "type": type_, **fields}).encode() + b"\n"
    )


def metric(step: float, value: Any, name: str = "loss", split: str = "train") -> bytes:
    return line("metric", name=name, value=value, step=step, split=split)


def read(folder: Path, *lines: bytes) -> RunView:
    (folder / "events.jsonl").write_bytes(b"".join(lines))
    return RunReader(folder).read()


def curve(view: RunView, name: str = "loss", split: str = "train") -> list[tuple[float, float]]:
    return view.series[name, split].points()


def seen(view: RunView) -> Any:
    """Everything that a view shows."""
    curves = {key: (series.points(), list(series.recent)) for key, series in view.series.items()}
    facts = (
        view.phases,
        view.phase,
        view.done,
        view.total,
        view.checkpoints,
        list(view.alerts),
        view.breaker,
    )
    return curves, facts, view.made, view.progress(), view.resumed, view.went_back


# Curves ----------------------------------------------------------------------------------------------


def test_a_short_curve_is_kept_as_it_came() -> None:
    series = Series()
    for step in range(BUCKETS):
        series.put(step, step % 7)
    assert series.points() == [(step, step % 7) for step in range(BUCKETS)]


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(1, 9 * BUCKETS),
    spikes=st.lists(st.tuples(st.floats(0, 1), st.floats(-1e6, 1e6)), max_size=6),
)
def test_thinning_keeps_the_least_the_greatest_the_first_and_the_newest(
    count: int, spikes: list[tuple[float, float]]
) -> None:
    values = [float(step % 13) for step in range(count)]
    for share, value in spikes:
        values[int(share * (count - 1))] = value
    series = Series()
    for step, value in enumerate(values):
        series.put(step, value)
    points = series.points()
    assert len(points) <= 2 * BUCKETS + 1
    assert points == sorted(points) and len({step for step, _ in points}) == len(points)
    assert all(values[int(step)] == value for step, value in points), "a point that was never measured"
    shown = [value for _, value in points]
    assert (min(shown), max(shown)) == (min(values), max(values))
    assert points[-1] == (count - 1, values[-1]) and series.first == 0
    assert list(series.recent) == list(enumerate(values))[-RECENT:]


@settings(max_examples=60, deadline=None)
@given(first=st.integers(1, 3 * BUCKETS), back=st.integers(0, 3 * BUCKETS), more=st.integers(0, BUCKETS))
def test_a_curve_that_goes_back_has_no_point_of_what_is_done_anew(first: int, back: int, more: int) -> None:
    series, anew = Series(), Series()
    back = min(back, first)
    for step in range(first):
        series.put(step, float(step))
        if step < back:
            anew.put(step, float(step))
    series.back_to(back)
    assert all(step < back for step, _ in series.points())
    assert (series.points()[-1:] or [(-1.0, 0.0)])[0][0] <= back - 1
    for step in range(back, back + more):
        series.put(step, -float(step))
        anew.put(step, -float(step))
    if more or first - back < RECENT:
        assert series.last == anew.last
    else:  # where neighbours have been joined, the newest that is still known
        assert series.last == (series.points()[-1] if series.points() else None)
        assert back == 0 or (series.last is not None and back - series.last[0] <= 2 * first // BUCKETS + 1)
    if more:
        values = [value for _, value in series.points()]
        assert min(values) == min(value for _, value in anew.points())


def test_the_later_value_of_a_step_counts() -> None:
    series = Series()
    for step in range(10):
        series.put(step, 1.0)
    series.put(9, 5.0)
    series.put(4, 7.0)
    assert dict(series.points()) == {step: {9: 5.0, 4: 7.0}.get(step, 1.0) for step in range(10)}
    assert series.at(4) == 7.0 and series.at(3) == 1.0 and series.at(3.5) is None


# The whole view --------------------------------------------------------------------------------------

STEPS = st.integers(0, 400)
EVENTS = st.one_of(
    st.builds(metric, STEPS, st.one_of(st.floats(-1e9, 1e9), st.sampled_from([None, "NaN", "Infinity"])),
              st.sampled_from(["loss", "exact"]), st.sampled_from(["train", "heldout"])),
    st.builds(lambda n: line("progress", done=n, total=400, unit="steps"), STEPS),
    st.builds(lambda name, n: line("phase", name=name, resumed=True, step=n), st.sampled_from("ab"), STEPS),
    st.builds(lambda n, k: line("checkpoint", path="c", sha256="", step=n, kind=k), STEPS,
              st.sampled_from(["best", "last", "phase"])),
    st.builds(lambda m: line("breaker", state="open", rule="r", message=m, numbers={"a": 1}),
              st.text(max_size=9)),
    st.just(b"not json\n"),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(events=st.lists(EVENTS, max_size=60), cuts=st.lists(st.floats(0, 1), max_size=6))
def test_a_file_read_as_it_grows_gives_the_view_of_the_whole_file(
    tmp_path_factory: pytest.TempPathFactory, events: list[bytes], cuts: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    content = b"".join(events)
    growing = RunReader(folder)
    for cut in sorted(int(share * len(content)) for share in cuts):
        (folder / "events.jsonl").write_bytes(content[:cut])
        growing.read()
    (folder / "events.jsonl").write_bytes(content)
    whole = RunReader(folder)
    grown, at_once = seen(growing.read()), seen(whole.read())
    # Lines that cannot be read are told once for each read: all else is the same.
    assert grown[0] == at_once[0] and grown[2:] == at_once[2:]
    assert grown[1][:5] == at_once[1][:5] and grown[1][6] == at_once[1][6]


def test_a_resumed_run_goes_on_from_its_checkpoint_and_what_was_lost_is_gone(tmp_path: Path) -> None:
    before = [metric(step, 1.0) for step in range(1, 51)] + [metric(40, 0.5, "exact", "heldout")]
    again = [line("phase", 0.0, name="load"), line("phase", 0.1, name="train", resumed=True, step=30)]
    view = read(tmp_path, *before, *again)
    assert [step for step, _ in curve(view)] == list(range(1, 31))
    assert curve(view, "exact", "heldout") == []
    view = read(tmp_path, *before, *again, *[metric(step, 2.0) for step in range(31, 41)])
    assert curve(view)[-11:] == [(30, 1.0), *[(step, 2.0) for step in range(31, 41)]]
    assert (view.resumed, view.went_back) == (1, 31)


def test_a_run_that_says_nothing_of_being_resumed_is_seen_by_its_steps(tmp_path: Path) -> None:
    view = read(tmp_path, *[metric(s, 1.0) for s in range(1, 51)], *[metric(s, 2.0) for s in range(31, 36)])
    assert curve(view)[-6:] == [(30, 1.0), *[(step, 2.0) for step in range(31, 36)]]


def test_a_held_out_measure_of_an_earlier_step_takes_nothing_back(tmp_path: Path) -> None:
    train = [metric(step, 1.0) for step in range(1, 51)]
    held = [metric(step, step / 100, "exact", "heldout") for step in (10, 20, 30, 40, 50)]
    view = read(tmp_path, *train, *held, metric(20, 0.9, "exact", "heldout"))
    assert curve(view, "exact", "heldout") == [(10, 0.1), (20, 0.9), (30, 0.3), (40, 0.4), (50, 0.5)]
    assert len(curve(view)) == 50


def test_values_that_are_no_numbers_are_counted_and_not_drawn(tmp_path: Path) -> None:
    view = read(
        tmp_path, metric(1, 1.0), metric(2, None), metric(3, "NaN"), metric(4, "-Infinity"), metric(5, 2.0)
    )
    assert curve(view) == [(1, 1.0), (5, 2.0)] and view.series["loss", "train"].lost == 3


def test_hostile_events_stay_bounded_and_printable(tmp_path: Path) -> None:
    many = [metric(1, 1.0, f"{EVIL}{n}" * 9) for n in range(3 * CURVES)]
    odd = [
        metric(-5, 1.0), metric(1e299, -1e299), line("metric", name="x", value=1, step="1", split=[EVIL]),
        line("metric", name="", value=1, step=True), line("phase", name=EVIL * 99),
        line("breaker", state=EVIL, rule=EVIL, message=EVIL * 99, numbers={EVIL: 1, "b": [1], "c": True}),
        line("breaker", state="open", rule="", message="", numbers=[1]),
        line("checkpoint", path=EVIL, sha256="", step=EVIL, kind={}, bytes=-3),
        line("artifact", path=EVIL, sha256="", title=[1]), line("alert", level=EVIL, message=EVIL * 99),
        *[line("phase", name=f"p{n}") for n in range(99)],
        *[line("artifact", path=f"{n}", sha256="") for n in range(99)],
        *[line("checkpoint", path="x", sha256="", step=n, kind="phase") for n in range(99)],
        *[line("alert", level="x", message=f"{n}") for n in range(999)],
    ]  # fmt: skip
    view = read(tmp_path, *many, *odd)
    assert len(view.series) <= CURVES and len(view.phases) < 20 and len(view.made) < 60
    assert len(view.checkpoints) < 60 and len(view.alerts) < 100
    told = repr([*view.series, *view.phases, *view.alerts, view.breaker, view.made, view.checkpoints])
    assert "\x1b" not in told and "\u202e" not in told and "\x07" not in told
    assert max(len(name) for name, _ in view.series) <= 48


def test_a_long_run_is_read_in_short_slices_and_little_memory(tmp_path: Path) -> None:
    count = 12_000  # a million is the same in larger: nothing grows with the file
    with (tmp_path / "events.jsonl").open("wb") as file:
        for step in range(count):
            file.write(metric(step, 99.0 if step == count // 3 else 1.0 / (step + 1)))
    reader, slices = RunReader(tmp_path), 0
    reader.fold(reader.take())
    first = len(reader.view.series["loss", "train"].points())
    assert 0 < first < 3_000 and 0 < reader.share < 0.5
    tracemalloc.start()
    worst = 0.0
    while True:
        begun = time.process_time()
        events = reader.take()
        reader.fold(events)
        worst = max(worst, time.process_time() - begun)
        if not events:
            break
        slices += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert slices > 5 and reader.share == 1.0
    assert peak < 6 << 20, peak
    assert worst < 0.5, worst  # some 15 ms; with memory being traced some 60
    points = reader.view.series["loss", "train"].points()
    assert len(points) <= 2 * BUCKETS + 1 and (count // 3, 99.0) in points
    assert sys.getsizeof(points) < 1 << 16


# Acceptance ------------------------------------------------------------------------------------------


def test_bounds_come_from_accept_and_from_nothing_else() -> None:
    accept = [
        "resumes", {"run": "x"}, {"metric": "loss", "max": 0.4}, {"metric": "exact", "min": 0.9},
        {"metric": "loss", "max": 9}, {"metric": "odd"}, {"metric": "both", "min": 1, "max": 2},
        {"metric": 3, "min": 1},
        {"metric": "text", "min": "1"}, None,
    ]  # fmt: skip
    found = thresholds({"accept": accept})
    assert found == {"loss": Threshold("loss", None, 0.4), "exact": Threshold("exact", 0.9, None)}
    assert found["loss"].met(0.4) and not found["loss"].met(0.41)
    assert found["exact"].met(0.9) and not found["exact"].met(0.899)
    assert thresholds({}) == {} and thresholds({"accept": "x"}) == {}
