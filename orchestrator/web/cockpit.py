"""The cockpit as it runs for a browser: `python -P -m orchestrator.web.cockpit ROOT`; `browser.py` starts it.

It speaks over its pipes what Textual's driver for the web speaks. It hands no file and no address to the
browser, and it ends with its input, so that none outlives whoever started it, however that ended.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from textual import messages
from textual.drivers.web_driver import WebDriver

_ENDING = 5.0  # seconds for the cockpit to close by itself once its input has ended


class Driver(WebDriver):
    """Draws into a pipe, and reads keys from one."""

    def run_input_thread(self) -> None:
        """Read keys until there are no more; then nobody looks, so the cockpit closes."""
        super().run_input_thread()
        if self.exit_event.is_set():
            return
        self._app.post_message(messages.ExitApp())
        late = threading.Timer(_ENDING, os._exit, (1,))
        late.daemon = True
        late.start()

    def open_url(self, url: str, new_tab: bool = True) -> None:
        """Nothing is opened: what stands in the cockpit may come from anywhere."""

    def deliver_binary(self, binary: Any, **what: Any) -> None:
        """No file goes to the browser."""
        binary.close()


def main(argv: list[str]) -> int:
    """Open the cockpit on a workspace; the exit code."""
    if len(argv) != 1:
        print("usage: python -P -m orchestrator.web.cockpit ROOT", file=sys.stderr)
        return 2
    from orchestrator.main import cockpit

    return cockpit(Path(argv[0]), terminal=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
