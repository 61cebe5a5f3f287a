"""The GGUF files of a folder as models: which there are, what they say of themselves, and their digest."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from orchestrator.models import gguf
from orchestrator.providers.base import Found, ProviderError

MOST_FILES, DEEPEST = 1000, 4
"""Of a folder's listing: models are few, and a folder given by mistake may be a whole disk."""
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)
_EMBEDS = (
    "bert",
    "nomic-bert",
    "nomic-bert-moe",
    "jina-bert-v2",
    "jina-bert-v3",
    "modern-bert",
    "gemma-embedding",
)
"""Architectures that make vectors and nothing else; others say so by their `pooling_type`."""


class Files:
    """One folder. Thread-safe; nothing is read before it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._digests: dict[tuple[str, int, int, int], str] = {}
        self._lock = threading.Lock()

    def path(self, model: str) -> Path:
        """The file of a model: its name is the path within the folder, with `/`.

        Raises:
            ProviderError: refused, it leads out of the folder; missing.
        """
        inside = PurePosixPath(model.replace(os.sep, "/"))
        if not model or inside.is_absolute() or ".." in inside.parts or "\0" in model or Path(model).drive:
            raise ProviderError("refused", f"{model!r:.200} is no path within {self.folder}")
        path = self.folder / inside
        if not path.is_file():
            raise ProviderError("missing", f"{path} is not there yet: put the GGUF file there")
        return path

    def names(self) -> list[str]:
        """Every model, by name. Of one in several files, the first."""
        found = []
        for path in _below(self.folder, DEEPEST):
            part = _PART.search(path.name)
            if (part is None or int(part[1]) == 1) and not path.name.lower().startswith("mmproj"):
                found.append(path.relative_to(self.folder).as_posix())
                if len(found) >= MOST_FILES:
                    break
        return sorted(found)

    def look(self, model: str, digest: bool) -> Found:
        """What a model's file says.

        Args:
            model: its name.
            digest: whether to read all of it for its digest, unless that is known.

        Raises:
            ProviderError: missing, refused.
        """
        path = self.path(model)
        try:
            said = gguf.read(path)
            summed = self.digest(path) if digest else ""
        except gguf.GgufError as error:
            raise ProviderError("refused", str(error)) from error
        except OSError as error:
            raise ProviderError("refused", f"{path} cannot be read: {error.strerror or error}") from error
        context = said.facts.get("context_length")
        pooling = said.facts.get("pooling_type")
        template = said.template
        return Found(
            name=model,
            digest=summed,
            bytes=said.bytes,
            context=context if isinstance(context, int) and context > 0 else 0,
            quantization=said.quantization,
            thinks=("<think>" in template or "enable_thinking" in template or "reasoning" in template)
            if template
            else None,
            embeds=said.architecture in _EMBEDS or (isinstance(pooling, int) and pooling > 0),
            facts=said.facts,
        )

    def digest(self, path: Path) -> str:
        """Hex SHA-256 of a model's file, of all of them where there are several; read again when one changed.

        Raises:
            OSError: it cannot be read.
        """
        whole = hashlib.sha256()
        parts = list(_parts(path))
        for part in parts:
            whole.update(self._file(part).encode())
        return self._file(path) if len(parts) == 1 else whole.hexdigest()

    def _file(self, path: Path) -> str:
        stat = path.stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)
        with self._lock:  # twenty gigabytes are read once, not by two at a time
            if key not in self._digests:
                with path.open("rb") as file:
                    self._digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
            return self._digests[key]


def _parts(path: Path) -> Iterator[Path]:
    part = _PART.search(path.name)
    if part is None or not 1 <= int(part[2]) <= 512:
        yield path
        return
    stem = path.name[: part.start()]
    for number in range(1, int(part[2]) + 1):
        yield path.with_name(f"{stem}-{number:05}-of-{part[2]}.gguf")


def _below(folder: Path, deep: int) -> Iterator[Path]:
    """GGUF files, no deeper than this; what cannot be read is passed over."""
    try:
        entries = sorted(os.scandir(folder), key=lambda each: each.name)
    except OSError:
        return
    for each in entries:
        try:
            if each.name.lower().endswith(".gguf") and each.is_file():
                yield Path(each.path)
            elif deep > 1 and not each.name.startswith(".") and each.is_dir(follow_symlinks=False):
                yield from _below(Path(each.path), deep - 1)
        except OSError:
            continue
