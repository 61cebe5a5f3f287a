"""Writing a version of the core: aside, every file fsynced, `core.json` last, then one rename.

Cut off at any instruction, or on a full disk, the versions' folder holds the old versions and perhaps the
whole new one, never a part of it under a version's name; what lies aside is swept before the next is written.
A version that is there is never written again; one that was altered is put aside and written anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from state import core, durable
from state.core import CoreRefused, Part, Version
from state.lock import Lock
from state.run_events import open_regular
from state.workspace import Workspace

ASIDE, ALTERED = ".tmp", ".altered"
_BLOCK = 1024 * 1024
_WAIT = 60.0  # seconds for another process that writes a version

Fill = Callable[[Path], tuple[str | None, Mapping[str, Any], Mapping[str, Part]]]
"""Writes `parts/NAME/...` into the folder that it is given; returns parent, `made` and the parts."""


def body(parent: str | None, made: Mapping[str, Any], parts: Mapping[str, Part]) -> bytes:
    """The `core.json` of a version."""
    return core.core_json(
        {
            "schema": 1,
            "parent": parent,
            "made": dict(made),
            "parts": {
                name: {
                    "task": part.task,
                    "learner": part.learner,
                    "files": dict(part.files),
                    "calibration": None if part.calibration is None else dict(part.calibration),
                }
                for name, part in parts.items()
            },
        }
    )


def write(workspace: Workspace, fill: Fill) -> Version:
    """Write a version; one that is there already, whole, stays as it is.

    Raises:
        CoreRefused: what it is made of does not hold. OSError: the disk is full or broken; nothing is left.
    """
    root = core.versions(workspace)
    root.mkdir(parents=True, exist_ok=True)
    lock = Lock(root.parent / "writing.lock")
    if not lock.acquire(_WAIT):
        raise CoreRefused("another process writes a version of the core: try again when it is done")
    aside = root / ASIDE
    try:
        _sweep(root)
        aside.mkdir()
        parent, made, parts = fill(aside)
        data = body(parent, made, parts)
        digest = hashlib.sha256(data).hexdigest()
        for folder in (*(aside / "parts" / name for name in parts), aside / "parts"):
            durable.sync_folder(folder)
        durable.replace(aside / core.CORE_JSON, data)
        core.read(aside, digest, named=False)  # as it stands on the disk, not as it was meant
        return _take(root, aside, digest)
    finally:
        with contextlib.suppress(OSError):
            _sweep(root)
        lock.release()


def _take(root: Path, aside: Path, digest: str) -> Version:
    """Give the finished folder its name; whole versions stay, altered ones make way."""
    place = root / digest
    if os.path.lexists(place):
        with contextlib.suppress(CoreRefused):
            return core.read(place, digest)
        place.rename(root / ALTERED)
    aside.rename(place)
    durable.sync_folder(root)
    return core.read(place, digest)


def _sweep(root: Path) -> None:
    """Remove what a process that was cut off left aside."""
    for name in (ASIDE, ALTERED):
        path = root / name
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)


def copy(source: Path, target: Path, sha256: str) -> None:
    """Copy a plain file whose checksum is known, fsynced; what was read is what is checked.

    Raises:
        CoreRefused: it has another checksum, or is no plain file. OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = open_regular(source)
    except OSError as error:
        raise CoreRefused(f"{source} can't be read: {error.strerror or error}") from None
    whole = hashlib.sha256()
    with file, target.open("xb") as out:
        while block := file.read(_BLOCK):
            whole.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    if whole.hexdigest() != sha256:
        raise CoreRefused(f"{source} was altered: it has not its checksum")


def copy_part(source: Path, aside: Path, name: str, part: Part) -> None:
    """Copy a part's two files into a version that is being written."""
    for file in (core.META, core.WEIGHTS):
        copy(source / file, aside / "parts" / name / file, part.files[file])


def install(workspace: Workspace, candidate: Path, digest: str) -> Version:
    """Copy a candidate's folder among the versions, byte for byte; repeating it changes nothing.

    Raises:
        CoreRefused: it is not what the digest names. OSError: the disk is full or broken.
    """
    place = core.versions(workspace) / digest
    if core.is_digest(digest) and os.path.lexists(place):
        with contextlib.suppress(CoreRefused):
            return core.read(place, digest)
    found = core.read(candidate, digest, named=False)

    def fill(aside: Path) -> tuple[str | None, Mapping[str, Any], Mapping[str, Part]]:
        for name, part in found.parts.items():
            copy_part(candidate / "parts" / name, aside, name, part)
        return found.parent, found.made, found.parts

    made = write(workspace, fill)
    if made.digest != digest:  # it was exchanged between two looks
        raise CoreRefused(f"the candidate was altered: it is {made.digest[:12]} and not {digest[:12]}")
    return made
