"""The pages as a browser shows them, as PNG: `python tests/web/pictures.py FOLDER`.

What is shown is a workspace of the tests' and a mind that is a double. The drives take the same pictures.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parents[1]), str(HERE), str(HERE.parent / "tui"), str(HERE.parent / "doubles")]

import browsing  # noqa: E402
from web_doubles import Served, scripted, served, workspace  # noqa: E402

from orchestrator.web.desk import Desk  # noqa: E402
from state.lock import Lock  # noqa: E402

LARGEST = 150_000
"""Bytes of a picture."""


def held(name: str) -> str:
    """What stands in a field of the page, as an expression."""
    return f"document.querySelector('#{name} textarea, #{name} input').value"


@contextlib.contextmanager
def lab(folder: Path, desk: Callable[[Any], Desk] = scripted) -> Iterator[tuple[Served, browsing.Tab]]:
    """The page to try the models on, opened by its link."""
    from orchestrator.web import page

    kept = dict(os.environ)  # the page makes settings of its own
    place = workspace(folder / "project")
    try:
        with (
            served(place, desk(place), mount=page.mount) as found,
            browsing.tab(folder / "profile", f"127.0.0.1:{found.port}") as tab,
        ):
            tab.open(found.serving.link)
            tab.until(f"{held('core')}.startsWith('Core 5c5c') && !!document.querySelector('#reason')")
            yield found, tab
    finally:
        os.environ.clear()
        os.environ.update(kept)


@contextlib.contextmanager
def cockpit(folder: Path) -> Iterator[tuple[Served, browsing.Tab]]:
    """The cockpit over a board on which something of everything happens, opened by its link."""
    from seeds import busy

    from orchestrator.web import browser

    place = workspace(folder / "project")
    busy(place.root).close()
    engine = Lock(place.lock)  # as if one worked: a cockpit starts one where none does
    assert engine.acquire()
    try:
        with (
            served(place, mount=browser.mount) as found,
            browsing.tab(folder / "profile", f"127.0.0.1:{found.port}") as tab,
        ):
            tab.open(found.serving.link)
            tab.until("document.activeElement.classList.contains('xterm-helper-textarea')")
            yield found, tab
    finally:
        engine.release()


def reflected(tab: browsing.Tab) -> bytes:
    """A board that was answered and reflected on."""
    tab.click("#example")
    tab.until(f"{held('board')}.length > 30")
    tab.click("#reflect")
    tab.until(f"{held('answer')}.includes('probability 90%')")
    tab.until("[...document.querySelectorAll('#picture img')].filter(i => i.naturalWidth > 50).length == 2")
    return tab.picture(whole=True)


def main(folder: Path) -> int:
    """Take them."""
    if why := browsing.lacking():
        print(why, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        with lab(Path(scratch, "page")) as (_, tab):
            made = {"web-lab.png": reflected(tab)}
        with cockpit(Path(scratch, "cockpit")) as (_, tab):
            tab.shows("TICKET-104")
            made["web-cockpit.png"] = tab.picture()
    for name, data in made.items():
        assert len(data) < LARGEST, (name, len(data))
        (folder / name).write_bytes(data)
        print(folder / name, len(data))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
