"""Who follows a model's words sees each of them once, whatever moment they look at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from state.stream import MOST, Piece, Reader, Writer, read


def test_neighbours_of_one_sort_are_one_piece(tmp_path: Path) -> None:
    say = Writer(tmp_path / "live" / "s")
    for sort, text in (("call", "who"), ("think", "a"), ("think", "b\n"), ("text", "c")):
        say.say(sort, text)
    assert read(tmp_path / "live" / "s") == [("call", "who"), ("think", "ab\n"), ("text", "c")]


def test_a_reader_that_looks_at_every_byte_sees_what_one_sees_that_looks_once(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole", tmp_path / "s"
    say = Writer(whole)
    for n in range(40):
        say.say(("think", "text")[n // 20], f"piece {n} é\n")
    reader, text = Reader(path), ""
    for byte in whole.read_bytes():
        with path.open("ab") as file:
            file.write(bytes([byte]))
        anew, pieces = reader.more()
        assert not anew
        text += "".join(piece.text for piece in pieces)
    assert text == "".join(piece.text for piece in read(whole))


@pytest.mark.parametrize("first", ["much " * 500, "x"])
def test_another_call_is_told_from_more_of_this_one(tmp_path: Path, first: str) -> None:
    path = tmp_path / "s"
    reader, say = Reader(path), Writer(path)
    say.say("call", "turn 1")
    say.say("text", first)
    assert reader.more()[1]
    again = Writer(path)
    again.say("call", "turn 2")
    again.say("text", "y" * 3000)  # longer than what was read already
    assert reader.more() == (True, [Piece("call", "turn 2"), Piece("text", "y" * 3000)])
    Writer(path)
    assert reader.more() == (True, [])
    assert reader.more() == (False, [])


def test_lines_of_another_shape_are_passed_over_and_a_file_that_is_gone_is_quiet(tmp_path: Path) -> None:
    path = tmp_path / "s"
    junk = [b"[", b"{}", b"[1,2]", b'["a"]', b"\xff\xfe", b"[" * 50_000, b'["text","kept"]', b'["text","half']
    path.write_bytes(b"\n".join(junk))
    reader = Reader(path)
    assert reader.more() == (False, [("text", "kept")])
    path.unlink()
    assert reader.more() == (False, []) and read(path) == []


def test_a_reply_without_end_costs_the_show_and_not_the_disk(tmp_path: Path) -> None:
    say = Writer(tmp_path / "s")
    for _ in range(40):
        say.say("text", "x" * 30_000)
    assert (tmp_path / "s").stat().st_size <= MOST
    assert all(json.loads(line) for line in (tmp_path / "s").read_bytes().splitlines())
