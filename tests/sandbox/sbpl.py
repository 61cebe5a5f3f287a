"""A double of macOS's sandbox: reads a profile and says what it would decide.

It knows as much of the language as ours uses, and that of all rules that fit the last one counts. It shows
what our text says, not what a Mac does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(r'\s*(?:;[^\n]*\n\s*)*(\(|\)|\'|#?"(?:\\.|[^"\\])*"|[^\s()\'";]+)', re.DOTALL)


_OPEN = ("process-info", "nvram", "iokit-get-properties", "file-map-executable", "file-link", "file-clone")
"""Operations that `(deny default)` leaves allowed, as WebKit's profiles have it, or that it may leave so."""


@dataclass(frozen=True)
class Text:
    """A string, or a regular expression."""

    value: str
    pattern: bool = False


def parse(source: str) -> list[Any]:
    """The forms of a profile: lists of words and texts."""
    stack: list[list[Any]] = [[]]
    at = 0
    while source[at:].strip():
        token = _TOKEN.match(source, at)
        assert token is not None, f"not SBPL: {source[at : at + 60]!r}"
        at, word = token.end(), token[1]
        if word == "(":
            stack.append([])
        elif word == ")":
            done = stack.pop()
            assert stack, "a bracket too many"
            stack[-1].append(done)
        elif word[0] == '"':
            stack[-1].append(Text(re.sub(r"\\(.)", r"\1", word[1:-1])))
        elif word[0] == "#":
            stack[-1].append(Text(word[2:-1], pattern=True))
        elif word != "'":
            stack[-1].append(word)
    assert len(stack) == 1, "a bracket is open"
    return stack[0]


class Profile:
    """Decides as the profile says."""

    def __init__(self, source: str, parameters: Mapping[str, str]) -> None:
        self._parameters = parameters
        self._default = ""
        self._rules: list[tuple[str, list[str], list[Any]]] = []
        for form in parse(source):
            self._read(form)
        assert self._default == "deny"

    def allows(self, operation: str, what: str = "", **facts: str) -> bool:
        """Whether an operation on a path (or name) is allowed."""
        verdict = "allow" if operation.startswith(_OPEN) else self._default
        for verb, operations, filters in self._rules:
            fits = any(
                operation == each or (each.endswith("*") and operation.startswith(each[:-1]))
                for each in operations
            )
            if fits and (not filters or any(self._fits(each, what, facts) for each in filters)):
                verdict = verb
        return verdict == "allow"

    def _read(self, form: list[Any]) -> None:
        match form:
            case ["version", "1"]:
                return
            case ["when", ["defined?", str()], inner]:
                self._read(inner)
            case [("allow" | "deny") as verb, "default"]:
                self._default = verb
            case [("allow" | "deny") as verb, *rest]:
                operations = [each for each in rest if isinstance(each, str)]
                assert operations, form
                self._rules.append((verb, operations, [each for each in rest if isinstance(each, list)]))
            case _:
                raise AssertionError(f"not known: {form}")

    def _fits(self, filter_: list[Any], what: str, facts: Mapping[str, str]) -> bool:
        match filter_:
            case ["require-all", *parts]:
                return all(self._fits(each, what, facts) for each in parts)
            case ["literal", text]:
                return what == self._text(text)
            case ["subpath", text]:
                return what == self._text(text) or what.startswith(self._text(text) + "/")
            case ["regex" | "ipc-posix-name-regex", Text(pattern, True)]:
                return re.search(pattern, what) is not None
            case ["global-name" | "sysctl-name" | "ipc-posix-name", text]:
                return what == self._text(text)
            case ["sysctl-name-prefix", text]:
                return what.startswith(self._text(text))
            case [("target" | "socket-domain") as fact, value]:
                return facts.get(fact) == value
            case ["extension", text]:
                return facts.get("extension") == self._text(text)
        raise AssertionError(f"not known: {filter_}")

    def _text(self, form: Any) -> str:
        match form:
            case Text(value, False):
                return value
            case ["param", Text(name, False)]:
                return self._parameters[name]
        raise AssertionError(f"not a text: {form}")
