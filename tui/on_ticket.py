"""What can be asked of one ticket: cancel, retry, roll back, bring back; with the questions that go before.

What can be undone is done at once and `u` takes it back; what costs work or changes the base branch asks
first. The ticket meant is the one that was selected when the key came, whatever moves meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from state.journal import Journal
from tickets.lifecycle import ENDED, LIVE
from tui.screen import CockpitScreen

if TYPE_CHECKING:
    from state.contract import Sealer


class OnTicket(CockpitScreen):
    """A screen with a ticket to talk about."""

    @property
    def target(self) -> str:
        """The ticket that commands are about, '' where there is none."""
        raise NotImplementedError

    def why_not(self, name: str) -> str:
        """Why a command does nothing now, from the ticket's state."""
        if name not in ("cancel", "retry", "comment", "undo", "rollback", "restore", "proposal"):
            return super().why_not(name)
        if name == "undo":
            return "" if self.context.undo else "there is nothing to undo"
        card = self.context.feed.cards.get(self.target)
        if card is None:
            return "no ticket is selected"
        state = card.state
        if card.asked and name != "proposal":
            return f"{card.id}: {card.asked} is asked already"
        match name:
            case "cancel" if state in ENDED or state == "broken":
                return f"{card.id} is {state}: there is nothing to cancel"
            case "retry" | "comment" if state not in LIVE | {"failed", "cancelled"}:
                return f"{card.id} is {state}: there is nothing to try again"
            case "rollback" if state != "landed":
                return f"{card.id} is {state}: only what landed can be rolled back"
            case "restore" if not card.attempt or state in LIVE:
                return f"{card.id} is {state}: only an ended attempt has work in the trash"
            case "proposal" if card.id not in self.context.feed.asking:
                return f"{card.id} asks nothing of you"
        return ""

    def do_cancel(self) -> None:
        """Cancel; ask first where an attempt is at work."""
        ticket, card = self.target, self.context.feed.cards[self.target]

        def write() -> None:
            def word(journal: Journal) -> object:
                from state import words

                return words.cancel(journal, ticket)

            self.context.speak(word, f"{ticket}: cancelled, u undoes it", lambda: self._undo_by_retry(ticket))

        if card.state not in LIVE:
            write()
            return
        from tui.sheets.confirm import Confirm

        about = ["Its attempt is ended. What it made so far goes to the trash, from where w brings it back."]
        self.show(Confirm(self.context, f"Cancel {ticket}?", about, f"Cancel {ticket}", write))

    def _undo_by_retry(self, ticket: str) -> None:
        def word(journal: Journal) -> object:
            from state import words

            return words.retry(journal, ticket)

        self.context.undo = (f"undo cancelling {ticket}", word, f"{ticket}: will be tried again")

    def do_undo(self) -> None:
        """Take back the last word that can be taken back."""
        if self.context.undo is not None:
            _, word, done = self.context.undo
            self.context.undo = None
            self.context.speak(word, done, None)

    def do_retry(self) -> None:
        """Try again; ask first where that ends an attempt at work."""
        ticket, card = self.target, self.context.feed.cards[self.target]
        if card.state not in LIVE:
            self._retry(ticket, "")
            return
        from tui.sheets.confirm import Confirm

        about = ["Its attempt is ended and a new one begins. What it made so far goes to the trash."]
        yes = "Try again"
        self.show(Confirm(self.context, f"Try {ticket} again?", about, yes, lambda: self._retry(ticket, "")))

    def do_comment(self) -> None:
        """Tell the agent that is at work; where none is, try again with a comment."""
        from state.agent_view import listens
        from tui.sheets.prompt import Prompt

        ticket = self.target
        if listens(self.context.feed.cards[ticket]):
            from tui.tell import tell

            tell(self, ticket)
            return
        about = (
            "A new attempt begins and is told this. A live one is ended first, its work goes to the trash."
        )
        self.show(Prompt(f"Try {ticket} again", about, lambda text: self._retry(ticket, text), needed=True))

    def _retry(self, ticket: str, comment: str) -> None:
        def word(journal: Journal) -> object:
            from state import words

            return words.retry(journal, ticket, comment)

        self.context.speak(word, f"{ticket}: will be tried again", None)

    def do_rollback(self) -> None:
        """Undo what landed, after the ticket's number was typed."""
        from tui.sheets.confirm import TypeToConfirm

        ticket = self.target
        number = ticket.rpartition("-")[2]

        def write() -> None:
            def word(journal: Journal, sealer: Sealer) -> object:
                from state import words

                return words.rollback(journal, ticket, sealer=sealer, signoff=f"b {number}, {ticket}")

            self.context.sealed(word, f"{ticket}: roll back asked", None)

        about = ["A commit that undoes it is put on the base branch, after its checks. Later work stays."]
        self.show(TypeToConfirm(self.context, f"Roll back {ticket}?", about, "Roll back", number, write))

    def do_restore(self) -> None:
        """Bring back what the trash holds."""
        from tui.sheets.confirm import Confirm

        ticket = self.target

        def write() -> None:
            def word(journal: Journal) -> object:
                from state import words

                return words.restore(journal, ticket)

            self.context.speak(word, f"{ticket}: its work will be on a branch of its own", None)

        about = ["What the last ended attempt left is put on a new branch. No other branch is touched."]
        self.show(Confirm(self.context, f"Bring back the work of {ticket}?", about, "Bring back", write))

    def do_proposal(self) -> None:
        """To the inbox, at what this ticket asks."""
        self.context.go("inbox", self.target)
