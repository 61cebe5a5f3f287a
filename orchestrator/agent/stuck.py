"""When an agent is stuck, and which rung of the ladder holds: a function of what its turns did to the world.

    0 at work   1 a nudge with the precise error   2 the other edit format   3 thinking, or a larger model
    4 back to the best checkpoint with a narrower subtask   5 the person is asked

Words do not count: a third `pytest` after real edits is no loop, and a reply that is phrased anew around the
same failing edit is one. Each turn costs patience by how little it brought (`_COST`); a gain gives all of it
back and ends the ladder:

* fewer failures than ever, or a subtask done;
* a tree never seen before with an error never seen before that is no worse, or with more that passes.
  Errors that only change are believed `CHANGES` times in a row; then they cost little but end no ladder.

When patience is spent the next rung holds from that turn on, and patience starts anew: a first trip is never
the last, the question. The result is folded from the turns alone, so it survives a crash. The costs were set
on one part of the kinds of sequences in `benchmarks/stuck.py`, which measures them on the other part too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.agent import normalise

PATIENCE = 60
"""A rung's worth of cost: three turns that changed nothing at all."""

LAST = 5
"""The rung on which the person is asked."""

CHANGES = 6
"""How many errors in a row are a gain that are new but no fewer; half as many code does not start."""

_REPEATED = 30  # the same reply in the same world: at temperature 0 it would come for ever
_NOTHING = 20
_COST = {
    "refused": 20,  # an edit that did not apply
    "void": 20,  # an edit that left the tree as it was
    "back": 20,  # a tree that stood before
    "untried": 4,  # the first edit of a file since the last gain: a change often needs several files
    "series": 6,  # the same, but of a file whose name differs by numbers alone
    "again": 12,  # another edit of the same file; what fails is as before
    "worse": 12,  # an error that is new and worse: a red phase, or wild edits
    "changes": 6,  # an error that is new, after too many of them, or after a step back
    "look": 3,  # a file, a part of it or a search for the first time
    "relook": 6,  # seen before, but the tree has changed since
    "reread": 20,  # seen before, in the same tree
    "missing": 10,  # a file or a text that is not there
    "probe": 6,  # a new command
    "retell": 10,  # a new command with an output seen before
    "rerun": 14,  # the same command on another tree, with the output seen before
    "retry": 20,  # the same command on the same tree
    "red": 14,  # said to be done, and it is not
    "idle": 20,  # the same, and nothing has changed since it was said before
    "malformed": 20,
    "asks": 10,
}
_WHY = {  # for people, and for the model
    "refused": ("its edits do not apply", "Your edits did not apply: copy the lines as they stand."),
    "void": ("its edits change nothing", "Your edits left the files as they were."),
    "back": ("it goes back to states tried before", "You go back and forth between versions tried before."),
    "again": (
        "it edits the same file, and the same fails",
        "Your edits of that file did not change the error.",
    ),
    "series": ("it adds one file after another", "New files did not change the error."),
    "worse": ("each change makes it worse", "Your last changes made it worse."),
    "changes": ("the error changes, but no less fails", "The error changes, but no less fails."),
    "reread": ("it reads the same again", "You have read this, and it has not changed."),
    "look": ("it looks around and changes nothing", "You have read enough to make a change. Make it."),
    "missing": ("it looks for what is not there", "What you look for does not exist."),
    "rerun": ("it runs the same with the same result", "The command says the same as before."),
    "retry": ("it repeats a command and changes nothing", "Nothing has changed since that command ran."),
    "idle": ("it says it is done, and it is not", "It is not done, and nothing changed since."),
    "malformed": ("its replies hold no action", "Your replies held no action. Use one of the forms shown."),
    "asks": ("it asks the same again", "That was answered. Go on with the answer."),
}
_SAME = {"relook": "reread", "probe": "look", "retell": "rerun", "red": "idle", "untried": "look"}
_PART = 40  # lines that count as one part of a file


