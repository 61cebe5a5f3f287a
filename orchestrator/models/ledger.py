"""Who holds the memory of this machine, models and training runs, and who gets in next. No threads, no clock.

Guaranteed, whatever is asked in whatever order: under `serial` no two models are brought into memory, and
none beside a training run; what is let in never takes more than the total less the reserve; a model is never
taken out while it answers, comes or goes; a model that is in memory finishes what waits for it before another
takes its place, but nobody is passed over more than `PATIENCE` times or `IMPATIENT` seconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.models.catalogue import Policy

PATIENCE = 8  # calls of the resident model that may go before one that waits for another model
IMPATIENT = 120.0  # seconds after which nothing goes before it any more
LINGER = 3.0  # seconds that an idle model stays for the ticket it answered last: an agent comes back soon

What = Literal["model", "run"]
Moves = Literal["", "coming", "going"]


@dataclass(frozen=True)
class Hold:
    """Somebody who is in memory."""

    who: str
    what: What
    bytes: int
    context: int = 0
    since: int = 0  # milliseconds of wall clock
    busy: int = 0  # calls that it answers now; a run is always busy
    last: float = 0.0  # monotonic seconds when it last ended answering
    by: int = 0  # who asked it last
    moves: Moves = ""  # it is being brought in or taken out at this moment


@dataclass(frozen=True)
class Want:
    """Somebody who waits to get in, or to ask what is in."""

    who: str
    what: What
    bytes: int
    context: int = 0
    by: int = 0
    since: float = 0.0
    passed: int = 0  # calls of others that went before it
    number: int = 0  # in the order of arrival


@dataclass(frozen=True)
class Room:
    """The memory, in bytes. `free` is what the system says, with all that is held now inside."""

    total: int
    free: int
    reserve: int

    @property
    def most(self) -> int:
        """What models and runs may take together."""
        return max(0, self.total - self.reserve)


@dataclass(frozen=True)
class Use:
    """It is there: ask it."""


@dataclass(frozen=True)
class Load:
    """Bring it in now."""


@dataclass(frozen=True)
class Unload:
    """Take these out first."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Wait:
    """Not yet. `crowded`: for other programs, which may never end."""

    why: str
    crowded: bool = False


@dataclass(frozen=True)
class Refuse:
    """Never."""

    why: str


Admission = Use | Load | Unload | Wait | Refuse


