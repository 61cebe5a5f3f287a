"""An agent is watched, told, asked, relieved and answered; and nothing of that happens by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import agents
import pytest
import seeds

from state.events import New
from state.stream import Writer
from state.words import TAKES
from tui.inbox.screen import InboxScreen
from tui.look import DARK, UNICODE, Look
from tui.ticket.screen import TABS, TicketScreen
from tui.ticket.talk import TalkDoc

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202eesrever\u2066\u200b" + "e" + "\u0301" * 50


def events_of(story: seeds.Story, type_: str) -> list[Any]:
    return [event for event in story.journal.events() if event.type == type_]


async def opened(driver: Any, *keys: str) -> TicketScreen:
    driver.screen.board.select("TICKET-7")
    await driver.press("enter", *keys)
    screen = driver.screen
    assert isinstance(screen, TicketScreen)
    return screen


# The stream ------------------------------------------------------------------------------------------


async def test_a_reply_is_seen_while_it_is_said_and_followed_until_the_person_moves(
    cockpit: Any, tmp_path: Path
) -> None:
    story = agents.working(tmp_path)
    say = Writer(story.workspace.stream("TICKET-7", 1))
    async with cockpit(tmp_path, size=(120, 20)) as driver:
        screen = await opened(driver, "tab")
        for n in range(60):
            say.say("text", f"line {n}\n")
        await driver.settle(lambda: "line 59" in driver.text())
        await driver.press("right", "pageup")
        assert "line 59" not in driver.text()
        say.say("text", "line 60\n")
        await driver.settle(lambda: screen.text_pane.count > 61)
        assert "line 60" not in driver.text()
        await driver.press("f")
        assert "line 60" in driver.text()
    story.close()


async def test_another_call_begins_on_an_empty_page_and_ends_in_its_recorded_reply(
    cockpit: Any, tmp_path: Path
) -> None:
    story = agents.working(tmp_path)
    async with cockpit(tmp_path, size=(120, 30)) as driver:
        await opened(driver, "tab")
        assert "So the zeros count" in driver.text()
        intent = story.journal.head()[0]
        Writer(story.workspace.stream("TICKET-7", 1)).say("call", "coder asks qwen3:14b, turn 5 again")
        await driver.settle(lambda: "turn 5 again" in driver.text())
        assert "So the zeros count" not in driver.text()
        story.reply(
            "TICKET-7", intent, agents.ONE, "The whole reply.", "What it thought.", malformed="no verb"
        )
        await driver.settle(lambda: "The whole reply." in driver.text())
        for part in ("What it thought.", "no action in it: no verb", "read 3.1k (2.6k cached)"):
            assert part in driver.text()
    story.close()


async def test_what_a_model_says_steers_no_terminal(cockpit: Any, tmp_path: Path) -> None:
    story = agents.working(tmp_path)
    say = Writer(story.workspace.stream("TICKET-7", 1))
    for sort in ("call", "think", "text", "note", EVIL):
        say.say(sort, f"{sort} {EVIL}\n{EVIL}")
    async with cockpit(tmp_path) as driver:
        await opened(driver, "tab")
        await driver.settle(lambda: "esrever" in driver.text())
        assert not {"\x1b", "\u202e", "\x9b", "\x07", "\u200b"} & set(driver.text())
    story.close()


def test_thinking_differs_from_the_reply_by_more_than_colour() -> None:
    doc = TalkDoc(Look(DARK, UNICODE))
    doc.add([("call", "who"), ("think", "a\nb"), ("text", "c"), ("note", "again")])  # type: ignore[list-item]
    rows = ["".join(text for text, _ in doc.line(at, False)[0]) for at in range(doc.lay(40))]
    assert [row.rstrip() for row in rows[1:]] == [" ▸ who", " │ a", " │ b", "", "   c", "", " ! again"]


@pytest.mark.parametrize("cells", [12, 40])
def test_a_text_that_comes_in_pieces_looks_like_one_that_came_at_once(cells: int) -> None:
    text = "\n".join(f"{n} " + "word " * (n % 7) for n in range(60)) + "\n\nend"
    whole, bit = TalkDoc(Look(DARK)), TalkDoc(Look(DARK))
    whole.add([("text", text)])  # type: ignore[list-item]
    for char in text:
        bit.add([("text", char)])  # type: ignore[list-item]
        bit.lay(cells)
    lines = [[doc.line(at, False) for at in range(doc.lay(cells))] for doc in (whole, bit)]
    assert lines[0] == lines[1]


def test_a_flood_of_lines_is_held_and_the_rest_is_counted() -> None:
    doc = TalkDoc(Look(DARK))
    doc.add([("text", "\n" * 50_000)])  # type: ignore[list-item]
    assert doc.lay(40) <= 20_002 and doc.lost == 30_000


# Budgets, the ladder, the context --------------------------------------------------------------------


async def test_a_budget_that_runs_out_is_marked_and_the_ladder_says_why(cockpit: Any, tmp_path: Path) -> None:
    story = agents.working(tmp_path)
    async with cockpit(tmp_path, size=(140, 30)) as driver:
        await opened(driver)
        for part in ("coder on qwen3:14b", "turn 5/30", "tokens 14.1k/200k", "stuck, 2 of 5", "test_zeros"):
            assert part in driver.text()
        assert "! turn" not in driver.text()
        for _ in range(20):
            intent = story.ask_model("TICKET-7", agents.ONE)
            story.reply("TICKET-7", intent, agents.ONE, label="toy")
        await driver.settle(lambda: "! turn 24/30" in driver.text())
        assert "stuck" not in driver.text() and "qwen3:14b (toy)" in driver.text()
    story.close()


async def test_a_ticket_without_an_agent_has_neither_its_bar_nor_its_tab(
    cockpit: Any, tmp_path: Path
) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        driver.screen.board.select("TICKET-104")
        await driver.press("enter")
        assert driver.screen.tabs.names == list(TABS[:-1]) and not driver.screen.agent_bar.display
    story.close()


async def test_a_damaged_ledger_is_said_and_the_screen_stays(cockpit: Any, tmp_path: Path) -> None:
    story = agents.working(tmp_path)
    for path in story.workspace.blobs.rglob("*"):
        if path.is_file() and b"left_out" in path.read_bytes():
            path.write_bytes(b"{")
    async with cockpit(tmp_path) as driver:
        await opened(driver, "shift+tab")
        assert "The ledger cannot be read" in driver.text()
        await driver.press("up", "up", "1", "2")
    story.close()


@pytest.mark.parametrize("size", [(80, 24), (50, 14), (30, 8)])
async def test_a_small_terminal_shows_what_fits_and_no_half_items(
    cockpit: Any, tmp_path: Path, size: tuple[int, int]
) -> None:
    story = agents.asking(tmp_path)
    async with cockpit(tmp_path, size=size) as driver:
        await opened(driver, *["tab"] * 7)
        await driver.press("4", "tab", "5", "1")
        lines = driver.text().splitlines()
        assert len(lines) == size[1] and not any(line.rstrip()[-1:] in ("◑", "‖", "!") for line in lines[-2:])
    story.close()


# Telling and relieving -------------------------------------------------------------------------------


async def test_a_comment_goes_to_the_agent_and_ends_nothing(cockpit: Any, tmp_path: Path) -> None:
    story = agents.working(tmp_path)
    async with cockpit(tmp_path) as driver:
        await opened(driver, "e", "enter")
        assert driver.screen.sheet is not None, "an empty comment was sent"
        await driver.type("keep it small")
        await driver.press("enter")
        await driver.settle(lambda: bool(events_of(story, "said.comment")))
        body = events_of(story, "said.comment")[0].body
        assert body["text"] == "keep it small" and not events_of(story, "asked.retry")
    story.close()


async def test_where_no_agent_is_at_work_a_comment_starts_a_new_try(cockpit: Any, tmp_path: Path) -> None:
    story = seeds.busy(tmp_path)
    async with cockpit(tmp_path) as driver:
        driver.screen.board.select("TICKET-110")
        await driver.press("e")
        await driver.type("again")
        await driver.press("enter")
        await driver.settle(lambda: bool(events_of(story, "asked.retry")))
        assert not events_of(story, "said.comment")
    story.close()


async def test_a_worktree_is_taken_over_before_it_is_opened_and_stays_so_until_it_is_handed_back(
    cockpit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = agents.working(tmp_path)
    worktree = story.workspace.worktree("TICKET-7", 1)
    worktree.mkdir(parents=True)
    found: list[tuple[Path, int]] = []

    def editor(app: object, path: Path) -> str:
        found.append((path, len(events_of(story, "asked.take-over"))))
        return ""

    monkeypatch.setattr("tui.ticket.take_over.open_folder", editor)
    async with cockpit(tmp_path, size=(120, 30)) as driver:
        screen = await opened(driver)
        await driver.press("O")
        assert "You have not taken it over" in driver.text() and screen.sheet is None
        await driver.press("o")
        await driver.settle(lambda: screen.sheet is not None)
        assert found == [(worktree, 1)], "opened before the journal said whose it is"
        await driver.press("enter")  # Cancel: an editor with a window of its own has returned at once
        await driver.settle(lambda: "O hands it back" in driver.text())
        assert not events_of(story, "asked.hand-back")
        await driver.press("o")
        assert len(events_of(story, "asked.take-over")) == 1 and len(found) == 2
        await driver.press("escape", "O", "y")
        await driver.settle(lambda: bool(events_of(story, "asked.hand-back")))
        await driver.settle(lambda: "O hands it back" not in driver.text())
    story.close()


async def test_without_a_worktree_nothing_is_taken_over(
    cockpit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = agents.working(tmp_path)
    opened_: list[Path] = []
    monkeypatch.setattr("tui.ticket.screen.open_path", lambda app, path: opened_.append(path) or "")
    async with cockpit(tmp_path) as driver:
        await opened(driver, "o")
        await driver.settle()
        assert not events_of(story, "asked.take-over") and opened_ == [tmp_path / "tickets/TICKET-7.yaml"]
    story.close()


# Questions -------------------------------------------------------------------------------------------


async def at_question(driver: Any) -> InboxScreen:
    driver.screen.board.select("TICKET-7")
    await driver.press("i")
    await driver.settle(lambda: isinstance(driver.screen, InboxScreen))
    return driver.screen  # type: ignore[no-any-return]


async def test_an_answer_is_the_option_that_was_marked_and_sealed(cockpit: Any, tmp_path: Path) -> None:
    story = agents.asking(tmp_path)
    async with cockpit(tmp_path) as driver:
        screen = await at_question(driver)
        digest = screen.item.digest if screen.item else ""
        await driver.press("tab", "tab", "shift+tab", "tab")  # from the second, the recommended one
        await driver.press("a")
        await driver.settle(lambda: bool(events_of(story, "proposal.approved")))
        body = events_of(story, "proposal.approved")[0].body
        assert body["digest"] == digest and body["contract"]["signoff"] == agents.OPTIONS[0]
        assert not events_of(story, "asked.take-over")
    story.close()


async def test_a_question_is_never_answered_by_a_key_repeat_or_a_key_typed_ahead(
    cockpit: Any, tmp_path: Path
) -> None:
    story = agents.asking(tmp_path)
    async with cockpit(tmp_path) as driver:
        screen = await at_question(driver)
        await driver.press("tab")
        await driver.press("a", quiet=0.1)
        await driver.press("a", "a", "a", quiet=0.05)
        await driver.settle()
        assert not events_of(story, "proposal.approved") and "Too soon" in driver.text()
        await driver.press("enter", "4")
        assert screen.item is not None
        await driver.press("a", quiet=0.1)
        await driver.settle()
        assert not events_of(story, "proposal.approved")
    story.close()


async def test_a_question_may_be_answered_in_own_words_and_the_answer_that_takes_over_does(
    cockpit: Any, tmp_path: Path
) -> None:
    story = agents.asking(tmp_path)
    async with cockpit(tmp_path) as driver:
        await at_question(driver)
        await driver.press("e")
        await driver.type(TAKES)
        await driver.press("enter")
        await driver.settle(lambda: bool(events_of(story, "asked.take-over")))
        assert events_of(story, "proposal.approved")[0].body["contract"]["signoff"] == TAKES
    story.close()


async def test_a_question_that_went_stale_is_not_answered(cockpit: Any, tmp_path: Path) -> None:
    story = agents.asking(tmp_path)
    async with cockpit(tmp_path) as driver:
        screen = await at_question(driver)
        assert screen.item is not None
        await driver.press("e")
        stale = New("proposal.stale", {"id": screen.item.id, "why": "it found out by itself"}, "TICKET-7", 1)
        story.journal.append(stale)
        await driver.type("no")
        await driver.press("enter")
        await driver.settle(lambda: "it found out by itself" in driver.text())
        assert not events_of(story, "proposal.approved")
    story.close()


@pytest.mark.parametrize(
    "options",
    [[EVIL, f"{EVIL} {EVIL}"], ["x" * 400, "\n\n"], {"a": 1}, [1, 2], "text", ["", "b"]],
    ids=range(6),
)
@pytest.mark.parametrize("recommended", [0, -1, 99, "x", None])
async def test_options_of_any_shape_are_shown_safely_and_never_answered_unseen(
    cockpit: Any, tmp_path: Path, options: Any, recommended: Any
) -> None:
    story = agents.working(tmp_path)
    story.ask("TICKET-7", "question", EVIL, question=EVIL, options=options, recommended=recommended)
    async with cockpit(tmp_path, size=(90, 30)) as driver:
        await at_question(driver)
        await driver.press("tab", "shift+tab")
        assert not {"\x1b", "\u202e", "\x9b"} & set(driver.text())
        shown = isinstance(options, list) and all(isinstance(each, str) and each.strip() for each in options)
        assert ("Answers" in driver.text()) and (driver.screen.why_not("approve") == "") == shown
    story.close()


async def test_a_denied_merge_of_an_agent_says_that_it_goes_back_to_the_agent(
    cockpit: Any, tmp_path: Path
) -> None:
    story = agents.working(tmp_path)
    story.propose_merge("TICKET-7")
    async with cockpit(tmp_path) as driver:
        await at_question(driver)
        await driver.press("d")
        assert "back to its agent" in driver.text() and "goes on from here" in driver.text()
    story.close()
