"""Reading what a model server answers: numbers, texts and errors out of JSON that may be anything."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.providers.base import Kind, ProviderError

_CLOUD = re.compile(r"[-:]cloud$", re.IGNORECASE)
_TOO_LONG = ("exceed", "maximum", "too long", "too large", "larger than")


def parse(data: bytes, kind: Kind = "mid-stream") -> dict[str, Any]:
    """A JSON object.

    Raises:
        ProviderError: of this kind, it is none.
    """
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        start = data[:60].decode("utf-8", "replace")
        raise ProviderError(kind, f"the server sent something that is no JSON object: {start!r}")
    return value


def failure(error: Any, status: int = 0) -> ProviderError:
    """A server's own error as what would cure it.

    Args:
        error: its text, or an object with `message`.
        status: of HTTP, where the error came as one; 0 within a stream.
    """
    said = error.get("message", error) if isinstance(error, dict) else error
    text = " ".join(str(said)[:500].split()) or f"status {status}"
    low = text.lower()
    kind: Kind
    about = any(word in low for word in ("context", "input", "prompt"))
    if about and any(word in low for word in _TOO_LONG):
        kind = "truncated"
    elif "more system memory" in low or "out of memory" in low:
        kind = "refused"  # the same again would not fit either
    elif status == 404 or ("model" in low and "not found" in low):
        kind = "missing"
    elif status in (408, 425, 429) or (status >= 500 and status != 501):
        kind = "transport"
    elif status:
        kind = "refused"
    else:
        kind = "mid-stream"
    return ProviderError(kind, f"the model server says: {text}")


def count(value: Any) -> int | None:
    """A number of tokens or bytes as a server tells it; None where it is no such thing."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 62:
        return None
    return value


def text(data: Mapping[str, Any], key: str) -> str:
    """A text that may be left out.

    Raises:
        ProviderError: mid-stream, it is something else.
    """
    value = data.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ProviderError("mid-stream", f"the server sent a chunk whose `{key}` is no text")
    return value


def objects(data: Mapping[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    """The objects of a list; those that are none are left out.

    Raises:
        ProviderError: transport, there is no such list.
    """
    value = data.get(key)
    if not isinstance(value, list):
        raise ProviderError(
            "transport", f"what answers at {where} has no list `{key}`: is it a model server?"
        )
    return [each for each in value if isinstance(each, dict)]


def short(data: Mapping[str, Any], key: str) -> str:
    """A name or the like: at most 300 characters, '' where it is none."""
    value = data.get(key)
    return value[:300] if isinstance(value, str) else ""


def cloud(model: str) -> bool:
    """Whether a name says that Ollama's makers would run the model, and not the server itself."""
    return bool(_CLOUD.search(model))