def gigabytes(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB"


def admit(
    want: Want, holds: Sequence[Hold], queue: Sequence[Want], room: Room, policy: Policy, now: float
) -> Admission:
    """Whether somebody gets in.

    Args:
        want: who asks.
        holds: who is in.
        queue: all that wait, in the order in which they came; `want` among them.
        room: the memory.
        policy: serial or packed.
        now: monotonic seconds, as in `Want.since` and `Hold.last`.
    """
    if want.bytes > room.most:
        return Refuse(
            f"{want.who} needs {gigabytes(want.bytes)}, and {gigabytes(room.most)} can be used "
            f"({gigabytes(room.total)} less {gigabytes(room.reserve)} that stay free)"
        )
    before = [each for each in queue if each.number < want.number and each.who != want.who]
    there = next((each for each in holds if (each.what, each.who) == (want.what, want.who)), None)
    if there is not None and there.moves:
        return Wait(f"{want.who} is being {'loaded' if there.moves == 'coming' else 'unloaded'}")
    if there is not None and (want.what == "run" or want.context <= there.context):
        overdue = [each for each in before if _overdue(each, now)]
        return Wait(f"{overdue[0].who} is next") if overdue else Use()
    if blocking := [each for each in before if not _served(each, holds)]:
        return Wait(f"{blocking[0].who} is next")
    if moving := [each for each in holds if each.moves]:
        return Wait(f"{moving[0].who} is being {'loaded' if moving[0].moves == 'coming' else 'unloaded'}")
    return _make_room(want, there, holds, queue, room, policy, now)


def _make_room(
    want: Want,
    there: Hold | None,
    holds: Sequence[Hold],
    queue: Sequence[Want],
    room: Room,
    policy: Policy,
    now: float,
) -> Admission:
    """How the first in the queue that is not in memory gets there."""
    models = [each for each in holds if each.what == "model" and each is not there]
    runs = [each for each in holds if each.what == "run"]
    if runs and want.what == "model" and policy == "serial":
        return Wait(f"{runs[0].who} holds the memory")
    out = [there] if there is not None else []  # it comes back with a larger context
    out += models if policy == "serial" else []
    stay = [each for each in holds if each not in out]
    for each in sorted(models, key=lambda each: (each.busy > 0, each.last)):
        if _fits(want, stay, holds, room):
            break
        if each not in out:
            out.append(each)
            stay.remove(each)
    for each in out:
        if each.busy:
            return Wait(f"{each.who} answers for another ticket")
        if each is not there and (kept := _kept(each, want, queue, now)):
            return Wait(kept)
    if out:
        return Unload(tuple(each.who for each in out))
    if not _fits(want, stay, holds, room):
        if runs:
            return Wait(f"{runs[0].who} holds the memory")
        left = gigabytes(max(0, room.free - room.reserve))
        return Wait(f"{want.who} needs {gigabytes(want.bytes)}, other programs leave {left}", crowded=True)
    return Load()


def _fits(want: Want, stay: Sequence[Hold], holds: Sequence[Hold], room: Room) -> bool:
    """By our own ledger, and by what the system says that is free once those who leave have left."""
    taken = sum(each.bytes for each in stay)
    freed = sum(each.bytes for each in holds) - taken
    return want.bytes <= min(room.most - taken, room.free + freed - room.reserve)


def _overdue(want: Want, now: float) -> bool:
    return want.passed >= PATIENCE or now - want.since >= IMPATIENT


def _served(want: Want, holds: Sequence[Hold]) -> bool:
    """Whether what it waits for is in memory, so that it takes nobody's place."""
    return any(
        each.who == want.who and each.what == want.what and want.context <= each.context for each in holds
    )


def _kept(hold: Hold, want: Want, queue: Sequence[Want], now: float) -> str:
    """Why an idle model stays for the moment; '' where it may go."""
    if _overdue(want, now):
        return ""
    if any(each.who == hold.who and each.what == "model" for each in queue if _served(each, [hold])):
        return f"{hold.who} first ends what waits for it"
    if hold.by != want.by and want.what == "model" and now - hold.last < LINGER:
        return f"{hold.who} is kept for what comes next"
    return ""


class Ledger:
    """The ledger of one engine, and the queue before it. Not thread-safe: see `memory.py`."""

    def __init__(self, policy: Policy) -> None:
        """Begin with nobody in memory."""
        self.policy = policy
        self._held: dict[tuple[What, str], Hold] = {}
        self._queue: dict[int, Want] = {}  # by number, so in the order of arrival
        self._numbers = itertools.count(1)

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Who is in memory now, comes or goes."""
        return tuple(self._held.values())

    @property
    def queue(self) -> tuple[Want, ...]:
        """Who waits, in the order of arrival."""
        return tuple(self._queue.values())

    def enter(self, want: Want, now: float) -> int:
        """Begin to wait; the number to ask with."""
        number = next(self._numbers)
        self._queue[number] = replace(want, number=number, since=now, passed=0)
        return number

    def leave(self, number: int) -> None:
        """Wait no more."""
        self._queue.pop(number, None)

    def step(self, number: int, room: Room, now: float, wall: int = 0) -> Admission:
        """Decide for one that waits, and write down what follows from it.

        After `Use` and `Load` it waits no more; a `Load` is ended by `arrived`, an `Unload` by `gone`.
        """
        want = self._queue[number]
        found = admit(want, self.holds, self.queue, room, self.policy, now)
        key = (want.what, want.who)
        if isinstance(found, Use):
            hold = self._held[key]
            self._held[key] = replace(hold, busy=hold.busy + 1, by=want.by)
            for other in self.queue:
                if other.number < number and other.who != want.who:
                    self._queue[other.number] = replace(other, passed=other.passed + 1)
        elif isinstance(found, Load):
            self._held[key] = Hold(
                want.who, want.what, want.bytes, want.context, wall, busy=1, by=want.by, moves="coming"
            )
        elif isinstance(found, Unload):
            for name in found.names:
                self._move(("model", name), "going")
        if isinstance(found, (Use, Load)):
            self.leave(number)
        return found

    def arrived(self, what: What, who: str, ok: bool, taken: int = 0, context: int = 0) -> None:
        """Bringing one in has ended: what it really took, where that is told; out again where it failed."""
        if not ok:
            self._held.pop((what, who), None)
        elif (hold := self._held.get((what, who))) is not None:
            self._held[what, who] = replace(
                hold, bytes=taken or hold.bytes, context=context or hold.context, moves=""
            )

    def gone(self, who: str, ok: bool) -> None:
        """Taking a model out has ended; it stays where that failed."""
        if ok:
            self._held.pop(("model", who), None)
        else:
            self._move(("model", who), "")

    def answered(self, want: Want, now: float) -> None:
        """A call of a model has ended."""
        if (hold := self._held.get((want.what, want.who))) is not None:
            self._held[want.what, want.who] = replace(hold, busy=max(0, hold.busy - 1), last=now, by=want.by)

    def adopt(self, who: str, bytes_: int, wall: int = 0) -> None:
        """A run is in memory already, whatever else is: it was let in by an engine before this one."""
        self._held["run", who] = Hold(who, "run", bytes_, since=wall, busy=1)

    def release(self, who: str) -> None:
        """A run has ended."""
        self._held.pop(("run", who), None)

    def drop(self, who: str) -> bool:
        """Begin to take an idle model out at a person's word; False where that cannot be."""
        hold = self._held.get(("model", who))
        if hold is None or hold.busy or any(each.moves for each in self.holds):
            return False
        self._move(("model", who), "going")
        return True

    def found(self, there: Sequence[Hold], sources: frozenset[str]) -> None:
        """What servers say that they hold: others load and unload too, and a child may have died.

        Args:
            there: the models, `who` beginning with the source's name and a slash.
            sources: the servers that were asked.
        """
        if any(each.moves for each in self.holds):
            return  # what they say is of before
        told = {each.who: each for each in there}
        for (what, who), hold in list(self._held.items()):
            if what != "model" or hold.busy or who.partition("/")[0] not in sources:
                continue
            if (seen := told.get(who)) is None:
                del self._held[what, who]
            else:
                self._held[what, who] = replace(
                    hold, bytes=seen.bytes or hold.bytes, context=seen.context or hold.context
                )
        for who, hold in told.items():
            self._held.setdefault(("model", who), hold)

    def _move(self, key: tuple[What, str], moves: Moves) -> None:
        if key in self._held:
            self._held[key] = replace(self._held[key], moves=moves)
