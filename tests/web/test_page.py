"""What is read and drawn on the page, and what of Gradio can be reached."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from scripted_mind import PARTS
from web_doubles import Served, served, workspace

from orchestrator.web import blocks, drawn, proposed, written
from orchestrator.web.desk import Sorry
from orchestrator.web.written import Unclear

BOARD: dict[str, Any] = PARTS[0]
SCENES: dict[str, Any] = json.loads(json.dumps(PARTS[1]))
EVIL = "</text><script>evil()</script>\x1b[2J\u202e&\"'"


# What is written ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "1... ..1. .1.. ...1",
        "1...\n..1.\n\n.1..\n...1",
        "1_0. | ..1.\n-----+----\n.1.. | ...1",
        "1,.,.,.,..1..1.....1",
    ],
)
def test_a_board_is_read_as_people_write_it(text: str) -> None:
    assert written.cells(text, BOARD) == [1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]


def test_a_board_that_is_shown_reads_back() -> None:
    cells = [1, 2, 3, 4, 0, 0, 1, 0, 0, 1, 0, 0, 4, 3, 2, 1]
    assert written.cells(written.grid(cells, BOARD), BOARD) == cells


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "0 cells"),
        ("1" * 17, "17 cells"),
        ("5" + "." * 15, "'5' is no cell"),
        ("x" * 20_001, "characters"),
    ],
)
def test_a_board_that_is_none_is_refused_in_a_line(text: str, line: str) -> None:
    with pytest.raises(Unclear, match=line):
        written.cells(text, BOARD)


@pytest.mark.parametrize("part", [{}, {"rows": 1 << 20, "columns": 1 << 20}, {"rows": -1, "columns": "x"}])
def test_a_part_that_says_nonsense_is_no_board(part: dict[str, Any]) -> None:
    with pytest.raises(Unclear):
        written.cells("1", part)
    assert drawn.board({"answer": [1]}, [], part) == ""


def test_a_scene_is_read_and_reads_back() -> None:
    found = written.scene("a small RED circle at the top left;  large blue star, middle", SCENES)
    assert found["objects"] == [
        {"cell": "top left", "size": "small", "colour": "red", "shape": "circle"},
        {"cell": "middle", "size": "large", "colour": "blue", "shape": "star"},
    ]
    assert written.scene(written.scene_lines(found), SCENES) == found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "an object a line"),
        ("small red circle", "has no place"),
        ("red circle at the top", "has no size"),
        ("small red blue circle at the top", "two words of colour"),
        ("small mauve circle at the top", "'mauve' is not known"),
        ("small red circle top; large blue star top", "two objects stand at top"),
        ("small red circle top\n" * 4, "4 objects are more than the 3"),
    ],
)
def test_a_scene_that_is_none_is_refused_in_a_line(text: str, line: str) -> None:
    with pytest.raises(Unclear, match=line):
        written.scene(text, SCENES)


# What is drawn -----------------------------------------------------------------------------------------

REPLIES: list[dict[str, Any]] = [
    {},
    {"answer": EVIL, "trace": [{"answer": EVIL, "change": 1e308, "halt": None, "doubt": float("nan")}] * 9},
    {"answer": [1] * 16, "doubts": ["x"] * 16, "trace": [{"answer": [1] * 16}, 3, {"answer": [2]}]},
    {"answer": [10**9] * 16, "doubts": [5.0] * 16, "trace": {"not": "a list"}},
    {"answer": [1] * 16, "trace": [{"answer": [1] * 16, "doubt": 0.5, "halt": 0.5, "change": 2}] * 100_000},
]


@pytest.mark.parametrize("reply", REPLIES)
def test_a_picture_is_small_and_holds_marks_alone(reply: dict[str, Any]) -> None:
    part = {**BOARD, "tokens": [EVIL] * 5}
    made = [drawn.trace(reply), drawn.board(reply, [0] * 16, part), drawn.latent([1e9, -3, EVIL] * 400)]
    made.append(drawn.scene({"objects": [{"shape": EVIL, "colour": EVIL, "cell": "top"}] * 99}, SCENES))
    for svg in filter(None, made):
        assert len(svg) < 100_000
        kinds = {each.tag.partition("}")[2] for each in ElementTree.fromstring(svg).iter()}
        assert kinds <= {"svg", "rect", "line", "text", "polyline", "polygon", "circle"}
        assert "\x1b" not in svg and "\u202e" not in svg


def test_answers_in_lines_survive_whatever_the_mind_says() -> None:
    for reply in REPLIES:
        for part in (BOARD, SCENES):
            said = written.answer({**reply, "others": [[EVIL, 3], 7], "by": [EVIL] * 999}, part)
            assert len(said) < 4_000 and "\x1b" not in said


def test_a_proposal_is_shown_with_its_effects_and_where_it_is_answered() -> None:
    subject = {
        "expected_effects": [
            {"task": "sudoku6", "measure": "exact", "before": 0.35, "after": 0.9, "rows": 256}
        ],
        "difference": [{"layer": "body.0", "shape": [2], "share": 0.05, "largest": 2}],
        "rationale": "measured",
    }
    found = {"id": "5c" * 6, "kind": "core", "ticket": "TICKET-009", "summary": "change", "digest": "d" * 64}
    said = proposed.proposals([{"kind": "merge"}, {**found, "subject": subject}])
    assert said.startswith("core  TICKET-009")  # first, though it came last
    assert "sudoku6, exact: 0.35 -> 0.9 on 256 rows" in said and "body.0  5%" in said
    assert f"approve in the cockpit or with `jetbox approve {'5c' * 6}`" in said
    assert (
        proposed.proposals([{"subject": {"expected_effects": [EVIL], "difference": 9}}] * 50).count("\x1b")
        == 0
    )


class Silent:
    """A desk without a mind."""

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """There is none."""
        raise Sorry(503, "none", "there is no core here yet")


def test_without_a_core_every_button_says_so_in_a_line() -> None:
    bench = blocks.Bench(Silent())  # type: ignore[arg-type]
    assert bench.begin()[0] == "there is no core here yet"
    for said in (
        bench.reason("sudoku4", "1", "", "", "auto")[0],
        bench.correct("", "", "", "", "1", "default")[0],
        bench.example("")[3],
        bench.encode("word", "")[0],
        bench.memories()[0],
    ):
        assert said.startswith("there is no core") and "\n" not in said


# What can be reached -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pytest.importorskip("gradio")
    from orchestrator.web import page

    kept = dict(os.environ)
    try:
        with served(workspace(tmp_path_factory.mktemp("page") / "project"), mount=page.mount) as found:
            yield found
    finally:
        os.environ.clear()
        os.environ.update(kept)


def test_only_the_routes_that_the_page_needs_are_open(lab: Served) -> None:
    import gradio

    source = Path(gradio.__file__).with_name("routes.py").read_text(encoding="utf-8")
    named = set(re.findall(r'@(?:app|router)\.\w+\(\s*f?"([^"]+)"', source))
    assert len(named) > 70
    paths = {each.replace("{", "").replace("}", "") for each in named}
    opened = set()
    for path in sorted(paths | {f"/gradio_api{each}" for each in paths}):
        for method, body in (("GET", None), ("POST", {"session_hash": "abc"})):
            if path.endswith(("/queue/data", "/heartbeat/session_hash")) and method == "GET":
                continue  # streams
            if lab.ask(method, "/lab" + path, body)[0] != 404:
                opened.add(f"{method} {path}")
    assert opened - {"GET /", "GET /config", "GET /theme.css"} <= {
        "GET /gradio_api/info",
        "GET /gradio_api/startup-events",
        "POST /gradio_api/queue/join",
        "POST /gradio_api/reset",
        "POST /gradio_api/cancel",
    }


FILE = {"path": "/etc/passwd", "url": "http://127.0.0.1:1/", "meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
    "more",
    [
        {"data": [FILE]},
        {"data": [[FILE]]},
        {"data": {"0": FILE}},
        {"data": ["x"] * 65},
        {"event_data": {"x": FILE}},
        {"trigger_id": [FILE]},
        {"session_hash": "../../x"},
        {"simple_format": FILE},
    ],
)
def test_a_call_with_anything_but_plain_values_is_refused(lab: Served, more: dict[str, Any]) -> None:
    body = {"data": ["a"], "fn_index": 0, "session_hash": "abc", **more}
    status, _, said = lab.ask("POST", "/lab/gradio_api/queue/join", body)
    assert status == 422 and said["reason"] == "request"


def test_a_body_that_is_no_json_is_refused(lab: Served) -> None:
    for body in (b"", b"\xff", b"[" * 100_000, b"[]", b'"x"'):
        assert lab.ask("POST", "/lab/gradio_api/queue/join", body)[0] == 422


def test_without_a_key_there_is_no_page(lab: Served) -> None:
    for path in ("/lab/", "/lab/config", "/lab/assets/x.js", "/lab/gradio_api/queue/data?session_hash=a"):
        assert lab.ask("GET", path, token=None)[0] == 401
        assert lab.ask("GET", path, Host="evil.example")[0] == 403
        assert lab.ask("GET", path, Origin="http://evil.example")[0] == 403


def test_another_gradio_is_refused_in_a_line(tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    from orchestrator.web import page
    from orchestrator.web.pages import NoPage

    with pytest.raises(NoPage, match="has no page"):
        page.shell(tmp_path)
    (tmp_path / "templates" / "frontend").mkdir(parents=True)
    (tmp_path / "templates" / "frontend" / "index.html").write_text("<html></html>")
    with pytest.raises(NoPage, match="gradio 6"):
        page.shell(tmp_path)


def test_the_first_document_names_nobody_else() -> None:
    gradio = pytest.importorskip("gradio")
    from orchestrator.web import page

    said = page.shell(Path(gradio.__file__).parent).decode()
    assert "http" not in said and "//" not in said and json.dumps(said).count("<script") == 1