@dataclass(frozen=True)
class Turn:
    """What one turn of an attempt did, and what was known after it."""

    tree: str
    """The worktree's tree after the turn; empty while it is the base's."""
    failing: frozenset[str]
    """Names of the failing checks, as last known."""
    passing: int
    """How many checks pass, as last known."""
    error: str
    """The last error, by `normalise.error`."""
    verb: str
    """read, search, edit, run, done, ask or malformed."""
    what: str
    """The verb's object: a path (`path:first-last`), a pattern, a command, a message."""
    ok: bool
    """Whether it worked; of `done` and `ask`: whether it was heard."""
    reply: str
    """The reply, by a digest of `normalise.reply`."""
    shown: str = ""
    """What the model was shown, by a digest of `normalise.reply`; empty where that is not known."""


@dataclass(frozen=True)
class Rung:
    """The rung that holds now."""

    level: int
    since: int
    """Index of the turn that it holds from."""
    why: str
    """One line for people."""
    say: str
    """For the model: what it did, and the error as it stands."""


def rung(turns: Sequence[Turn]) -> Rung | None:
    """The rung that the whole sequence has climbed to; None while the agent is at work."""
    ladder = _fold(turns)
    if not ladder.level:
        return None
    return Rung(ladder.level, ladder.since, *_words(turns[: ladder.since + 1], ladder))


def best(turns: Sequence[Turn]) -> int:
    """Index of the turn after which the tree was best: least broken, fewest failures, most that passes.

    A tree is held to be what was last known of it. Of equals it is the latest that still brought something,
    so that work is kept and junk is not. Raises ValueError without turns.
    """
    if not turns:
        raise ValueError("there are no turns")
    useful = _fold(turns).useful
    last = {turn.tree: index for index, turn in enumerate(turns)}

    def worth(index: int) -> tuple[bool, bool, int, int, int, int]:
        turn = turns[last[turns[index].tree]]
        weight = _weight(turn)
        return (weight.broken, not _known(turn), weight.failing, -turn.passing, weight.lines, -useful[index])

    return min(range(len(turns)), key=lambda index: (worth(index), index))


# The fold -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class _Weight:
    """How bad the world is; less is better."""

    broken: bool
    failing: int
    lines: int


class _Fold:
    """What is remembered while turns are gone through."""

    def __init__(self) -> None:
        self.level = self.since = self.cost = self.looks = self.changes = 0
        self.spent: list[tuple[int, str, int]] = []  # index, name, cost since the last gain or rung
        self.reasons: list[tuple[int, str, int]] = []  # the same, of the rung that holds
        self.useful: list[int] = []  # of each turn: the index of the last turn that brought something
        self.first: str | None = None
        self.now: Turn | None = None
        self.least: _Weight | None = None
        self.last: _Weight | None = None
        self.passing = 0
        self.trees: set[str] = set()
        self.gained: set[str] = set()
        self.prints: set[tuple[frozenset[str], str]] = set()
        self.touched: set[str] = set()
        self.shapes: set[str] = set()
        self.looked: dict[
            str, str
        ] = {}  # what was read, searched, run, asked or said to be done -> on which tree
        self.shown: set[str] = set()
        self.replies: set[tuple[str, str]] = set()


def _fold(turns: Sequence[Turn]) -> _Fold:
    fold = _Fold()
    for index, turn in enumerate(turns):
        if fold.first is None:
            fold.first = turn.tree
            fold.gained.add(turn.tree)
        name = _judge(turn, fold)
        _remember(turn, fold)
        if name == "gain":
            fold.level = fold.cost = fold.looks = 0
            fold.gained.add(turn.tree)
            fold.spent.clear()
            fold.touched.clear()
            fold.shapes.clear()
        else:
            cost = _COST[name]
            if cost == _NOTHING and (turn.tree, turn.reply) in fold.replies and turn.reply:
                cost = _REPEATED
            if name == "look":
                fold.looks += cost
            elif name == "untried":  # what led to an edit was worth looking at
                fold.cost, fold.looks = max(fold.cost - fold.looks, 0), 0
            fold.cost += cost
            fold.spent.append((index, name, cost))
            if fold.cost >= PATIENCE and fold.level < LAST:
                fold.level, fold.since, fold.cost, fold.looks = fold.level + 1, index, 0, 0
                fold.reasons, fold.spent = fold.spent, []
        fold.replies.add((turn.tree, turn.reply))
        brought = name in ("gain", "untried", "series")
        fold.useful.append(index if brought or not fold.useful else fold.useful[-1])
    return fold


