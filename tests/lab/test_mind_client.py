"""The client of the mind: many may ask, and nothing that a mind does wrong is believed or waited for."""

from __future__ import annotations

import ast
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from mind_doubles import BOARD, CIRCLE, SOLVED, mind, workspace

from orchestrator.lab import link
from orchestrator.lab.mind import Mind, MindError
from state import reflections

ROOT = Path(__file__).resolve().parent.parent.parent


def refused(one: Mind, do: str = "reason", timeout: float = 20.0, **fields: Any) -> MindError:
    with pytest.raises(MindError) as caught:
        one.ask(do, timeout=timeout, **(fields or BOARD))
    return caught.value


def test_an_answer_comes_back_without_the_protocols_own_fields(tmp_path: Path) -> None:
    with mind(workspace(tmp_path)) as one:
        reply = one.ask("reason", **BOARD)
    assert reply["answer"] == SOLVED and reply["by"] == "core"
    assert not {"id", "ok"} & reply.keys()


def test_eight_callers_at_once_each_get_the_answer_to_their_own_question(tmp_path: Path) -> None:
    asked = [["circle", "red"], ["star", "blue"], ["ring", "green"], ["cross", "white"]]
    wrong: list[Any] = []
    with mind(workspace(tmp_path)) as one:

        def ask(at: int) -> None:
            shape, colour = asked[at % len(asked)]
            scene = {"objects": [{"shape": shape, "colour": colour, "size": "small", "cell": "top"}]}
            for _ in range(10):
                found = one.ask("reason", part="scenes", question=f"what colour is the {shape}?", scene=scene)
                if found["answer"] != colour:
                    wrong.append((shape, found["answer"]))

        callers = [threading.Thread(target=ask, args=(at,)) for at in range(8)]
        for each in callers:
            each.start()
        for each in callers:
            each.join(60)
            assert not each.is_alive()
    assert not wrong


@pytest.mark.parametrize("fault", ["rubbish", "wrong-id", "long-line"])
def test_a_mind_that_talks_rubbish_is_ended_and_its_caller_told(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "LINE", 1 << 16)
    with mind(workspace(tmp_path), fault) as one:
        error = refused(one)
    assert error.reason == "gone" and "no answer" in str(error)


def test_a_mind_that_hangs_is_ended_when_its_callers_time_is_up(tmp_path: Path) -> None:
    with mind(workspace(tmp_path), "hang") as one:
        one.ready()
        before = one.pid
        assert refused(one, timeout=0.3).reason == "timeout"
        end = time.monotonic() + 20
        while one.pid == before:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_who_waits_behind_others_for_too_long_is_told_and_the_mind_lives_on(tmp_path: Path) -> None:
    with mind(workspace(tmp_path), "slow") as one:
        one.ask("status")
        pid = one.pid
        others = [threading.Thread(target=lambda: one.ask("status")) for _ in range(4)]
        for each in others:
            each.start()
        end = time.monotonic() + 20
        while len(one._link._calls if one._link else ()) < 3:
            assert time.monotonic() < end
            time.sleep(0.001)
        assert refused(one, timeout=0.01).reason == "busy"
        for each in others:
            each.join(30)
        assert one.pid == pid and one.ask("status")["parts"]


def test_after_a_crash_a_question_is_asked_once_more(tmp_path: Path) -> None:
    with mind(workspace(tmp_path), "crash-once", str(tmp_path / "fell")) as one:
        assert one.ask("reason", **BOARD)["answer"] == SOLVED
    assert (tmp_path / "fell").exists()


def test_a_correction_is_never_sent_twice(tmp_path: Path) -> None:
    with mind(workspace(tmp_path), "crash-once", str(tmp_path / "fell")) as one:
        error = refused(one, "correct", **CIRCLE, answer="crimson")
        assert error.reason == "gone" and "whether it was done" in str(error)
        assert one.ask("memory", op="list")["memories"] == []


def test_a_mind_that_ends_twice_in_a_row_is_left_alone_for_a_while(tmp_path: Path) -> None:
    with mind(workspace(tmp_path), "crash") as one:
        assert refused(one).reason == "gone"
        assert "in a row" in str(refused(one))


def test_a_core_that_is_refused_is_told_with_its_line(tmp_path: Path) -> None:
    with mind(workspace(tmp_path), "not-ready") as one:
        error = refused(one)
    assert error.reason == "core" and "was altered" in str(error)


def test_a_mind_that_never_gets_ready_is_ended(tmp_path: Path) -> None:
    with mind(workspace(tmp_path), "mute") as one:
        with pytest.raises(MindError) as caught:
            one.ready(0.2)
        assert caught.value.reason == "timeout"


def test_a_closed_mind_answers_nobody(tmp_path: Path) -> None:
    one = mind(workspace(tmp_path))
    one.ready()
    one.close()
    one.close()
    assert refused(one).reason == "closed"


def test_a_question_that_is_too_long_is_refused_and_the_next_one_answered(tmp_path: Path) -> None:
    with mind(workspace(tmp_path)) as one:
        assert refused(one, **{**CIRCLE, "question": "x" * (5 << 20)}).reason == "request"
        assert one.ask("reason", **BOARD)["answer"] == SOLVED


def test_where_there_is_no_core_the_line_says_how_to_get_one(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(MindError) as caught:
        Mind.open(workspace(tmp_path))
    assert caught.value.reason == "none" and "jetbox core adopt" in str(caught.value)


def test_where_the_extra_is_not_installed_the_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.extras.find_spec", lambda name: None)
    with pytest.raises(MindError) as caught:
        Mind.open(workspace(tmp_path))
    assert caught.value.reason == "missing" and "jetbox[model]" in str(caught.value)


def test_renewed_it_answers_from_a_new_process_and_what_was_asked_before_is_answered(tmp_path: Path) -> None:
    with mind(workspace(tmp_path), "slow") as one:
        one.ask("status")
        before, found = one.pid, []
        waiting = threading.Thread(target=lambda: found.append(one.ask("reason", **BOARD)))
        waiting.start()
        end = time.monotonic() + 20
        while not (one._link and one._link._calls):
            assert time.monotonic() < end
            time.sleep(0.001)
        one.renew()
        assert one.ask("status")["parts"] and one.pid != before
        waiting.join(30)
        assert found and found[0]["answer"] == SOLVED


def test_each_answer_leaves_a_reflection_that_never_holds_its_question(tmp_path: Path) -> None:
    place = workspace(tmp_path)
    with mind(place) as one:
        record = one.ask("reason", **CIRCLE)["record"]
        one.ask("correct", **CIRCLE, answer="crimson")
    kept = reflections.read(place.home)
    assert [each.corrected for each in kept] == ["crimson", None]
    assert kept[1].id == record and kept[1].answer == "red" and kept[1].question == kept[0].question
    text = "".join(path.read_text() for path in (place.home / "reflections").iterdir())
    assert "circle" not in text and "top left" not in text


def test_an_answer_is_not_held_back_where_its_reflection_cant_be_written(tmp_path: Path) -> None:
    place = workspace(tmp_path)
    (place.home / "reflections").write_text("in the way")
    with mind(place) as one:
        reply = one.ask("reason", **BOARD)
    assert reply["answer"] == SOLVED and reply["record"] == ""


def test_the_client_loads_no_model_library() -> None:
    for name in ("mind.py", "link.py", "interactions.py", "actions.py", "pictures.py"):
        tree = ast.parse((ROOT / "orchestrator" / "lab" / name).read_text())
        heavy = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert not heavy & {"torch", "numpy", "safetensors", "model", "datagen"}, name
