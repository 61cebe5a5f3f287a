"""Whatever a run's event file holds, reading it gives events and alerts, never an exception."""

from __future__ import annotations

import json
import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.run_events import CHUNK, MAX_LINE, Event, Progress, Tail, parse, progress


def line(type_: str = "metric", t: float = 0.0, **fields: Any) -> bytes:
    body = {"v": 1, "t": t, "at": "2030-01-01T00:00:00+00:00", "type": type_, **fields}
    return json.dumps(body).encode() + b"\n"


def metric(number: int) -> bytes:
    return line(name="loss", value=number)


def drain(tail: Tail) -> list[Event]:
    events: list[Event] = []
    while new := tail.read():
        events += new
    return events


def test_no_file_and_an_empty_file_hold_no_events(tmp_path: Path) -> None:
    assert Tail(tmp_path).read() == []
    (tmp_path / "events.jsonl").touch()
    assert Tail(tmp_path).read() == []


def test_a_line_is_given_once_and_only_when_it_is_complete(tmp_path: Path) -> None:
    path, tail = tmp_path / "events.jsonl", Tail(tmp_path)
    text = metric(1) + metric(2)
    seen: list[Any] = []
    for end in range(len(text) + 1):
        path.write_bytes(text[:end])
        seen += [event["value"] for event in tail.read()]
        assert len(seen) == text[:end].count(b"\n")
    assert seen == [1, 2]


