"""How the run of an attempt stands, in one line of the ticket's page. What reads it is loaded then."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tui.context import Context

if TYPE_CHECKING:
    from state.run_list import Glances


class RunLine:
    """Looks at one run folder after the other; what was read of the last one is kept."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._folder: Path | None = None
        self._looks: Glances | None = None

    def of(self, ticket: str, attempt: int) -> str:
        """The line, or '' where the attempt has no run."""
        folder = self._context.workspace.run(ticket, attempt)
        if not attempt or not (folder / "events.jsonl").is_file():
            return ""
        from state.run_list import Glances, Place
        from tui.runs.listing import brief

        if self._looks is None or self._folder != folder:
            self._folder, self._looks = folder, Glances()
        (glance,) = self._looks.look([Place(ticket, attempt, folder, 0)])
        return brief(glance, self._context.look)
