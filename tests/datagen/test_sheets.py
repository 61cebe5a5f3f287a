"""A sheet shows the rows it was made of: it is there, the same for the same rows, and another for others."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datagen import recipe, run, sheet
from datagen.errors import BrokenData, ProvenanceRefused

RECIPES = (
    *("image/scenes", "video/scenes", "puzzle/sudoku", "puzzle/maze", "puzzle/arithmetic", "puzzle/logic"),
    *("text/debate", "text/worked-steps"),
)


def data(folder: Path, **request: Any) -> Path:
    folder.mkdir(parents=True)
    body = {"schema": 1, "recipe": "image/scenes", "seed": 1, "count": 8, "options": {}}
    (folder / "request.json").write_text(json.dumps(body | request))
    assert run.main(folder) == 0, (folder / "result.json").read_text()
    return folder / "data"


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_sheet_that_shows_its_rows(name: str, tmp_path: Path) -> None:
    one, again, other = (data(tmp_path / f"{i}", recipe=name, seed=seed) for i, seed in enumerate((1, 1, 2)))
    shown = sheet.png(one)
    assert shown == sheet.png(again) and shown != sheet.png(other)
    image = Image.open(io.BytesIO(shown))
    assert image.format == "PNG" and image.width == sheet.WIDTH and image.height > 100
    ink = np.asarray(image.convert("L"))
    below = ink[ink.shape[0] // 2 :]
    assert (below < 128).any(), "something is drawn down to its end"


def test_pictures_stand_on_the_sheet_as_they_are_in_the_data(tmp_path: Path) -> None:
    folder = data(tmp_path / "run")
    from datagen import load

    first = load.columns(folder)["image"][0]
    shown = np.asarray(Image.open(io.BytesIO(sheet.png(folder))))
    top = 2 * sheet.MARGIN + 14
    tile = shown[top : top + 128, sheet.MARGIN : sheet.MARGIN + 128]
    assert np.array_equal(tile[2::4, 2::4], first)


def test_columns_of_a_recipe_that_is_not_here_any_more_are_still_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datagen.errors import RequestError

    folder = data(tmp_path / "run", recipe="puzzle/arithmetic")

    def gone(name: str) -> Any:
        raise RequestError(f"no recipe {name}")

    monkeypatch.setattr(recipe, "load", gone)
    assert sheet.png(folder).startswith(b"\x89PNG")


def test_control_characters_and_endless_words_do_not_break_a_sheet(tmp_path: Path) -> None:
    from datagen import columns, manifest
    from datagen.scenes import words

    folder = data(tmp_path / "run", count=3)
    found = manifest.read(folder)
    rows = columns.read(folder / "shard-00000.safetensors", found.columns, found.shards[0])
    rows["caption"] = words.column(["x" * 190, "\x1b[31m\0\n\t red", "é" * 90], 192)
    rows["question"][:] = 0xFF
    shard = columns.write(folder / "shard-00000.safetensors", found.columns, rows, 3)
    body = json.loads((folder / "manifest.json").read_text())
    body["shards"] = [{"path": shard.path, "rows": 3, "bytes": shard.bytes, "sha256": shard.sha256}]
    (folder / "manifest.json").write_text(json.dumps(body))
    assert Image.open(io.BytesIO(sheet.png(folder))).width == sheet.WIDTH


def test_what_may_not_be_read_is_not_shown(tmp_path: Path) -> None:
    folder = data(tmp_path / "run")
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"synthetic"', '"scraped"'))
    with pytest.raises(ProvenanceRefused):
        sheet.png(folder)
    (folder / "manifest.json").write_text(text)
    shard = folder / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(BrokenData):
        sheet.png(folder)
    shutil.rmtree(folder)
    with pytest.raises(BrokenData, match="was not finished"):
        sheet.png(folder)
