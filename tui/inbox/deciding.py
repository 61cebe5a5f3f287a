"""A person's decisions on what waits: approve, answer, deny, comment, each about what was painted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from state.agent_view import listens
from state.journal import Journal
from state.views import Proposal
from tui.context import Context
from tui.inbox.detail import title_of
from tui.inbox.question import has_options
from tui.screen import CockpitScreen
from tui.sheets.prompt import Prompt
from tui.tell import tell

if TYPE_CHECKING:
    from state.contract import Sealer


class Deciding(CockpitScreen):
    """A screen with an item to decide about."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.item: Proposal | None = None

    def approve(self, item: Proposal, pressed: str) -> None:
        """Seal a yes to exactly this digest."""

        def word(journal: Journal, sealer: Sealer) -> object:
            from state import words

            signoff = f"{pressed}, {item.ticket}"
            return words.approve(journal, item.id, item.digest, sealer=sealer, signoff=signoff)

        self.context.sealed(word, f"{item.ticket}: approved", None)

    def answer(self, item: Proposal, text: str) -> None:
        """Seal an answer to exactly this question."""

        def word(journal: Journal, sealer: Sealer) -> object:
            from state import words

            return words.answer(journal, item.id, item.digest, text, sealer=sealer)

        self.context.sealed(word, f"{item.ticket}: answered", None)

    def do_deny(self) -> None:
        """Deny, with a reason."""
        item = self.item
        if item is None:
            return

        def deny(reason: str) -> None:
            def word(journal: Journal) -> object:
                from state import words

                return words.deny(journal, item.id, item.digest, reason)

            self._write(word, f"{item.ticket}: denied")

        title, who = f"Deny {title_of(item.kind).lower()} of {item.ticket}", "whoever tries next"
        if item.kind == "merge" and self.listens(item):
            title, who = f"Send {item.ticket} back to its agent", "the agent, who goes on from here"
        self.show(Prompt(title, f"{item.summary}. The reason is told to {who}.", deny, needed=True))

    def listens(self, item: Proposal) -> bool:
        """Whether an agent is at work that can be told something."""
        card = self.context.feed.cards.get(item.ticket)
        return card is not None and listens(card)

    def do_comment(self) -> None:
        """Answer a question in own words; else tell the agent; where none is, have it tried again."""
        item = self.item
        if item is None:
            return
        if has_options(item):
            about = f"{item.summary}. What you write is the answer; it is sealed as an approval is."
            answer = partial(self.answer, item)
            self.show(Prompt(f"Answer {item.ticket}", about, answer, needed=True))
            return
        if self.listens(item):
            tell(self, item.ticket)
            return

        def again(comment: str) -> None:
            def word(journal: Journal) -> object:
                from state import words

                return words.retry(journal, item.ticket, comment)

            self._write(word, f"{item.ticket}: will be tried again")

        about = "This attempt is ended and a new one begins, which is told your comment."
        self.show(Prompt(f"Try {item.ticket} again", about, again, needed=True))

    def _write(self, word: Callable[[Journal], object], done: str) -> None:
        self.context.speak(word, done, None)
