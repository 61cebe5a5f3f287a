"""What goes wrong out of sight (in a thread, in a library) is written whole, and safe to read on a terminal.

An error's message may hold what a command said or how a hostile file is called, and `engine.log` is read with
`cat` and `tail`.
"""

from __future__ import annotations

import logging
import sys
import threading

from state.safe_text import safe_lines, trace


def tell(error: BaseException) -> None:
    """Write an error's trace to stderr."""
    print(trace(error), file=sys.stderr, flush=True)


def guard() -> None:
    """Have threads that die and libraries that warn write as `tell` does, from here on."""
    threading.excepthook = _died
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Safe())


def _died(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None:
        tell(what.exc_value)


class _Safe(logging.Formatter):
    """A message and its trace in safe lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines."""
        return "\n".join(safe_lines(super().format(record)))
