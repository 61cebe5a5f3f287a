"""Above a ticket's panes, where an agent works on it: who thinks, what it has cost, whether it is stuck."""

from __future__ import annotations

from collections.abc import Iterator

from textual.strip import Strip

from state.agent_view import RUNG, RUNGS, AgentView, Used
from tui.amounts import brief, count
from tui.bars import Bar
from tui.context import Context
from tui.draw import Piece, line
from tui.safe_text import width

NEAR = 0.8
"""The share of a budget from which it is marked."""


class AgentBar(Bar):
    """One line of budgets, and one more while the agent is stuck or a person has its worktree."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.agent: AgentView | None = None

    def show(self, agent: AgentView | None) -> None:
        """Take the attempt that is shown; None where no agent works on it."""
        self.agent = agent
        there = agent is not None and agent.there
        self.display = there
        if there:
            height = 2 if self._second() else 1
            if self.styles.height is None or self.styles.height.value != height:
                self.styles.height = height
        self.sync()

    def value(self) -> object:
        """What it says."""
        return self.context.look, tuple(self._items()), self._second()

    def _items(self) -> Iterator[tuple[str, str]]:
        """Text and role of each item, what matters most first."""
        agent = self.agent
        if agent is None or agent.last is None:
            return
        model, label = agent.model
        on = f" on {model}" if model else ""
        yield f"{agent.last.role}{on}{f' ({label})' if label else ''}", "text"
        going = 1 if agent.running else 0
        turns, tokens, time = agent.turns, agent.tokens, agent.time(self.context.now())
        yield self._spent("turn", Used(turns.much + going, turns.allowed), count)
        yield self._spent("tokens", tokens, count)
        yield self._spent("time", time, brief)

    @staticmethod
    def _spent(name: str, used: Used, write: object) -> tuple[str, str]:
        assert callable(write)
        text = f"{name} {write(used.much)}"
        if used.allowed is None:
            return text, "muted"
        text += f"/{write(used.allowed)}"
        near = used.much >= NEAR * used.allowed
        return (f"! {text}", "waiting") if near else (text, "muted")

    def _second(self) -> tuple[str, str] | None:
        agent = self.agent
        if agent is None:
            return None
        if agent.taken:
            return "you have its worktree: O hands it back, then its checks run; o opens it again", "waiting"
        if agent.rung:
            rung = min(agent.rung, RUNGS)
            why = f": {agent.why}" if agent.why else ""
            return f"stuck, {rung} of {RUNGS}, {RUNG[rung]}{why}", "waiting"
        return None

    def render_line(self, y: int) -> Strip:
        """A line."""
        look, cells = self.context.look, self.size.width
        if y:
            text, role = self._second() or ("", "text")
            pieces: list[Piece] = [(f" {look.g.warn} ", look(role, bold=True)), (look.text(text), look(role))]
            return line(cells, look(), pieces, [], look.g.ellipsis)
        pieces, used = [(" ", look())], 1
        for at, (text, role) in enumerate(self._items()):
            text = look.text(text)
            gap = "   " if at else ""
            if used + len(gap) + width(text) > cells and at:
                break  # an item is there as a whole, or not at all
            pieces.append((gap + text, look(role, bold=not at)))
            used += len(gap) + width(text)
        return line(cells, look(), pieces, [], look.g.ellipsis)
