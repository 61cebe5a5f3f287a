"""The tree of a ticket: its goal, the tasks, their actions, each with its state and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from state.views import Card, Node
from tui.amounts import brief
from tui.lines import Line
from tui.look import Look
from tui.times import span

NARROW = 36
"""Cells below which the tree gives its room to the titles."""
_ROLES = {"running": "running", "done": "landed", "failed": "failed", "interrupted": "cancelled"}


class Row(NamedTuple):
    """A line of the tree. `node` is None for the goal."""

    key: str
    depth: int
    node: Node | None
    folds: bool


class Tree:
    """The rows in view of a tree whose tasks can be folded."""

    def __init__(self) -> None:
        self.folded: set[str] = set()
        self.rows: list[Row] = []
        self._nodes: Sequence[Node] = ()

    def fill(self, nodes: Sequence[Node]) -> None:
        """Take the nodes as they are now."""
        self._nodes = nodes
        children: dict[str, list[Node]] = {}
        for node in nodes:
            children.setdefault(node.parent, []).append(node)
        rows = [Row("", 0, None, bool(nodes))]
        for task in children.get("", ()):
            actions = children.get(task.id, [])
            rows.append(Row(task.id, 1, task, bool(actions)))
            if task.id not in self.folded:
                rows += [Row(action.id, 2, action, False) for action in actions]
        self.rows = rows

    def fold(self, key: str, shut: bool) -> None:
        """Fold a task, or unfold it."""
        if shut:
            self.folded.add(key)
        else:
            self.folded.discard(key)
        self.fill(self._nodes)

    def place(self, key: str) -> int:
        """Where a row stands; the goal where it stands no more."""
        return next((at for at, row in enumerate(self.rows) if row.key == key), 0)

    def current(self) -> str:
        """The action that runs, or the last one."""
        actions = [node for node in self._nodes if node.level == "action"]
        running = [node for node in actions if node.state == "running"]
        last = (running or actions)[-1:]
        if not last:
            return ""
        return last[0].parent if last[0].parent in self.folded else last[0].id

    def action(self, key: str) -> Node | None:
        """The action that a row stands for: itself, or the current one below it."""
        below = [
            node
            for node in self._nodes
            if node.level == "action" and (not key or key in (node.id, node.parent))
        ]
        running = [node for node in below if node.state == "running"]
        return (running or below)[-1] if below else None


class TreeDoc:
    """Draws a `Tree`."""

    def __init__(self, tree: Tree, card: Card, look: Look, now: Callable[[], int], active: bool) -> None:
        self._tree, self._card, self._look, self._now = tree, card, look, now
        self._active = active
        self._narrow = False

    def lay(self, cells: int) -> int:
        """One line a row."""
        self._narrow = cells < NARROW
        return len(self._tree.rows)

    def line(self, at: int, selected: bool) -> tuple[Line, Line, str]:
        """A row: fold mark, state, title, time."""
        look, row = self._look, self._tree.rows[at]
        back = ("raised" if self._active else "card") if selected else "bg"
        edge = (look.g.edge if selected else " ", look("accent", back))
        if row.node is None:
            glyph = (f"{look.glyph(self._card.state)} ", look(self._card.state, back))
            return [edge, glyph, (look.text(self._card.goal), look("text", back, bold=True))], (), back
        node = row.node
        mark = (look.g.shut if row.key in self._tree.folded else look.g.open) if row.folds else " "
        role = _ROLES.get(node.state, "muted")
        bold = node.level == "task"
        left = [
            edge,
            ((" " if self._narrow else "  ") * row.depth, look("text", back)),
            (f"{mark} " if node.level == "task" else "", look("muted", back)),
            (f"{look.glyph(node.state)} ", look(role, back)),
            (look.text(node.title), look("text" if bold or selected else "muted", back, bold=bold)),
        ]
        seconds = node.seconds
        if node.state == "running":
            seconds = (self._now() - node.started) / 1000
        elif seconds is None and node.ended:
            seconds = (node.ended - node.started) / 1000
        time = brief(seconds) if self._narrow and seconds is not None else span(seconds, look.g.dash)
        word = node.state if node.state in ("failed", "interrupted") else ""
        right = [(f" {word} " if word else " ", look(role, back)), (f"{time} ", look("muted", back))]
        return left, right, back
