"""Seals of level 1: HMAC-SHA256 with a key of Jetbox's own, in the person's data folder.

Nothing that runs in a sandbox can see the key, and no repository holds it. It protects against whoever can
write a journal and cannot read this file; not against a program that runs as the person and reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
import sys
from pathlib import Path

from state.contract import SealError
from state.durable import sync_folder
from state.home import data_home

SIZE = 32
"""Bytes of the key, as long as what HMAC-SHA256 gives."""


class KeySealer:
    """Seals with the key in a file, which is made when it is first needed."""

    level = 1
    asks = False

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_home() / "approval.key"

    def seal(self, data: bytes) -> str:
        """The HMAC in hex."""
        return hmac.new(self._key(), data, hashlib.sha256).hexdigest()

    def check(self, data: bytes, seal: str) -> bool:
        """Whether the seal is that HMAC, in constant time."""
        return hmac.compare_digest(self.seal(data).encode(), seal.encode("utf-8", "surrogatepass"))

    def _key(self) -> bytes:
        try:
            if not os.path.lexists(self.path):
                _make(self.path)
            return _read(self.path)
        except OSError as error:
            raise SealError(f"the approval key {self.path}: {error.strerror or error}") from error


def _make(path: Path) -> None:
    """Write a new key beside, then give it its name: nobody sees half a key, and the first one stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(SIZE))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            if sys.platform == "win32":
                aside.rename(path)  # fails there when the name is taken
            else:
                os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)


def _read(path: Path) -> bytes:
    """The key, if the file is one that nobody else can have read or put there.

    Raises:
        SealError: it is not.
    """
    cure = "move it away, and a new one is made (what was approved and not done is asked again)"
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    if path.is_symlink():
        raise SealError(f"the approval key {path} is a link: {cure}")
    fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe in its place must not hang us
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise SealError(f"the approval key {path} is no file: {cure}")
        if sys.platform != "win32":
            if found.st_uid != os.geteuid():
                raise SealError(f"the approval key {path} belongs to another user: {cure}")
            if stat.S_IMODE(found.st_mode) & 0o077:
                raise SealError(f"the approval key {path} can be read or written by others: {cure}")
        key = os.read(fd, SIZE + 1)
    finally:
        os.close(fd)
    if len(key) != SIZE:
        raise SealError(f"the approval key {path} has not {SIZE} bytes: {cure}")
    return key
