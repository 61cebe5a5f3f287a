"""YAML as tickets use it: the plain data of one document, with the place of every value, and no surprises.

Guarantees:
- scalars mean what YAML 1.2's core schema says: `1e-4` is a number, `12:30` and `no` are text, `010` is ten;
- no aliases, anchors, tags, duplicate keys, keys that are not text, second documents, control or invisible
  characters, numbers that a 64-bit machine can't hold, nesting beyond 32 levels, files beyond 256 KiB;
- all faults are reported at once, reading on wherever that makes sense; nothing is raised for a bad file;
- time and memory are linear in the size of the file.

Built on PyYAML's events alone, so none of its constructors can run.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from tickets.problems import MOST_PROBLEMS, Path, Problem, clipped, field_name, quoted

MOST_BYTES = 256 * 1024
MOST_LEVELS = 32

Place = tuple[int, int]
"""Line and column, both from 1; a column counts characters, not bytes."""


@dataclass(slots=True)
class Node:
    """A value of the document and where it starts. Maps and lists hold their values' nodes in `items`."""

    value: Any
    line: int
    column: int
    items: "dict[str, Node] | list[Node] | None" = None
    keys: dict[str, Place] = field(default_factory=dict)
    """Of a map: where each key stands."""


@dataclass(slots=True)
class Document:
    """What could be read of a file.

    `root` is None when nothing useful could be: then `problems` is not empty and checking further would only
    mislead. `holes` are the paths of values that were refused and stand as None in the data.
    """

    root: Node | None
    problems: list[Problem]
    holes: set[Path]


# PyYAML's C parser is some ten times as fast; it is missing where PyYAML was built without libyaml.
EVENTS: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_STARTS = frozenset("-+.0123456789")

# Refused: C0 and C1 controls; the line and paragraph separators, which YAML 1.1 parsers (PyYAML too) take for
# line ends and YAML 1.2 does not; a byte order mark inside the text; and what makes a reviewer see another
# text than the machine reads: direction overrides and the invisible tag characters.
_REFUSED = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufeff\ufffe\uffff\U000e0000-\U000e007f"
)
_BAD_IN_FILE = re.compile(f"[{_REFUSED}]")
_BAD_IN_VALUE = re.compile(f"[{_REFUSED}\r]")
_LINE_END = re.compile(r"\r\n|\r|\n")

_HINTS = {
    "tab character": "spaces for indentation",
    "found character '\\t'": "spaces for indentation",
    "mapping values are not allowed": "quotes around a value that holds ': '",
    "cannot start any token": "quotes around a value that starts with such a character",
    "could not find expected ':'": "'key: value'",
    "expected <block end>": "keys and list items of one level in one column",
    "while scanning a quoted scalar": "a closing quote",
    "flow": "a comma between items and a closing bracket",
}


class _Refused(Exception):
    """A scalar that would read as a number that can't be held."""