def _judge(turn: Turn, fold: _Fold) -> str:
    """What a turn brought: `gain`, or a name in `_COST`."""
    if turn.verb == "done" and turn.ok and not turn.failing and fold.looked.get("done") != turn.tree:
        return "gain"
    before = fold.now
    if before is None or not _tells(turn):
        return _effort(turn, fold)
    weight, fresh = _weight(turn), turn.tree not in fold.gained
    if (
        _print(turn) != _print(before)
        and fold.least is not None
        and weight < fold.least
        and len(fold.trees | {turn.tree}) > 1
    ):
        fold.changes = 0
        return "gain"
    if fresh and (turn.passing > fold.passing or (before.failing and not turn.failing)):
        return _change(weight, fold)
    if fresh and fold.last is not None and fold.least is not None and _print(turn) not in fold.prints:
        worse = weight > fold.last or weight.broken > fold.least.broken
        return "worse" if worse else _change(weight, fold)
    return _effort(turn, fold)


def _change(weight: _Weight, fold: _Fold) -> str:
    """The error is new and no worse: a gain, but not for ever, and not for one who keeps going back."""
    fold.changes += 2 if weight.broken else 1
    returned = any(name == "back" for _, name, _ in fold.spent)
    return "gain" if fold.changes <= CHANGES and not returned else "changes"


def _effort(turn: Turn, fold: _Fold) -> str:
    """A turn after which the world is no better: what it was."""
    same = fold.now is not None and turn.tree == fold.now.tree
    match turn.verb:
        case "malformed":
            return "malformed"
        case "edit":
            return _edited(turn, fold, same)
        case "run" if not same and fold.now is not None:
            return _edited(turn, fold, same)  # a command that changed files
        case "run":
            return _ran(turn, fold)
        case "read":
            if not turn.ok:
                return "reread" if _key(turn) in fold.looked else "missing"
            return _looked(_parts(turn.what), turn, fold)
        case "search":
            found = turn.ok and (not turn.shown or turn.shown not in fold.shown)
            if _key(turn) not in fold.looked and not found:
                return "missing"
            return _looked([_key(turn)], turn, fold)
        case "done":
            return "idle" if fold.looked.get("done") == turn.tree else "red"
        case _:
            return "asks"


def _edited(turn: Turn, fold: _Fold, same: bool) -> str:
    if not turn.ok and (same or fold.now is None):
        return "refused"
    if same:
        return "void"
    if turn.tree in fold.trees:
        return "back"
    what = _key(turn) if turn.verb == "run" else turn.what
    if what in fold.touched:
        return "again"
    return "series" if _shape(what) in fold.shapes else "untried"


def _ran(turn: Turn, fold: _Fold) -> str:
    told = bool(turn.shown) and turn.shown in fold.shown
    before = fold.looked.get(_key(turn))
    if before is None:
        return "retell" if told else "probe"
    if before == turn.tree:
        return "retry" if told or not turn.shown else "rerun"
    return "rerun" if told or not turn.shown else "relook"


def _looked(keys: Sequence[str], turn: Turn, fold: _Fold) -> str:
    if any(key not in fold.looked for key in keys):
        return "look"
    return "relook" if any(fold.looked[key] != turn.tree for key in keys) else "reread"


