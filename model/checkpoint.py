"""Checkpoints: all that decides the rest of a run, whole or not there, in safetensors and JSON alone.

A checkpoint is a folder `checkpoints/step-00001200/`, written aside, fsynced and renamed.
`model.safetensors` holds the weights that are used (averaged, where the run averages them),
`train.safetensors` what the next step needs beside them. `checkpoint.json` names both with their checksums.
Whatever does not fit its checksum is refused before a tensor of it is read.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor

from datagen import files
from model.errors import CheckpointError
from model.learner import DataInfo

VERSION = 1
FOLDER, INDEX, META = "checkpoints", "checkpoints.json", "checkpoint.json"
WEIGHTS, TRAIN = "model.safetensors", "train.safetensors"
MAX_META = 4 * 1024 * 1024  # bytes
_BLOCK = 1024 * 1024
_NAME = re.compile(r"step-\d{8,12}")


@dataclass(frozen=True)
class Meta:
    """The fields of `checkpoint.json`."""

    learner: str
    config: dict[str, Any]  # complete
    config_key: str
    data: dict[str, Any]  # what a DataInfo holds, and the data set's content_sha256
    seed: int
    step: int
    phase: str
    metrics: dict[str, float]  # the last assessment's
    memory: dict[str, Any]  # of the loop: what is best, the breaker's history, time consumed, precision
    files: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> bytes, sha256
    version: int = VERSION
    seal: str = ""  # SHA-256 over all the other fields

    def info(self) -> DataInfo:
        """What the learner was told of its data."""
        try:
            columns = {
                name: (str(kind), tuple(shape)) for name, (kind, shape) in self.data["columns"].items()
            }
            encoder = None if self.data["encoder"] is None else Path(self.data["encoder"])
            return DataInfo(self.data["recipe"], self.data["options"], columns, self.data["rows"], encoder)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"the checkpoint's word on its data is broken: {error}") from None


@dataclass(frozen=True)
class Found:
    """The checkpoint to go on from, if any, and those that were refused before it."""

    folder: Path | None
    meta: Meta | None
    refused: list[str]


def name(step: int) -> str:
    """The folder of a step's checkpoint."""
    return f"step-{step:08d}"


