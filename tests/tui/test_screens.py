"""What a person can do in the cockpit, and what it never does by itself."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import seeds

from state.events import New
from state.lock import Lock
from state.workspace import Workspace
from tui.board.screen import BoardScreen
from tui.commands import EVERYWHERE
from tui.inbox.screen import InboxScreen
from tui.ticket.screen import TicketScreen

SCREENS = (BoardScreen, TicketScreen, InboxScreen)


def events_of(story: seeds.Story, type_: str) -> list[Any]:
    return [event for event in story.journal.events() if event.type == type_]


async def test_every_command_has_its_method_and_no_key_means_two_things() -> None:
    for screen in SCREENS:
        keys = [key for command in (*EVERYWHERE, *screen.KEYMAP) for key in command.keys]
        assert len(keys) == len(set(keys)), screen
        for command in (*EVERYWHERE, *screen.KEYMAP):
            assert callable(getattr(screen, f"do_{command.name.partition(':')[0]}")), command


async def test_no_dangerous_key_differs_from_another_by_case_alone() -> None:
    dangerous = {"approve", "deny", "cancel", "retry", "rollback", "restore", "comment"}
    for screen in SCREENS:
        table = {key: command for command in (*EVERYWHERE, *screen.KEYMAP) for key in command.keys}
        for key, command in table.items():
            if command.name in dangerous:
                assert key.swapcase() == key or key.swapcase() not in table, command


async def test_a_change_in_the_journal_comes_to_the_screen(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path, size=(160, 45)) as driver:
        assert "62%" in driver.text()
        story.progress("TICKET-101", 0.91, (10, 20))
        await driver.settle(lambda: "91%" in driver.text())
        story.admit("TICKET-120", "A ticket that was just saved")
        await driver.settle(lambda: "TICKET-120" in driver.text() or " 120" in driver.text())
    story.close()


async def test_a_reload_moves_neither_selection_nor_focus_and_nothing_pops_up(
    cockpit: Any, tmp_path: Path
) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        driver.screen.board.select("TICKET-106")
        story.start("TICKET-106")
        story.propose_merge("TICKET-106")
        await driver.settle(lambda: len(driver.app.feed.inbox) == 3)
        assert driver.screen.board.selected == "TICKET-106"
        assert driver.screen.sheet is None and isinstance(driver.screen, BoardScreen)
        assert len(driver.app.screen_stack) == 1
    story.close()


async def test_cancel_at_rest_acts_at_once_and_undo_takes_it_back(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        driver.screen.board.select("TICKET-106")
        await driver.press("c")
        await driver.settle(lambda: driver.app.feed.cards["TICKET-106"].state == "cancelled")
        await driver.settle(lambda: driver.app.context.undo is not None)
        await driver.press("u")
        await driver.settle(lambda: driver.app.feed.cards["TICKET-106"].state == "backlog")
    story.close()


async def test_cancel_of_a_running_ticket_asks_and_enter_alone_keeps_it(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        driver.screen.board.select("TICKET-101")
        await driver.press("c", "enter")
        assert driver.screen.sheet is None
        await driver.settle()
        assert not events_of(story, "asked.cancel")
        await driver.press("c", "y")
        await driver.settle(lambda: bool(events_of(story, "asked.cancel")))
        assert events_of(story, "asked.cancel")[0].ticket == "TICKET-101"
    story.close()


async def test_a_key_that_is_off_says_why(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        driver.screen.board.select("TICKET-106")
        await driver.press("b")
        assert "only what landed can be rolled back" in driver.text()
        await driver.press("?")
        assert "nothing to try" in driver.text()
        await driver.press("escape")
        assert driver.screen.sheet is None
    story.close()


async def test_the_filter_is_live_and_esc_shows_all_again(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        await driver.press("/")
        await driver.type("chore")
        assert driver.screen.board.shown == 3 and "3 of 11" in driver.text()
        await driver.press("enter")
        assert "/ chore" in driver.text()
        await driver.press("escape")
        assert driver.screen.board.shown == 11
    story.close()


async def test_grouping_shows_a_heading_a_label(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path, size=(160, 45)) as driver:
        await driver.press("v")
        assert "chore  1" in driver.text() and "M1  1" in driver.text()
    story.close()


async def test_the_palette_finds_a_command_and_runs_it(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        dark = driver.app.context.look
        await driver.press(":")
        await driver.type("light")
        await driver.press("enter")
        assert driver.app.context.look is not dark and driver.app.context.look.light
    story.close()


async def test_the_mouse_selects_opens_and_scrolls(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path, size=(160, 45)) as driver:
        await driver.pilot.click("BoardCanvas", offset=(30, 4))
        assert driver.screen.board.selected == "TICKET-106"
        await driver.pilot.click("BoardCanvas", offset=(30, 4))
        await driver.settle(lambda: isinstance(driver.screen, TicketScreen))
    story.close()


async def test_a_merge_is_approved_by_its_number_and_with_exactly_the_digest_shown(
    cockpit: Any, tmp_path: Path
) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        driver.screen.board.select("TICKET-104")
        await driver.press("i")
        await driver.settle(lambda: isinstance(driver.screen, InboxScreen))
        shown = driver.screen.item
        assert shown.ticket == "TICKET-104" and shown.digest[:50] in driver.text()
        await driver.press("a")
        assert driver.screen.sheet is None and "the diff was not opened" in driver.text()
        await driver.press("tab")
        await driver.settle()
        await driver.press("a")
        assert driver.screen.sheet is not None
        await driver.press("enter")  # enter alone is Cancel
        assert driver.screen.sheet is None
        await driver.settle()
        assert not events_of(story, "proposal.approved")
        await driver.press("a", "1", "0", "4", "enter")
        await driver.settle(lambda: bool(events_of(story, "proposal.approved")))
        body = events_of(story, "proposal.approved")[0].body
        assert (body["id"], body["digest"]) == (shown.id, shown.digest)
        await driver.settle(lambda: "104: approved" in driver.text())
    story.close()


async def test_keys_typed_ahead_decide_nothing(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        driver.app.context.selected = ""
        await driver.press("4")
        await driver.settle(lambda: isinstance(driver.screen, InboxScreen))
        assert driver.screen.item.kind == "network"
        await driver.press("down", "up")
        await driver.press("a", quiet=0.1)  # a key was pressed a moment ago
        await driver.press("a", "a", "a", quiet=0.03)  # a key that is held down
        await driver.settle()
        assert not events_of(story, "proposal.approved") and "Too soon" in driver.text()
        await driver.press("a")
        await driver.settle(lambda: len(events_of(story, "proposal.approved")) == 1)
        await driver.press("a", "a", quiet=0.03)  # the next item is on the screen by now
        await driver.settle()
        assert len(events_of(story, "proposal.approved")) == 1
    story.close()


async def test_what_changed_under_an_open_question_is_refused_not_approved(
    cockpit: Any, tmp_path: Path
) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        driver.screen.board.select("TICKET-104")
        await driver.press("i", "tab", "a")
        old = driver.screen.item
        story.journal.append(
            New("proposal.stale", {"id": old.id, "why": "the base has moved"}, "TICKET-104", 1)
        )
        await driver.press("1", "0", "4", "enter")
        await driver.settle(lambda: "the base has moved" in driver.text())
        assert not events_of(story, "proposal.approved")
    story.close()


async def test_a_new_diff_has_to_be_opened_again(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        driver.screen.board.select("TICKET-104")
        await driver.press("i", "tab")
        assert driver.screen.why_not("approve") == ""
        old = driver.screen.item.id
        story.journal.append(New("proposal.stale", {"id": old, "why": "the base has moved"}, "TICKET-104", 1))
        new = story.propose_merge("TICKET-104", diff=seeds.diff_text(3))
        await driver.settle(lambda: any(item.id == new for item in driver.screen.items))
        driver.screen.visit("TICKET-104")
        assert "not opened" in driver.screen.why_not("approve")
    story.close()


async def test_a_red_check_keeps_the_merge_from_being_offered(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.Story(tmp_path)
    story.admit("TICKET-1", "Do a thing that is red")
    story.start("TICKET-1")
    red = [{"check": "pytest -q", "side": "merged", "tree": seeds.TREE, "exit": 1, "passed": False}]
    story.propose_merge("TICKET-1", receipts=red)
    async with cockpit(tmp_path) as driver:
        await driver.press("4", "tab", "a")
        assert driver.screen.sheet is None and "check is red: pytest -q" in driver.text()
    story.close()


async def test_a_damaged_diff_is_shown_as_damaged_and_not_offered(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.Story(tmp_path)
    story.admit("TICKET-1", "Do a thing whose diff rots")
    story.start("TICKET-1")
    story.check("TICKET-1", "pytest -q", "merged")
    story.propose_merge("TICKET-1")
    diff = story.journal.views.inbox()[0].diff
    story.blobs.path(diff.removeprefix("blob:")).write_bytes(b"+ something else\n")
    async with cockpit(tmp_path) as driver:
        await driver.press("4", "tab", "a")
        assert driver.screen.sheet is None and "damaged" in driver.text()
    story.close()


async def test_a_deny_needs_a_reason_and_hands_it_on(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        await driver.press("4", "d", "enter")
        assert driver.screen.sheet is not None
        await driver.type("not from this machine")
        await driver.press("enter")
        await driver.settle(lambda: bool(events_of(story, "proposal.denied")))
        assert events_of(story, "proposal.denied")[0].body["reason"] == "not from this machine"
    story.close()


async def test_the_running_action_is_followed_until_the_person_moves(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        driver.screen.board.select("TICKET-102")
        await driver.press("enter")
        screen = driver.screen
        story.act("TICKET-102", "check", "schema", b"ok\n")
        second = story.intend("TICKET-102", "check", "deterministic")
        await driver.settle(lambda: screen._selected_key() == f"check/{second}")
        await driver.press("up")
        at = screen._selected_key()
        story.intend("TICKET-102", "check", "rows")
        await driver.settle(lambda: "rows" in driver.text())
        assert screen._selected_key() == at
        await driver.press("f")
        assert screen._selected_key() != at
    story.close()


async def test_the_output_of_a_running_action_is_followed(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    live = Workspace(tmp_path).live("TICKET-102", 1)
    live.parent.mkdir(parents=True)
    live.write_bytes(b"row 1\n")
    async with cockpit(tmp_path) as driver:
        driver.screen.board.select("TICKET-102")
        await driver.press("enter", "tab")
        assert "row 1" in driver.text()
        with live.open("ab") as file:
            file.write(b"10 %\r50 %\rrow 2\n\x1b[31mred")
        await driver.settle(lambda: "row 2" in driver.text())
        assert "10 %" not in driver.text() and "\x1b" not in driver.text()
    story.close()


async def test_every_tab_of_a_ticket_shows_its_part(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        driver.screen.board.select("TICKET-104")
        await driver.press("enter")
        for words in ("Accepted when", "rehearse", "return int(text.strip())", "green on the merge result",
                      "merge.proposed", "ticket/TICKET-104-work"):  # fmt: skip
            assert words in driver.text(), words
            await driver.press("tab")
    story.close()


async def test_a_diff_of_5000_lines_is_there_in_half_a_second(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.Story(tmp_path)
    story.admit("TICKET-1", "Change five thousand lines")
    story.start("TICKET-1")
    story.propose_merge("TICKET-1", diff=seeds.diff_text(5000))
    async with cockpit(tmp_path) as driver:
        await driver.press("4")
        begun = time.perf_counter()
        await driver.press("tab")
        assert "return int(text.strip())" in driver.text()
        assert time.perf_counter() - begun < 2.0  # half a second on a quiet machine; see benchmarks
        await driver.press("G")
        assert "parse('4999')" in driver.text()
    story.close()


# States ----------------------------------------------------------------------------------------------


async def test_without_a_journal_it_says_what_to_do_and_wakes_up_when_one_comes(
    cockpit: Any, tmp_path: Path
) -> None:
    async with cockpit(tmp_path) as driver:
        assert "Nothing has run here yet" in driver.text()
        story = seeds.busy(tmp_path)
        driver.clock.at += 2
        await driver.settle(lambda: "101" in driver.text())
        story.close()


@pytest.mark.parametrize(
    "damage", [b"this is no database at all" * 100, b"SQLite format 3\x00" + b"\x7f" * 8000]
)
async def test_a_damaged_journal_is_a_state_with_a_line(cockpit: Any, tmp_path: Path, damage: bytes) -> None:
    path = Workspace(tmp_path).journal
    path.parent.mkdir(parents=True)
    path.write_bytes(damage)
    async with cockpit(tmp_path) as driver:
        assert "The journal cannot be read" in driver.text() and "untouched" in driver.text()
        await driver.press("4", "1", "?", "escape", "c", "enter", "/")
    assert path.read_bytes() == damage


async def test_a_journal_that_is_replaced_is_read_anew(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    story.close()
    async with cockpit(tmp_path) as driver:
        for path in Workspace(tmp_path).home.glob("journal.db*"):
            path.unlink()
        other = seeds.Story(tmp_path)
        other.admit("TICKET-900", "Begin all over again")
        driver.clock.at += 2
        await driver.settle(lambda: "TICKET-900" in driver.text())
        assert "TICKET-101" not in driver.text()
        other.close()


async def test_the_engine_is_started_off_the_first_paint_and_its_failure_is_shown(
    cockpit: Any, tmp_path: Path
) -> None:
    story = seeds.busy(tmp_path)
    painted, go = threading.Event(), threading.Event()

    def start() -> None:
        painted.set()
        go.wait(10)
        raise RuntimeError("no git here")

    async with cockpit(tmp_path, start=start) as driver:
        await driver.settle(painted.is_set)
        assert "engine starting" in driver.text() and "101" in driver.text()
        go.set()
        await driver.settle(lambda: "The engine did not start: no git here" in driver.text())
    story.close()


async def test_a_living_engine_is_not_started_again_and_a_pause_says_why(
    cockpit: Any, tmp_path: Path
) -> None:
    story = seeds.busy(tmp_path)
    story.journal.append(New("engine.paused", {"why": "disk full", "pid": 1}))
    called = threading.Event()
    with Lock(Workspace(tmp_path).lock):
        async with cockpit(tmp_path, start=called.set) as driver:
            await driver.settle()
            assert "engine paused: disk full" in driver.text()
            assert not called.is_set()
    story.close()


async def test_an_engine_is_started_on_an_older_journal_and_never_on_a_damaged_one(
    cockpit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, damaged = threading.Event(), threading.Event()
    bad = Workspace(tmp_path / "bad").journal
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"no database" * 1000)
    async with cockpit(tmp_path / "bad", start=damaged.set) as driver:
        await driver.settle()
        assert not damaged.is_set()
    seeds.busy(tmp_path / "old").close()
    monkeypatch.setattr("state.schema.VIEWS", 10_000)
    async with cockpit(tmp_path / "old", start=older.set) as driver:
        await driver.settle(older.is_set)
        assert "The journal cannot be read" in driver.text()


async def test_a_soak_of_changes_and_screens_leaves_no_widget_behind(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        await driver.press("2", "1", "4", "1", "?", "escape", ":", "escape")
        before = sum(len(list(screen.walk_children())) for screen in driver.app._named.values())
        for round_ in range(15):
            story.progress("TICKET-101", round_ / 20, (1, 5))
            await driver.press("2", "tab", "1", "4", "tab", "1", "?", "escape", "down", "v")
        after = sum(len(list(screen.walk_children())) for screen in driver.app._named.values())
        assert after == before and len(driver.app.screen_stack) == 1
    story.close()


async def test_changed_since_reads_a_page_of_events_where_one_looks(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    progress = [New("action.progress", {"key": "k", "fraction": n / 3000, "text": ""}, "TICKET-102", 1)
                for n in range(3000)]  # fmt: skip
    story.journal.append(*progress)
    async with cockpit(tmp_path) as driver:
        driver.screen.board.select("TICKET-102")
        await driver.press("enter", "shift+tab", "shift+tab", "right")
        doc = driver.screen._events
        assert len(doc._pages) == 1
        await driver.press("G")
        assert len(doc._pages) <= 3 and '"fraction": 0.999' in driver.text()
    story.close()