def _remember(turn: Turn, fold: _Fold) -> None:
    """Take the turn into what is known."""
    fold.trees.add(turn.tree)
    if _tells(turn):
        # What is found out about the tree that it all began with is no step back, so the best starts there.
        weight = _weight(turn)
        alone = len(fold.trees) == 1 or fold.least is None
        fold.least = weight if alone or fold.least is None else min(fold.least, weight)
        fold.passing = turn.passing if alone else max(fold.passing, turn.passing)
        fold.last = weight
    fold.prints.add(_print(turn))
    if turn.verb == "edit" and turn.ok:
        fold.touched.add(turn.what)
        fold.shapes.add(_shape(turn.what))
    elif turn.verb == "run" and fold.now is not None and turn.tree != fold.now.tree:
        fold.touched.add(_key(turn))
    for key in _parts(turn.what) if turn.verb == "read" and turn.ok else [_key(turn)]:
        fold.looked[key] = turn.tree
    if turn.shown:
        fold.shown.add(turn.shown)
    fold.now = turn


def _known(turn: Turn) -> bool:
    return bool(turn.failing or turn.error or turn.passing)


def _print(turn: Turn) -> tuple[frozenset[str], str]:
    return turn.failing, turn.error


def _tells(turn: Turn) -> bool:
    """Whether what is known after the turn can be news of the code, and not of a request that was refused."""
    return _known(turn) and (turn.verb in ("run", "done") or (turn.verb == "edit" and turn.ok))


def _weight(turn: Turn) -> _Weight:
    lines = turn.error.count("\n") + 1 if turn.error else 0
    if more := re.search(r"^and (\d{1,6}) more$", turn.error, re.MULTILINE):
        lines += int(more[1])
    return _Weight(normalise.broken(turn.error), len(turn.failing), lines)


def _shape(path: str) -> str:
    return re.sub(r"\d+", "N", path)


def _key(turn: Turn) -> str:
    """What a turn was about; a command without its switches and numbers, which seldom change what it says."""
    if turn.verb == "done":
        return "done"
    if turn.verb != "run":
        return f"{turn.verb} {turn.what}"
    words = [word for word in turn.what.split() if not word.startswith("-") or word in ("-m", "-c")]
    return "run " + _shape(" ".join(words))


def _parts(what: str) -> list[str]:
    """The parts of a file that a read shows; one without lines is a part of its own."""
    found = re.fullmatch(r"(.+?):(\d{1,9})(?:-(\d{1,9}))?", what.strip())
    if not found:
        return [f"read {what.strip()}"]
    first = int(found[2]) // _PART
    last = min(int(found[3] or found[2]) // _PART, first + 1_000)
    return [f"read {found[1]}:{part}" for part in range(first, max(first, last) + 1)]


# Words --------------------------------------------------------------------------------------------------


def _words(turns: Sequence[Turn], ladder: _Fold) -> tuple[str, str]:
    """Why, for people in one line, and for the model with the error as it stood when the rung was climbed."""
    costs: Counter[str] = Counter()
    for _, name, cost in ladder.reasons:
        costs[_SAME.get(name, name)] += cost
    people, model = _WHY[costs.most_common(1)[0][0]]
    turn = turns[-1]
    count = len(ladder.reasons)
    lines = turn.error.splitlines()
    still = ", ".join(sorted(turn.failing))
    why = f"{count} turns brought nothing: {people}"
    if still:
        why += f"; {still} fails"
    if lines:
        why += f" with {lines[0][:120]}"
    say = f"The last {count} turns brought nothing. {model}"
    taken = [turns[index] for index, *_ in ladder.reasons]
    tried = Counter(f"{each.verb.upper()} {each.what[:80]}" for each in taken)
    repeated = [f"{what} ({times} times)" for what, times in tried.most_common(3) if times > 1]
    if repeated:
        say += f"\nTried already: {'; '.join(repeated)}."
    if still or lines:
        say += f"\nWhat still fails{': ' + still if still else ''}" + ("\n" + turn.error if lines else "")
    return why, say
