"""Images of a ComfyUI become a data set whole or not at all, and without one the renderer stands in, told."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_comfyui import ScriptedComfyUI, png

from datagen import load, manifest, run
from datagen.scenes import words
from orchestrator import comfyui
from orchestrator.comfyui import GiveError, give
from orchestrator.reach import Server, guard

COUNT = 5


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comfyui, "POLL", 0.01)
    monkeypatch.setattr(comfyui, "WAIT", 2.0)


def asked(port: int | str, **more: Any) -> dict[str, Any]:
    number = int(str(port).rpartition(":")[2])
    body = {"schema": 1, "recipe": "image/comfyui", "seed": 3, "count": COUNT, "options": {"port": number}}
    return body | more


def given(
    folder: Path,
    request: dict[str, Any],
    lines: list[str] | None = None,
    shares: list[float] | None = None,
) -> str | None:
    folder.mkdir(exist_ok=True)
    (folder / "request.json").write_text(json.dumps(request))
    lines, shares = ([] if each is None else each for each in (lines, shares))
    return give(folder, request, threading.Event(), lines.append, shares.append)


def error(folder: Path) -> str:
    return str(json.loads((folder / "result.json").read_text())["error"])


def nobody() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def test_images_of_a_comfyui_become_rows_with_their_prompts(tmp_path: Path) -> None:
    lines: list[str] = []
    with ScriptedComfyUI() as double:
        shares: list[float] = []
        source = given(tmp_path / "run", asked(double.where), lines, shares)
        assert lines == [source] and shares == [0, 0.2, 0.4, 0.6, 0.8]
        assert source == f"ComfyUI 0.3.76 on {double.where}, small.safetensors"
        assert len(double.prompts) == COUNT
    assert run.main(tmp_path / "run") == 0
    found = manifest.read(tmp_path / "run/data")
    assert found.provenance == "synthetic" and found.source.startswith(f"{source}, images ")
    rows = load.columns(tmp_path / "run/data")
    listed = json.loads((tmp_path / "run/given/given.json").read_text())["images"]
    assert words.texts(rows["caption"]) == [each["prompt"] for each in listed]
    for image, each in zip(rows["image"], listed, strict=True):
        assert (image == [(each["seed"] >> shift) & 255 for shift in (0, 8, 16)]).all()
        nodes = [[node["inputs"] for node in sent.values()] for sent in double.prompts]
        wanted = {"text": each["prompt"], "seed": each["seed"]}.items()
        assert any(all(any(n.get(k) == v for n in sent) for k, v in wanted) for sent in nodes)
    sides = dict(zip(rows["key"].tolist(), rows["split"].tolist(), strict=True))
    assert len(sides) == len({each["prompt"] for each in listed})


def test_without_a_comfyui_the_rows_are_drawn_and_the_manifest_says_so(tmp_path: Path) -> None:
    lines: list[str] = []
    port = nobody()
    source = given(tmp_path / "run", asked(port), lines)
    assert source == f"no ComfyUI on 127.0.0.1:{port}: drawn procedurally" and lines == [source]
    assert run.main(tmp_path / "run") == 0
    assert manifest.read(tmp_path / "run/data").source == source
    rows = load.columns(tmp_path / "run/data")
    assert rows["image"].shape == (COUNT, 32, 32, 3) and rows["image"].std() > 10
    assert all("object" in text or "shape" in text for text in words.texts(rows["caption"]))
    again = given(tmp_path / "run", asked(port))
    assert again == source, "what was decided stays"


@pytest.mark.parametrize("kind", ["foreign", "no checkpoint", "hangs", "not allowed"])
def test_whatever_else_answers_there_the_renderer_stands_in(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comfyui, "WAIT_FIRST", 0.3)
    if kind == "hangs":
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            assert (
                given(tmp_path / "run", asked(port)) == f"no ComfyUI on 127.0.0.1:{port}: drawn procedurally"
            )
        return
    with ScriptedComfyUI(foreign=kind == "foreign", checkpoints=()) as double:
        if kind == "not allowed":
            with guard(frozenset({Server("127.0.0.1", 1)})):
                said = given(tmp_path / "run", asked(double.where))
            assert said and "list" in said and "servers" in said and not double.heard
        else:
            said = given(tmp_path / "run", asked(double.where))
            why = {"foreign": "no ComfyUI on", "no checkpoint": "has no checkpoint"}[kind]
            assert said and why in said and said.endswith("drawn procedurally")
    assert run.main(tmp_path / "run") == 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("hang", "nothing came"),
        ("html", "no PNG"),
        ("huge", "more than"),
        ("dies", "the connection to"),
        ("error", "its workflow failed"),
        ("refuses", "no such node"),
        ("nameless", "no name"),
        ("imageless", "without an image"),
        ("bomb", "no PNG of a sensible size"),
    ],
)
def test_one_that_fails_in_the_middle_is_told_and_the_next_call_goes_on(
    fault: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comfyui, "WAIT", 0.5 if fault == "hang" else 20.0)
    with ScriptedComfyUI(faults={2: fault}) as double:
        request = asked(double.where)
        with pytest.raises(GiveError, match="stopped after 2 of 5 images") as told:
            given(tmp_path / "run", request)
        assert words in str(told.value) and str(told.value).endswith("see to it, then retry")
        kept = sorted(path.name for path in (tmp_path / "run/given").iterdir())
        assert kept == ["00000.png", "00001.png", "begun.json"]
        double.faults, double.dead = {}, False
        before = len(double.prompts)
        assert given(tmp_path / "run", request)
        assert len(double.prompts) - before == 3, "what had come is not asked for again"
    assert run.main(tmp_path / "run") == 0


def test_one_that_is_gone_when_it_is_to_go_on_is_not_replaced_by_drawings(tmp_path: Path) -> None:
    with ScriptedComfyUI(faults={1: "html"}) as double:
        request = asked(double.where)
        with pytest.raises(GiveError):
            given(tmp_path / "run", request)
    with pytest.raises(GiveError, match="stopped after 1 of 5"):
        given(tmp_path / "run", request)
    assert not (tmp_path / "run/given/given.json").exists()


def test_stopped_it_leaves_at_once_and_nothing_is_decided(tmp_path: Path) -> None:
    stop = threading.Event()
    with ScriptedComfyUI() as double:
        (tmp_path / "run").mkdir()

        def progress(share: float) -> None:
            if share == 2 / COUNT:
                stop.set()

        request = asked(double.where)
        assert give(tmp_path / "run", request, stop, lambda _: None, progress) is None
    assert not (tmp_path / "run/given/given.json").exists()
    assert len(list((tmp_path / "run/given").glob("*.png"))) == 2


def test_a_torn_image_is_one_clear_line_of_the_run(tmp_path: Path) -> None:
    with ScriptedComfyUI(faults={3: "torn"}) as double:
        given(tmp_path / "run", asked(double.where))
    assert run.main(tmp_path / "run") == 1
    assert "00003.png is no image that can be read" in error(tmp_path / "run")


def test_the_same_images_give_the_same_bytes_and_others_are_not_mixed_in(tmp_path: Path) -> None:
    with ScriptedComfyUI() as double:
        request = asked(double.where, shards=3, workers=2)
        for name in ("one", "two"):
            given(tmp_path / name, request)
            assert run.main(tmp_path / name) == 0
    one, two = (manifest.read(tmp_path / name / "data") for name in ("one", "two"))
    assert one == two
    image = tmp_path / "two/given/00001.png"
    image.write_bytes(png(1))
    body = json.loads((tmp_path / "two/given/given.json").read_text())
    body["images"][1]["sha256"] = hashlib.sha256(png(1)).hexdigest()
    (tmp_path / "two/given/given.json").write_text(json.dumps(body))
    assert run.main(tmp_path / "two") == 0
    rows = load.columns(tmp_path / "two/data")
    assert (rows["image"][1] == [1, 0, 0]).all(), "a shard of the earlier images was kept"
    assert manifest.read(tmp_path / "two/data").source != one.source


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body["images"].pop(),
        lambda body: body["images"][0].update(file="../../secret.png"),
        lambda body: body["images"][0].update(prompt="x" * 300),
        lambda body: body["images"][0].update(sha256="0" * 64),
        lambda body: body["images"][0].pop("prompt"),
        lambda body: body.update(images={}),
        lambda body: body.update(source=3),
        lambda body: body.update(schema=2),
        lambda body: body.clear(),
    ],
)
def test_a_list_of_images_that_can_not_be_right_is_refused(spoil: Any, tmp_path: Path) -> None:
    with ScriptedComfyUI() as double:
        given(tmp_path / "run", asked(double.where))
    path = tmp_path / "run/given/given.json"
    body = json.loads(path.read_text())
    spoil(body)
    path.write_text(json.dumps(body))
    assert run.main(tmp_path / "run") == 1
    assert "make the data set again in a new folder" in error(tmp_path / "run")


def test_other_recipes_are_given_nothing(tmp_path: Path) -> None:
    assert given(tmp_path / "run", asked(1, recipe="image/scenes")) is None
    assert not (tmp_path / "run/given").exists()


def test_prompts_follow_from_seed_and_number_and_fit_their_column() -> None:
    said = [comfyui.prompt(seed, index) for seed in range(3) for index in range(400)]
    assert said == [comfyui.prompt(seed, index) for seed in range(3) for index in range(400)]
    assert len(set(said)) > 900 and max(map(len, said)) <= words.CAPTION
    assert np.mean([text.startswith("a photo of a") for text in said]) == 1
