"""What a GGUF file says of itself: its metadata and how much its tensors take, never the tensors.

A file is a stranger's: every count and length is bounded before anything is made of it, nothing is read past
the table of tensors, and a file that is cut off is told from one that is no GGUF at all.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MOST_KEYS = 65_536
MOST_TENSORS = 65_536
MOST_ITEMS = 8_000_000  # of one array; the largest vocabularies have some 260,000
MOST_TEXT = 16 << 20  # bytes of one text; a chat template has some 10,000
MOST_BYTES = 512 << 20  # of metadata; a large vocabulary with its merges takes some 20 MiB
KEPT = 4096  # items of an array that are kept, such as one value a layer; a vocabulary is only counted
_NAME = 1024  # bytes of a key or of a tensor's name; the format allows 65535 and 64

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9

_TENSORS: Mapping[int, tuple[str, int, int]] = {  # ggml's types: name, values in a block, bytes of a block
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8),
    28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip
_FILES: Mapping[int, str] = {  # `general.file_type`, llama.cpp's llama_ftype
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
    36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)


class GgufError(ValueError):
    """The file is no GGUF that can be used; the message names it and says why."""


@dataclass(frozen=True)
class Metadata:
    """What a model is, as far as its file says."""

    architecture: str
    name: str  # `general.name`, or ''
    facts: Mapping[str, Any]  # by their GGUF names without the architecture; see `by_name`
    bytes: int  # of all tensors, of every part of a model in several files
    quantization: str  # such as Q4_K_M; the commonest type of its tensors where it does not say
    parameters: int
    template: str  # its chat template, or ''


def read(path: Path) -> Metadata:
    """The metadata of a GGUF file, in time and memory that depend on its metadata alone.

    Raises:
        GgufError: it is no sound GGUF.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            return _Reader(file, size, path).metadata()
    except (struct.error, UnicodeDecodeError, OverflowError) as error:
        raise GgufError(f"{path.name} is damaged: {error}") from error


