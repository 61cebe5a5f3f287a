"""A page to try the models on: ask, reflect, correct, encode, memories, traces, proposals. Gradio draws it.

Guarantees:
- It loads nothing from anywhere but this server: the first document is ours, the fonts are the machine's own,
  and the policy of the page (CSP) has the browser refuse the rest. What Gradio would call home with is off,
  and whoever serves has this process reach nothing (`reach.guard`).
- Of Gradio's some sixty routes those that the page needs are open (`Only`), and a call holds plain values
  alone: no upload, no file, no proxy, nothing that is fetched.
- It approves nothing. Proposals are shown; they are answered in the cockpit or with `jetbox approve`.
- What the mind says is shown as plain text, or as an image in which nothing runs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator import reach
from orchestrator.web.blocks import blocks
from orchestrator.web.desk import Desk
from orchestrator.web.guard import App, Message, Receive, Scope, Send
from orchestrator.web.pages import NoPage

PATH = "/lab/"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'none'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Scripts come from files of this server alone. Gradio sets styles inline, which says nothing to anybody."""
_ASSET = re.compile(r'(?:src|href)="\./assets/(index-[\w-]+\.(?:js|css))"')
_OPEN = tuple(
    (method, re.compile(path))
    for method, path in (
        ("GET", r"/config"),
        ("GET", r"/theme\.css"),
        ("GET", r"/assets/[\w-]+(\.[\w-]+)*"),
        ("GET", r"/gradio_api/(info|startup-events)"),
        ("GET", r"/gradio_api/heartbeat/\w{1,64}"),
        ("GET", r"/gradio_api/queue/data"),
        ("POST", r"/gradio_api/queue/join"),
        ("POST", r"/gradio_api/(reset|cancel)"),
    )
)
_CSS = ".mono textarea { font-family: monospace !important; } .gradio-container { max-width: 1100px; }"


def mount(app: Any, desk: Desk) -> Mapping[str, str]:
    """Add the page to an application; its path and its policy.

    Raises:
        NoPage: the installed Gradio is not one that this page is made for.
    """
    folder = desk.workspace.home / "web"
    _quiet(folder)
    with reach.guard(frozenset()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of codecs for sound, and such
        import gradio

        made = blocks(gradio, desk)
        theme = gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
        gradio.mount_gradio_app(
            app,
            made,
            path=PATH.rstrip("/"),
            theme=theme,
            css=_CSS,
            allowed_paths=[],
            blocked_paths=["/"],
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            show_error=False,
            max_file_size=1,
        )
    shutil.rmtree(folder, ignore_errors=True)  # of features that are off
    route = app.router.routes[-1]
    route.app = Only(route.app, shell(Path(gradio.__file__).parent))
    return {PATH: POLICY}


def _quiet(folder: Path) -> None:
    """Gradio's settings are ours, whatever the environment says: it asks, tells and shares nothing."""
    for name in [each for each in os.environ if each.startswith(("GRADIO_", "SPACE_"))]:
        del os.environ[name]
    os.environ.pop("SYSTEM", None)  # "spaces": that somebody else hosts it
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # not the folder that everybody on this machine shares
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def shell(package: Path) -> bytes:
    """The page's first document: Gradio's program, and nothing else of the one that it brings.

    Args:
        package: the folder of the installed Gradio.

    Raises:
        NoPage: it has no program where it is looked for.
    """
    try:
        text = (package / "templates" / "frontend" / "index.html").read_text(encoding="utf-8")
    except OSError as error:
        raise NoPage(f"the installed Gradio has no page: {error.strerror}") from error
    found = dict.fromkeys(_ASSET.findall(text))
    script = next((each for each in found if each.endswith(".js")), None)
    style = next((each for each in found if each.endswith(".css")), None)
    if script is None or style is None:
        raise NoPage("the installed Gradio is not one that this page is made for: gradio 6 is")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Jetbox Lab</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f'<script type="module" src="{PATH}assets/{script}"></script>'
        f'<link rel="stylesheet" href="{PATH}assets/{style}"></head><body>'
        '<gradio-app control_page_title="true" embed="false" eager="true"></gradio-app></body></html>'
    ).encode()


class Only:
    """ASGI before Gradio's application: what the page needs gets through."""

    def __init__(self, app: App, document: bytes) -> None:
        self._app, self._document = app, document

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, or answer."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return
        method = str(scope["method"])
        path = str(scope["path"]).removeprefix(str(scope.get("root_path") or ""))
        if method == "GET" and path in ("", "/"):
            await _say(send, 200, b"text/html; charset=utf-8", self._document)
        elif not any(method == each and known.fullmatch(path) for each, known in _OPEN):
            await _error(send, 404, "path", "the page has no such path")
        elif method == "POST":
            body = await _whole(receive)
            if wrong := refused(body):
                await _error(send, 422, "request", wrong)
            else:
                await self._app(scope, _given(body, receive), send)
        else:
            await self._app(scope, receive, send)


def refused(body: bytes) -> str:
    """Why the body of a call is not one of the page's; '' where it may be. Plain values are no files."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return "the body is no JSON"
    if not isinstance(said, dict):
        return "the body is no object"
    data = said.get("data", [])
    if not isinstance(data, list) or len(data) > 64:
        return "data: a list of at most 64 values"
    happened = said.get("event_data") or {}  # which tab was chosen, and such
    if not isinstance(happened, dict) or len(happened) > 8:
        return "event_data: a few values"
    more = [each for name, each in said.items() if name not in ("data", "event_data")]
    if not all(
        each is None or isinstance(each, (str, int, float)) for each in (*data, *happened.values(), *more)
    ):
        return "values are text, numbers, and yes or no"
    session = said.get("session_hash")
    return "" if session is None or re.fullmatch(r"\w{1,64}", str(session)) else "session_hash: a short word"


async def _whole(receive: Receive) -> bytes:
    """A body; the guard has bounded it."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(parts)


def _given(body: bytes, receive: Receive) -> Receive:
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


async def _error(send: Send, status: int, reason: str, line: str) -> None:
    await _say(send, status, b"application/json", json.dumps({"error": line, "reason": reason}).encode())


async def _say(send: Send, status: int, kind: bytes, body: bytes) -> None:
    head = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
