"""Columns end in the same bytes whatever happened on the way, and what is not them is never read."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file, save_file

from datagen import column_run, columns, files, load, manifest, recipe, run, sheet, verify
from datagen.errors import BrokenData, ProvenanceRefused

REQUEST: dict[str, Any] = {"schema": 1, "recipe": "image/scenes", "seed": 7, "count": 240, "shards": 4}
SLOW = {"recipe": "video/scenes", "count": 720, "shards": 24, "workers": 2}


def prepare(folder: Path, **changes: Any) -> Path:
    folder.mkdir()
    (folder / "request.json").write_text(json.dumps(REQUEST | changes))
    return folder


def outcome(run_dir: Path) -> dict[str, str]:
    """Everything that must not depend on how a run went: names and digests."""
    paths = [run_dir / "result.json", run_dir / "sheet.png", *sorted((run_dir / "data").iterdir())]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def events(run_dir: Path, type_: str) -> list[dict[str, Any]]:
    try:
        lines = (run_dir / "events.jsonl").read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [event for event in map(json.loads, lines) if event["type"] == type_]


def error(run_dir: Path) -> str:
    result = json.loads((run_dir / "result.json").read_text())
    assert result["ok"] is False and "\n" not in result["error"]
    return str(result["error"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = prepare(tmp_path_factory.mktemp("whole") / "run")
    assert run.main(folder) == 0
    return folder


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    """A copy of its data, to be spoiled."""
    shutil.copytree(whole / "data", tmp_path / "data")
    return tmp_path / "data"


# What a run makes ------------------------------------------------------------------------------------


def test_a_run_writes_shards_a_manifest_a_sheet_and_its_result(whole: Path) -> None:
    result = json.loads((whole / "result.json").read_text())
    assert result["metrics"]["rows"] == 240
    assert result["artifact"] == {
        "path": "data/manifest.json",
        "sha256": manifest.digest(whole / "data/manifest.json"),
    }
    found = manifest.read(whole / "data")
    assert (found.form, found.provenance, found.source) == ("columns", "synthetic", "")
    assert found.parameters == {"size": 32, "objects": 3, "wordings": 6}
    assert found.legend["shape"][0] == "circle"
    assert verify.verify(whole / "data") == []
    shown = {event["path"]: event for event in events(whole, "artifact")}
    assert shown["sheet.png"]["sha256"] == manifest.digest(whole / "sheet.png")
    assert shown["sheet.png"]["title"] == "Samples of image/scenes"
    assert events(whole, "progress")[-1]["done"] == 240


def test_the_reader_gives_all_rows_or_one_split_as_the_recipe_made_them(whole: Path) -> None:
    made = recipe.load("image/scenes")
    assert recipe.is_columns(made)
    wanted = made.make(7, 0, 240, {"size": 32, "objects": 3, "wordings": 6})
    rows, train, test = (load.columns(whole / "data", split) for split in (None, "train", "test"))
    assert len(test["key"]) == json.loads((whole / "result.json").read_text())["metrics"]["test_rows"] > 0
    for name, array in wanted.items():
        assert rows[name].dtype == array.dtype and np.array_equal(rows[name], array)
        assert np.array_equal(train[name], array[wanted["split"] == 0])
        assert np.array_equal(test[name], array[wanted["split"] == 1])
    with pytest.raises(ValueError, match="no split"):
        load.columns(whole / "data", "dev")


def test_any_reader_of_safetensors_reads_a_shard(whole: Path) -> None:
    parts = [load_file(path) for path in sorted((whole / "data").glob("*.safetensors"))]
    rows = load.columns(whole / "data")
    assert parts[0].keys() == rows.keys()
    for name, array in rows.items():
        assert np.array_equal(np.concatenate([part[name] for part in parts]), array)


@pytest.mark.parametrize("name", ["image/scenes", "video/scenes"])
def test_any_range_of_rows_is_the_same_wherever_it_is_made(name: str) -> None:
    made = recipe.load(name)
    assert recipe.is_columns(made)
    options = recipe.complete(made.options, {})
    rng = random.Random(name)
    rows = made.make(2**63 - 1, 0, 90, options)
    for _ in range(8):
        start = rng.randrange(89)
        stop = rng.randrange(start + 1, 90)
        for column, array in made.make(2**63 - 1, start, stop, options).items():
            assert np.array_equal(array, rows[column][start:stop]), column
    other = made.make(3, 0, 90, options)
    assert not np.array_equal(other["key"], rows["key"])


def test_neither_the_cut_nor_batches_nor_workers_change_a_row(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = manifest.read(whole / "data").content_sha256
    for shards in (1, 7):
        folder = prepare(tmp_path / f"{shards}", shards=shards)
        assert run.main(folder) == 0
        assert manifest.read(folder / "data").content_sha256 == content
    monkeypatch.setattr(column_run, "_BATCH_ROWS", 17)
    folder = prepare(tmp_path / "batches")
    assert run.main(folder) == 0
    assert outcome(folder) == outcome(whole)
    folder = prepare(tmp_path / "workers", workers=3)
    assert run.main(folder) == 0
    assert outcome(folder) == outcome(whole)
    done = [event["done"] for event in events(folder, "progress")]
    assert done == sorted(done) and done[-1] == 240


def test_hash_seed_time_zone_and_locale_change_no_column(whole: Path, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "there")
    env = os.environ | {"PYTHONHASHSEED": "4242", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-P", "-m", "datagen", str(folder)], env=env, check=True, cwd=tmp_path)
    assert outcome(folder) == outcome(whole)


@pytest.mark.parametrize(
    ("name", "digest"), [("image/scenes", "8381808559a300c3"), ("video/scenes", "b81074825968284d")]
)
def test_the_bytes_of_version_one_never_change(name: str, digest: str, tmp_path: Path) -> None:
    """Other bytes need another version: then this digest goes with it."""
    folder = prepare(tmp_path / "run", recipe=name, count=200)
    assert run.main(folder) == 0
    found = manifest.read(folder / "data")
    assert (found.recipe_version, found.content_sha256[:16]) == ("1", digest)


# Interrupted ----------------------------------------------------------------------------------------


def test_killed_at_any_moment_and_started_again_a_run_ends_in_the_same_bytes(tmp_path: Path) -> None:
    undisturbed = prepare(tmp_path / "undisturbed", **(SLOW | {"workers": 1}))
    assert run.main(undisturbed) == 0
    folder = prepare(tmp_path / "run", **SLOW)
    rng = random.Random(5)
    command = [sys.executable, "-P", "-m", "datagen", str(folder)]
    for kept in (1, 6, 15):
        process = subprocess.Popen(command)
        while len(events(folder, "checkpoint")) < kept and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.05)
        workers = psutil.Process(process.pid).children()
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert not alive, "a worker outlived its run"
    before = len(events(folder, "checkpoint"))
    assert before >= 15
    subprocess.run(command, check=True)
    assert outcome(folder) == outcome(undisturbed)
    assert len(events(folder, "checkpoint")) <= 24 + 6, "what was finished is not made again"


def test_a_worker_that_dies_is_told_and_what_was_finished_stays(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "run", **(SLOW | {"count": 12_000}))
    command = [sys.executable, "-P", "-m", "datagen", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not events(folder, "checkpoint"):
        time.sleep(0.005)
    psutil.Process(process.pid).children()[0].kill()
    assert process.wait() == 1
    assert "a worker process died" in error(folder)
    first = events(folder, "checkpoint")[0]
    assert manifest.digest(folder / first["path"]) == first["sha256"]


def test_torn_and_altered_shards_are_made_again(whole: Path, tmp_path: Path) -> None:
    for seed in range(5):
        rng = random.Random(seed)
        folder = tmp_path / str(seed)
        shutil.copytree(whole, folder)
        for path in rng.sample(sorted((folder / "data").iterdir()), 2):
            content = path.read_bytes()
            where = rng.randrange(len(content))
            match rng.choice(("cut", "flip", "gone")):
                case "cut":
                    path.write_bytes(content[:where])
                case "flip":
                    path.write_bytes(content[:where] + bytes([content[where] ^ 4]) + content[where + 1 :])
                case _:
                    path.unlink()
        (folder / "data" / ".shard-00001.safetensors.tmp").write_bytes(b"half")
        (folder / "data" / "shard-00009.safetensors").write_bytes(b"of another request")
        (folder / "data" / "shard-00000.jsonl").write_bytes(b"of another form")
        assert run.main(folder) == 0
        assert outcome(folder) == outcome(whole)


def test_a_full_disk_at_any_write_is_one_clear_line_and_the_next_start_goes_on(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = files.write, 0

    def failing(at: int) -> Any:
        nonlocal calls
        calls = 0

        def write_or_fail(file: Any, data: bytes) -> None:
            nonlocal calls
            calls += 1
            if calls >= at:
                write(file, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(file, data)

        return write_or_fail

    small = {"count": 4, "shards": 2}
    monkeypatch.setattr(files, "write", failing(10**9))
    assert run.main(prepare(tmp_path / "whole", **small)) == 0
    assert calls > 20
    for at in range(1, calls + 1, 4):
        folder = prepare(tmp_path / f"{at}", **small)
        monkeypatch.setattr(files, "write", failing(at))
        assert run.main(folder) == 1
        assert not list((folder / "data").glob(".*")), "nothing half-written keeps its space"
        monkeypatch.setattr(files, "write", write)
        assert run.main(folder) == 0
        assert outcome(folder) == outcome(tmp_path / "whole")


# What is not read -----------------------------------------------------------------------------------


def test_a_flipped_bit_anywhere_in_a_shard_is_found(data: Path) -> None:
    shard = data / "shard-00002.safetensors"
    content = shard.read_bytes()
    rng = random.Random(1)
    for where in [0, 7, 8, 40, len(content) - 1, *(rng.randrange(len(content)) for _ in range(20))]:
        flipped = bytearray(content)
        flipped[where] ^= 1 << rng.randrange(8)
        shard.write_bytes(flipped)
        with pytest.raises(BrokenData, match="was altered; make the data set again"):
            load.columns(data)
        assert any("altered" in line for line in verify.verify(data))


def test_missing_empty_torn_and_longer_shards_are_refused(data: Path) -> None:
    shard = data / "shard-00001.safetensors"
    content = shard.read_bytes()
    for other in (b"", content[:8], content[:-1], content + b"\0", b"{}"):
        shard.write_bytes(other)
        with pytest.raises(BrokenData, match="torn; make the data set again"):
            load.columns(data)
        assert verify.verify(data)
    shard.unlink()
    with pytest.raises(BrokenData, match="missing"):
        load.columns(data)
    shard.symlink_to(data / "shard-00000.safetensors")
    with pytest.raises(BrokenData):
        load.columns(data)


def test_a_foreign_file_is_refused_even_where_its_checksum_was_forged(data: Path) -> None:
    """Its header is compared, never parsed: other names, types and offsets say nothing to the reader."""
    shard = data / "shard-00000.safetensors"
    rows = load_file(shard)
    huge = (1 << 62).to_bytes(8, "little")
    save_file({**rows, "count": rows["count"][::-1].copy(), "code": rows["count"]}, data / "foreign")
    for content in ((data / "foreign").read_bytes(), huge + shard.read_bytes()[8:]):
        shard.write_bytes(content)
        body = json.loads((data / "manifest.json").read_text())
        body["shards"][0] |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (data / "manifest.json").write_text(json.dumps(body))
        with pytest.raises(BrokenData):
            load.columns(data)


def test_no_room_is_made_for_rows_that_only_a_manifest_claims(data: Path) -> None:
    body = json.loads((data / "manifest.json").read_text())
    claimed = 10**12
    body["shards"][0] |= {"rows": claimed, "bytes": claimed * 4000}
    body["count"] = claimed + 180
    (data / "manifest.json").write_text(json.dumps(body))
    with pytest.raises(BrokenData, match="torn"):
        load.columns(data)
    with pytest.raises(BrokenData, match="torn"):
        sheet.png(data)
    assert any("torn" in line for line in verify.verify(data))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 3}, "a newer Jetbox made this data set"),
        ({"schema": 1}, "exactly the fields"),
        ({"schema": True}, "exactly the fields"),
        ({"schema": "2"}, "exactly the fields"),
        ({"form": "rows"}, "form can't be right"),
        ({"count": 241}, "do not add up"),
        ({"shards": []}, "do not add up"),
        ({"columns": {}}, "columns can't be right"),
        ({"columns": {"key": {"dtype": "uint64", "shape": []}}}, "columns can't be right"),
        ({"legend": []}, "legend can't be right"),
        ({"extra": 1}, "exactly the fields"),
    ],
)
def test_a_manifest_that_can_not_be_right_is_refused_in_a_clear_line(
    change: dict[str, Any], words: str, data: Path
) -> None:
    body = json.loads((data / "manifest.json").read_text())
    (data / "manifest.json").write_text(json.dumps(body | change))
    with pytest.raises(BrokenData, match=words):
        load.columns(data)


@pytest.mark.parametrize(
    "column",
    [
        {"dtype": "object", "shape": []},
        {"dtype": ["uint8"], "shape": []},
        {"dtype": "uint8", "shape": [0]},
        {"dtype": "uint8", "shape": [-1]},
        {"dtype": "uint8", "shape": [1 << 62, 1 << 62]},
        {"dtype": "uint8", "shape": [1] * 40},
        {"dtype": "uint8", "shape": "32"},
        {"dtype": "uint8"},
        [],
    ],
)
def test_a_column_of_a_type_that_is_never_written_is_refused(column: Any, data: Path) -> None:
    body = json.loads((data / "manifest.json").read_text())
    body["columns"]["image"] = column
    (data / "manifest.json").write_text(json.dumps(body))
    with pytest.raises(BrokenData, match="columns can't be right"):
        load.columns(data)
    body["columns"].pop("image")
    body["columns"]["../image"] = {"dtype": "uint8", "shape": []}
    (data / "manifest.json").write_text(json.dumps(body))
    with pytest.raises(BrokenData, match="columns can't be right"):
        load.columns(data)


def test_other_provenance_is_refused_before_a_file_is_opened(data: Path) -> None:
    text = (data / "manifest.json").read_text()
    (data / "manifest.json").write_text(text.replace('"synthetic"', '"scraped"'))
    for shard in data.glob("*.safetensors"):
        shard.unlink()
    with pytest.raises(ProvenanceRefused):
        load.columns(data)


def test_rows_and_columns_are_not_taken_for_each_other(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BrokenData, match="holds columns, not rows"):
        load.read(data)
    folder = prepare(tmp_path / "text", recipe="text/debate", count=4)
    assert run.main(folder) == 0
    assert json.loads((folder / "data/manifest.json").read_text())["schema"] == 1, "as ever"
    with pytest.raises(BrokenData, match="holds rows, not columns"):
        load.columns(folder / "data")


def test_a_problem_on_both_sides_is_found(data: Path) -> None:
    """Forged with all checksums right: what is told of the split is counted, not believed."""
    found = manifest.read(data)
    rows = columns.read(data / "shard-00000.safetensors", found.columns, found.shards[0])
    rows["key"][:2] = rows["key"][0]
    rows["split"][:2] = (0, 1)
    shard = columns.write(data / "shard-00000.safetensors", found.columns, rows, 60)
    body = json.loads((data / "manifest.json").read_text())
    body["shards"][0] = {"path": shard.path, "rows": 60, "bytes": shard.bytes, "sha256": shard.sha256}
    (data / "manifest.json").write_text(json.dumps(body))
    assert "train and test share 1 problems" in verify.verify(data)


# Recipes that break their promise -------------------------------------------------------------------


class _Faulty:
    """A recipe of another package that breaks its promise somewhere in the second shard."""

    name, version, form = "test/faulty", "1", "columns"
    options: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def columns(self, options: Any) -> Any:
        kinds: dict[str, Any] = {"x": ("uint16", (2,)), "split": ("uint8", ()), "key": ("uint64", ())}
        if self.fault == "keyless":
            del kinds["key"]
        if self.fault == "text":
            kinds["x"] = ("U8", ())
        if self.fault == "wide":
            kinds["x"] = ("uint8", (1 << 24,))
        return kinds

    def make(self, seed: int, start: int, stop: int, options: Any) -> Any:
        rows: dict[str, Any] = {
            "x": np.zeros((stop - start, 2), np.uint16),
            "split": np.zeros(stop - start, np.uint8),
            "key": np.arange(start, stop, dtype=np.uint64),
        }
        if start >= 5:
            match self.fault:
                case "raises":
                    raise ZeroDivisionError("by\nzero")
                case "module":
                    raise ModuleNotFoundError("no", name="numba")
                case "lacks":
                    del rows["x"]
                case "more":
                    rows["y"] = rows["x"]
                case "short":
                    rows["x"] = rows["x"][1:]
                case "wide type":
                    rows["x"] = rows["x"].astype(np.int64)
                case "list":
                    rows["x"] = rows["x"].tolist()
                case "split":
                    rows["split"][0] = 2
                case "both":
                    rows["key"][0], rows["split"][0] = 1, 1
        return rows


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raises", "failed at rows 5 to 9: ZeroDivisionError: by zero"),
        ("module", "needs numba: pip install 'jetbox[model]'"),
        ("lacks", "columns missing or too many: x"),
        ("more", "columns missing or too many: y"),
        ("short", "column x is uint16 (4, 2), not uint16 (5, 2)"),
        ("wide type", "column x is int64"),
        ("list", "column x is list"),
        ("split", "split is neither 0 nor 1"),
        ("both", "puts 1 problems on both sides"),
        ("keyless", "must have the columns split (uint8) and key (uint64)"),
        ("text", "its columns x are of no type"),
        ("wide", "use at least"),
    ],
)
def test_a_recipe_of_columns_that_breaks_its_promise_is_named(
    fault: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "load", lambda name: _Faulty(fault))
    size = {"count": 10, "shards": 2} if fault != "wide" else {"count": 1000, "shards": 2}
    folder = prepare(tmp_path / "run", **size)
    assert run.main(folder) == 1
    assert words in error(folder)
    assert not (folder / "data/manifest.json").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workers": 0}, "workers must be a whole number from 1 to 256"),
        ({"options": {"size": 48}}, "option size must be one of: 32, 64"),
        ({"options": {"objects": 4}}, "option objects must be a whole number from 1 to 3"),
        ({"recipe": "image/scene"}, "did you mean image/scenes?"),
    ],
)
def test_a_wrong_request_for_columns_says_what_to_change(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    folder = prepare(tmp_path / "run", **changes)
    assert run.main(folder) == 1
    assert words in error(folder)


def test_without_the_extra_a_run_of_columns_says_what_to_install(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "run")
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from pathlib import Path; from datagen import run; sys.exit(run.main(Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code, str(folder)], capture_output=True, check=False)
    assert done.returncode == 1
    assert error(folder) == "image/scenes needs numpy: pip install 'jetbox[model]'"


_PHONING = """
import socket, sys
from pathlib import Path
from datagen import recipe, worker
class Phoning:
    name, version, form, options = "test/phoning", "1", "columns", {}
    def columns(self, options): return {"split": ("uint8", ()), "key": ("uint64", ())}
    def make(self, seed, start, stop, options): socket.create_connection(("127.0.0.1", int(sys.argv[2])), 5)
