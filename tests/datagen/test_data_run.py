"""A data run ends in the same bytes whatever happened on the way, or in one clear line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datagen import files, load, manifest, recipe, run, runlog, verify
from datagen.errors import BrokenData, ProvenanceRefused

REQUEST: dict[str, Any] = {
    "schema": 1,
    "recipe": "text/worked-steps",
    "seed": 7,
    "count": 240,
    "shards": 4,
    "options": {},
}


def prepare(folder: Path, **changes: Any) -> Path:
    folder.mkdir()
    (folder / "request.json").write_text(json.dumps(REQUEST | changes))
    return folder


def outcome(run_dir: Path) -> dict[str, str]:
    """Everything that must not depend on how often the run was cut off: names and digests."""
    paths = [run_dir / "result.json", *sorted((run_dir / "data").iterdir())]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = prepare(tmp_path_factory.mktemp("whole") / "run")
    assert run.main(folder) == 0
    return folder


def test_a_run_writes_its_shards_its_manifest_and_its_result(whole: Path) -> None:
    result = json.loads((whole / "result.json").read_text())
    assert result["ok"] and result["metrics"]["rows"] == 240
    assert result["metrics"]["duplicates"] == 0 and result["metrics"]["distinct_tasks"] == 10
    assert result["artifact"]["path"] == "data/manifest.json"
    assert result["artifact"]["sha256"] == manifest.digest(whole / "data/manifest.json")
    found = manifest.read(whole / "data")
    assert [shard.rows for shard in found.shards] == [60] * 4
    assert found.provenance == "synthetic" and found.parameters["easiest"] == 1
    assert verify.verify(whole / "data") == []
    types = [json.loads(line)["type"] for line in (whole / "events.jsonl").read_text().splitlines()]
    assert types[0] == "phase" and types[-1] == "artifact" and types.count("checkpoint") == 4


def test_every_row_fits_the_schema_of_the_manifest(whole: Path) -> None:
    import jsonschema

    check = jsonschema.Draft202012Validator(manifest.read(whole / "data").row_schema)
    for row in load.read(whole / "data"):
        check.validate(row)
        with pytest.raises(jsonschema.ValidationError):
            check.validate(row | {"split": "dev"})


def test_made_again_from_its_manifest_a_data_set_has_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    found = manifest.read(whole / "data")
    again = prepare(
        tmp_path / "again",
        recipe=found.recipe,
        seed=found.seed,
        count=found.count,
        shards=len(found.shards),
        options=found.parameters,
    )
    assert run.main(again) == 0
    assert outcome(again) == outcome(whole)


RECIPES = ("text/debate", "text/instructions", "text/worked-steps")


@pytest.mark.parametrize("name", RECIPES)
def test_hash_seed_time_zone_and_locale_change_nothing(name: str, tmp_path: Path) -> None:
    here = prepare(tmp_path / "here", recipe=name)
    assert run.main(here) == 0
    folder = prepare(tmp_path / "there", recipe=name)
    env = os.environ | {"PYTHONHASHSEED": "4242", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-P", "-m", "datagen", str(folder)], env=env, check=True, cwd=tmp_path)
    assert outcome(folder) == outcome(here)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("text/debate", "211cdc0c2dfd1b47"),
        ("text/instructions", "0e2c287121f22344"),
        ("text/worked-steps", "679b16ef695a0d06"),
    ],
)
def test_the_bytes_of_version_one_of_a_recipe_never_change(name: str, digest: str, tmp_path: Path) -> None:
    """Other bytes need another version: then this digest goes with it."""
    folder = prepare(tmp_path / "run", recipe=name, count=500)
    assert run.main(folder) == 0
    found = manifest.read(folder / "data")
    assert (found.recipe_version, found.content_sha256[:16]) == ("1", digest)


def test_the_rows_do_not_depend_on_the_number_of_shards(whole: Path, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "run", shards=7)
    assert run.main(folder) == 0
    assert manifest.read(folder / "data").content_sha256 == manifest.read(whole / "data").content_sha256
    assert list(load.read(folder / "data")) == list(load.read(whole / "data"))


def test_a_finished_run_started_again_stays_as_it_is(whole: Path, tmp_path: Path) -> None:
    folder = prepare(tmp_path / "run")
    assert run.main(folder) == 0
    before = {path: path.stat().st_mtime_ns for path in (folder / "data").glob("shard-*")}
    assert run.main(folder) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert outcome(folder) == outcome(whole)


@pytest.mark.parametrize("kind", ["full", "cut"])
def test_a_failure_at_any_write_is_one_clear_line_and_the_next_start_goes_on(
    kind: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Disk full at each write in turn; `cut` leaves half of the bytes there first, as a real disk does."""
    write, calls = files.write, 0

    def failing(at: int) -> Any:
        nonlocal calls
        calls = 0

        def write_or_fail(file: Any, data: bytes) -> None:
            nonlocal calls
            calls += 1
            if calls >= at:
                if kind == "cut":
                    write(file, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(file, data)

        return write_or_fail

    small = {"count": 12, "shards": 3}
    monkeypatch.setattr(files, "write", failing(10**9))
    assert run.main(prepare(tmp_path / "whole", **small)) == 0
    for at in range(1, calls + 1):
        folder = prepare(tmp_path / f"{at}", **small)
        monkeypatch.setattr(files, "write", failing(at))
        assert run.main(folder) == 1
        assert "the disk is full" in capfd.readouterr().err
        assert (
            not (folder / "result.json").exists()
            or b'"ok": true' not in (folder / "result.json").read_bytes()
        )
        assert not list((folder / "data").glob(".*")), "nothing half-written keeps its space"
        monkeypatch.setattr(files, "write", write)
        assert run.main(folder) == 0
        assert outcome(folder) == outcome(tmp_path / "whole")
        for line in (folder / "events.jsonl").read_bytes().splitlines():
            json.loads(line)


def test_a_full_disk_that_has_room_again_for_the_error_tells_it_in_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files.write

    def no_shards(file: Any, data: bytes) -> None:
        if "shard" in str(file.name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, data)

    monkeypatch.setattr(files, "write", no_shards)
    folder = prepare(tmp_path / "run")
    assert run.main(folder) == 1
    result = json.loads((folder / "result.json").read_text())
    assert result["ok"] is False and "the disk is full" in result["error"]


def test_torn_shards_and_torn_events_are_mended(whole: Path, tmp_path: Path) -> None:
    for seed in range(12):
        rng = random.Random(seed)
        folder = prepare(tmp_path / str(seed))
        assert run.main(folder) == 0
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
        (folder / "data" / ".shard-00001.jsonl.tmp").write_bytes(b"half")
        (folder / "data" / "shard-00009.jsonl").write_bytes(b"of another request")
        events = (folder / "events.jsonl").read_bytes()
        (folder / "events.jsonl").write_bytes(events[: rng.randrange(len(events))])
        assert run.main(folder) == 0
        assert outcome(folder) == outcome(whole)
        for line in (folder / "events.jsonl").read_bytes().splitlines():
            json.loads(line)


def test_another_request_in_the_same_folder_keeps_nothing_of_the_first(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "run")
    assert run.main(folder) == 0
    other = prepare(tmp_path / "other", seed=8, shards=2)
    assert run.main(other) == 0
    (folder / "request.json").write_bytes((other / "request.json").read_bytes())
    assert run.main(folder) == 0
    assert outcome(folder) == outcome(other)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "text/debatte"}, "did you mean text/debate?"),
        ({"count": 0, "seed": -1}, "count must be a whole number"),
        ({"count": 0, "seed": -1}, "seed must be a whole number"),
        ({"shards": 500}, "shards must not be more than count"),
        ({"schema": 2}, "schema must be 1"),
        ({"rows": 3}, "no key 'rows'"),
        ({"seed": True}, "seed must be a whole number"),
        ({"options": []}, "options must be an object"),
        ({"options": {"hardest": 9}}, "option hardest must be a whole number from 1 to 5"),
    ],
)
def test_a_wrong_request_is_a_result_that_says_what_to_change(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    folder = prepare(tmp_path / "run", **changes)
    assert run.main(folder) == 1
    result = json.loads((folder / "result.json").read_text())
    assert result["ok"] is False and words in result["error"] and "\n" not in result["error"]
    (folder / "request.json").write_text(json.dumps(REQUEST))
    assert run.main(folder) == 0, "the error of an earlier start is not the last word"


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", "[" * 5000, '{"schema": 1}'])
def test_a_broken_request_is_an_error_and_no_exception(text: str, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(text)
    assert run.main(tmp_path) == 1
    assert json.loads((tmp_path / "result.json").read_text())["ok"] is False


class _Faulty:
    """A recipe of another package that breaks its promise at row 5."""

    name, version, options = "test/faulty", "1", {}

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def rows(self, seed: int, start: int, stop: int, options: Any) -> Any:
        for index in range(start, stop):
            row = dict.fromkeys(("task", "family", "input", "target", "cot"), "")
            row |= {"id": f"test/faulty:{seed}:{index}", "seed": seed, "difficulty": 1, "split": "train"}
            if index == 5:
                match self.fault:
                    case "raises":
                        raise ZeroDivisionError("by\nzero")
                    case "ends":
                        return
                    case "repeats":
                        row["id"] = "test/faulty:7:4"
                    case "lacks":
                        del row["cot"]
                    case "mistypes":
                        row["difficulty"] = "hard"
                    case "surrogate":
                        row["input"] = "\ud800"
            yield row
        if self.fault == "endless":
            yield row | {"id": f"test/faulty:{seed}:{stop}"}


@pytest.mark.parametrize("fault", ["raises", "ends", "repeats", "lacks", "mistypes", "surrogate", "endless"])
def test_a_recipe_that_breaks_its_promise_is_named(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "load", lambda name: _Faulty(fault))
    folder = prepare(tmp_path / "run", count=10, shards=1)
    assert run.main(folder) == 1
    error = json.loads((folder / "result.json").read_text())["error"]
    assert "faulty" in error and "\n" not in error
    assert not list((folder / "data").iterdir())


def test_verify_tells_what_is_wrong_with_a_data_set(whole: Path, tmp_path: Path) -> None:
    def spoiled(name: str) -> Path:
        shutil.copytree(whole / "data", tmp_path / name)
        return tmp_path / name

    data = spoiled("flip")
    shard = data / "shard-00001.jsonl"
    shard.write_bytes(shard.read_bytes().replace(b'"difficulty":1', b'"difficulty":2', 1))
    found = verify.verify(data)
    assert any("other content than its sha256" in line for line in found)
    assert "the rows are not those of content_sha256" in found

    data = spoiled("gone")
    (data / "shard-00002.jsonl").unlink()
    assert "shard-00002.jsonl is missing" in verify.verify(data)

    data = spoiled("more")
    (data / "shard-00007.jsonl").write_text("{}\n")
    assert verify.verify(data) == ["shard-00007.jsonl is not in the manifest"]

    data = spoiled("manifest")
    text = (data / "manifest.json").read_text()
    for old, new, words in (
        ('"count": 240', '"count": 241', "do not add up"),
        ('"seed": 7', '"seed": "7"', "seed can't be right"),
        ("shard-00000.jsonl", "../shard-00000.jsonl", "shards can't be right"),
        ('"provenance": "synthetic"', '"provenance": "scraped"', "provenance 'scraped'"),
        ("{", "[", "not JSON"),
    ):
        (data / "manifest.json").write_text(text.replace(old, new, 1))
        assert any(words in line for line in verify.verify(data)), words
    (data / "manifest.json").unlink()
    assert "was not finished" in verify.verify(data)[0]


def test_rows_that_stand_in_both_splits_are_found(whole: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(whole / "data", data)
    first = next(load.read(data, "train"))
    shard = data / "shard-00003.jsonl"
    leaked = first | {"id": "text/worked-steps:7:999", "split": "test"}
    shard.write_bytes(shard.read_bytes() + json.dumps(leaked).encode() + b"\n")
    assert "train and test share 1 inputs" in verify.verify(data)
    twice = json.dumps(first | {"input": "another"}).encode() + b"\n"
    shard.write_bytes((whole / "data" / shard.name).read_bytes() + twice)
    found = verify.verify(data)
    assert "1 rows have the id of another" in found and not any("share" in line for line in found)


def test_only_synthetic_and_interaction_data_is_read(whole: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(whole / "data", data)
    text = (data / "manifest.json").read_text()
    for provenance, fits in (("interaction", True), ("scraped", False), ("", False), ("Synthetic", False)):
        changed = text.replace('"provenance": "synthetic"', f'"provenance": "{provenance}"')
        (data / "manifest.json").write_text(changed)
        if fits:
            assert len(list(load.read(data))) == 240
        else:
            with pytest.raises(ProvenanceRefused):
                load.read(data)


def test_the_reader_gives_one_split_and_refuses_altered_files(whole: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(whole / "data", data)
    train, test = list(load.read(data, "train")), list(load.read(data, "test"))
    splits = manifest.read(data).splits
    assert (len(train), len(test)) == (splits["train"], splits["test"]) and test
    shard = data / "shard-00000.jsonl"
    shard.write_bytes(shard.read_bytes().replace(b"e", b"a", 1))
    with pytest.raises(BrokenData, match="altered"):
        next(load.read(data))
    shard.write_bytes(b"")
    with pytest.raises(BrokenData, match="torn"):
        next(load.read(data))
    with pytest.raises(ValueError, match="no split"):
        load.read(data, "dev")


def test_the_log_cuts_off_a_torn_line_of_any_length(tmp_path: Path) -> None:
    for tail in (b"", b"x", b"{" * 200_000):
        for head in (b"", b'{"v":1}\n' * 3):
            path = tmp_path / "events.jsonl"
            path.write_bytes(head + tail)
            with runlog.RunLog(tmp_path) as log:
                log.emit("phase", name="next")
            assert path.read_bytes().startswith(head)
            assert json.loads(path.read_bytes().removeprefix(head))["name"] == "next"


def test_the_wing_imports_no_other_room_and_nothing_heavy() -> None:
    code = (
        "import sys, datagen.__main__, datagen.load, datagen.verify; from datagen import recipe;"
        "[recipe.load(n) for n in recipe.names() if n.startswith('text/')];"
        "bad = {'tui','orchestrator','tickets','state','model','pydantic','yaml','torch','numpy','git'};"
        "sys.exit(' '.join(bad & {m.split('.')[0] for m in sys.modules}) or 0)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
