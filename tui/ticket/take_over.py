"""Taking a ticket's worktree over from its agent, and handing it back.

The journal says whose worktree it is, so it holds whatever the editor does: one that returns at once, such as
a window of its own, leaves the worktree with the person until a key hands it back.
"""

from __future__ import annotations

from state.agent_view import AgentView, listens
from state.journal import Journal
from tui.editor import open_folder
from tui.on_ticket import OnTicket


class TakesOver(OnTicket):
    """A screen of one ticket whose agent can be relieved."""

    agent: AgentView
    number: int

    def why_not(self, name: str) -> str:
        """Why a command does nothing now."""
        if name == "handback":
            return "" if self.agent.taken and self._works() else "you have not taken it over: o does"
        return super().why_not(name)

    @property
    def can_take(self) -> bool:
        """Whether there is a worktree of an agent at work, or of the person who took it."""
        return self._works() and self.context.workspace.worktree(self.target, self.number).is_dir()

    def _works(self) -> bool:
        card = self.context.feed.cards.get(self.target)
        return card is not None and listens(card) and self.number == card.attempt

    def take_over(self) -> None:
        """Say so in the journal, then open the worktree; where it is the person's already, only open it."""
        ticket, number = self.target, self.number
        if self.agent.taken:
            self._open(ticket, number)
            return

        def word(journal: Journal) -> object:
            from state import words

            return words.take_over(journal, ticket)

        done = f"{ticket}: its worktree is yours until O hands it back"
        self.context.speak(word, done, lambda: self._open(ticket, number))

    def _open(self, ticket: str, number: int) -> None:
        why = open_folder(self.app, self.context.workspace.worktree(ticket, number))
        if why:
            self.context.say(why, "failed")
        self._ask_back(ticket)

    def do_handback(self) -> None:
        """Hand the worktree back, after a question: the agent goes on with what stands there."""
        self._ask_back(self.target)

    def _ask_back(self, ticket: str) -> None:
        from tui.sheets.confirm import Confirm

        def write() -> None:
            def word(journal: Journal) -> object:
                from state import words

                return words.hand_back(journal, ticket)

            self.context.speak(word, f"{ticket}: handed back, its checks run", None)

        about = [
            "What stands in the worktree becomes a checkpoint, and the checks run on it.",
            "Cancel keeps it yours: O hands it back later.",
        ]
        self.show(Confirm(self.context, f"Hand {ticket} back?", about, "Hand back", write))
