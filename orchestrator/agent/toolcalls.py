"""Tool calls that a model wrote although it was asked for plain text: found, and brought to one shape.

Many models print `{"name": ..., "arguments": {...}}` whatever they are told. Only the shapes are known here;
what a call means is the reader's. Pure; a text is decoded at a few places at most, so hostile text costs
little more than one pass.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_TRIES = 16  # places where JSON may begin that are looked at
_BEGINS = re.compile(
    r"^[ \t]{0,16}(?:<tool_call>|<function_call>|\[TOOL_CALLS\])?\s{0,16}([\[{])", re.MULTILINE
)
_NAMES = ("name", "tool", "tool_name", "action", "verb", "command", "function")
_ARGUMENTS = ("arguments", "args", "parameters", "params", "input", "action_input")
_FUNCTION = re.compile(r"<function=([A-Za-z_]{1,40})>")
_PARAMETER = re.compile(r"<parameter=([A-Za-z_]{1,40})>")

TOOLS = {
    name: verb
    for verb, names in {
        "READ": "read read_file readfile open open_file view view_file cat get_file",
        "SEARCH": "search grep search_files search_code find_in_files",
        "EDIT": "edit edit_file write write_file create create_file replace str_replace replace_in_file"
        " str_replace_editor str_replace_based_edit_tool write_to_file",
        "RUN": "run run_command bash shell execute execute_command terminal exec",
        "DONE": "done finish submit complete attempt_completion",
        "ASK": "ask ask_user question ask_question ask_followup_question",
    }.items()
    for name in names.split()
}
"""Names that tools have elsewhere, and the verb that each one is here."""


@dataclass(frozen=True)
class ToolCall:
    """A verb, and what it was given, by the names that the model chose."""

    verb: str
    given: Mapping[str, Any]

    def text(self, *names: str) -> str | None:
        """The first of these arguments that is given as text."""
        return next((self.given[name] for name in names if isinstance(self.given.get(name), str)), None)

    def number(self, *names: str) -> int:
        """The first of these arguments that is a whole number from 1 to 9 999 999, else 0."""
        for name in names:
            value = self.given.get(name)
            if isinstance(value, str) and re.fullmatch(r"\d{1,7}", value):
                value = int(value)
            if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10_000_000:
                return value
        return 0


def first(text: str) -> ToolCall | None:
    """The first tool call in a text whose verb is known."""
    return next(_json(text), None) or _tagged(text)


def alone(verb: str, text: str) -> ToolCall | None:
    """What stands behind a verb, where it is a JSON object of arguments."""
    value = _decoded(text)
    return ToolCall(verb, value) if isinstance(value, dict) else None


def _json(text: str) -> Iterator[ToolCall]:
    at, tries = 0, 0
    while tries < _TRIES and (found := _BEGINS.search(text, at)):
        tries += 1
        value, at = _decode(text, found.start(1))
        yield from _calls(value, 0)


def _decoded(text: str) -> Any:
    return _decode(text, 0)[0] if text.startswith(("{", "[")) else None


def _decode(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at a place, and where to look on."""
    try:
        # strict=False: models break the lines of code within strings
        return json.JSONDecoder(strict=False).raw_decode(text, at)
    except (ValueError, RecursionError):
        return None, at + 1


def _calls(value: Any, depth: int) -> Iterator[ToolCall]:
    """The calls in a decoded value, in order; lists and wrappers are opened a few levels deep."""
    if depth > 3:
        return
    if isinstance(value, list):
        for each in value[:_TRIES]:
            yield from _calls(each, depth + 1)
    if not isinstance(value, dict):
        return
    if isinstance(value.get("tool_calls"), list):
        yield from _calls(value["tool_calls"], depth + 1)
    if isinstance(value.get("function"), dict):
        yield from _calls(value["function"], depth + 1)
    for key in _NAMES:
        if isinstance(name := value.get(key), str) and (verb := TOOLS.get(name.strip().lower())):
            yield ToolCall(verb, _given(value, key))
            return
    if len(value) == 1:  # {"READ": "path"}, {"read": {"path": ...}}
        ((name, given),) = value.items()
        if verb := TOOLS.get(str(name).strip().lower()):
            yield ToolCall(verb, given if isinstance(given, dict) else {"": given})


def _given(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The arguments of a call: under their own name, as JSON within a text, or beside the call's name."""
    for name in _ARGUMENTS:
        given = value.get(name)
        if isinstance(given, str) and isinstance(within := _decoded(given.strip()), dict):
            return within
        if isinstance(given, dict):
            return given
        if isinstance(given, str):
            return {"": given}
    return {name: each for name, each in value.items() if name != key}


def _tagged(text: str) -> ToolCall | None:
    """`<function=edit><parameter=path>...</parameter>...</function>`: how some models are taught to call."""
    named = _FUNCTION.search(text)
    verb = TOOLS.get(named[1].lower()) if named else None
    if named is None or verb is None:
        return None
    end = text.find("</function>", named.end())
    body = text[named.end() : end if end >= 0 else len(text)]
    given = {}
    for found in _PARAMETER.finditer(body):
        stop = body.find("</parameter>", found.end())
        if stop < 0:
            return None
        given[found[1]] = body[found.end() : stop].removeprefix("\n").removesuffix("\n")
    return ToolCall(verb, given)
