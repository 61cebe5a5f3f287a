"""Images from a ComfyUI on this machine, put into a run's folder before the run starts.

A run has no network, so the engine fetches what it needs: `given/00000.png` and so on, and last `given.json`
with where they came from, each image's prompt, seed and checksum. Cut off, the same call goes on with the
next image. Where no ComfyUI answers, `given.json` says so in the words that the data set's manifest will
hold, and the run draws by itself. What is fetched is only bounded and stored here; the run decodes it.

Only what `orchestrator/reach.py` lets the engine reach is reached: port 8188 of this machine, or another one
that the person lists under `servers`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from orchestrator.providers.base import ProviderError
from orchestrator.reach import COMFYUI, Server
from state import durable

RECIPE, GIVEN, INDEX = "image/comfyui", "given", "given.json"
PORT = int(COMFYUI.rpartition(":")[2])
WAIT_FIRST = 3.0  # seconds for it to say that it is there
WAIT = 30.0  # seconds for any other answer
WAIT_IMAGE = 600.0  # seconds for one image: a large model on a CPU takes minutes
POLL = 0.25  # seconds between two looks at a prompt
MOST = 16 << 20  # bytes of an image
LARGEST = 4096  # pixels of a side
_BEGUN = "begun.json"
_PNG = b"\x89PNG\r\n\x1a\n"
_SIDE, _STEPS = 512, 16


class GiveError(Exception):
    """ComfyUI began to give images and can't go on; what came is kept."""


def give(
    folder: Path,
    request: Mapping[str, Any],
    stop: threading.Event,
    tell: Callable[[str], None],
    progress: Callable[[float], None] = lambda _: None,
) -> str | None:
    """Put what the run needs into its folder; do nothing for other recipes, or when it is there.

    Args:
        folder: the run's.
        request: of the run.
        stop: ends it before the next image; call again to go on.
        tell: takes the line on where the images come from.
        progress: takes the share that is there.

    Returns:
        Where the images come from; None where the run needs none, or it was stopped.

    Raises:
        GiveError: in the middle; a line that says what to do.
    """
    if request.get("recipe") != RECIPE:
        return None
    given = folder / GIVEN
    if (given / INDEX).exists():
        return str(_json(given / INDEX).get("source", ""))
    given.mkdir(parents=True, exist_ok=True)
    options = request.get("options") or {}
    port = options.get("port", PORT)
    if not isinstance(port, int) or not 0 < port < 65536:
        return None  # the run refuses the option in its own words
    comfy = _Comfy(Server("127.0.0.1", port), stop)
    begun = _json(given / _BEGUN)
    if not begun:
        try:
            begun = comfy.introduce()
        except ProviderError as error:
            if stop.is_set():
                return None
            return _drawn(given, _why(error, comfy.where), tell)
        durable.replace(given / _BEGUN, json.dumps(begun).encode())
    source = f"ComfyUI {begun['version']} on {comfy.where}, {begun['model']}"
    tell(source)
    count, seed = int(request["count"]), int(request["seed"])
    for index in range(count):
        path = given / f"{index:05d}.png"
        if path.exists():
            continue
        progress(index / count)
        try:
            durable.replace(path, comfy.image(prompt(seed, index), _number(seed, index), begun["model"]))
        except ProviderError as error:
            if stop.is_set():
                return None
            raise GiveError(
                f"ComfyUI on {comfy.where} stopped after {index} of {count} images ({error}): "
                "see to it, then retry"
            ) from error
    images = [_entry(given / f"{index:05d}.png", seed, index) for index in range(count)]
    _finish(given, source, images)
    return source


def hand_on(folder: Path, other: Path) -> None:
    """Give a run what another one was given, so that it can make the same data set."""
    if (folder / GIVEN / INDEX).exists():
        shutil.copytree(folder / GIVEN, other / GIVEN, dirs_exist_ok=True)


def prompt(seed: int, index: int) -> str:
    """What image `index` shows: one of 2,560 plain scenes, by the seed and the index alone."""
    number, words = _number(seed, index, "prompt"), []
    for choices in _WORDS:
        number, which = divmod(number, len(choices))
        words.append(choices[which])
    size, colour, thing, where, light = words
    return f"a photo of a {size} {colour} {thing} {where}, {light}"


_WORDS = (
    ("small", "large"),
    ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "white"),
    ("ball", "wooden cube", "cup", "paper star", "bottle", "flower", "shoe", "toy car", "bowl", "book"),
    ("on the left of a table", "on the right of a table", "in the middle of a table", "on green grass"),
    ("soft daylight", "warm evening light", "a bright studio", "a dim room"),
)


def _number(seed: int, index: int, what: str = "seed") -> int:
    digest = hashlib.sha256(f"{RECIPE}\x1f{what}\x1f{seed}\x1f{index}".encode()).digest()
    return int.from_bytes(digest[:6], "big")


