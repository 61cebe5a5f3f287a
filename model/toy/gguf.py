"""Writes a GGUF file: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3, little-endian."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

ALIGNMENT = 32
_UINT32, _FLOAT32, _BOOL, _STRING, _ARRAY, _INT32 = 4, 6, 7, 8, 9, 5
_TYPES = {"float32": 0, "float16": 1}  # of tensors

Value = bool | int | float | str | list[str] | list[int]


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Value) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<IB", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT32, value)
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _string(value)
    if value and isinstance(value[0], str):
        return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(
            _string(str(each)) for each in value
        )
    return struct.pack("<IIQ", _ARRAY, _INT32, len(value)) + struct.pack(f"<{len(value)}i", *value)


def gguf(facts: Mapping[str, Value], tensors: Sequence[tuple[str, Any]]) -> bytes:
    """The whole file.

    Args:
        facts: the metadata.
        tensors: names and numpy arrays of float16 or float32, outputs x inputs.
    """
    head = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(facts))]
    head += [_string(key) + _value(value) for key, value in facts.items()]
    body: list[bytes] = []
    at = 0
    for name, array in tensors:
        raw = array.tobytes()
        shape = tuple(reversed(array.shape))  # GGUF names the fastest dimension first
        head.append(
            _string(name)
            + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
            + struct.pack("<IQ", _TYPES[str(array.dtype)], at)
        )
        padded = raw + b"\0" * (-len(raw) % ALIGNMENT)
        body.append(padded)
        at += len(padded)
    start = b"".join(head)
    return start + b"\0" * (-len(start) % ALIGNMENT) + b"".join(body)
