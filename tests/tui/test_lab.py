"""The Lab: what a person asks, corrects and switches there, and that it stays whole whatever a mind says."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cores
import pytest
import scripted_mind
import seeds
from cores import Refusal, Told
from keeping import kept

from state import core
from state.journal import Journal
from state.workspace import Workspace
from tui.lab import replies
from tui.lab.bench import Bench
from tui.lab.board import kind
from tui.lab.replies import Unclear
from tui.look import ASCII, DARK, LIGHT, SIXTEEN, UNICODE, Look

ROOT = Path(__file__).resolve().parents[2]
EVIL = "\x1b[2J\x1b]0;owned\x07\u202eesrever\u2066\u200b" + "e" + "\u0301" * 50 + "\u5bbd"
STEER = {"\x1b", "\x07", "\u202e", "\u2066", "\u200b"}
WIDE, SMALL = (140, 40), (80, 24)
HALF = {"▀"}


def there(driver: Any) -> Callable[[], bool]:
    """The mind has answered all that it was asked."""
    return lambda: driver.screen.talk.state == "ready" and not driver.screen.talk.waiting


async def idle(driver: Any) -> None:
    """Until all that was asked is answered."""
    while driver.screen.talk.waiting:
        await asyncio.sleep(0.001)


async def press(driver: Any, *keys: str) -> None:
    """Press keys, each after what the one before asked for is there."""
    for key in keys:
        await driver.press(key)
        await driver.settle(there(driver))


def type_in(driver: Any, text: str) -> None:
    """Type where text is being typed: all at once, as a fast hand does."""
    for char in text:
        driver.screen.take("space" if char == " " else char, char)


def told(driver: Any) -> list[tuple[str, Any]]:
    return list(driver.screen.talk._mind.asked)


async def board(driver: Any) -> None:
    """The Lab with an example board that is asked."""
    await press(driver, "6", "n", "enter")


async def scene(driver: Any) -> None:
    """The Lab with an example scene that is asked."""
    await press(driver, "6", "p", "n", "enter")


# Asking ----------------------------------------------------------------------------------------------


async def test_an_example_is_asked_and_the_answer_stands_in_its_place(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=SMALL, mind=Told) as driver:
        await press(driver, "6", "n")
        bench = driver.screen.bench
        empty = [at for at, cell in enumerate(bench.cells) if cell == 0]
        assert empty and "An example. enter asks." in driver.text()
        await press(driver, "enter")
        text = driver.text()
        assert text.count("·") >= len(empty), "what was filled in is marked"
        assert "90 %: sure" in text and "by the core" in text and "As the example has it" in text
        for word in ("cycles", "variants"):
            assert any(word in line and "90 %" in line for line in text.splitlines())


async def test_the_screen_never_waits_for_the_mind(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    held = threading.Event()

    def slow(fields: Any) -> None:
        held.wait(20)

    async with cockpit(tmp_path, size=SMALL, mind=lambda: Told(reflect=slow)) as driver:
        try:
            await press(driver, "6", "n")
            await driver.press("enter")
            assert "asking" in driver.text() and not driver.screen.bench.answer
            await driver.press("1", "6", "m", "m", "e", "escape", "?", "escape")
            assert "asking" in driver.text()
        finally:
            held.set()
        await driver.settle(lambda: "90 %: sure" in driver.text())


async def test_an_answer_never_stands_beside_another_question(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    held = threading.Event()

    def slow(fields: Any) -> None:
        held.wait(20)

    async with cockpit(tmp_path, size=SMALL, mind=lambda: Told(reflect=slow)) as driver:
        await press(driver, "6", "n")
        await driver.press("enter", "e", "+", "escape")
        held.set()
        await driver.settle(there(driver))
        assert driver.screen.bench.answer is None and "sure" not in driver.text()


async def test_a_board_is_typed_cell_by_cell(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=SMALL, mind=Told) as driver:
        await press(driver, "6")
        await driver.press("e", "3", "9", "down", "1", "left", "backspace", "up", "home", "+", "escape")
        cells = driver.screen.bench.cells
        assert cells[:4] == [4, 0, 0, 0] and not any(cells[4:]), "9 is no digit of this board, 6 no screen"
        await driver.press("e", "6")
        assert driver.screen.NAME == "lab" and driver.screen.bench.mode == "edit"
        await press(driver, "enter")
        assert told(driver)[-1][1]["cells"] == cells
        assert "example has it" not in driver.text(), (
            "a question of one's own has no true answer to hold it to"
        )


async def test_a_board_without_an_answer_says_that_it_would_rather_not_say(
    cockpit: Any, tmp_path: Path
) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=SMALL, mind=Told) as driver:
        await press(driver, "6")
        await driver.press("e", "1", "1")
        await press(driver, "enter")
        assert "20 %: it would rather not say" in driver.text()


async def test_doubtful_cells_have_a_mark_of_their_own(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    doubts = [0.1] * 15 + [0.9]
    double = scripted_mind.Mind()

    def answered(fields: Any) -> dict[str, Any]:
        reply: dict[str, Any] = double.reflect(dict(fields))
        return {**reply, "doubts": doubts}

    async with cockpit(tmp_path, size=SMALL, mind=lambda: Told(reflect=answered)) as driver:
        await press(driver, "6", "enter")
        text = driver.text()
        assert "1 of 16 cells are doubtful" in text and "? doubtful" in text
        (line,) = [line[:30] for line in text.splitlines() if "│" in line and "?" in line[:30]]
        assert line.split("│")[2].rstrip().endswith(("?1", "?2", "?3", "?4"))


async def test_a_scene_is_written_in_words_and_drawn(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=WIDE, mind=Told) as driver:
        await press(driver, "6", "p")
        await driver.press("e")
        type_in(driver, "small red circle, top left")
        await driver.press("down")
        type_in(driver, "a large blue")
        assert "no shape: circle, square" in driver.text()
        type_in(driver, " star at the bottom")
        assert "no shape" not in driver.text() and HALF & set(driver.text())
        await driver.press("down", "down")
        type_in(driver, "where is the star?")
        await press(driver, "enter")
        _, fields = told(driver)[-1]
        assert [each["cell"] for each in fields["scene"]["objects"]] == ["top left", "bottom"]
        assert "bottom" in driver.text() and "90 %: sure" in driver.text()


async def test_a_scene_that_cannot_be_read_is_not_asked(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=WIDE, mind=Told) as driver:
        await press(driver, "6", "p", "enter")
        assert "the scene is empty: write an object, such as small red circle, top left" in driver.text()
        await driver.press("e")
        type_in(driver, "small red circle, top left")
        await press(driver, "enter")
        assert "there is no question" in driver.text()
        assert not [do for do, _ in told(driver) if do == "reflect"]


async def test_texts_are_encoded_and_held_against_each_other(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=WIDE, mind=Told) as driver:
        await press(driver, "6", "p", "p")
        for text in ("a red ring", "two stars", "a red ring"):
            await driver.press("e")
            await driver.press("ctrl+u", "ctrl+k")
            type_in(driver, text)
            await press(driver, "enter")
        text = driver.text()
        assert "96 numbers" in text and HALF & set(text)
        assert [line.split()[-2:] for line in text.splitlines() if "two stars" in line]
        assert [words for _, words in driver.screen.bench.nearest()] == ["two stars"]


# The trace -------------------------------------------------------------------------------------------


async def test_the_trace_is_stepped_through_and_played(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=SMALL, mind=Told) as driver:
        await board(driver)
        await driver.press("tab")
        text = driver.text()
        for name in ("change", "halting", "doubt"):
            assert name in text
        assert any("\u2800" < char <= "\u28ff" for char in text), "as curves"
        final = driver.screen.bench.answer.said
        await driver.press("[", "[", "[")
        assert "After cycle 1 of 3" in driver.text() and driver.screen.bench.saying != final
        await driver.press("]", "]", "]")
        assert "After cycle" not in driver.text() and driver.screen.bench.saying == final
        await driver.press("space")
        assert "After cycle 1 of 3" in driver.text()
        await driver.settle(lambda: "After cycle 3 of 3" in driver.text())
        await driver.settle(lambda: "After cycle" not in driver.text())
        assert not driver.screen.pulsing


async def test_the_trace_of_a_scene_has_the_words_of_each_cycle(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=WIDE, mind=Told) as driver:
        await scene(driver)
        await driver.press("tab")
        lines = [line for line in driver.text().splitlines() if line.rstrip().endswith("yes")]
        assert lines, "what it would have answered first"


# Correcting ------------------------------------------------------------------------------------------


async def test_a_correction_shows_before_and_after_and_that_the_core_is_unchanged(
    cockpit: Any, tmp_path: Path
) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=WIDE, mind=Told) as driver:
        await scene(driver)
        before = driver.screen.bench.answer.said
        await driver.press("c")
        type_in(driver, "grelk")
        await press(driver, "enter")
        text = driver.text()
        assert "Corrected" in text and f"{before} -> grelk" in text
        assert f"core unchanged ({scripted_mind.CORE[:12]})" in text and "in 10 ms" in text
        assert "1 of 1 lesson right" in text and "by the memory default" in text
        assert "It recurs" not in text and "As you said" in text


async def test_a_board_is_corrected_in_its_cells(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=WIDE, mind=Told) as driver:
        await board(driver)
        said = list(driver.screen.bench.answer.said)
        other = said[0] % 4 + 1
        await driver.press("c", str(other), "up", "left")
        assert "The right answer" in driver.text()
        await press(driver, "enter")
        assert "1 cell changed" in driver.text() and driver.screen.bench.answer.said[0] == other
        (right,) = [fields["answer"] for do, fields in told(driver) if do == "correct"]
        assert right == [other, *said[1:]] and driver.screen.bench.trace, "and it was asked again"


async def test_a_correction_can_be_left(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=SMALL, mind=Told) as driver:
        await board(driver)
        await press(driver, "c", "1", "escape")
        assert not [do for do, _ in told(driver) if do == "correct"]
        assert driver.screen.NAME == "lab" and "sure" in driver.text()


async def test_an_answer_with_empty_cells_is_no_right_answer(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=SMALL, mind=Told) as driver:
        await board(driver)
        await press(driver, "c", "space", "enter")
        assert "empty cells" in driver.text() and not [do for do, _ in told(driver) if do == "correct"]


async def test_corrections_that_recur_say_where_the_proposal_waits(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    double = scripted_mind.Mind()

    def correct(fields: Any) -> dict[str, Any]:
        return {**double.correct(dict(fields)), "proposed": "TICKET-12"}

    async with cockpit(tmp_path, size=WIDE, mind=lambda: Told(correct=correct)) as driver:
        await scene(driver)
        await driver.press("c")
        type_in(driver, "grelk")
        await press(driver, "enter")
        assert "It recurs: TICKET-12 measures an update and asks you (4)" in driver.text()


async def test_a_mind_that_does_not_say_that_the_core_is_unchanged_is_no_green_tick(
    cockpit: Any, tmp_path: Path
) -> None:
    seeds.Story(tmp_path).close()
    double = scripted_mind.Mind()

    def correct(fields: Any) -> dict[str, Any]:
        return {**double.correct(dict(fields)), "core_unchanged": "yes"}

    async with cockpit(tmp_path, size=WIDE, mind=lambda: Told(correct=correct)) as driver:
        await scene(driver)
        await driver.press("c")
        type_in(driver, "grelk")
        await press(driver, "enter")
        assert "✗ the mind does not say that the core is unchanged" in driver.text()


# Memories --------------------------------------------------------------------------------------------


async def taught(driver: Any, word: str = "grelk") -> None:
    """The Lab with a scene that was corrected."""
    await scene(driver)
    await driver.press("c")
    type_in(driver, word)
    await press(driver, "enter")


async def test_off_the_core_answers_as_before_and_on_the_memory_again(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=WIDE, mind=Told) as driver:
        await scene(driver)
        before = driver.screen.bench.answer
        await driver.press("c")
        type_in(driver, "grelk")
        await press(driver, "enter", "m", "o")
        assert driver.screen.bench.answer == before and "off" in driver.text()
        await press(driver, "o")
        assert driver.screen.bench.answer.said == "grelk" and driver.screen.bench.answer.by == "default"


async def test_a_memory_is_copied_under_a_name_and_forgotten_after_a_question(
    cockpit: Any, tmp_path: Path
) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=WIDE, mind=Told) as driver:
        await taught(driver)
        await press(driver, "m", "y")
        type_in(driver, "mine")
        await press(driver, "enter")
        assert [each.name for each in driver.screen.memories] == ["default", "mine"]
        await press(driver, "x")
        assert "Forget the memory default?" in driver.text()
        await press(driver, "enter")
        assert len(driver.screen.memories) == 2, "enter alone means no"
        await press(driver, "x", "y")
        assert [each.name for each in driver.screen.memories] == ["mine"]
        assert driver.screen.bench.answer.by == "core"


async def test_the_last_lesson_is_taken_back(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=WIDE, mind=Told) as driver:
        await scene(driver)
        before = driver.screen.bench.answer.said
        await driver.press("c")
        type_in(driver, "grelk")
        await press(driver, "enter", "u")
        assert driver.screen.bench.answer.said == before and driver.screen.memories[0].lessons == 0


async def test_a_second_part_has_a_memory_of_its_own(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=WIDE, mind=Told) as driver:
        await board(driver)
        await press(driver, "c", "enter", "p", "n", "enter")
        await driver.press("c")
        type_in(driver, "grelk")
        await press(driver, "enter")
        assert {each.part: each.name for each in driver.screen.memories} == {
            "sudoku4": "default",
            "scenes": "default-scenes",
        }


# The core --------------------------------------------------------------------------------------------


def head(root: Path) -> str | None:
    from state.approval_key import KeySealer

    journal = Journal.read(Workspace(root).journal)
    try:
        return core.standing(journal, KeySealer()).head
    finally:
        journal.close()


async def test_the_core_goes_back_to_an_earlier_version_after_its_name_was_typed(
    cockpit: Any, tmp_path: Path
) -> None:
    seeds.Story(tmp_path).close()
    first = cores.adopted(tmp_path)
    second = cores.adopted(tmp_path, first, b"second")
    opened = Told.opened
    async with cockpit(tmp_path, size=WIDE, mind=Told) as driver:
        await press(driver, "6", "w")
        await driver.settle(lambda: f"core {second[:12]}" in driver.text())
        assert f"adopted {first[:12]}" in driver.text() and "verified" in driver.text()
        await press(driver, "v")
        assert f"Go back to core {first[:12]}?" in driver.text()
        await press(driver, "enter")
        assert head(tmp_path) == second, "enter alone means no"
        await press(driver, "v")
        await driver.press(*first[:6])
        await driver.press("enter")
        await driver.settle(lambda: f"✓ core {first[:12]}" in driver.text())
        await driver.settle(there(driver))
        assert head(tmp_path) == first and Told.opened == opened + 2, "the mind is started anew"
        assert f"went back {first[:12]}" in driver.text()


async def test_a_core_that_is_newer_than_the_minds_is_said_and_taken_by_a_key(
    cockpit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds.Story(tmp_path).close()
    first = cores.adopted(tmp_path)
    monkeypatch.setattr(scripted_mind, "CORE", first)
    async with cockpit(tmp_path, size=SMALL, mind=Told) as driver:
        await press(driver, "6")
        await driver.settle(lambda: driver.screen.core is not None)
        assert "new core" not in driver.text()
        second = cores.adopted(tmp_path, first, b"second")
        await driver.press("1", "6")
        await driver.settle(lambda: "new core: R" in driver.text())
        monkeypatch.setattr(scripted_mind, "CORE", second)
        await press(driver, "R")
        await driver.settle(lambda: "new core" not in driver.text())
        assert driver.screen.answers == second


async def test_an_altered_version_is_passed_over_with_its_reason_and_the_way_back_is_there_without_a_mind(
    cockpit: Any, tmp_path: Path
) -> None:
    seeds.Story(tmp_path).close()
    first = cores.adopted(tmp_path)
    second = cores.adopted(tmp_path, first, b"second")
    (core.versions(Workspace(tmp_path)) / second / "parts/scenes/model.safetensors").write_bytes(b"other")

    def refused() -> Any:
        raise Refusal("core", "parts/scenes/model.safetensors was altered")

    async with cockpit(tmp_path, size=WIDE, mind=refused) as driver:
        await driver.press("6")
        await driver.settle(lambda: "The core was refused" in driver.text())
        assert "was altered" in driver.text()
        await driver.press("w")
        await driver.settle(lambda: "is passed over" in driver.text())
        assert f"core {first[:12]}" in driver.text()
        await driver.press("v")
        assert f"Go back to core {first[:12]}?" in driver.text()


# Nothing to ask --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "line", "says"),
    [
        ("missing", "asking the trained core needs torch: pip install 'jetbox[model]'", "is not installed"),
        ("none", "there is no core here yet", "jetbox core adopt NAME=RUN"),
        ("core", "core.json was altered", "The core was refused"),
        ("gone", "the mind can't be started: signal 9", "The mind did not start"),
        ("", EVIL * 50, "The mind did not start"),
    ],
)
async def test_why_nothing_can_be_asked_is_said_with_what_to_do(
    cockpit: Any, tmp_path: Path, reason: str, line: str, says: str
) -> None:
    seeds.Story(tmp_path).close()

    def refused() -> Any:
        raise Refusal(reason, line)

    async with cockpit(tmp_path, size=SMALL, mind=refused) as driver:
        await driver.press("6")
        await driver.settle(lambda: says in driver.text())
        assert not STEER & set(driver.text()) and "R start the mind" in driver.text()
        await driver.press("enter", "n", "c", "e", "o", "x", "[", "space", "tab")
        assert driver.screen.talk.state == "ended"


async def test_the_seconds_of_the_start_are_counted(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    held = threading.Event()

    def slow() -> Any:
        held.wait(20)
        return Told()

    async with cockpit(tmp_path, size=SMALL, mind=slow) as driver:
        try:
            await driver.press("6")
            driver.clock.at += 7
            driver.screen.tick()
            assert "The mind is starting… 8 s" in driver.text() or "7 s" in driver.text()
        finally:
            held.set()
        await driver.settle(there(driver))


async def test_a_mind_that_ended_says_what_is_safe_and_starts_again_with_the_question_kept(
    cockpit: Any, tmp_path: Path
) -> None:
    seeds.Story(tmp_path).close()
    fails = [Refusal("gone", "the mind ended while it answered: signal 9")]
    double = scripted_mind.Mind()

    def reflect(fields: Any) -> Any:
        return fails.pop() if fails else double.reflect(dict(fields))

    async with cockpit(tmp_path, size=SMALL, mind=lambda: Told(reflect=reflect)) as driver:
        await press(driver, "6", "n")
        cells = list(driver.screen.bench.cells)
        await driver.press("enter")
        await driver.settle(lambda: "The mind has ended" in driver.text())
        assert "Safe: the core is sealed" in driver.text() and "signal 9" in driver.text()
        await press(driver, "R")
        assert driver.screen.bench.cells == cells
        await press(driver, "enter")
        assert "90 %: sure" in driver.text()


async def test_a_refused_question_is_said_and_the_mind_goes_on(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(
        tmp_path, size=SMALL, mind=lambda: Told(reflect=Refusal("request", "a cell is a whole number"))
    ) as driver:
        await press(driver, "6", "n", "enter")
        assert "a cell is a whole number" in driver.text() and driver.screen.talk.state == "ready"


async def test_without_a_mind_to_open_the_screen_says_so(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=SMALL) as driver:
        await driver.press("6", "enter", "R")
        assert "This cockpit has no mind to ask" in driver.text()


async def test_the_mind_ends_with_the_cockpit_and_is_opened_once(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    minds: list[Told] = []

    def opened() -> Told:
        minds.append(Told())
        return minds[-1]

    async with cockpit(tmp_path, size=SMALL, mind=opened) as driver:
        assert not minds, "nothing is opened before the Lab is"
        await press(driver, "6")
        await driver.press("1")
        await press(driver, "6")
        assert len(minds) == 1
    for thread in threading.enumerate():
        if thread.name == "end-mind":
            thread.join(5)
    assert minds[0].closed


# Hostile minds ---------------------------------------------------------------------------------------

_TRACED = {"answer": [1] * 16, "change": 1e300, "halt": 10**400, "doubt": EVIL}
_OBJECTS = [{"shape": EVIL, "cell": EVIL}] * 99
_MEMORY = {"name": EVIL, "part": "sudoku4", "method": EVIL, "lessons": -1}
WRONG: list[Any] = [
    None, 7, "x", [], {}, {"answer": EVIL}, {"answer": EVIL * 10_000, "probability": "1", "by": EVIL},
    {"answer": [10**30] * 16}, {"answer": [1] * 10**5}, {"answer": [True] * 16}, {"answer": [-1] * 16},
    {"answer": [1] * 16, "probability": float("nan"), "doubts": [float("inf")] * 16, "trace": [3, {}, EVIL]},
    {"answer": [1] * 16, "trace": [_TRACED] * 9000, "probability": 0.5},
    {"answer": EVIL, "others": [[EVIL, 2], [EVIL, 0.5], 4, []] * 100, "consistency": EVIL, "seconds": -5e99,
     "probability": 0.5, "abstained": EVIL, "by": EVIL * 99, "trace": [{"answer": EVIL, "halt": 0.5}] * 3},
    {"question": {"part": "scenes", "question": EVIL, "scene": {"objects": _OBJECTS}}, "answer": EVIL},
    {"question": {"part": "sudoku4", "cells": [1] * 15}, "answer": [1] * 16},
    {"question": {"part": EVIL}, "answer": 3}, {"latent": [EVIL] * 96}, {"latent": [1e999] * 96},
    {"latent": [0.0] * 10**5}, {"memories": [_MEMORY] * 999}, {"memories": EVIL}, {"memory": EVIL},
    {"memory": _MEMORY, "before": {"answer": [1] * 16}, "after": {"answer": [2] * 16}, "proposed": EVIL},
    {"ok": False, "error": EVIL * 999}, {"parts": [{"name": EVIL}] * 999},
]  # fmt: skip
"""Replies of no use, for any verb."""
_KEYS = {
    ("reflect", 0): "enter tab [ shift+tab", ("reflect", 1): "enter tab [ shift+tab", ("example", 0): "n",
    ("example", 1): "n", ("correct", 0): "c enter m m", ("memory", 0): "m o m", ("encode", 2): "e enter",
}  # fmt: skip
"""What asks a verb, of which part."""


@pytest.mark.parametrize(("do", "part"), _KEYS)
async def test_whatever_a_mind_replies_the_screen_stays_whole(
    cockpit: Any, tmp_path: Path, do: str, part: int
) -> None:
    seeds.Story(tmp_path).close()
    left: list[Any] = []
    size = SMALL if part else (30, 10)
    async with cockpit(
        tmp_path, size=size, mind=lambda: Told(**{do: lambda fields: left.pop() if left else None})
    ) as driver:
        await press(driver, "6", *"p" * part)
        screen = driver.screen
        if do == "encode":
            await press(driver, "e", "x", "enter")
        else:
            await press(driver, "n", "enter")
        for each in WRONG:
            screen.memories = replies.memories({"memories": [{"name": "m", "part": "sudoku4"}]})
            left[:] = [each]
            for key in _KEYS[do, part].split():
                screen.take(key, key if len(key) == 1 else None)
                if key == "enter" or do in ("example", "memory"):
                    await asyncio.wait_for(idle(driver), 20)
            driver.app.refresh()
            await driver.pilot.pause()
            assert not left, "it was asked"
            assert screen.talk.state == "ready" and not STEER & set(driver.text())
            assert len(driver.text().splitlines()) == size[1]


_WORDS = {"shapes": [EVIL] * 99, "colours": 3, "cells": [EVIL], "most": 10**9}
STATUS: list[Any] = [
    *WRONG[:5], WRONG[-1],
    {"parts": [{"name": EVIL, "task": "board", "rows": 9, "columns": 9, "tokens": [EVIL] * 10}]},
    {"parts": [{"name": "b", "task": "board", "rows": 10**9, "columns": 10**9}, {"name": "b", "task": "x"}]},
    {"parts": [{"name": "b", "task": "board", "rows": 64, "columns": 64, "vocabulary": 99, "box_rows": 7}]},
    {"parts": [{"name": EVIL, "task": "scene", **_WORDS}]},
    {"parts": [{"name": "l", "task": "latents", "parameters": -1}], "memories": [{"name": 3}, _MEMORY]},
]  # fmt: skip


@pytest.mark.parametrize("status", STATUS)
async def test_whatever_a_mind_says_of_itself_the_screen_stays_whole(
    cockpit: Any, tmp_path: Path, status: Any
) -> None:
    seeds.Story(tmp_path).close()
    for size in ((30, 10), WIDE):
        async with cockpit(tmp_path, size=size, mind=lambda: Told(status=status)) as driver:
            await driver.press("6")
            await driver.settle(lambda: driver.screen.talk.state in ("ready", "ended"))
            for key in ("n", "e", "down", "x", "enter", "tab", "m", "w", "q", "p", "t", "enter"):
                driver.screen.take(key, key if len(key) == 1 else None)
                await asyncio.wait_for(idle(driver), 20)
            await driver.pilot.pause()
            assert not STEER & set(driver.text())
            assert len(driver.text().splitlines()) == size[1]


async def test_pasted_text_steers_nothing(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=SMALL, mind=Told) as driver:
        await press(driver, "6")
        await driver.press("e")
        driver.screen.take_paste("1 2\n3 4 9 " + EVIL * 1000)
        assert driver.screen.bench.cells[:4] == [1, 2, 3, 4]
        await press(driver, "escape", "p")
        await driver.press("e")
        driver.screen.take_paste(EVIL * 1000)
        await driver.pilot.pause()
        assert not STEER & set(driver.text()) and len(driver.text().splitlines()) == 24


def test_an_answer_is_a_board_of_the_parts_own_cells_or_refused() -> None:
    (part,) = replies.parts({"parts": [scripted_mind.PARTS[0]]})
    assert replies.said([1] * 16, part) == (1,) * 16
    for wrong in ([1] * 15, [5] * 16, [1.0] * 16, "x", None, {"0": 1}):
        with pytest.raises(Unclear):
            replies.said(wrong, part)


# Looks -----------------------------------------------------------------------------------------------

LOOKS = {"ascii": Look(SIXTEEN, ASCII), "light": Look(LIGHT, UNICODE), "dark": Look(DARK, UNICODE)}


@pytest.mark.parametrize(
    ("name", "size", "look", "way"),
    [
        ("lab-none", SMALL, "dark", ""),
        ("lab-board", SMALL, "dark", "n enter"),
        ("lab-board-ascii", SMALL, "ascii", "n enter tab ["),
        ("lab-scene", WIDE, "dark", "p n enter"),
        ("lab-corrected", SMALL, "light", "p n enter c type"),
        ("lab-core", WIDE, "dark", "w"),
    ],
)
async def test_the_lab_looks_as_kept(
    cockpit: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    size: tuple[int, int],
    look: str,
    way: str,
) -> None:
    root = tmp_path / "calc"
    seeds.Story(root).close()
    first = cores.adopted(root)
    monkeypatch.setattr(scripted_mind, "CORE", cores.adopted(root, first, b"second"))

    def none() -> Any:
        raise Refusal("none", "no core yet: `jetbox core adopt NAME=RUN` takes a trained model")

    async with cockpit(root, size=size, mind=none if name == "lab-none" else Told) as driver:
        driver.app.context.look = LOOKS[look]
        await driver.press("6")
        await driver.settle(lambda: driver.screen.talk.state in ("ready", "ended"))
        for key in way.split():
            if key == "type":
                type_in(driver, "grelk")
                await press(driver, "enter")
            else:
                await driver.press(key)
                await driver.settle(lambda: not driver.screen.talk.waiting)
        if name == "lab-core":
            await driver.settle(lambda: "verified" in driver.text())
        driver.app.context.said = None
        driver.screen.sync_bars()
        shown = driver.text() + "\n"
    assert len(shown.splitlines()) == size[1]
    assert shown == kept(name, shown)


def test_nothing_of_the_lab_is_loaded_before_it_is_opened() -> None:
    code = (
        "import sys, tui.cockpit, orchestrator.main\n"
        "print([name for name in sys.modules if name.startswith(('tui.lab', 'tui.runs', 'orchestrator.lab',"
        " 'state.core', 'torch', 'numpy'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_where_any_cell_may_differ_only_what_differs_is_marked_as_filled_in() -> None:
    told = {
        "name": "maze",
        "task": "board",
        "rows": 1,
        "columns": 4,
        "tokens": ["#", " ", "S", "o"],
        "blank": None,
    }
    (part,) = replies.parts({"parts": [told]})
    bench = Bench(part, cells=[0, 2, 1, 0])
    bench.take_answer(
        {"answer": [0, 2, 3, 0], "probability": 0.9, "abstained": False, "by": "core"}, bench.question()
    )
    shown = bench.shown()
    assert [kind(shown, at, part.blank) for at in range(4)] == ["given", "given", "filled", "given"]