recipe.load = lambda name: Phoning()
sys.exit(worker.main(Path(sys.argv[1])))
"""


def test_a_worker_reaches_no_network(tmp_path: Path) -> None:
    import socket

    folder = prepare(tmp_path / "run")
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-P", "-c", _PHONING, str(folder), str(server.getsockname()[1])]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert worker.stdin is not None and worker.stdout is not None
        worker.stdin.write(b"0\n")
        worker.stdin.flush()
        said = worker.stdout.readline()
        worker.communicate()
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert b"may not use the network" in said


_CHATTING = """
import os, sys
from pathlib import Path
import numpy as np
from datagen import recipe, worker
class Chatting:
    name, version, form, options = "test/chatting", "1", "columns", {}
    def columns(self, options): return {"split": ("uint8", ()), "key": ("uint64", ())}
    def make(self, seed, start, stop, options):
        print("a bar of progress:", 50); os.write(1, b"native code, too\\n")
        return {"split": np.zeros(stop - start, np.uint8), "key": np.arange(start, stop, dtype=np.uint64)}
recipe.load = lambda name: Chatting()
sys.exit(worker.main(Path(sys.argv[1])))
"""


def test_what_a_recipe_prints_is_no_word_of_its_worker(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "run")
    (folder / "data").mkdir()
    command = [sys.executable, "-P", "-c", _CHATTING, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as worker:  # type: ignore[call-overload]
        worker.stdin.write(b"0\n")
        worker.stdin.flush()
        said = [json.loads(worker.stdout.readline()) for _ in range(2)]
        worker.stdin.close()
        printed = worker.stderr.read()
    assert said[0] == {"rows": 60} and said[1]["number"] == 0
    assert b"a bar of progress: 50" in printed and b"native code, too" in printed