def by_name(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata keys without their architecture: `qwen3.attention.head_count` is `attention.head_count`.

    Both what a file says and what Ollama's `/api/show` calls `model_info`. `general.architecture` is kept as
    `architecture`; the size of a vocabulary that is told only by its tokens becomes `vocab_size`.
    """
    architecture = flat.get("general.architecture")
    if not isinstance(architecture, str):
        architecture = ""
    facts: dict[str, Any] = {"architecture": architecture}
    for key, value in flat.items():
        if architecture and key.startswith(architecture + "."):
            facts[key[len(architecture) + 1 :]] = value
        elif key.startswith(("general.", "split.")):
            facts.setdefault(key.removeprefix("general."), value)
    return facts


class _Reader:
    """Walks one file. Each read is bounded by what is left of the file and of the metadata's bound."""

    def __init__(self, file: BinaryIO, size: int, path: Path) -> None:
        self._file, self._size, self._path = file, size, path
        self._at = 0

    def _fault(self, why: str) -> GgufError:
        return GgufError(f"{self._path.name} {why}")

    def metadata(self) -> Metadata:
        if self._take(4) != b"GGUF":
            raise self._fault("is no GGUF file")
        version = self._number("I")
        if version not in (2, 3):
            raise self._fault(f"is GGUF version {version}, expected 2 or 3")
        tensors, keys = self._number("Q"), self._number("Q")
        if keys > MOST_KEYS or tensors > MOST_TENSORS:
            raise self._fault(f"claims {keys} keys and {tensors} tensors, which no model has")
        flat: dict[str, Any] = {}
        for _ in range(keys):
            key = self._text(_NAME)
            if key in flat:
                raise self._fault(f"says {key!r:.80} twice")
            flat[key] = self._value(self._number("I"))
        counted = {key: value for key, value in flat.items() if not isinstance(value, _Counted)}
        facts = by_name(counted)
        tokens = flat.get("tokenizer.ggml.tokens")
        if isinstance(tokens, (_Counted, list)) and "vocab_size" not in facts:
            facts["vocab_size"] = tokens.items if isinstance(tokens, _Counted) else len(tokens)
        weights, parameters, commonest = self._tensors(tensors, flat.get("general.alignment", 32))
        kind = flat.get("general.file_type")
        template = flat.get("tokenizer.chat_template")
        name = flat.get("general.name")
        return Metadata(
            architecture=facts["architecture"],
            name=name if isinstance(name, str) else "",
            facts=facts,
            bytes=weights + self._other_parts(),
            quantization=_FILES.get(kind, commonest) if isinstance(kind, int) else commonest,
            parameters=parameters,
            template=template if isinstance(template, str) else "",
        )

    def _tensors(self, count: int, alignment: Any) -> tuple[int, int, str]:
        """Bytes of all, number of values, and the type that most of the bytes have."""
        if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 20:
            raise self._fault("has an alignment that makes no sense")
        end, parameters, by_type = 0, 0, dict[str, int]()
        for _ in range(count):
            self._text(_NAME)
            dimensions = self._number("I")
            if dimensions > 8:
                raise self._fault(f"has a tensor of {dimensions} dimensions")
            values = math.prod(self._number("Q") for _ in range(dimensions))
            known = _TENSORS.get(self._number("I"))
            offset = self._number("Q")
            parameters += values
            if known is None:
                continue  # a type newer than this list: its place is not checked
            name, block, bytes_ = known
            taken = -(-values // block) * bytes_
            by_type[name] = by_type.get(name, 0) + taken
            end = max(end, offset + taken)
        start = -(-self._at // alignment) * alignment
        if count and start + end > self._size:
            missing = start + end - self._size
            raise self._fault(f"is cut off: {missing} bytes are missing, get it again")
        commonest = max(by_type, key=lambda each: (by_type[each], each), default="")
        return max(0, self._size - start), parameters, commonest

    def _other_parts(self) -> int:
        """Bytes of the other files of a model that was split; this one is the first of them."""
        named = _SPLIT.search(self._path.name)
        if not named or int(named[2]) > 512:
            return 0
        stem, total = self._path.name[: named.start()], 0
        for number in range(1, int(named[2]) + 1):
            part = self._path.with_name(f"{stem}-{number:05}-of-{named[2]}.gguf")
            if part == self._path:
                continue
            if not part.is_file():
                raise self._fault(f"is one of {int(named[2])} parts, and {part.name} is missing")
            total += part.stat().st_size
        return total

    def _take(self, count: int) -> bytes:
        self._forward(count)
        data = self._file.read(count)
        if len(data) != count:
            raise self._fault("ends in the middle of its metadata")
        return data

    def _skip(self, count: int) -> None:
        self._forward(count)
        self._file.seek(count, 1)

    def _forward(self, count: int) -> None:
        if count > self._size - self._at:
            raise self._fault("ends in the middle of its metadata, or claims a length that makes no sense")
        self._at += count
        if self._at > MOST_BYTES:
            raise self._fault(f"has more than {MOST_BYTES >> 20} MiB of metadata")

    def _number(self, form: str) -> Any:
        return struct.unpack("<" + form, self._take(struct.calcsize("<" + form)))[0]

    def _length(self, most: int) -> int:
        length = int(self._number("Q"))
        if length > most:
            raise self._fault(f"holds a text of {length} bytes, at most {most} are read")
        return length

    def _text(self, most: int) -> str:
        return self._take(self._length(most)).decode("utf-8", "replace")

    def _value(self, kind: int) -> Any:
        if kind == _TEXT:
            return self._text(MOST_TEXT)
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise self._fault(f"holds a value of type {kind}, which GGUF does not have")
        return self._number(_SCALARS[kind])

    def _array(self) -> Any:
        kind, items = self._number("I"), int(self._number("Q"))
        if items > MOST_ITEMS:
            raise self._fault(f"holds a list of {items} items, at most {MOST_ITEMS} are read")
        if kind in _SCALARS:
            form = _SCALARS[kind]
            if items <= KEPT:
                return list(struct.unpack(f"<{items}{form}", self._take(items * struct.calcsize("<" + form))))
            self._skip(items * struct.calcsize("<" + form))
            return _Counted(items)
        if kind != _TEXT:
            raise self._fault("holds a list of lists, or of a type that GGUF does not have")
        if items <= KEPT and items * 8 <= self._size - self._at:
            return [self._text(MOST_TEXT) for _ in range(items)]
        walk: Callable[[int], None] = self._skip
        for _ in range(items):
            walk(self._length(MOST_TEXT))
        return _Counted(items)


@dataclass(frozen=True)
class _Counted:
    """A list too long to keep."""

    items: int
