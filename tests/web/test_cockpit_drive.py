"""The cockpit in a real browser: drawn, spoken to by keys, and ended with its page."""

from __future__ import annotations

import time
from pathlib import Path

import browsing
import psutil
import pytest

pytest.importorskip("textual_serve")
pytest.importorskip("websockets")

import pictures
from web_doubles import of_type

pytestmark = [
    pytest.mark.skipif(bool(browsing.lacking()), reason=browsing.lacking() or "a browser is here"),
    pytest.mark.timeout(300),
]


def cockpits(place: Path) -> list[psutil.Process]:
    """The cockpits that run on a workspace for a browser."""
    found = []
    for each in psutil.Process().children(recursive=True):
        try:
            said = each.cmdline()
        except psutil.Error:
            continue
        if "orchestrator.web.cockpit" in said and str(place) in said:
            found.append(each)
    return found


def test_the_cockpit_is_shown_in_a_browser_heeds_keys_and_ends_with_its_page(tmp_path: Path) -> None:
    with pictures.cockpit(tmp_path) as (found, tab):
        tab.shows("TICKET-104", "Review")
        assert len(tab.picture()) < pictures.LARGEST
        assert len(cockpits(found.place.root)) == 1
        tab.press("6")
        tab.shows("No core yet")
        tab.press("4")
        tab.shows("Network · TICKET-109", "Can be approved: a")
        assert of_type(found.place, "proposal.approved") == []
        tab.browser.wait(1.0)  # keys that decide count only once a person can have read it
        tab.press("a")
        tab.shows("TICKET-109: approved")
        assert [each["contract"]["signoff"] for each in of_type(found.place, "proposal.approved")] == [
            "a, TICKET-109"
        ]
        assert tab.elsewhere == []
        assert tab.wrong == []
        tab.open("about:blank")
        until = time.monotonic() + browsing.WAITING
        while cockpits(found.place.root):
            assert time.monotonic() < until, "a cockpit outlives its page"
            time.sleep(0.05)
