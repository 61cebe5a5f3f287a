"""What holds the commands is always on the screen; where nothing does, only a typed phrase lets them run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import seeds

from state import words
from state.approval_key import KeySealer
from state.contract import accept
from state.events import New
from state.lock import Lock
from tui.inbox.screen import InboxScreen


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "calc"


@pytest.fixture
def engine(root: Path) -> Iterator[Callable[[str], seeds.Story]]:
    """A story with an engine that lives and has chosen a sandbox."""
    with contextlib.ExitStack() as held:

        def start(isolation: str) -> seeds.Story:
            story = seeds.busy(root)
            held.callback(story.close)
            held.enter_context(Lock(story.workspace.lock))
            story.journal.append(New("engine.started", {"pid": 1}))
            if isolation:
                story.journal.append(New("engine.isolation", {"isolation": isolation, "tried": []}))
            return story

        yield start


def given(story: seeds.Story) -> list[Any]:
    return [event for event in story.journal.events() if event.type == "consent.given"]


@pytest.mark.parametrize("isolation", ["bubblewrap", "landlock", "none", ""])
async def test_the_status_bar_says_what_holds_the_commands(
    cockpit: Any, root: Path, engine: Any, isolation: str
) -> None:
    story = engine(isolation)
    async with cockpit(root) as driver:
        shown = driver.text()
        assert ("UNSANDBOXED" in shown) is (isolation == "none")
        assert (f"sandbox {isolation}" in shown) is (isolation in ("bubblewrap", "landlock"))
        await driver.press("U")
        assert (driver.screen.sheet is not None) is (isolation == "none")
        if isolation != "none":
            assert "Sandbox: " in driver.text()
        story.journal.append(New("engine.isolation", {"isolation": "none", "tried": []}))
        await driver.settle(lambda: "UNSANDBOXED" in driver.text())


async def test_only_the_phrase_typed_key_by_key_consents(cockpit: Any, root: Path, engine: Any) -> None:
    story = engine("none")
    phrase = "run unsandboxed in calc"
    async with cockpit(root) as driver:
        for typed in ("", "yes", phrase[:-1]):
            await driver.press("U")
            assert phrase in " ".join(driver.text().split())
            await driver.settle()
            driver.clock.at += 1.0
            await driver.type(typed)
            assert driver.screen.sheet.edit.text == typed
            await driver.press("enter")
            assert driver.screen.sheet is None
        await driver.press("U")
        driver.screen.take_paste(phrase)
        await driver.press("enter")
        await driver.settle()
        assert not given(story)
        await driver.press("U")
        await driver.settle()
        driver.clock.at += 1.0
        await driver.type(phrase)
        await driver.press("enter")
        await driver.settle(lambda: bool(given(story)))
        session = story.journal.views.session()
        assert session is not None
        record, where = given(story)[0].body["contract"], words.folder_of(story.journal)
        assert accept(record, words.consent_matter(session), KeySealer(), workspace=where).signoff == phrase
        await driver.settle(lambda: "until the engine stops" in driver.text())
        assert "UNSANDBOXED" in driver.text(), "consent is no sandbox"
        await driver.press("U")
        assert driver.screen.sheet is None and "consented" in driver.text()


async def test_an_approval_in_the_inbox_is_sealed_and_says_what_was_pressed(
    cockpit: Any, root: Path, engine: Any
) -> None:
    story = engine("bubblewrap")
    async with cockpit(root) as driver:
        driver.app.context.selected = ""
        await driver.press("4")
        await driver.settle(lambda: isinstance(driver.screen, InboxScreen))
        shown = driver.screen.item
        await driver.press("a")
        await driver.settle(lambda: any(e.type == "proposal.approved" for e in story.journal.events()))
        (event,) = [e for e in story.journal.events() if e.type == "proposal.approved"]
        where = words.folder_of(story.journal)
        contract = accept(event.body["contract"], shown, KeySealer(), workspace=where)
        assert contract.signoff == f"a, {shown.ticket}"


async def test_a_key_that_may_ask_for_a_passphrase_is_used_with_the_terminal_or_not_at_all(
    cockpit: Any, root: Path, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = engine("bubblewrap")
    lent: list[str] = []

    class Asking(KeySealer):
        asks = True

        def seal(self, data: bytes) -> str:
            lent.append("sealed")
            return super().seal(data)

    @contextlib.contextmanager
    def suspend() -> Iterator[None]:
        lent.append("lent")
        yield
        lent.append("back")

    async with cockpit(root) as driver:
        driver.app._sealer = Asking
        driver.app.context.selected = ""
        await driver.press("4")
        await driver.settle(lambda: isinstance(driver.screen, InboxScreen))
        await driver.press("a")  # this terminal is a test's: it cannot be lent
        await driver.settle(lambda: "cannot be lent" in driver.text())
        assert not lent and driver.screen.item is not None
        monkeypatch.setattr(driver.app, "suspend", suspend)
        await driver.press("a")
        await driver.settle(lambda: any(e.type == "proposal.approved" for e in story.journal.events()))
        assert lent == ["lent", "sealed", "back"]
