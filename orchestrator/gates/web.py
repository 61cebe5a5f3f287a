"""Gate `web-smoke`: each page opens in a browser, from the disk, without a network, and nothing goes wrong.

Wrong is: an error on the console, an exception or a rejection that nobody catches, a file that cannot be
loaded, a page that does not answer, a canvas on which nothing is drawn, and an animation that stands still.
A page that shows nothing until it is spoken to gets a click and some keys before it is called empty.
"""

from __future__ import annotations

import base64
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from orchestrator.gates.cdp import Browser, Gone
from orchestrator.gates.gate import CHROMIUM
from orchestrator.gates.inside import Skip, files, main, tool
from orchestrator.gates.picture import plain

_MOST_PAGES = 20
_STARTING = 60.0  # seconds for a browser to start on a slow machine
_LOADING = 15.0
_ANSWERING = 5.0  # for a page to answer; an endless loop never does
_SETTLING = 0.5  # for errors that come after loading
_DRAWING = (1.5, 2.5)  # for a picture to come, or to change: by itself, and after a nudge
_LOOK = 0.1
_SMALL = 240.0  # pixels of a picture's width: enough to see a change, quick to read
_OVERALL = 240.0

_WATCH = """
(() => {
  const seen = {asked: 0, kinds: new WeakMap()};
  const frame = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (f) => { seen.asked++; return frame(f); };
  const get = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
    const made = get.call(this, kind, ...rest);
    if (made) seen.kinds.set(this, kind);
    return made;
  };
  Object.defineProperty(window, "__smoke", {value: seen});
})()
"""
"""Runs before the page: which canvas has which context, and whether frames are asked for."""

_CANVASES = """
(() => [...document.querySelectorAll("canvas")].map((canvas) => {
  const box = canvas.getBoundingClientRect(), style = getComputedStyle(canvas);
  if (!box.width || !box.height || style.visibility === "hidden" || style.display === "none") return null;
  const kind = __smoke.kinds.get(canvas) || "";
  const told = {name: canvas.id ? "#" + canvas.id : "", kind, asked: __smoke.asked, plain: null, sum: null,
    box: [box.left + scrollX, box.top + scrollY, box.width, box.height]};
  if (kind === "2d" && canvas.width * canvas.height <= 16e6) {
    try {
      const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      const pixels = new Uint32Array(data.buffer);
      let sum = 0;
      told.plain = true;
      for (let i = 0; i < pixels.length; i++) {
        if (pixels[i] !== pixels[0]) told.plain = false;
        sum = (Math.imul(sum, 31) + pixels[i]) | 0;
      }
      told.sum = sum;
    } catch (error) { /* an image from the disk is on it: the picture of the page tells */ }
  }
  return told;
}).filter((told) => told).slice(0, 8))()
"""
"""Each canvas that can be seen; of a plain one, its pixels themselves, whatever lies over it."""

_START = """
(() => {
  const words = /start|play|begin|new game|run|go|iniciar|jogar|começar/i;
  const buttons = [...document.querySelectorAll("button, [role=button], input[type=button]")];
  const found = buttons.find((each) => words.test(each.textContent || each.value || ""));
  if (found) found.click();
})()
"""
_KEYS = (("Enter", "Enter", 13), (" ", "Space", 32), ("ArrowRight", "ArrowRight", 39))


