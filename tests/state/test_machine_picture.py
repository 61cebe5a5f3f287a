"""The picture of the machine comes back as it was written, or not at all."""

from __future__ import annotations

import dataclasses
import json
import typing
from pathlib import Path
from typing import Any

import pytest

from state import machine
from state.machine import Candidate, Device, Finding, Holder, Machine, Role, read, write

WHOLE = Machine(
    at=5, policy="packed", paused="hot", reserve=7,
    roles=(Role(role="r", candidates=(Candidate(model="m", provider="p", used=True, why="w", bytes=3),)),),
    devices=(Device(name="d", kind="gpu", total=9, free=4, celsius=60.5, watts=100.0, load=0.5),
             Device(name="ram", kind="ram", total=9, free=4)),
    holders=(Holder(who="m", what="model", bytes=3, since=1, until=None),),
    findings=(Finding(model="m", digest="d", says=("a", "b")),),
)  # fmt: skip


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "home" / "machine.json", WHOLE)
    assert read(tmp_path / "home" / "machine.json") == WHOLE
    assert read(tmp_path / "no.json") is None


def test_keys_of_a_newer_engine_are_left_out(tmp_path: Path) -> None:
    said = dataclasses.asdict(WHOLE) | {"more": 1}
    said["devices"][0]["fans"] = 3
    (tmp_path / "m").write_text(json.dumps(said))
    assert read(tmp_path / "m") == WHOLE


def _spoilt() -> list[Any]:
    """The picture with each field in turn of another type, or gone where it is needed."""
    found: list[Any] = [None, [], 3, "x", {}, {"v": 2, "at": 1}]
    for field in dataclasses.fields(Machine):
        for junk in (None, {}, "x" if field.name != "policy" and field.name != "paused" else 3, [3], True):
            found.append(dataclasses.asdict(WHOLE) | {field.name: junk})
    for key, part in (
        ("devices", "total"),
        ("holders", "since"),
        ("findings", "says"),
        ("roles", "candidates"),
    ):
        for junk in (None, "x", True, 1e300, [3]):
            said = json.loads(json.dumps(dataclasses.asdict(WHOLE)))
            said[key][0][part] = junk
            found.append(said)
        said = json.loads(json.dumps(dataclasses.asdict(WHOLE)))
        del said[key][0][part]
        found.append(said)
    return found


@pytest.mark.parametrize("said", _spoilt(), ids=range(len(_spoilt())))
def test_a_picture_of_another_shape_is_no_picture(tmp_path: Path, said: Any) -> None:
    (tmp_path / "m").write_text(json.dumps(said))
    assert read(tmp_path / "m") is None


@pytest.mark.parametrize(
    "data", [b"", b"[" * 100_000, b'{"at": NaN}', b'{"at": 1, "reserve": 1e999}', b" " * 5_000_000]
)
def test_bytes_of_any_sort_are_no_picture(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m").write_bytes(data)
    assert read(tmp_path / "m") is None


def test_every_field_has_a_way_to_be_read() -> None:
    for kind in (Machine, Role, Candidate, Device, Holder, Finding):
        assert typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            assert str(field.type) in machine._FIELDS
