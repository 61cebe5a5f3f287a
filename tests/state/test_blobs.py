"""Blobs: the bytes their name promises, or an error that says so."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.blobs import BlobDamaged, Blobs


def test_a_truncated_flipped_or_missing_blob_is_found_and_healed_by_storing_it_again(tmp_path: Path) -> None:
    blobs, data = Blobs(tmp_path), bytes(range(256)) * 40
    name = blobs.put(data)
    path = blobs.path(name)
    flipped = bytearray(data)
    flipped[77] ^= 4
    for damage in (data[:-1], b"", bytes(flipped), data + b"x", None):
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage)
        with pytest.raises(BlobDamaged, match=r"damaged|cannot be read"):
            blobs.get(name)
        assert blobs.fault(name)
        assert blobs.put(data) == name
        assert blobs.fault(name) is None and blobs.get(name) == data
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


def test_a_limit_reads_the_beginning_alone(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    assert blobs.get(blobs.put(b"abcdef"), limit=3) == b"abc"


@given(st.text(max_size=80) | st.sampled_from(["blob:../../etc/passwd", "blob:", "A" * 64, "/etc/passwd"]))
def test_a_name_that_is_none_leads_nowhere(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    blobs = Blobs(tmp_path_factory.getbasetemp() / "none")
    with pytest.raises(BlobDamaged):
        blobs.get(name, limit=10)
    assert blobs.fault(name)


def test_threads_that_store_the_same_bytes_do_not_disturb_each_other(tmp_path: Path) -> None:
    blobs, found = Blobs(tmp_path), []
    threads = [
        threading.Thread(target=lambda: found.extend(blobs.put(b"%d" % n * 999) for n in range(20)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80 and len(set(found)) == 20
    assert all(blobs.fault(name) is None for name in found)
    assert len([file for file in tmp_path.rglob("*") if file.is_file()]) == 20
