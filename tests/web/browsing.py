"""A headless Chromium for the drives: one tab that remembers what it asked for and what went wrong in it.

Nothing but 127.0.0.1 can be reached by it; what it asked of anybody else is in `elsewhere`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyte

from orchestrator.gates.cdp import Browser, Gone
from orchestrator.gates.gate import CHROMIUM

STARTING = 60.0
WAITING = 30.0
"""Seconds that a page may take on a busy machine; what is there sooner is waited for no longer."""
_REFUSED = "addEventListener('securitypolicyviolation', e => console.error('CSP', e.blockedURI))"


def lacking() -> str:
    """Why no browser can be driven here; '' where one can."""
    if os.name == "nt":
        return "a browser is spoken to over pipes, which is possible on Linux and macOS only"
    if program() is None:
        return "chromium is not installed"
    return ""


def program() -> str | None:
    """The browser."""
    return next((found for each in CHROMIUM if (found := shutil.which(each))), None)


class Tab:
    """One page of one browser."""

    def __init__(self, browser: Browser, own: str) -> None:
        self.browser, self.own = browser, own
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.drawn = b""
        """What came by websockets."""
        made = browser.call("Target.createTarget", url="about:blank")
        self.session = str(
            browser.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)["sessionId"]
        )

    def begin(self) -> None:
        """Listen to all that it does."""
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.browser.call(f"{domain}.enable", self.session)
        self.browser.call("Emulation.setFocusEmulationEnabled", self.session, enabled=True)
        self.browser.call("Page.addScriptToEvaluateOnNewDocument", self.session, source=_REFUSED)

    def hear(self, session: str, event: str, told: Mapping[str, Any]) -> None:
        """One event."""
        if session != self.session:
            return
        match event:
            case "Network.requestWillBeSent":
                self.asked.append(told["request"]["url"])
            case "Network.webSocketCreated":
                self.asked.append(told["url"])
            case "Network.webSocketFrameReceived" if told["response"]["opcode"] == 2:
                self.drawn += base64.b64decode(told["response"]["payloadData"])
            case "Runtime.exceptionThrown":
                self.wrong.append(json.dumps(told["exceptionDetails"])[:500])
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "assert"):
                self.wrong.append(" ".join(str(each.get("value", each)) for each in told["args"])[:500])
            case "Log.entryAdded" if told["entry"]["level"] == "error":
                self.wrong.append(f"{told['entry']['text']} {told['entry'].get('url', '')}"[:500])

    @property
    def elsewhere(self) -> list[str]:
        """What was asked of others than the server."""
        inside = ("data:", "blob:", "about:")
        return [
            each for each in self.asked if not each.startswith(inside) and urlsplit(each).netloc != self.own
        ]

    def open(self, url: str) -> None:
        """Go there."""
        self.browser.call("Page.navigate", self.session, WAITING, url=url)

    def evaluate(self, code: str) -> Any:
        """What an expression is worth in the page."""
        done = self.browser.call(
            "Runtime.evaluate", self.session, WAITING, expression=code, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in done:
            raise AssertionError(f"{code}: {json.dumps(done['exceptionDetails'])[:800]}")
        return done["result"].get("value")

    def until(self, code: str, seconds: float = WAITING) -> Any:
        """Wait until an expression is true of the page; its value."""
        end = time.monotonic() + seconds
        value = None
        while time.monotonic() < end:
            with contextlib.suppress(AssertionError, ValueError):  # the document is only just being made
                if value := self.evaluate(code):
                    return value
            self.browser.wait(0.05)
        text = self.evaluate("document.body ? document.body.innerText : ''")
        raise AssertionError(f"never so: {code}\n{str(text)[:3000]}\n{self.wrong}")

    def click(self, selector: str) -> None:
        """Click on what a selector finds."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def fill(self, selector: str, text: str) -> None:
        """Have a field hold this text, as if it had been typed."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{found}.focus(), {found}.select()")
        self.type(text)

    def tab(self, name: str) -> None:
        """Open a tab of the page."""
        found = f"[...document.querySelectorAll('[role=tab]')].find(t => t.innerText.trim() == {name!r})"
        self.evaluate(f"{found}.click()")

    def choose(self, selector: str, text: str) -> None:
        """Choose of a list that opens below a field."""
        found = f"[...document.querySelectorAll('[role=option]')].find(o => o.innerText.includes({text!r}))"
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.until(f"!!{found}")
        self.evaluate(f"{found}.dispatchEvent(new MouseEvent('mousedown', {{bubbles: true}}))")

    def press(self, key: str) -> None:
        """One key that is a character."""
        code = ord(key.upper())
        for kind in ("keyDown", "keyUp"):
            more = {"text": key} if kind == "keyDown" else {}
            self.browser.call(
                "Input.dispatchKeyEvent", self.session, type=kind, key=key, windowsVirtualKeyCode=code, **more
            )

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.browser.call("Input.insertText", self.session, text=text)

    def screen(self) -> str:
        """What a terminal in the page shows, by all that came for it."""
        told = next(each for each in self.asked if each.startswith("ws:"))
        size = {name: int(value[0]) for name, value in parse_qs(urlsplit(told).query).items()}
        shown = pyte.Screen(size["width"], size["height"])
        pyte.ByteStream(shown).feed(self.drawn)
        return "\n".join(shown.display)

    def shows(self, *texts: str) -> str:
        """Wait until the terminal in the page shows all of these; the screen."""
        end = time.monotonic() + WAITING
        found = ""
        while not self.drawn or not all(text in (found := self.screen()) for text in texts):
            assert time.monotonic() < end, f"{texts} never came:\n{found}\n{self.wrong}"
            self.browser.wait(0.1)
        return found

    def picture(self, whole: bool = False) -> bytes:
        """What it shows, as PNG; the whole page where that is longer than the window."""
        more: dict[str, Any] = {}
        if whole:
            size = self.browser.call("Page.getLayoutMetrics", self.session)["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 2_000), "scale": 1}
            more = {"captureBeyondViewport": True, "clip": clip}
        made = self.browser.call("Page.captureScreenshot", self.session, WAITING, format="png", **more)
        return base64.b64decode(made["data"])


@contextlib.contextmanager
def tab(scratch: Path, own: str) -> Iterator[Tab]:
    """A browser with one tab; `own` is the host and port of the server."""
    tabs: list[Tab] = []

    def hear(session: str, event: str, told: Mapping[str, Any]) -> None:
        for each in tabs:
            each.hear(session, event, told)

    found = program()
    assert found
    scratch.mkdir(exist_ok=True)
    browser = Browser(found, scratch, hear, reaches="127.0.0.1")
    try:
        try:
            browser.call("Browser.getVersion", within=STARTING)
        except Gone as why:
            raise RuntimeError(f"chromium does not start here: {browser.last_words()}") from why
        tabs.append(Tab(browser, own))
        tabs[0].begin()
        yield tabs[0]
    finally:
        browser.close()
