"""Taking a training back to a checkpoint that it kept: which one, and then a question before it is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.strip import Strip

from tui.draw import line
from tui.look import Look
from tui.screen import CockpitScreen
from tui.sheets.confirm import Confirm
from tui.sheets.sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Callable

    from state.journal import Journal
    from state.run_back import Kept

_ROWS = 12


class Checkpoints(Sheet):
    """The checkpoints of a run, the latest first; enter goes on with the marked one."""

    cells = 62

    def __init__(self, title: str, kept: Sequence[Kept], done: Callable[[Kept], None]) -> None:
        super().__init__()
        self.title = title
        self.at = min(1, len(kept) - 1)
        """The one before the last, which is where the run stands already."""
        self._kept, self._done = kept, done

    def lines(self, look: Look, cells: int, rows: int) -> list[Strip]:
        """The checkpoints around the marked one, and what the keys do."""
        ground, room = look("text", "card"), max(1, min(_ROWS, rows - 2))
        first = max(0, min(self.at - room // 2, len(self._kept) - room))
        out = []
        for number, each in enumerate(self._kept[first : first + room], first):
            here = number == self.at
            back = "raised" if here else "card"
            facts = ["the last"] if number == 0 else []
            facts += ["the best"] if each.best else []
            facts += [f"phase {name} ended" for name in each.phases[:4]]
            pieces = [
                (f"{look.g.shut if here else ' '} ", look("accent", back, bold=True)),
                (f"step {each.step:<10,}", look("text", back, bold=here)),
                (look.text(", ".join(facts)), look("muted", back)),
            ]
            out.append(line(cells, look("text", back), pieces, [], look.g.ellipsis))
        out.append(line(cells, ground, []))
        out.append(line(cells, ground, [("enter  go back to it   esc  leave it", look("faint", "card"))]))
        return out

    def key(self, name: str, character: str | None) -> None:
        """Mark another, go on, or leave."""
        step = {"up": -1, "k": -1, "down": 1, "j": 1}.get(name)
        if step is not None:
            self.at = max(0, min(len(self._kept) - 1, self.at + step))
        elif name in ("escape", "q"):
            self.close()
        elif name == "enter":
            self.close()
            self._done(self._kept[self.at])


def ask(screen: CockpitScreen, run: Path, named: str) -> None:
    """Ask for the checkpoint, then whether it is meant; what is done is written down."""
    from state.run_back import kept, roll_back

    context = screen.context
    found = kept(run)
    if not found:
        context.say(f"{named} has kept no checkpoint", "waiting")
        return

    def chosen(target: Kept) -> None:
        def write() -> None:
            def word(journal: Journal) -> object:
                return roll_back(journal, context.workspace, run, str(target.step))

            context.speak(word, f"{named} is back at step {target.step:,}", None)

        about = [
            f"{named} stands at step {target.step:,} again, bit for bit as it was kept. Later checkpoints,"
            " the result and the report go to the trash inside the run; started again, it goes on from here.",
        ]
        screen.show(Confirm(context, f"Back to step {target.step:,}?", about, "Go back", write))

    screen.show(Checkpoints(f"Take {named} back", found, chosen))