def resolve(text: str) -> str | int | float | bool | None:
    """Return what an unquoted scalar means in YAML 1.2's core schema; raises `_Refused` for odd numbers."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    is_int = _INT.fullmatch(text)
    if not is_int and not _FLOAT.fullmatch(text):
        if _NOT_FINITE.fullmatch(text):
            raise _Refused(f"is {text}, expected a finite number (or quotes, if text is meant)")
        return text
    shown = quoted(text)
    if len(text) > 100:
        raise _Refused(f"is a number of {len(text)} digits ({shown}), expected quotes, if text is meant")
    if is_int:
        whole = int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        if not -(2**63) <= whole < 2**63:
            raise _Refused(
                f"is {shown}, beyond 64 bits, expected a smaller number (or quotes, if text is meant)"
            )
        return whole
    number = float(text)
    vanished = number == 0 and re.search("[1-9]", re.split("[eE]", text)[0])
    if math.isinf(number) or vanished:
        size = "small" if vanished else "large"
        raise _Refused(f"is {shown}, too {size} for a number, expected quotes, if text is meant")
    return number


@dataclass(slots=True)
class _Open:
    """A map or list being read. Of a map: the key read last, and whether its value still has to come."""

    node: Node
    key: str = ""
    has_key: bool = False
    drop: bool = False
    """The key was refused, so its value is read for its faults only."""
    detached: bool = False
    """This whole map or list is read for its faults only."""


def read(data: bytes, file: str) -> Document:
    """Read one document; every fault is in the result, none is raised."""
    document = Document(None, [], set())

    def report(line: int, column: int, message: str) -> None:
        document.problems.append(Problem(file, line, column, "ticket", message))

    if len(data) > MOST_BYTES:
        report(1, 1, f"is {len(data)} bytes long, expected at most {MOST_BYTES}")
        return document
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        found = "is UTF-16 text" if wide else f"has the byte 0x{data[error.start]:02x}, which is not UTF-8"
        report(*_place(before, len(before)), f"{found}, expected UTF-8: save the file as UTF-8")
        return document
    bad = list(_BAD_IN_FILE.finditer(text))
    for match in bad[: MOST_PROBLEMS + 1]:
        name = f"U+{ord(match[0]):04X}"
        report(*_place(text, match.start()), f"has the control character {name}, expected printable text")
    if bad:  # of the same length, so that all places stay true
        text = _BAD_IN_FILE.sub("\ufffd", text)
    _Composer(document, file).compose(text)
    return document


def _place(text: str, at: int) -> Place:
    line, start = 1, 0
    for end in _LINE_END.finditer(text, 0, at):
        line, start = line + 1, end.end()
    return line, at - start + 1


class _Composer:
    """Turns the parser's events into nodes. It keeps its own stack, so that no input can exhaust Python's."""

    def __init__(self, document: Document, file: str) -> None:
        self.document = document
        self.file = file
        self.stack: list[_Open] = []
        self.root: Node | None = None

    def compose(self, text: str) -> None:
        """Fill the document's `root`, or leave it None where the text can't be read to its end."""
        loader = None
        try:
            loader = EVENTS(text)
            if not self._consume(loader):
                return
        except yaml.YAMLError as error:
            self._syntax(error)
            return
        except (ValueError, OverflowError) as error:  # the pure parser, at "\UFFFFFFFF"
            self._report(
                self._where(loader), f"is not valid YAML ({error}), expected a character that exists"
            )
            return
        finally:
            if loader is not None:
                loader.dispose()
        if self.root is None:
            self._report((1, 1), "is empty, expected a map with the keys kind, goal and accept")
        self.document.root = self.root

    def _consume(self, loader: Any) -> bool:
        """Take all events; False when reading had to stop before the end of the first document."""
        documents = 0
        while True:
            event = loader.get_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                if not self._open(event, {} if kind is yaml.MappingStartEvent else []):
                    return False
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.stack.pop()
            elif kind is yaml.AliasEvent:
                mark = event.start_mark
                self._report(
                    _at(mark),
                    f"is the alias *{clipped(event.anchor)}, expected the value itself: write it out",
                )
                self._hole(mark)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self._report(
                        _at(event.start_mark), "starts a second document, expected one ticket in a file"
                    )
                    return True
                self._directives(event)
            elif kind is yaml.StreamEndEvent:
                return True

    def _directives(self, event: Any) -> None:
        if event.version is not None and tuple(event.version) != (1, 2):
            version = ".".join(map(str, event.version))
            self._report(
                _at(event.start_mark), f"asks for YAML {version}, expected YAML 1.2: drop the %YAML line"
            )
        if event.tags:
            self._report(_at(event.start_mark), "has a %TAG line, expected no tags")

    def _scalar(self, event: Any) -> None:
        mark = event.start_mark
        if event.anchor is not None or event.tag is not None:
            self._refuse_properties(event)
        value: Any = event.value
        if not event.style:
            try:
                value = resolve(value)
            except _Refused as refused:
                self._report(_at(mark), str(refused))
                self._hole(mark)
                return
        elif event.style == '"' and (bad := _BAD_IN_VALUE.search(value)):
            name = f"U+{ord(bad[0]):04X}"
            self._report(_at(mark), f"has the control character {name} as an escape, expected printable text")
            self._hole(mark)
            return
        self._attach(Node(value, mark.line + 1, mark.column + 1))

    def _open(self, event: Any, empty: Any) -> bool:
        mark = event.start_mark
        if event.anchor is not None or event.tag is not None:
            self._refuse_properties(event)
        if len(self.stack) == MOST_LEVELS:
            self._report(_at(mark), f"is nested deeper than {MOST_LEVELS} levels, expected a flatter ticket")
            return False
        node = Node(empty, mark.line + 1, mark.column + 1, type(empty)())
        top = self.stack[-1] if self.stack else None
        dropped = top is not None and (top.drop or top.detached)
        self._attach(node)
        self.stack.append(_Open(node, detached=dropped or (top is not None and top.drop)))
        return True

    def _refuse_properties(self, event: Any) -> None:
        if event.anchor is not None:
            self._report(_at(event.start_mark), f"has the anchor &{clipped(event.anchor)}, expected none")
        if event.tag is not None:
            self._report(_at(event.start_mark), f"has the tag {quoted(event.tag)}, expected a plain value")

    def _hole(self, mark: Any) -> None:
        """Put nothing where a value was refused, and remember it, so that nobody complains of the nothing."""
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.node.items, dict) and not top.has_key:
            self._drop_key(top)  # already reported; its value goes with it
            return
        if top is None or not (top.drop or top.detached):
            self.document.holes.add(self._path())
        self._attach(Node(None, mark.line + 1, mark.column + 1))

    def _attach(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        if isinstance(top.node.items, list):
            top.node.items.append(node)
            top.node.value.append(node.value)
        elif not top.has_key:
            self._key(top, node)
        elif isinstance(top.node.items, dict):
            if not top.drop:
                top.node.items[top.key] = node
                top.node.value[top.key] = node.value
            top.has_key = top.drop = False

    def _key(self, top: _Open, node: Node) -> None:
        place = node.line, node.column
        if node.items is not None:
            kind = "a map" if isinstance(node.items, dict) else "a list"
            self._report(place, f"has {kind} as a key, expected text")
            self._drop_key(top)
        elif not isinstance(node.value, str):
            what = "nothing" if node.value is None else str(node.value).lower()
            self._report(place, f"has {what} as a key, expected text: write it in quotes")
            self._drop_key(top)
        elif node.value in top.node.keys:
            top.key, top.has_key, top.drop = node.value, True, True
            first = top.node.keys[node.value][0]
            self._report(place, f"is a key for the second time (first on line {first}), expected it once")
        else:
            top.key, top.has_key = node.value, True
            top.node.keys[node.value] = place

    @staticmethod
    def _drop_key(top: _Open) -> None:
        top.key, top.has_key, top.drop = "?", True, True

    def _path(self) -> Path:
        """Return the path of the value that is being read; where a key is awaited, that of its map."""
        parts: list[str | int] = []
        for depth, frame in enumerate(self.stack):
            inside = depth + 1 < len(self.stack)
            if isinstance(frame.node.items, list):
                parts.append(len(frame.node.items) - inside)  # an open child is in the list already
            elif inside or frame.has_key:
                parts.append(frame.key)
        return tuple(parts)

    def _where(self, loader: Any) -> Place:
        mark = getattr(loader, "get_mark", None)
        return _at(mark()) if mark else (1, 1)

    def _syntax(self, error: yaml.YAMLError) -> None:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        context = getattr(error, "context", None) or ""
        hint = next((cure for sign, cure in _HINTS.items() if sign in f"{context} {said}"), "YAML 1.2")
        self._report(_at(mark) if mark else (1, 1), f"is not valid YAML ({said}), expected {hint}")

    def _report(self, place: Place, message: str) -> None:
        self.document.problems.append(Problem(self.file, *place, field_name(self._path()), message))


def _at(mark: Any) -> Place:
    return mark.line + 1, mark.column + 1
