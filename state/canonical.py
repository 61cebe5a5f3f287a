"""One spelling for each value, so that equal things have equal digests."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

Json = Any  # what json.loads gives; narrowed where it is read

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_decode = json.JSONDecoder().decode
_SURROGATE = re.compile("[\ud800-\udfff]")  # undecodable bytes of a file name, in Python's spelling


def canonical(value: Json) -> str:
    """JSON with sorted keys, no spaces, no NaN, and non-ASCII text as it is.

    The result is valid Unicode: a lone surrogate, which no database and no file would take, is escaped.
    """
    text = _encode(value)
    if text.isascii():
        return text
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def loads(text: str) -> Json:
    """A canonical value, its lone surrogates as the replacement character, so that it can be shown."""
    value = _decode(text)
    if "\\ud" in text:
        value = json.loads(_SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False)))
    return value


def digest(value: Json) -> str:
    """Hex SHA-256 of the canonical form: the name of a proposal's content, or of a ticket's revision."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()
