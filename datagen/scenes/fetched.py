"""Images that were put into the run's folder, as columns; and drawn ones that stand in where there are none.

What lies in `given/` was sent by another program: its list is read strictly, each file is held against its
checksum, and a picture is decoded only when its header claims a sensible size.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from datagen.errors import BrokenData
from datagen.files import open_regular
from datagen.scenes import scene, stills, words

GIVEN, INDEX = "given", "given.json"
_MOST_INDEX, _MOST = 64 << 20, 16 << 20  # bytes of the list, of an image
_LARGEST = 4096  # pixels of a side
_AGAIN = "make the data set again in a new folder"


@dataclass(frozen=True)
class Entry:
    """An image of the list."""

    file: str
    prompt: str
    sha256: str


def columns(options: Mapping[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The type and the shape of a row of each column."""
    side = options["size"]
    return {
        "image": ("uint8", (side, side, 3)),
        "caption": ("uint8", (words.CAPTION,)),
        "split": ("uint8", ()),
        "key": ("uint64", ()),
    }


def drawn(seed: int, start: int, stop: int, options: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Rows drawn by the renderer: scenes of up to three objects with their captions."""
    every = {"size": options["size"], "objects": scene.MOST, "wordings": words.WORDINGS}
    rows = stills.make(seed, start, stop, every)
    return {name: rows[name] for name in columns(options)}


def listed(run_dir: Path, count: int) -> tuple[list[Entry], str]:
    """The images that were given (none, where the rows are to be drawn) and where they come from."""
    path = run_dir / GIVEN / INDEX
    try:
        with open_regular(path) as file:
            text = file.read(_MOST_INDEX + 1)
        body = json.loads(text)
        entries = [Entry(each["file"], each["prompt"], each["sha256"]) for each in body["images"]]
        source = body["source"]
    except FileNotFoundError:
        return [], "drawn procedurally: no images were given"
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BrokenData(f"{path} can't be read ({type(error).__name__}): {_AGAIN}") from None
    sound = (
        isinstance(body["images"], list)
        and isinstance(source, str)
        and len(source) <= 1000
        and body.get("schema") == 1
    )
    names = [f"{index:05d}.png" for index in range(len(entries))]
    if not sound or len(entries) not in (0, count) or not all(map(_sound, entries, names)):
        raise BrokenData(f"{path} can't be right: {_AGAIN}")
    if entries:
        source += f", images {hashlib.sha256(text).hexdigest()[:16]}"
    return entries, source


def _sound(entry: Entry, name: str) -> bool:
    return (
        entry.file == name
        and isinstance(entry.prompt, str)
        and 0 < len(entry.prompt.encode("utf-8", "replace")) <= words.CAPTION
        and isinstance(entry.sha256, str)
        and re.fullmatch(r"[0-9a-f]{64}", entry.sha256) is not None
    )


def fetched(folder: Path, entries: Sequence[Entry], side: int) -> dict[str, npt.NDArray[Any]]:
    """Rows of these images, cut to a square and made small; a prompt is on one side of the split."""
    hashed = [hashlib.sha256(entry.prompt.encode()).digest()[:8] for entry in entries]
    key = np.array([int.from_bytes(each, "big") for each in hashed], np.uint64)
    return {
        "image": np.stack([_picture(folder / entry.file, entry, side) for entry in entries]),
        "caption": words.column([entry.prompt for entry in entries], words.CAPTION),
        "split": scene.split_of(key),
        "key": key,
    }


def _picture(path: Path, entry: Entry, side: int) -> npt.NDArray[np.uint8]:
    try:
        with open_regular(path) as file:
            data = file.read(_MOST + 1)
        if len(data) > _MOST or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise BrokenData(f"{path} was altered: {_AGAIN}")
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            wide, high = image.size
            if not (0 < wide <= _LARGEST and 0 < high <= _LARGEST):
                raise BrokenData(f"{path} claims {wide} x {high} pixels: {_AGAIN}")
            whole = image.convert("RGB")
    except BrokenData:
        raise
    except Exception as error:  # a decoder fed with foreign bytes raises whatever it likes
        raise BrokenData(f"{path} is no image that can be read ({type(error).__name__}): {_AGAIN}") from None
    edge = min(wide, high)
    left, top = (wide - edge) // 2, (high - edge) // 2
    box = (left, top, left + edge, top + edge)
    return np.asarray(whole.resize((side, side), Image.Resampling.BOX, box=box), np.uint8)