def save(run_dir: Path, meta: Meta, model: Mapping[str, Tensor], train: Mapping[str, Tensor]) -> Path:
    """Write a checkpoint; an intact one of the same step stays. OSError leaves nothing of the new one."""
    folder = run_dir / FOLDER / name(meta.step)
    if folder.exists():
        try:
            read(folder)
            return folder
        except CheckpointError:
            shutil.rmtree(folder)
    aside = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        written = {
            each: _write(aside / each, tensors) for each, tensors in ((WEIGHTS, model), (TRAIN, train))
        }
        body = asdict(meta) | {"files": written}
        body["seal"] = _seal(body)
        text = json.dumps(body, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"
        files.replace(aside / META, text)
        aside.replace(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    files.sync_folder(folder.parent)
    return folder


def save_weights(folder: Path, meta: Meta, model: Mapping[str, Tensor]) -> Meta:
    """Write a checkpoint that nobody trains on, without `train.safetensors`, into an empty folder; its word.

    The folder is whole when `checkpoint.json` is there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    body = asdict(meta) | {"files": {WEIGHTS: _write(folder / WEIGHTS, model)}}
    body["seal"] = _seal(body)
    text = json.dumps(body, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"
    files.replace(folder / META, text)
    return parse(text, folder)


def read(folder: Path, *, weights_alone: bool = False) -> Meta:
    """A checkpoint's `checkpoint.json`, its files held against it; CheckpointError says what is wrong.

    With `weights_alone` the training's state need not be there, and is not looked at.
    """
    meta = _meta(folder)
    for each in (WEIGHTS,) if weights_alone else (WEIGHTS, TRAIN):
        if each not in meta.files:
            raise CheckpointError(f"{folder} was not written by a training: it has no {each}")
        wanted, path = meta.files[each], folder / each
        try:
            size, sha256 = _digest(path)
        except OSError as error:
            raise CheckpointError(f"{path} can't be read: {error.strerror or error}") from None
        if size != wanted["bytes"] or sha256 != wanted["sha256"]:
            raise CheckpointError(f"{path} is torn or was altered: it has not its checksum")
    return meta


def weights(folder: Path, meta: Meta) -> dict[str, Tensor]:
    """The weights that are used, on the CPU, of a checkpoint that was `read`."""
    return _load(folder / WEIGHTS, meta)


def train_state(folder: Path, meta: Meta) -> dict[str, Tensor]:
    """What the next step needs beside the weights, of a checkpoint that was `read`."""
    return _load(folder / TRAIN, meta)


def newest(run_dir: Path) -> Found:
    """The newest whole checkpoint. Those that are torn or altered are named; another version raises."""
    refused: list[str] = []
    for folder in sorted(_folders(run_dir), reverse=True):
        try:
            return Found(folder, read(folder), refused)
        except CheckpointError as error:
            if "of version" in str(error):
                raise
            refused.append(str(error))
    return Found(None, None, refused)


def tidy(run_dir: Path) -> None:
    """Remove what a killed process left half written."""
    for path in (run_dir / FOLDER).glob(".*.tmp"):
        shutil.rmtree(path, ignore_errors=True)


def index(run_dir: Path, roles: Mapping[str, Any]) -> None:
    """Write `checkpoints.json`: which checkpoint is the best, the last, and at the end of each phase."""
    text = json.dumps({"version": VERSION, **roles}, sort_keys=True).encode() + b"\n"
    files.replace(run_dir / INDEX, text)


def prune(run_dir: Path, keep: set[str], keep_bytes: int) -> list[str]:
    """Remove the oldest checkpoints that are not in `keep` until these others take at most `keep_bytes`."""
    removed, taken = [], 0
    for folder in sorted(_folders(run_dir), reverse=True):
        if folder.name in keep:
            continue
        taken += sum(path.stat().st_size for path in folder.iterdir())
        if taken > keep_bytes:
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder.name)
    return removed


def sha256_of(path: Path) -> str:
    """The checksum of a file of a checkpoint."""
    return _digest(path)[1]


def size_of(folder: Path) -> int:
    """The bytes of all files of a checkpoint."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _folders(run_dir: Path) -> Iterator[Path]:
    root = run_dir / FOLDER
    if root.is_dir():
        yield from (path for path in root.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())


def _write(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """One file, fsynced, from tensors wherever they lie; equal storage is written as often as it is named."""
    seen: set[int] = set()
    ready: dict[str, Tensor] = {}
    for each, tensor in tensors.items():
        plain = tensor.detach().to("cpu").contiguous()
        storage = plain.untyped_storage().data_ptr()
        whole = plain.untyped_storage().nbytes() == plain.numel() * plain.element_size()
        ready[each] = plain if whole and storage not in seen else plain.clone()
        seen.add(storage)
    data = serialise(ready)
    files.replace(path, data)
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _load(path: Path, meta: Meta) -> dict[str, Tensor]:
    try:
        found: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} of step {meta.step} can't be read: {error}") from None
    return found


def _digest(path: Path) -> tuple[int, str]:
    whole, size = hashlib.sha256(), 0
    with files.open_regular(path) as file:
        while block := file.read(_BLOCK):
            whole.update(block)
            size += len(block)
    return size, whole.hexdigest()


def _meta(folder: Path) -> Meta:
    path = folder / META
    try:
        with files.open_regular(path) as file:
            text = file.read(MAX_META + 1)
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {error.strerror or error}") from None
    return parse(text, folder)


def parse(text: bytes, folder: Path) -> Meta:
    """The bytes of a `checkpoint.json` of that folder, checked by themselves; the files are not looked at."""
    try:
        if len(text) > MAX_META:
            raise ValueError("it is too large")
        body = json.loads(text)
        if not isinstance(body, dict):
            raise ValueError("it is no object")
        if body.get("version") != VERSION:
            raise CheckpointError(
                f"{folder} is of version {body.get('version')!r}; this is version {VERSION}"
            )
        return _parsed(body)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder / META} is broken: {error}") from None


def _seal(body: Mapping[str, Any]) -> str:
    rest = {each: value for each, value in body.items() if each != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _parsed(body: dict[str, Any]) -> Meta:
    wanted = Meta.__dataclass_fields__.keys()
    if body.keys() != wanted:
        raise ValueError(f"it must have exactly the fields {', '.join(wanted)}")
    wrong = [
        each
        for each, kind in _KINDS.items()
        if not isinstance(body[each], kind) or isinstance(body[each], bool)
    ]
    if wrong:
        raise ValueError(f"its {', '.join(wrong)} can't be right")
    if body["seal"] != _seal(body):
        raise ValueError("it was altered: it has not its checksum")
    if not {WEIGHTS} <= body["files"].keys() <= {WEIGHTS, TRAIN}:
        raise ValueError(f"it does not name {WEIGHTS}, or it names foreign files")
    for each, entry in body["files"].items():
        if not isinstance(entry, dict) or entry.keys() != {"bytes", "sha256"}:
            raise ValueError(f"it does not name {each} with bytes and sha256")
    return Meta(**body)


_KINDS: dict[str, type] = {
    "learner": str,
    "config": dict,
    "config_key": str,
    "data": dict,
    "seed": int,
    "step": int,
    "phase": str,
    "metrics": dict,
    "memory": dict,
    "files": dict,
}
