"""Which pages a browser gets beside the API: none, the page to try the models on, or the cockpit.

Never both: they would be one origin, where a script of the one reaches the other, and in the cockpit keys
approve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.web.desk import Desk

Mount = Callable[[Any, Desk], Mapping[str, str]]


class NoPage(RuntimeError):
    """A library is not one that the page is made for; the message says which would be."""


def mounted(page: bool, cockpit: bool) -> Mount | None:
    """What adds the page that is wanted to an application, and loads its libraries; None for none."""
    if page and cockpit:
        raise ValueError("the page and the cockpit are never served together")
    if page:
        from orchestrator.web.page import mount

        return mount
    if cockpit:
        from orchestrator.web.browser import mount

        return mount
    return None
