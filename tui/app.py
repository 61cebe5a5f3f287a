"""The door to the cockpit: cheap to import, so that a caller pays for the screens only when it opens them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from state.contract import Sealer
    from tui.lab.talk import Mind


def run(
    root: Path,
    start_engine: Callable[[], None] | None = None,
    sealer: Callable[[], Sealer] | None = None,
    open_mind: Callable[[], Mind] | None = None,
) -> int:
    """Open the cockpit on a workspace and stay until the person leaves; the exit code.

    `start_engine` is called in a thread, after the first paint, when no engine lives; `sealer` when a person
    approves: without one, Jetbox's own key seals; `open_mind` in a thread, when the Lab is shown first. An
    error in the cockpit is shown on the terminal, which is given back first, and is no exit code 0.
    """
    gc.disable()  # until the first paint: what is made until then stays, collecting costs 25 ms of the start
    try:
        from tui.cockpit import Cockpit

        app = Cockpit(root, start_engine, sealer, open_mind)
        app.run()
        app.feed.close()
        return app.return_code or 0
    finally:
        gc.enable()
