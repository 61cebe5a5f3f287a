"""What stays the same in an output that is printed twice: failing tests and assertions, not paths and clocks.

Two runs that fail in the same way come to the same text, two that fail in different ways do not. Known forms:
pytest, unittest, go, javac and JUnit, tsc, node and jest, rust; of another program the lines that speak of an
error, else its last lines. Outputs are hostile: every bound is a constant, every pattern linear in a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

MOST = 2_000
"""Characters of a normalised error; some 600 tokens, which a nudge can quote whole."""

_READ = 100_000  # characters of an output that are looked at: its ends, where runners say what failed
_LINE = 300  # characters of one line
_LINES = 40  # lines kept
_LAST = 5  # lines kept of an output that names no error

_ANSI = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]|\x1b[()][A-Z0-9]|[\x00-\x08\x0b-\x1f\x7f]")
_SCRUB = (
    (
        re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?"),
        "<time>",
    ),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"), "<time>"),
    (re.compile(r"\b0x[0-9a-fA-F]{4,40}\b"), "<address>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b(?=[a-f]{0,39}[0-9])(?=[0-9]{0,39}[a-f])[0-9a-f]{7,64}\b"), "<hash>"),
    (
        re.compile(r"\(?\b\d{1,12}(?:\.\d{1,12})? ?(?:ns|µs|us|ms|s|sec|secs|seconds?|minutes?)\b\)?"),
        "<span>",
    ),
    (re.compile(r"(?<![\w.])(?:[A-Za-z]:)?(?:[\\/][\w.@+~-]{1,100}){1,40}[\\/]"), ""),  # folders of a path
    (re.compile(r"\b(?:tmp|temp|pytest-of-|pytest-)[\w-]{0,20}\d[\w-]{0,40}\b"), "<temp>"),
    (re.compile(r"\b(?:tmp|temp)(?:\.[A-Za-z0-9]{6,12}\b|[a-z0-9_]{8}\b)"), "<temp>"),
    (re.compile(r"(?<=') \(\d{1,9}\)(?= panicked at)"), ""),  # rust: the thread's number
    (re.compile(r"\b(?:pid|port|thread|process)[ =:#]{1,3}\d{1,9}\b", re.IGNORECASE), "<process>"),
)
_PLACE = re.compile(
    r"(?<=[\w\])])(?:[:(]\d{1,7}(?:[:,]\d{1,7})?\)?)(?=[:\s]|$)|\b(?:lines?|column|col) \d{1,7}\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+")
_BLANKS = re.compile(r"\s+")

_NAMES = (  # what failed, by its name
    re.compile(r"^(?:FAILED|ERROR) (\S+::\S.*?|\S+\.py)(?: - .*)?$"),  # pytest
    re.compile(r"^(?:FAIL|ERROR): (\S+ \(\S+\))"),  # unittest
    re.compile(r"^\s*--- FAIL: (\S+)"),  # go
    re.compile(r"^\s*not ok \d+ -? ?(.*)$"),  # node, TAP
    re.compile(r"^\s*✖ (.*)$"),  # node
    re.compile(r"^\s*● (.*)$"),  # jest
    re.compile(r"^test (\S+) \.\.\. FAILED$"),  # rust
    re.compile(r"^\[ERROR\]\s+(\w+\.\w+)(?::\d+| --|\s*$)"),  # JUnit under maven
    re.compile(r"^(\S.* > \S.*) FAILED$"),  # JUnit under gradle
)
_SAYS = re.compile(  # what was wrong: values matter here, so numbers stay
    r"^E   |^\s*[\w.]*(?:Error|Exception|Warning|Interrupt|Exit)\b(?: \[\w+\])?(?::|$)|"
    r"^\s*[Aa]ssert(?:ion)?\b|"
    r"^\s*(?:left|right|[Ee]xpected|[Rr]eceived|actual|got|want): |expected: <|\bgot\b.*\bwant\b|"
    r"^panic: |panicked at|"
    r"^\S+\.go:\d+(?::\d+)?: |^\s+\S+\.go:\d+: |^\S+\.java:\d+: (?:error|warning)|^\s+symbol: |"
    r"\berror TS\d+: |^error(?:\[E\d+\])?: |^\S+:\d+:\d+: (?:fatal )?error: "
)
_TALLY = re.compile(r"^(?:error: (?:test failed|aborting due|could not compile)|Error: Process completed)")
_LOUD = re.compile(
    r"\b(?:error|exception|fatal|failed|failure|panic|not found|no such|denied|cannot)\b", re.IGNORECASE
)
_BROKEN = re.compile(
    r"\b(?:SyntaxError|IndentationError|TabError|ImportError|ModuleNotFoundError)\b|\bCannot find module\b|"
    r"\berror TS1\d{3}\b|\berror TS2307\b|\[build failed\]|\[setup failed\]|"
    r"^\S+\.java: error|^error(?:\[E\d+\])?: |"
    r"^\S+\.go: (?:undefined|syntax error|expected)|\bcould not compile\b|command not found|No module named",
    re.MULTILINE,
)


def scrub(text: str) -> str:
    """A text without times, addresses, hashes, temporary names and the folders of absolute paths."""
    text = _ANSI.sub("", text)
    for pattern, instead in _SCRUB:
        text = pattern.sub(instead, text)
    return text


def error(text: str, most: int = MOST) -> str:
    """What an output says is wrong: failing names, then assertions, both sorted as their order says nothing.

    Empty for an empty output. At most `most` characters; what is left out is counted in the last line.
    """
    lines = _lines(text)
    names = sorted({f"{name} failed" for line in lines if (name := _name(line))})
    told = (line for line in lines if _SAYS.search(line) and not _TALLY.search(line) and not _name(line))
    says = sorted({_said(line) for line in told})
    if not names and not says:
        loud = [line for line in lines if _LOUD.search(line)] or lines[-_LAST:]
        says = _unique(_BLANKS.sub(" ", _NUMBER.sub("N", scrub(line))).strip() for line in loud)
    return _fit([*names, *says], most)


def failures(text: str) -> frozenset[str]:
    """The names of the tests that an output says have failed; empty where it names none."""
    return frozenset(name for line in _lines(text) if (name := _name(line)))


@lru_cache(256)  # a ladder is folded from all turns, and asks for each of them again
def broken(error: str) -> bool:
    """Whether a normalised error says that the code does not even start: a syntax, import or compile error.

    Then the number of failing tests says nothing, as none of them ran.
    """
    return _BROKEN.search(error) is not None


def reply(text: str) -> str:
    """A reply or an observation without numbers, case, blanks and clocks: what says the same is the same.

    A line that stands there twice is kept once, so that a log which only grows says nothing new.
    """
    lines = _NUMBER.sub("N", scrub(_ends(text))).casefold().splitlines()
    return "\n".join(_unique(_BLANKS.sub(" ", line).strip() for line in lines))


def _ends(text: str) -> str:
    return text if len(text) <= _READ else text[: _READ // 2] + "\n" + text[-_READ // 2 :]


def _lines(text: str) -> list[str]:
    plain = _ANSI.sub("", _ends(text).replace("\r\n", "\n"))
    return [line[:_LINE].rstrip() for line in plain.split("\n") if line.strip()]


def _name(line: str) -> str:
    for pattern in _NAMES:
        if found := pattern.match(line):
            return _BLANKS.sub(" ", _tidy(found[1])).strip()
    return ""


def _tidy(line: str) -> str:
    return _PLACE.sub("", scrub(line)).replace("<span>", "")


def _said(line: str) -> str:
    return _BLANKS.sub(" ", _tidy(line.removeprefix("E   "))).strip()


def _unique(lines: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(line for line in lines if line))


def _fit(lines: list[str], most: int) -> str:
    kept: list[str] = []
    room = most - 20  # for the line that counts the rest
    for line in lines[:_LINES]:
        if len(line) + 1 > room:
            break
        kept.append(line)
        room -= len(line) + 1
    if len(kept) < len(lines):
        kept.append(f"and {len(lines) - len(kept)} more")
    return "\n".join(kept)
