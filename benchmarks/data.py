"""What data sets cost, in core-seconds of the product's own runs: `python benchmarks/data.py [--rows 20000]`.

Each recipe is run as a ticket runs it (`orchestrator.child RUN datagen`: low priority, no network, shards,
checkpoints, manifest, sheet), and what the process and its workers used of the processor is counted, so the
figures hold on a busy machine. `first` is a run of eight rows: starting Python, loading numpy and numba,
drawing the sheet. `row_us` is what a row costs beyond that, in microseconds.

References, in the same run on the same scenes: `drawn_singly` draws each scene by itself with Pillow, eight
times too large and then made small, as one would by hand, without background or words; `npz` reads the same
columns with numpy, without checksums.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from datagen import load, manifest
from datagen.recipes.scenes import STILLS
from datagen.scenes import render, scene

RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "scenes": ("image/scenes", {}),
    "moving scenes": ("video/scenes", {}),
    "sudoku 6x6": ("puzzle/sudoku", {"size": 6}),
    "sudoku 9x9": ("puzzle/sudoku", {"size": 9}),
    "maze 9x9": ("puzzle/maze", {"size": 9}),
    "arithmetic": ("puzzle/arithmetic", {}),
    "logic": ("puzzle/logic", {}),
    "text": ("text/worked-steps", {}),
}


def made(folder: Path, recipe: str, options: Mapping[str, Any], rows: int, workers: int = 1) -> float:
    """Core-seconds of a run."""
    folder.mkdir(parents=True)
    request: dict[str, Any] = {"schema": 1, "recipe": recipe, "seed": 1, "count": rows, "options": options}
    request |= {"shards": min(rows, 8), "workers": workers}
    (folder / "request.json").write_text(json.dumps(request))
    before = _children()
    command = [sys.executable, "-P", "-m", "orchestrator.child", str(folder), "datagen"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _own(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def drawn_singly(rows: int) -> float:
    """Core-seconds of drawing scenes one by one: a polygon or ellipse for each object."""
    some = scene.draw(_draws(rows), 1, 3)
    where = scene.spots(_draws(rows), some, 32) * 2  # in eighths

    def draw() -> None:
        for row in range(rows):
            image = Image.new("RGB", (256, 256), (40, 40, 40))
            pen = ImageDraw.Draw(image)
            for place in range(int(some.count[row])):
                shape, colour, size = (int(n) for n in some.objects[row, place, :3])
                x, y = (int(n) for n in where[row, place])
                reach = 2 * scene.radius(size, 32)
                box = (x - reach, y - reach, x + reach, y + reach)
                ink = render._RGB[scene.COLOURS[colour]]
                if shape in (0, 5):
                    pen.ellipse(box, fill=ink)
                else:
                    pen.regular_polygon((x, y, reach), 3 + shape, fill=ink)
            np.asarray(image.resize((32, 32), Image.Resampling.BOX))

    return _own(draw)


def _draws(rows: int) -> Any:
    from datagen.draws import Draws

    return Draws("benchmark", 0, 0, rows)


def measure(rows: int) -> dict[str, Any]:
    """All figures."""
    found: dict[str, Any] = {"rows": rows}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for title, (recipe, options) in RECIPES.items():
            first = made(root / title / "first", recipe, options, 8)
            folder = root / title / "whole"
            whole = made(folder, recipe, options, rows)
            size = sum(path.stat().st_size for path in (folder / "data").iterdir())
            result = json.loads((folder / "result.json").read_text())["metrics"]
            found[title] = {
                "core_seconds": round(whole, 2),
                "first": round(first, 2),
                "row_us": round(1e6 * max(0.0, whole - first) / rows, 1),
                "megabytes": round(size / 1e6, 1),
                "duplicates": result["duplicates"],
            }
        found["scenes"] |= _beside(root, rows, found["scenes"]["row_us"])
        two = made(root / "workers", "image/scenes", {}, rows, workers=2)
        same = manifest.read(root / "workers/data") == manifest.read(root / "scenes/whole/data")
        found["two workers"] = {"core_seconds": round(two, 2), "same_bytes": same}
    return found


def _beside(root: Path, rows: int, row_us: float) -> dict[str, Any]:
    """Scenes beside the references."""
    some = min(rows, 1000)
    singly = 1e6 * drawn_singly(some) / some
    data = root / "scenes/whole/data"
    arrays = load.columns(data)
    ours = _own(lambda: load.columns(data))
    np.savez(root / "same.npz", **arrays)  # type: ignore[arg-type]
    with np.load(root / "same.npz") as file:
        npz = _own(lambda: [file[name] for name in file.files])
    options = {"size": 32, "objects": 3, "wordings": 6}
    pure = 1e6 * _own(lambda: STILLS.make(1, 0, rows, options)) / rows
    return {
        "pure_row_us": round(pure, 1),
        "drawn_singly_row_us": round(singly, 1),
        "against_drawn_singly": round(row_us / singly, 2),
        "read_seconds": round(ours, 3),
        "npz_read_seconds": round(npz, 3),
        "against_npz": round(ours / npz, 2) if npz else None,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000, help="of each set; 20000 for the full size")
    print(json.dumps(measure(parser.parse_args().rows), indent=1))
