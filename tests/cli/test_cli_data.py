"""Data sets from the command line: which there are, and one made with options, looked at and verified."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from cli_doubles import jetbox


def test_every_recipe_is_listed_with_what_it_makes_and_its_options(tmp_path: Path) -> None:
    done = jetbox("data", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for point in entry_points(group="jetbox.recipes"):
        said = next(line for line in lines if line.split("  ")[0] == point.name)
        assert len(said.removeprefix(point.name).split()) > 3, f"{point.name} says nothing of itself"
    assert "puzzle/sudoku  size=9  (4, 6, 9)" in lines
    assert "image/scenes  objects=3  (1 to 3)" in lines
    assert "vocabulary" not in done.stdout, "what can't be set is not listed"


def test_a_set_is_made_with_options_drawn_and_verified(tmp_path: Path) -> None:
    out = tmp_path / "scenes"
    asked = ("image/scenes", "--option", "size=64", "--option", "objects=2", "--count", "30", "--shards", "3")
    done = jetbox("data", *asked, "--workers", "2", "--out", str(out), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(out / "sheet.png") in done.stdout
    found = json.loads((out / "data/manifest.json").read_text())
    assert found["parameters"] == {"size": 64, "objects": 2, "wordings": 6}
    again = jetbox("data", "sheet", str(out), "--out", "other.png", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "other.png").read_bytes() == (out / "sheet.png").read_bytes()
    assert jetbox("data", "verify", str(out), cwd=tmp_path).returncode == 0
    shard = out / "data/shard-00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\xfe")
    spoiled = jetbox("data", "verify", str(out / "data"), cwd=tmp_path)
    assert spoiled.returncode == 1 and "was altered" in spoiled.stderr


def test_rows_of_text_have_a_sheet_too(tmp_path: Path) -> None:
    asked = ("text/worked-steps", "--option", "families=arithmetic", "--option", "hardest=2", "--count", "9")
    assert jetbox("data", *asked, "--shards", "1", "--out", "text", cwd=tmp_path).returncode == 0
    found = json.loads((tmp_path / "text/data/manifest.json").read_text())
    assert found["parameters"]["families"] == ["arithmetic"]
    assert jetbox("data", "sheet", "text", cwd=tmp_path).returncode == 0
    assert (tmp_path / "text/sheet.png").read_bytes().startswith(b"\x89PNG")


def test_where_no_comfyui_answers_a_line_says_so_and_nothing_of_it_is_in_the_json(tmp_path: Path) -> None:
    asked = (
        "image/comfyui",
        "--option",
        "port=9",
        "--count",
        "2",
        "--shards",
        "1",
        "--json",
        "--out",
        "images",
    )
    done = jetbox("data", *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "drawn procedurally" in done.stderr and "127.0.0.1:9" in done.stderr
    assert all(json.loads(line) for line in done.stdout.splitlines())
    assert "drawn procedurally" in json.loads((tmp_path / "images/data/manifest.json").read_text())["source"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sheet", "nowhere"), "was not finished"),
        (("verify", "nowhere"), "was not finished"),
        (("image/scenes", "--out", "x", "--option", "size"), "--option takes NAME=VALUE"),
        (("image/scenes", "--out", "x", "--option", "size=48"), "option size must be one of: 32, 64"),
        (("image/scenes", "--out", "x", "--option", "sise=32"), "did you mean size?"),
        (("image/scene", "--out", "x"), "did you mean 'image/scenes'?"),
    ],
)
def test_what_can_not_be_meant_is_one_line(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = jetbox("data", *arguments, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert words in done.stderr and len(done.stderr.splitlines()) == 1