class Page:
    """One page in a context of its own, and what was found wrong with it."""

    def __init__(self, path: str) -> None:
        """`path`: in the checkout."""
        self.path, self.found, self.loaded, self.crashed = path, dict[str, None](), False, False
        self._root, self._requests = f"file://{Path.cwd()}/", dict[str, str]()
        self._session = ""

    # What the browser tells ----------------------------------------------------------------------

    def hear(self, session: str, event: str, told: Mapping[str, Any]) -> None:
        """One event."""
        if session != self._session:
            return
        match event:
            case "Runtime.exceptionThrown":
                self._exception(told["exceptionDetails"])
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "assert"):
                said = " ".join(_shown(each) for each in told["args"]) or "(nothing)"
                self._add(f"console.{told['type']}: {said}", _frame(told))
            case "Log.entryAdded" if (
                told["entry"]["level"] == "error" and told["entry"]["source"] != "network"
            ):
                self._add(told["entry"]["text"], told["entry"])
            case "Network.requestWillBeSent":
                self._requests[told["requestId"]] = told["request"]["url"]
            case "Network.loadingFailed" if not told.get("canceled"):
                url = self._short(self._requests.get(told["requestId"], "a file"))
                why = told["errorText"].removeprefix("net::")
                if not url.startswith(("data:", "blob:")):
                    far = (
                        " (there is no network: bring it along)"
                        if url.startswith(("http:", "https:"))
                        else ""
                    )
                    self._add(f"cannot load {url}: {why}{far}", {})
            case "Page.loadEventFired":
                self.loaded = True
            case "Inspector.targetCrashed":
                self.crashed = True
                self._add("the page crashed", {})

    def _exception(self, details: Mapping[str, Any]) -> None:
        thrown = details.get("exception") or {}
        said = str(thrown.get("description") or thrown.get("value") or details.get("text") or "an exception")
        where = dict(details)
        frames = (details.get("stackTrace") or {}).get("callFrames") or ()
        if not where.get("url") and frames:
            where = dict(frames[0])
        self._add(f"uncaught {said.splitlines()[0]}", where)

    def _add(self, text: str, where: Mapping[str, Any]) -> None:
        place = ""
        if url := self._short(str(where.get("url") or "")):
            place = f" ({url}:{int(where.get('lineNumber') or 0) + 1})"
        if len(self.found) < 20:
            self.found[f"{self.path}: {self._short(text)[:500]}{place}"] = None

    def _short(self, text: str) -> str:
        return unquote(text).replace(self._root, "") if self._root in unquote(text) else text

    # What is done with it ------------------------------------------------------------------------

    def visit(self, browser: Browser) -> None:
        """Open it and look."""
        context = browser.call("Target.createBrowserContext")["browserContextId"]
        try:
            made = browser.call("Target.createTarget", url="about:blank", browserContextId=context)
            attached = browser.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)
            self._session = str(attached["sessionId"])
            for domain in ("Runtime", "Log", "Network", "Page", "Inspector"):
                browser.call(f"{domain}.enable", self._session)
            browser.call("Page.addScriptToEvaluateOnNewDocument", self._session, source=_WATCH)
            self._look(browser)
        except Gone as why:
            if not self.crashed:
                self._add(f"the page does not answer: is there an endless loop? ({why})", {})
        finally:
            self._session = ""
            browser.call("Target.disposeBrowserContext", within=_ANSWERING, browserContextId=context)

    def _look(self, browser: Browser) -> None:
        url = f"{self._root}{quote(self.path)}"
        gone = browser.call("Page.navigate", self._session, _LOADING, url=url).get("errorText")
        if gone:
            self._add(f"cannot be opened: {gone}", {})
            return
        if not browser.wait(_LOADING, lambda: self.loaded or self.crashed):
            self._add(f"is not loaded after {_LOADING:.0f} s", {})
        browser.wait(_SETTLING, lambda: self.crashed)
        if self.crashed or self.found or not self._canvases(browser):
            return  # an error explains what is not drawn, too
        if empty := self._stays(browser, self._empty):
            self._add(f"{empty}: nothing is drawn on it", {})
        elif self._canvases(browser)[0]["asked"]:
            before = self._pictures(browser)
            if self._stays(browser, lambda each: "still" if self._pictures(each) == before else ""):
                self._add(
                    "the animation stands still: requestAnimationFrame is used, and no picture differs", {}
                )

    def _stays(self, browser: Browser, wrong: Any) -> str:
        """What is wrong with its pictures and stays so, also after a click and some keys; '' for nothing."""
        said = str(wrong(browser))
        for nudge, patience in enumerate(_DRAWING):
            if nudge and said:
                self._nudge(browser)
            until = time.monotonic() + patience
            while said and time.monotonic() < until:
                browser.wait(_LOOK)
                said = str(wrong(browser))
        return said

    def _empty(self, browser: Browser) -> str:
        for number, canvas in enumerate(self._canvases(browser), 1):
            empty = canvas["plain"]
            if empty is None:
                empty = not canvas["kind"] or plain(self._picture(browser, canvas))
            if empty:
                hint = "" if canvas["asked"] else ", and requestAnimationFrame is never called"
                return f"canvas {canvas['name'] or number} stays empty{hint}"
        return ""

    def _canvases(self, browser: Browser) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self._evaluate(browser, _CANVASES) or ()
        return found

    def _pictures(self, browser: Browser) -> list[Any]:
        return [
            each["sum"] if each["sum"] is not None else self._picture(browser, each)
            for each in self._canvases(browser)
        ]

    def _picture(self, browser: Browser, canvas: Mapping[str, Any]) -> bytes:
        x, y, width, height = canvas["box"]
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": min(1.0, _SMALL / width)}
        made = browser.call("Page.captureScreenshot", self._session, _ANSWERING, clip=clip)
        return base64.b64decode(made["data"])

    def _evaluate(self, browser: Browser, code: str) -> Any:
        done = browser.call(
            "Runtime.evaluate", self._session, _ANSWERING, expression=code, returnByValue=True
        )
        return done["result"].get("value")

    def _nudge(self, browser: Browser) -> None:
        """What somebody does who opens a game: the start button, a click, some keys."""
        self._evaluate(browser, _START)
        x, y, width, height = self._canvases(browser)[0]["box"]
        at: dict[str, Any] = {"x": x + width / 2, "y": y + height / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            browser.call("Input.dispatchMouseEvent", self._session, _ANSWERING, type=kind, **at)
        for key, code, number in _KEYS:
            for kind in ("keyDown", "keyUp"):
                named = {"key": key, "code": code, "windowsVirtualKeyCode": number}
                browser.call("Input.dispatchKeyEvent", self._session, _ANSWERING, type=kind, **named)


def _shown(value: Mapping[str, Any]) -> str:
    """A value of the console's, in words."""
    said = value.get("description") if "description" in value else value.get("value", value.get("type"))
    return str(said).splitlines()[0] if said else ""


def _frame(told: Mapping[str, Any]) -> Mapping[str, Any]:
    frames: Sequence[Mapping[str, Any]] = (told.get("stackTrace") or {}).get("callFrames") or ({},)
    return frames[0]


def pages(changed: Sequence[str]) -> list[str]:
    """The pages that are opened: those that the change touches, each index.html, or else every page."""
    there = files(".html", ".htm")
    entry = [each for each in there if Path(each).name.lower() in ("index.html", "index.htm")]
    return sorted({*entry, *(each for each in changed if each in there)}) or there


def check() -> Iterator[str]:
    """What goes wrong, page by page."""
    if os.name == "nt":
        raise Skip("web-smoke speaks to a browser over pipes, which it can on Linux and macOS only")
    program = tool(*CHROMIUM)
    if program is None:
        raise Skip("chromium is not installed")
    found = pages(sys.argv[1:])
    if not found:
        yield "there is no HTML file to look at"
        return
    now: list[Page] = []

    def hear(session: str, event: str, told: Mapping[str, Any]) -> None:
        if event == "Page.javascriptDialogOpening":  # a dialog that nobody answers holds the page up
            browser.send("Page.handleJavaScriptDialog", session, accept=True)
        elif now:
            now[-1].hear(session, event, told)

    until = time.monotonic() + _OVERALL
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        browser = Browser(program, Path(scratch), hear)
        try:
            try:
                browser.call("Browser.getVersion", within=_STARTING)
            except Gone as why:
                raise Skip(f"{Path(program).name} does not start here: {browser.last_words()}") from why
            for path in found[:_MOST_PAGES]:
                if time.monotonic() > until:
                    yield f"{path}: not looked at, the time is up"
                    continue
                now.append(Page(path))
                now[-1].visit(browser)
                yield from now[-1].found
        except Gone as why:
            yield f"{now[-1].path if now else 'browser'}: {why}"
        finally:
            browser.close()
    if len(found) > _MOST_PAGES:
        print(f"{len(found) - _MOST_PAGES} more pages were not opened")


if __name__ == "__main__":
    main(check)
