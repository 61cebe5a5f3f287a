"""The small languages inside a ticket's values: durations, sizes, cron lines, paths, rollbacks, names.

Guarantees: each function takes a value of any type, returns its meaning or raises ValueError with a text of
the form "what is wrong, what is expected"; none touches the disk, and each takes time linear in its input.
"""

import re
from dataclasses import dataclass
from typing import Literal

from tickets.problems import quoted, shown

TICKET_ID = "TICKET-[0-9]{1,9}"
NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
DURATION = "(?=[0-9])(?:[0-9]{1,6}h)?(?:[0-9]{1,6}m)?(?:[0-9]{1,6}s)?"
SIZE = r"[0-9]{1,9}(?:\.[0-9]{1,6})?(?:[KMGT]i?)?B"

_ID = re.compile(TICKET_ID)
_NAME = re.compile(NAME)
_DURATION = re.compile("(?=[0-9])(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([KMGT]i?)?B")
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}
# Names that Windows takes for devices whatever their extension.
_DEVICES = frozenset(("con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))))


def is_ticket_id(value: object) -> bool:
    """Whether a value is text of the form TICKET-<digits>."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def ticket_id(value: object) -> str:
    """Return a ticket's id as it stands."""
    if isinstance(value, str) and _ID.fullmatch(value):
        return value
    raise ValueError(f"is {shown(value)}, expected a ticket's id such as TICKET-001")


def seconds(value: object) -> int:
    """Return a duration such as `20m`, `8h`, `90s` or `1h30m` in seconds."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"is {shown(value)}, expected a duration such as 20m, 8h, 90s or 1h30m")
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + rest
    if total == 0:
        raise ValueError(f"is {shown(value)}, expected a duration above zero")
    return total


def size_in_bytes(value: object) -> int:
    """Return a size such as `22GB` (10^9 each) or `16GiB` (2^30 each) in bytes."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"is {shown(value)}, expected a size such as 22GB, 512MB or 16GiB")
    number, unit = match[1], match[2] or ""
    base = 1024 if unit.endswith("i") else 1000
    whole, _, fraction = number.partition(".")
    factor: int = base ** _POWERS.get(unit[:1], 0)
    total = int(whole) * factor + (int(fraction) * factor // 10 ** len(fraction) if fraction else 0)
    if total == 0:
        raise ValueError(f"is {shown(value)}, expected a size above zero")
    return total


def is_name(value: object) -> bool:
    """Whether a value is text of a name's letters."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def name(value: object) -> str:
    """Return a name that is safe as a file's stem on every system."""
    if not isinstance(value, str) or not is_name(value):
        raise ValueError(
            f"is {shown(value)}, expected a name of letters, digits, '-', '_' and '.', 64 at most"
        )
    if value.endswith(".") or value.split(".")[0].casefold() in _DEVICES:
        raise ValueError(f"is {quoted(value)}, which Windows can't hold as a file, expected another name")
    return value


def relative_path(value: object) -> str:
    """Return a posix path that stays inside the repository and outside of git's own folder."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"is {shown(value)}, expected a path inside the repository")
    if "\\" in value:
        raise ValueError(f"is {quoted(value)}, expected '/' between folders, not '\\'")
    if value.startswith(("/", "~")) or re.match("[A-Za-z]:", value):
        raise ValueError(f"is {quoted(value)}, expected a path relative to the repository's root")
    parts = value.removesuffix("/").split("/")
    if ".." in parts:
        raise ValueError(f"is {quoted(value)}, which leaves its folder, expected a path without '..'")
    if "" in parts or "." in parts:
        raise ValueError(f"is {quoted(value)}, expected a path without '.' or empty parts")
    # Windows and macOS find `.git` under other spellings too: trailing dots and blanks, any case.
    if any(part.rstrip(". ").casefold() in (".git", "git~1") for part in parts):
        raise ValueError(f"is {quoted(value)}, which is git's own, expected a path among the files")
    return value


def glob(value: object) -> str:
    """Return a glob over paths that stay inside the repository."""
    text = relative_path(value)
    if text.startswith("!"):
        raise ValueError(f"is {quoted(text)}, but a glob can't exclude, expected only what may change")
    return text


def line(value: object) -> str:
    """Return one line of text without blanks around it."""
    text = prose(value)
    if text != text.strip() or "\n" in text:
        raise ValueError(f"is {quoted(text)}, expected one line without blanks around it")
    return text


def prose(value: object) -> str:
    """Return text that says something."""
    if not isinstance(value, str) or not value.strip():
        quotes = "; write it in quotes" if isinstance(value, (bool, int, float)) else ""
        raise ValueError(f"is {shown(value)}, expected text{quotes}")
    return value


@dataclass(frozen=True, slots=True)
class Revert:
    """Undo the merge by a revert commit."""


@dataclass(frozen=True, slots=True)
class ToPhase:
    """Go back to the state at the end of a phase; None is the last good one."""

    phase: int | None


@dataclass(frozen=True, slots=True)
class ByShell:
    """Undo by a command of the ticket's own."""

    command: str


Rollback = Revert | ToPhase | ByShell


def rollback(value: object) -> Rollback:
    """Read `revert`, `phase:<n>`, `phase:last-good`, `"sh: command"` or the map `{sh: command}`."""
    if value == "revert":
        return Revert()
    if isinstance(value, dict) and value.keys() == {"sh"}:
        command = value["sh"]
        if isinstance(command, str) and command.strip():
            return ByShell(command.strip())
    elif isinstance(value, str):
        if match := re.fullmatch(r"phase:(?:([0-9]{1,6})|last-good)", value):
            return ToPhase(int(match[1]) if match[1] else None)
        if value.startswith("sh:") and value[3:].strip():
            return ByShell(value[3:].strip())
    raise ValueError(
        f"is {shown(value)}, expected revert, phase:<number>, phase:last-good or {{sh: COMMAND}}"
    )


@dataclass(frozen=True, slots=True)
class Cron:
    """The moments a cron line names, each field as the numbers it allows (weekday 0 is Sunday)."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    """Day and weekday are both restricted: then cron takes a date that fits one of them."""


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _WEEKDAYS),
)
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def cron(text: str) -> Cron:
    """Read a cron line of five fields: minute, hour, day, month, weekday."""
    fields = text.split()
    if len(fields) != 5 or len(text) > 200:
        raise ValueError(
            f"is {quoted(text)}, expected now, idle, or a cron line of five fields: '0 3 * * 1-5'"
        )
    minutes, hours, days, months, weekdays = (
        _cron_field(field, *spec) for field, spec in zip(fields, _CRON_FIELDS, strict=True)
    )
    weekdays = frozenset(day % 7 for day in weekdays)
    free_weekday = fields[4].startswith("*")
    if free_weekday and not any(min(days) <= _LONGEST_MONTHS[month - 1] for month in months):
        raise ValueError(f"is {quoted(text)}, a date that never comes, expected a day its month has")
    either = not free_weekday and not fields[2].startswith("*")
    return Cron(minutes, hours, days, months, weekdays, either)


def _cron_field(text: str, title: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    wrong = ValueError(
        f"has {quoted(text)} as its {title}, expected {low} to {high}, '*', a-b, */n or a list"
    )

    def number(word: str) -> int:
        if word.casefold() in names:
            return names.index(word.casefold()) + low
        if not re.fullmatch("[0-9]{1,2}", word) or not low <= int(word) <= high:
            raise wrong
        return int(word)

    allowed: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if slash and (not re.fullmatch("[1-9][0-9]?", step) or not (span == "*" or dash)):
            raise wrong
        start, end = (low, high) if span == "*" else (number(first), number(last if dash else first))
        if start > end:
            raise wrong
        allowed.update(range(start, end + 1, int(step) if slash else 1))
    return frozenset(allowed)


When = Literal["now", "idle"] | Cron


def when(value: object) -> When:
    """Read `now`, `idle` or a cron line."""
    if value == "now":
        return "now"
    if value == "idle":
        return "idle"
    return cron(value if isinstance(value, str) else prose(value))