def _entry(path: Path, seed: int, index: int) -> dict[str, Any]:
    data = path.read_bytes()
    named = {"file": path.name, "prompt": prompt(seed, index), "seed": _number(seed, index)}
    return {**named, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _drawn(given: Path, why: str, tell: Callable[[str], None]) -> str:
    line = f"{why}: drawn procedurally"
    tell(line)
    _finish(given, line, [])
    return line


def _finish(given: Path, source: str, images: list[dict[str, Any]]) -> None:
    body = {"schema": 1, "source": source, "images": images}
    durable.replace(given / INDEX, json.dumps(body, sort_keys=True, indent=1).encode() + b"\n")


def _why(error: ProviderError, where: str) -> str:
    """Why there are no images of ComfyUI's, as a person would say it."""
    if error.kind == "missing":
        return str(error)
    if error.kind == "refused" and "servers" in str(error):
        return f"{where} is not to be reached ({error})"
    return f"no ComfyUI on {where}"


def _json(path: Path) -> dict[str, Any]:
    """A file of ours; empty where it is not there or is torn."""
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


class _Comfy:
    """Its HTTP, as far as it is needed here."""

    def __init__(self, server: Server, stop: threading.Event) -> None:
        from orchestrator.providers.wire import Wire

        self._wire, self._stop = Wire(server), stop
        self.where = self._wire.where

    def introduce(self) -> dict[str, str]:
        """Its version and the model that will draw.

        Raises:
            ProviderError: nobody is there, it is something else, or (missing) it has no model.
        """
        stats = self._wire.ask("/system_stats", within=WAIT_FIRST, stop=self._stop)
        system = stats.get("system")
        version = system.get("comfyui_version") if isinstance(system, dict) else None
        if not isinstance(system, dict) or not isinstance(version, str | None):
            raise ProviderError("transport", f"{self.where} is no ComfyUI")
        loader = "CheckpointLoaderSimple"
        told = self._wire.ask(f"/object_info/{loader}", within=WAIT, stop=self._stop)
        try:
            names = told[loader]["input"]["required"]["ckpt_name"][0]
            models = sorted(name for name in names if isinstance(name, str) and 0 < len(name) <= 200)
        except (KeyError, IndexError, TypeError):
            models = []
        if not models:
            raise ProviderError("missing", f"the ComfyUI on {self.where} has no checkpoint")
        return {"version": _plain(version or "of unknown version", 40), "model": models[0]}

    def image(self, text: str, seed: int, model: str) -> bytes:
        """A PNG of this text.

        Raises:
            ProviderError: it can't, takes too long, or what it sent is no PNG.
        """
        asked = {"prompt": _workflow(text, seed, model), "client_id": "jetbox"}
        named = self._wire.ask("/prompt", asked, WAIT, self._stop).get("prompt_id")
        if not isinstance(named, str) or not re.fullmatch(r"[A-Za-z0-9-]{1,64}", named):
            raise ProviderError("transport", "it gave the prompt no name")
        until = time.monotonic() + WAIT_IMAGE
        while (where := self._made(named)) is None:
            if time.monotonic() > until:
                raise ProviderError("stall", f"no image in {WAIT_IMAGE:.0f} s")
            if self._stop.wait(POLL):
                raise ProviderError("stall", "stopped")
        status, data = self._wire.answer("GET", f"/view?{urlencode(where)}", None, WAIT, self._stop)
        if status != 200 or not _is_png(data):
            raise ProviderError("transport", "it sent something that is no PNG of a sensible size")
        return data

    def _made(self, named: str) -> dict[str, str] | None:
        """Where the first image of a prompt lies; None while it is at work."""
        entry = self._wire.ask(f"/history/{named}", within=WAIT, stop=self._stop).get(named)
        if entry is None:
            return None
        try:
            if entry["status"]["status_str"] == "error":
                raise ProviderError("refused", "its workflow failed: ComfyUI's console says why")
            image = next(each["images"][0] for each in entry["outputs"].values() if each.get("images"))
            return {key: str(image[key])[:300] for key in ("filename", "subfolder", "type")}
        except (KeyError, IndexError, TypeError, AttributeError, StopIteration):
            raise ProviderError("transport", "it tells of a finished prompt without an image") from None


def _workflow(text: str, seed: int, model: str) -> dict[str, Any]:
    """The nodes of the plainest picture from a text, in the form that ComfyUI's API takes."""

    def node(kind: str, **inputs: Any) -> dict[str, Any]:
        return {"class_type": kind, "inputs": inputs}

    return {
        "1": node("CheckpointLoaderSimple", ckpt_name=model),
        "2": node("CLIPTextEncode", clip=["1", 1], text=text),
        "3": node("CLIPTextEncode", clip=["1", 1], text="text, watermark, blurry"),
        "4": node("EmptyLatentImage", width=_SIDE, height=_SIDE, batch_size=1),
        "5": node(
            "KSampler",
            model=["1", 0],
            positive=["2", 0],
            negative=["3", 0],
            latent_image=["4", 0],
            seed=seed,
            steps=_STEPS,
            cfg=6.5,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        "6": node("VAEDecode", samples=["5", 0], vae=["1", 2]),
        "7": node("SaveImage", images=["6", 0], filename_prefix="jetbox"),
    }


def _is_png(data: bytes) -> bool:
    """By its first bytes alone: signature and the size it claims."""
    if len(data) > MOST or len(data) < 33 or not data.startswith(_PNG) or data[12:16] != b"IHDR":
        return False
    wide, high = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    return 0 < wide <= LARGEST and 0 < high <= LARGEST


def _plain(text: str, most: int) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:most]
