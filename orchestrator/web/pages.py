"""Which pages a browser gets beside the API: none, unless they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.web.desk import Desk

Mount = Callable[[Any, Desk], Mapping[str, str]]


class NoPage(RuntimeError):
    """A library is not one that the page is made for; the message says which would be."""


def mounted(page: bool, cockpit: bool) -> Mount | None:
    """What adds the pages that are wanted to an application, and loads their libraries; None for none."""
    if not page and not cockpit:
        return None

    def mount(app: Any, desk: Desk) -> Mapping[str, str]:
        found: dict[str, str] = {}
        if page:
            from orchestrator.web import page as lab

            found |= lab.mount(app, desk)
        if cockpit:
            from orchestrator.web import browser

            found |= browser.mount(app, desk)
        return found

    return mount
