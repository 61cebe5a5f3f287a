"""Large bodies (outputs, diffs), each a file named by its content's SHA-256.

A blob is written under a temporary name, fsynced and renamed before the event that names it, so that
an event never names bytes that a power cut could take away.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from state import durable
from state.events import BLOB

_NAME = re.compile("[0-9a-f]{64}")


class BlobDamaged(Exception):
    """A blob is missing or its bytes are not the ones its name promises."""


class Blobs:
    """A folder of content-addressed files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, data: bytes) -> str:
        """Store the bytes and return their name, `blob:<sha256>`; a damaged blob is whole again after it."""
        name = hashlib.sha256(data).hexdigest()
        path = self.path(name)
        try:
            if path.read_bytes() == data:
                durable.sync_folder(path.parent)  # whoever renamed it here may not have come so far
                return BLOB + name
        except OSError:
            pass
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.sync_folder(self.folder)
        durable.replace(path, data)
        return BLOB + name

    def get(self, name: str, limit: int | None = None) -> bytes:
        """Read a blob by its name; with a limit only its first bytes, which are then not checked.

        Raises:
            BlobDamaged: it is missing, or its bytes have another hash.
        """
        path = self.path(name)
        try:
            with path.open("rb") as file:
                data = file.read() if limit is None else file.read(limit)
        except OSError as error:
            raise BlobDamaged(f"{path} cannot be read: {error.strerror or error}") from error
        if limit is None and hashlib.sha256(data).hexdigest() != path.name:
            raise BlobDamaged(f"{path} is damaged: its bytes are not the ones its name promises")
        return data

    def fault(self, name: str) -> str | None:
        """What is wrong with a blob, in one line, or None. Reads by the megabyte."""
        try:
            path = self.path(name)
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            return f"{path.name} cannot be read: {error.strerror or error}"
        except BlobDamaged as error:
            return str(error)
        return None if found == path.name else f"{path.name} is damaged: its bytes have another hash"

    def path(self, name: str) -> Path:
        """Where a blob lies.

        Raises:
            BlobDamaged: no blob has such a name.
        """
        name = name.removeprefix(BLOB)
        if not _NAME.fullmatch(name):
            raise BlobDamaged(f"{name[:80]!r} is no name of a blob")
        return self.folder / name[:2] / name