def test_a_kept_offset_goes_on_where_the_last_reader_stopped(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(metric(1) + metric(2)[:-5])
    first = Tail(tmp_path)
    assert [event["value"] for event in first.read()] == [1]
    path.write_bytes(metric(1) + metric(2) + metric(3))
    assert [event["value"] for event in Tail(tmp_path, first.offset).read()] == [2, 3]


@pytest.mark.parametrize(
    "broken",
    [
        b"not json\n",
        b"\n",
        b"[1]\n",
        b"\xff\xfe\n",
        b"\x00" * 50 + b"\n",
        b"[" * 20_000 + b"\n",
        b'{"a":' * 900 + b"1" + b"}" * 900 + b"\n",
        b'{"v":1,"t":0,"at":"","type":"metric","name":"x","value":' + b"9" * 5000 + b"}\n",
        line("metric", name="x", value=float("nan")),
        line("metric", name="x", value=float("inf")),
        b'{"v":1,"t":0,"at":"","type":"alert","level":"info","message":"m","more":1e999}\n',
        line("metric", name="x"),
        line("metric", name=3, value=1),
        line("metric", name="x", value=True),
        line("metric", name="x", value="nan"),
        line("metric", name="x", value=[None]),
        line("breaker", state="open", rule=None, message="m"),
        line("progress", done=1, total=0),
        line("progress", done=-1, total=5),
        line("explode"),
        line("phase", t=float("nan"), name="x"),
        b'{"v":2,"t":0,"at":"","type":"phase","name":"x"}\n',
        b'{"v":1,"t":0,"at":"","type":["phase"],"name":"x"}\n',
    ],
)
def test_a_broken_line_is_one_alert_and_hides_no_other_line(broken: bytes, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(metric(1) + broken + broken + metric(2))
    events = Tail(tmp_path).read()
    assert [event["type"] for event in events] == ["metric", "metric", "alert"]
    assert "2 unreadable lines" in events[-1]["message"]
    json.dumps(events, allow_nan=False)


@pytest.mark.parametrize("value", [None, "NaN", "Infinity", "-Infinity"])
def test_a_metric_that_is_no_number_is_read_as_none(value: Any, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(line(name="loss", value=value))
    (event,) = Tail(tmp_path).read()
    assert event["type"] == "metric" and event["value"] is None


def test_small_portions_give_the_same_events_in_order(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(b"".join(map(metric, range(5000))))
    tail, portions = Tail(tmp_path, chunk=1), []
    while events := tail.read():
        portions.append(events)
    assert [event["value"] for events in portions for event in events] == list(range(5000))
    assert len(portions) > 2 and tail.offset == tail.size


def test_terminal_sequences_do_not_come_through(tmp_path: Path) -> None:
    text = "\x1b]0;owned\x07 \x9b31m \u202e\r\n\ud800"
    (tmp_path / "events.jsonl").write_bytes(line("alert", level="info", message=text, more={text: [text]}))
    (event,) = Tail(tmp_path).read()
    ((name, (value,)),) = event["more"].items()
    assert all(word.isprintable() for word in (event["message"], name, value))
    json.dumps(event, ensure_ascii=False).encode()


def test_an_overlong_line_costs_no_memory_and_is_one_alert(tmp_path: Path) -> None:
    with (tmp_path / "events.jsonl").open("wb") as file:
        file.write(metric(1))
        for _ in range(12):
            file.write(b"x" * CHUNK)
        file.write(b"\n" + metric(2))
    tail = Tail(tmp_path)
    tracemalloc.start()
    events = drain(tail)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [event["type"] for event in events] == ["metric", "metric", "alert"]
    assert peak < 6 * CHUNK
    assert tail.offset == (tmp_path / "events.jsonl").stat().st_size


def test_an_overlong_torn_line_that_is_cut_off_hides_nothing_after_it(tmp_path: Path) -> None:
    path, tail = tmp_path / "events.jsonl", Tail(tmp_path)
    path.write_bytes(metric(1) + b"x" * (MAX_LINE * 3))
    assert len(tail.read()) == 1
    tail.read()
    path.write_bytes(metric(1) + metric(2))  # the run was started again and mended its file
    assert [event["value"] for event in tail.read()] == [2]


def test_a_file_that_became_shorter_is_an_alert_and_not_a_loop(tmp_path: Path) -> None:
    path, tail = tmp_path / "events.jsonl", Tail(tmp_path)
    path.write_bytes(metric(1) + metric(2))
    tail.read()
    path.write_bytes(metric(3))
    assert [event["type"] for event in tail.read()] == ["alert"]
    assert tail.read() == []
    path.write_bytes(metric(3) + metric(4))
    assert [event["value"] for event in tail.read()] == [4]


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_is_an_alert_and_never_blocks(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    if kind == "link":
        (tmp_path / "secret").write_bytes(metric(1))
        path.symlink_to(tmp_path / "secret")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    tail = Tail(tmp_path)
    (event,) = tail.read()
    assert event["type"] == "alert"
    assert tail.read() == []  # told once: who reads to the end would never be done
    path.rmdir() if kind == "folder" else path.unlink()
    path.write_bytes(metric(1))
    assert [event["value"] for event in tail.read()] == [1]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.just(metric(1)), st.just(b"\n")), max_size=12))
def test_any_bytes_in_any_portions_give_the_same_events(
    tmp_path_factory: pytest.TempPathFactory, portions: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("tail")
    path, tail = folder / "events.jsonl", Tail(folder)
    content, growing = b"", []
    for portion in portions:
        content += portion
        path.write_bytes(content)
        growing += [event for event in tail.read() if event["type"] != "alert"]
        assert tail.offset == 0 or content[tail.offset - 1 : tail.offset] == b"\n"
    good = []
    for text in content.split(b"\n")[:-1]:
        try:
            good.append(parse(text))
        except ValueError:
            continue
    assert [event for event in growing if event["type"] != "alert"] == [
        e for e in good if e["type"] != "alert"
    ]


def at(t: float, done: float, total: float = 100) -> dict[str, Any]:
    return {"type": "progress", "t": t, "done": done, "total": total}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], Progress(0.0, None, None)),
        ([{"type": "phase", "name": "x"}], Progress(0.0, None, None)),
        ([at(0, 0), at(1, 10)], Progress(0.1, None, None)),  # two samples: no estimate yet
        ([at(0, 0), at(1, 10), at(2, 20)], Progress(0.2, 8.0, 8.0)),
        ([at(0, 0), at(1, 50), at(2, 60), at(3, 70)], Progress(0.7, 30 / (70 / 3), 3.0)),
        ([at(0, 5), at(1, 5), at(2, 5)], Progress(0.05, None, None)),  # it stands still
        ([at(1, 5), at(1, 6), at(1, 7)], Progress(0.07, None, None)),  # no time passed
        ([at(0, 0), at(1, 50), at(2, 100)], Progress(1.0, 0.0, 0.0)),
        ([at(0, 0), at(1, 50), at(2, 300)], Progress(1.0, 0.0, 0.0)),
        # started again: the clock began anew, the samples before it say nothing
        ([at(0, 0), at(5, 50), at(9, 60), at(0.5, 60), at(1, 70)], Progress(0.7, None, None)),
        ([at(9, 60), at(0, 60), at(1, 70), at(2, 80)], Progress(0.8, 2.0, 2.0)),
    ],
)
def test_progress_is_a_fraction_and_after_three_samples_a_range(
    events: list[dict[str, Any]], expected: Progress
) -> None:
    assert progress(events) == pytest.approx(expected)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e9), st.floats(1, 1e9)), max_size=30))
def test_progress_keeps_its_bounds(samples: list[tuple[float, float, float]]) -> None:
    fraction, low, high = progress([at(*sample) for sample in samples])
    assert 0 <= fraction <= 1
    assert (low is None) == (high is None)
    assert low is None or high is None or 0 <= low <= high
