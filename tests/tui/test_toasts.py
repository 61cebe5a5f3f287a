"""Toasts: what is severe is seen at once, nothing floods, and no key ever goes to one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from seeds import Story, busy, hostile
from textual.widgets._toast import Toast

from state.alerts import Line
from state.events import New
from tui.cockpit import Cockpit
from tui.toasts import MOST, Toasts

PAUSED = New("engine.paused", {"why": "disk full"})


def titles(driver: Any) -> list[str]:
    return [toast._notification.title for toast in driver.screen.query(Toast)]


def texts(driver: Any) -> list[str]:
    return [toast._notification.message for toast in driver.screen.query(Toast)]


async def test_what_was_there_before_the_cockpit_is_not_told(tmp_path: Path, cockpit: Any) -> None:
    story = busy(tmp_path)
    async with cockpit(tmp_path, toasts=True) as driver:
        await driver.press("j", "k")
        assert titles(driver) == [] and driver.app._toasts is None
        story.journal.append(PAUSED)
        await driver.settle(lambda: titles(driver) == ["Severe"])
        assert "disk full" in driver.text()
    story.close()


async def test_keys_go_where_they_went_and_nothing_is_focused(tmp_path: Path, cockpit: Any) -> None:
    story = busy(tmp_path)
    async with cockpit(tmp_path, toasts=True) as driver:
        before = driver.app.focused
        selected = driver.app.context.selected
        story.journal.append(PAUSED)
        await driver.settle(lambda: titles(driver) == ["Severe"])
        assert driver.app.focused is before is None
        assert driver.app.context.selected == selected
        await driver.press("h")
        assert driver.app.context.selected not in ("", selected), "the board has taken the key"
        await driver.press("enter")
        assert driver.screen.NAME == "ticket"
        assert titles(driver) == ["Severe"], "no key has closed it"
    story.close()


async def test_the_bars_stay_in_sight(tmp_path: Path, cockpit: Any) -> None:
    story = busy(tmp_path)
    async with cockpit(tmp_path, size=(80, 24), toasts=True) as driver:
        for n in range(9):
            story.journal.append(New("engine.paused", {"why": f"{n} " + "x" * 500}))
        await driver.settle(lambda: len(titles(driver)) == MOST)
        lines = driver.text().splitlines()
        assert "engine" in lines[-2] and "help" in lines[-1]
        assert not any(toast.region.bottom > 22 for toast in driver.screen.query(Toast))
    story.close()


async def test_a_burst_is_a_few_toasts_that_count_it(tmp_path: Path, cockpit: Any) -> None:
    story = Story(tmp_path)
    story.admit("TICKET-1", "x")
    async with cockpit(tmp_path, toasts=True) as driver:
        events = [New("attempt.landed", {"commit": "c"}, f"TICKET-{n}", 1) for n in range(3_000)]
        story.journal.append(*events, PAUSED)
        await driver.settle(lambda: "Severe" in titles(driver))
        driver.clock.at += 31
        await driver.settle(lambda: len(titles(driver)) == 3)
        told = texts(driver)
        counts = [int(text.split()[0].replace(",", "")) for text in told if text.split()[0].isdigit()]
        assert len(told) <= MOST and sum(counts) + ("TICKET-0 landed" in told) == 3_000
    story.close()


async def test_hostile_text_stays_text(tmp_path: Path, cockpit: Any) -> None:
    story = hostile(tmp_path)
    async with cockpit(tmp_path, toasts=True) as driver:
        evil = "\x1b[2J[red]\x9b31m\u202e[/red] [@click=app.quit]x[/] \x07"
        story.journal.append(New("engine.paused", {"why": evil}))
        await driver.settle(lambda: "Severe" in titles(driver))
        (text,) = texts(driver)
        assert "\x1b" not in text and "\u202e" not in text and "\x9b" not in text
        assert "[red]" in text and "[red]" in driver.text(), "no markup"
    story.close()


async def test_while_a_person_answers_only_what_is_severe_comes(tmp_path: Path, cockpit: Any) -> None:
    story = busy(tmp_path)
    async with cockpit(tmp_path, toasts=True) as driver:
        await driver.press("question_mark")
        assert driver.screen.sheet is not None
        story.end("TICKET-101", "failed", "red")
        story.journal.append(PAUSED)
        await driver.settle(lambda: titles(driver) == ["Severe"])
        await driver.press("escape")
        assert driver.screen.sheet is None
        await driver.settle(lambda: titles(driver) == ["Severe", "Ended"])
    story.close()


async def test_a_journal_that_breaks_under_the_cockpit_is_told_once(tmp_path: Path, cockpit: Any) -> None:
    story = busy(tmp_path)
    async with cockpit(tmp_path, toasts=True) as driver:
        story.close()
        for path in tmp_path.glob(".jetbox/journal.db*"):
            path.unlink()
        (tmp_path / ".jetbox/journal.db").write_bytes(b"no journal at all " * 500)
        await driver.settle(lambda: titles(driver) == ["Severe"])
        driver.clock.at += 5
        await driver.settle()
        assert titles(driver) == ["Severe"] and "journal.db" in texts(driver)[0]


def test_what_is_wrong_with_the_journal_is_told_when_it_changes() -> None:
    shown: list[Line] = []
    toasts = Toasts(lambda line, seconds: shown.append(line), lambda: 0.0, 0)
    for problem in ("damaged", "damaged", "", "damaged"):
        toasts.begin(0, problem)
        toasts.tick(busy=False)
    assert [line.text for line in shown] == ["damaged", "damaged"]


async def test_toasts_go_and_those_that_wait_come(tmp_path: Path) -> None:
    shown: list[Line] = []
    now = [0.0]
    toasts = Toasts(lambda line, seconds: shown.append(line), lambda: now[0], 0)
    story = Story(tmp_path)
    for n in range(50):
        story.journal.append(New("engine.paused", {"why": f"{n}"}))
        toasts.hear(story.journal, 0)
        toasts.tick(busy=False)
    assert len(shown) == MOST
    now[0] += 21
    toasts.tick(busy=False)
    assert len(shown) == 2 * MOST
    assert sum(line.severe for line in shown) == 50, "not one is lost"
    story.close()


def test_what_is_of_no_interest_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(tmp_path)
    toasts = Toasts(lambda line, seconds: None, lambda: 0.0, 0)
    events, asked = story.journal.events, []
    monkeypatch.setattr(
        story.journal, "events", lambda after, **how: asked.append(after) or events(after, **how)
    )
    for _ in range(3):
        story.journal.append(*(New("ticket.note", {"note": "x"}, "TICKET-1") for _ in range(10)))
        story.journal.append(*(New("action.progress", {"fraction": 0.1}, "TICKET-1", 1) for _ in range(10)))
        toasts.hear(story.journal, story.journal.head()[0])
    assert asked == [0, 20, 40]
    story.close()


def test_the_first_paint_does_not_wait_for_toasts() -> None:
    code = "import sys, tui.cockpit; print('tui.toasts' in sys.modules, 'state.alerts' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


async def test_an_idle_cockpit_makes_no_toasts_and_reads_nothing(
    tmp_path: Path, cockpit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy(tmp_path).close()
    asked: list[object] = []
    monkeypatch.setattr(Cockpit, "_alert", lambda *args: asked.append(args))
    async with cockpit(tmp_path, toasts=True) as driver:
        driver.clock.at += 60
        await driver.settle()
        assert not [args for args in asked if not args[1].engine]
