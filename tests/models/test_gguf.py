"""A GGUF file's metadata is read from the file alone; a stranger's file costs a clear line and no more."""

from __future__ import annotations

import random
import struct
import tracemalloc
from pathlib import Path

import pytest
from gguf_files import array, gguf, key, number, text

from orchestrator.models import gguf as reader
from orchestrator.models.gguf import GgufError, by_name, read


def put(folder: Path, data: bytes, name: str = "model.gguf") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_facts_have_their_names_without_the_architecture(tmp_path: Path) -> None:
    found = read(put(tmp_path, gguf(vocabulary=9_000)))
    assert found.architecture == "qwen3"
    assert found.name == "a small one"
    assert found.facts["block_count"] == 36
    assert found.facts["attention.head_count_kv"] == 8
    assert found.facts["vocab_size"] == 9_000
    assert found.template == "{{ messages }}"
    assert found.quantization == "Q4_K_M"
    assert found.parameters == 256 * 4
    assert found.bytes == 144 * 4


def test_what_a_server_tells_is_named_the_same() -> None:
    told = {"general.architecture": "gemma3", "gemma3.block_count": 48, "general.parameter_count": 12}
    assert by_name(told) == {"architecture": "gemma3", "block_count": 48, "parameter_count": 12}


def test_a_value_for_each_layer_is_kept_and_a_vocabulary_only_counted(tmp_path: Path) -> None:
    layers = array("qwen3.attention.head_count_kv2", 5, [8, 0] * 18)
    found = read(put(tmp_path, gguf(extra=[layers], vocabulary=5_000)))
    assert found.facts["attention.head_count_kv2"] == [8, 0] * 18
    assert not any(isinstance(value, list) and len(value) > reader.KEPT for value in found.facts.values())


def test_no_tensor_is_read(tmp_path: Path) -> None:
    path = put(tmp_path, gguf())
    with path.open("ab") as file:
        file.truncate(path.stat().st_size + (1 << 30))  # sparse: a gigabyte that nobody wrote
    tracemalloc.start()
    try:
        assert read(path).bytes > 1 << 30
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_file_that_is_cut_off_says_how_much_is_missing(tmp_path: Path) -> None:
    whole = gguf()
    with pytest.raises(GgufError, match="cut off: 100 bytes are missing"):
        read(put(tmp_path, whole[:-100]))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "ends in the middle"),
        (b"GGML" + bytes(60), "no GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63), "which no model has"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**40, 0), "which no model has"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**60), "at most"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IQ", 8, 2**33), "at most"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 8, 2**50), "at most"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 9, 1), "list of lists"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<I", 99), "type 99"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + number("a", 1) + number("a", 1), "twice"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + text("t") + struct.pack("<I", 2**31), "dimensions"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + number("general.alignment", 0), "alignment"),
    ],
)
def test_a_hostile_file_is_refused_with_its_reason(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(GgufError, match=says) as caught:
        read(put(tmp_path, data))
    assert "model.gguf" in str(caught.value)


def test_no_damage_gets_anything_but_facts_or_a_clear_error(tmp_path: Path) -> None:
    whole, chance = gguf(), random.Random(7)
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path = put(tmp_path, bytes(data[: chance.randint(1, len(data))]))
        try:
            read(path)
        except GgufError as error:
            assert len(str(error)) < 400


def test_a_model_in_parts_counts_them_all_and_names_the_one_that_is_missing(tmp_path: Path) -> None:
    first = put(tmp_path, gguf(), "m-00001-of-00002.gguf")
    with pytest.raises(GgufError, match=r"m-00002-of-00002\.gguf is missing"):
        read(first)
    put(tmp_path, bytes(1000), "m-00002-of-00002.gguf")
    assert read(first).bytes == 144 * 4 + 1000


def test_the_builder_makes_what_the_format_says() -> None:
    assert key("a", 4, struct.pack("<I", 7)) == number("a", 7)
