"""Small GGUF files made by hand, for the tests of what reads them."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def number(name: str, value: int) -> bytes:
    return key(name, 4, struct.pack("<I", value))


def words(name: str, value: str) -> bytes:
    return key(name, 8, text(value))


def array(name: str, kind: int, values: Sequence[int]) -> bytes:
    return key(name, 9, struct.pack("<IQ", kind, len(values)) + struct.pack(f"<{len(values)}i", *values))


def gguf(extra: Sequence[bytes] = (), vocabulary: int = 10) -> bytes:
    """A whole file: some facts, a vocabulary, one tensor of 1,024 values in Q4_K."""
    tokens = b"".join(text(f"t{index}") for index in range(vocabulary))
    keys = [
        words("general.architecture", "qwen3"),
        words("general.name", "a small one"),
        number("general.file_type", 15),
        number("qwen3.block_count", 36),
        number("qwen3.attention.head_count_kv", 8),
        key("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, vocabulary) + tokens),
        words("tokenizer.chat_template", "{{ messages }}"),
        *extra,
    ]
    tensor = text("blk.0.w") + struct.pack("<IQQIQ", 2, 256, 4, 12, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(keys)) + b"".join(keys) + tensor
    return head + bytes(-len(head) % 32) + bytes(144 * 4)
