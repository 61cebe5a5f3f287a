"""The cockpit in a real browser: drawn, spoken to by keys, and ended with its page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import browsing
import psutil
import pyte
import pytest
from web_doubles import Served, served, workspace

pytest.importorskip("textual_serve")
pytest.importorskip("websockets")

from orchestrator.web import browser
from state.lock import Lock

pytestmark = [
    pytest.mark.skipif(bool(browsing.lacking()), reason=browsing.lacking() or "a browser is here"),
    pytest.mark.timeout(300),
]


@pytest.fixture
def cockpit(tmp_path: Path) -> Iterator[Served]:
    place = workspace(tmp_path / "project")
    engine = Lock(place.lock)  # as if one worked: a cockpit starts one where none does
    assert engine.acquire()
    try:
        with served(place, mount=browser.mount) as found:
            yield found
    finally:
        engine.release()


def screen(tab: browsing.Tab) -> str:
    """What the terminal shows."""
    told = next(each for each in tab.asked if each.startswith("ws:"))
    size = {name: int(value[0]) for name, value in parse_qs(urlsplit(told).query).items()}
    shown = pyte.Screen(size["width"], size["height"])
    pyte.ByteStream(shown).feed(tab.drawn)
    return "\n".join(shown.display)


def shows(tab: browsing.Tab, text: str) -> str:
    """Wait until the terminal shows this."""
    until = time.monotonic() + browsing.WAITING
    while text not in (found := screen(tab) if tab.drawn else ""):
        assert time.monotonic() < until, f"{text!r} never came:\n{found}\n{tab.wrong}"
        tab.browser.wait(0.1)
    return found


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


def test_the_cockpit_is_shown_in_a_browser_and_heeds_keys(cockpit: Served, tmp_path: Path) -> None:
    root = cockpit.place.root
    with browsing.tab(tmp_path / "profile", f"127.0.0.1:{cockpit.port}") as tab:
        tab.open(cockpit.serving.link)
        shows(tab, "TICKET-001")
        assert len(cockpits(root)) == 1
        tab.until("document.activeElement.classList.contains('xterm-helper-textarea')")
        tab.press("6")
        shows(tab, "No core yet")
        (tmp_path / "cockpit.png").write_bytes(tab.picture())
        assert tab.elsewhere == []
        assert tab.wrong == []
        tab.open("about:blank")
        gone(root)


def gone(root: Path) -> None:
    """Wait until no cockpit runs on the workspace."""
    until = time.monotonic() + browsing.WAITING
    while cockpits(root):
        assert time.monotonic() < until, "a cockpit outlives its page"
        time.sleep(0.05)
