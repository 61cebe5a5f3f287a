"""How surely a model's edits are applied: real changes between released versions, written as replies.

    python benchmarks/edits.py                                   # a few hundred changes, under a minute
    python benchmarks/edits.py --per-package 80 --cache FOLDER   # all
    python benchmarks/edits.py --offline --cache FOLDER          # with what is there already

Each changed file is written as SEARCH/REPLACE blocks and, where it is short, as a whole file, parsed by
`replies.parse`, applied by `cascade.apply`, and compared byte for byte. Then with drift, as a model that
remembers a file roughly would write it; and against files in which the target stands twice, has a near
duplicate, was replaced by one, or is gone. `wrong` counts what was applied and is not what was meant.

The reference in the same run puts the block where `str.find` finds its text first.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "agent")]

from written_replies import blocks_between, written  # noqa: E402

from orchestrator.agent.cascade import EditFails, apply  # noqa: E402
from orchestrator.agent.replies import parse  # noqa: E402
from orchestrator.agent.verbs import Block, Edit, Malformed  # noqa: E402

PAIRS = (  # wheels: nothing of them is run; C++, PowerShell, JavaScript, HTML and CSS are among them
    ("requests", "2.31.0", "2.32.3"),
    ("flask", "2.3.3", "3.0.3"),
    ("click", "8.1.3", "8.1.7"),
    ("rich", "13.5.0", "13.9.4"),
    ("httpx", "0.25.0", "0.28.1"),
    ("pytest", "7.4.0", "8.3.4"),
    ("jinja2", "3.1.2", "3.1.5"),
    ("werkzeug", "2.3.8", "3.0.6"),
    ("fastapi", "0.100.0", "0.115.0"),
    ("networkx", "3.2", "3.4"),
    ("sphinx", "7.2.0", "7.4.0"),
    ("textual", "0.60.0", "0.80.0"),
    ("django", "4.2", "5.0"),
    ("pybind11", "2.11.1", "2.13.6"),
    ("ansible-core", "2.16.0", "2.17.0"),
    ("nicegui", "1.4.20", "1.4.37"),
)
TEXT = re.compile(
    r".*\.(pyi?|c|h|cpp|hpp|m?js|ts|vue|t?css|html|psm?1|sh|rs|go|java|toml|ya?ml|txt|md|rst|cfg|j2|cmake|po)"
)
LARGEST = 200_000  # bytes of a file
WHOLE = 400  # lines up to which a file is also written whole
GONE = re.compile(r"[\r\x00]")


@dataclass(frozen=True)
class Change:
    """One file in two versions, the second with the line ending and the final newline of the first."""

    name: str
    old: str
    new: str


# Real changes ---------------------------------------------------------------------------------------


def fetch(cache: Path, name: str, version: str, offline: bool) -> Path | None:
    """The wheel of a released version; None where it can't be had."""
    folder = cache / f"{name}-{version}"
    if not any(folder.glob("*.whl")) and not offline:
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "--dest", str(folder), f"{name}=={version}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            print(f"{name} {version}: {done.stderr.strip()[-300:]}", file=sys.stderr)
    return next(folder.glob("*.whl"), None)


def texts(wheel: Path) -> dict[str, bytes]:
    """The source files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            entry.filename: archive.read(entry)
            for entry in archive.infolist()
            if TEXT.fullmatch(entry.filename)
            and ".dist-info/" not in entry.filename
            and 0 < entry.file_size < LARGEST
        }


def changes(old: Path, new: Path, left_out: Counter[str]) -> Iterator[Change]:
    """The changed files of two wheels, as far as lines of text can say what changed."""
    before, after = texts(old), texts(new)
    for name in sorted(before.keys() & after.keys()):
        if before[name] == after[name]:
            continue
        try:
            a, b = before[name].decode(), after[name].decode()
        except UnicodeDecodeError:
            left_out["not UTF-8"] += 1
            continue
        if GONE.search(a) or GONE.search(b):
            left_out["other line endings"] += 1  # those are made on purpose below
            continue
        if a.endswith("\n") != b.endswith("\n"):
            left_out["final newline differs"] += 1
            continue
        yield Change(name, a, b)


# Drift ----------------------------------------------------------------------------------------------

Drift = Callable[[random.Random, list[str], list[str]], tuple[list[str], list[str]] | None]


def _context(search: Sequence[str], wanted: Sequence[str]) -> list[tuple[int, int]]:
    """The lines of a block that stay: those above its first change, and those below its last."""
    head = 0
    while head < min(len(search), len(wanted)) and search[head] == wanted[head]:
        head += 1
    tail = 0
    while tail < min(len(search), len(wanted)) - head and search[-1 - tail] == wanted[-1 - tail]:
        tail += 1
    return [(n, n) for n in range(head)] + [(len(search) - 1 - n, len(wanted) - 1 - n) for n in range(tail)]


def trailing(rng: random.Random, search: list[str], wanted: list[str]) -> tuple[list[str], list[str]] | None:
    """Blanks at the ends of some lines."""
    noisy = {line: line + " " * rng.randint(1, 3) for line in search if line.strip() and rng.random() < 0.6}
    return ([noisy.get(x, x) for x in search], [noisy.get(x, x) for x in wanted]) if noisy else None


def reindented(
    rng: random.Random, search: list[str], wanted: list[str]
) -> tuple[list[str], list[str]] | None:
    """All lines moved in or out, or indented with tabs."""
    filled = [x for x in search + wanted if x.strip()]
    least = min((len(x) - len(x.lstrip(" ")) for x in filled), default=0)
    if any(x.startswith("\t") for x in filled) or not any(x.strip() for x in search):
        return None
    if (
        rng.random() < 0.3
        and all((len(x) - len(x.lstrip(" "))) % 4 == 0 for x in filled)
        and (any(x.startswith("    ") for x in search))
    ):

        def move(x: str) -> str:
            return "\t" * ((len(x) - len(x.lstrip(" "))) // 4) + x.lstrip(" ")
    elif least:

        def move(x: str) -> str:
            return x[least:] if x.strip() else x
    else:

        def move(x: str) -> str:
            return "    " + x if x.strip() else x

    return [move(x) for x in search], [move(x) for x in wanted]


def _lost_blank(beside: bool) -> Drift:
    """A blank line of the context is lost: in both parts, or in SEARCH alone.

    It lies within the context or beside the change. Not where the change itself makes more blank lines of
    one: then it is no context.
    """

    def drift(rng: random.Random, search: list[str], wanted: list[str]) -> tuple[list[str], list[str]] | None:
        filled = [n for n, x in enumerate(search) if x.strip()]
        context = _context(search, wanted)
        shift = {a: b - a for a, b in context}  # differs above and below the change
        blank = []
        for a, b in context:
            edge = search[a].strip() or not filled or not filled[0] < a < filled[-1]
            if edge or _run(search, a) != _run(wanted, b):
                continue
            above, below = max(n for n in filled if n < a), min(n for n in filled if n > a)
            within = above in shift and below in shift and shift[above] == shift[below]
            if beside != within:
                blank.append((a, b))
        if not blank:
            return None
        a, b = rng.choice(blank)
        return search[:a] + search[a + 1 :], wanted[:b] + wanted[b + 1 :] if rng.random() < 0.67 else wanted

    return drift


def _run(lines: Sequence[str], at: int) -> int:
    """How many blank lines stand together."""
    first = last = at
    while first and not lines[first - 1].strip():
        first -= 1
    while last + 1 < len(lines) and not lines[last + 1].strip():
        last += 1
    return last - first + 1


def _stale(change: Callable[[random.Random, str], str | None]) -> Drift:
    """One line of the context is remembered wrongly, in both parts."""

    def drift(rng: random.Random, search: list[str], wanted: list[str]) -> tuple[list[str], list[str]] | None:
        pairs = [pair for pair in _context(search, wanted) if search[pair[0]].strip()]
        rng.shuffle(pairs)
        for a, b in pairs:
            made = change(rng, search[a])
            if made is not None and made != search[a]:
                return [*search[:a], made, *search[a + 1 :]], [*wanted[:b], made, *wanted[b + 1 :]]
        return None

    return drift


def _spacing(_: random.Random, line: str) -> str | None:
    start = len(line) - len(line.lstrip())
    return line[:start] + re.sub(r" ?([=,+]) ?", r"\1", line[start:])


def _quotes(_: random.Random, line: str) -> str | None:
    return line.replace('"', "'") if '"' in line and "'" not in line else None


def _tail(_: random.Random, line: str) -> str | None:
    return line + "  # as before" if not line.strip().startswith(("#", "/", "*", '"')) else None


def _comment(rng: random.Random, line: str) -> str | None:
    words = line.split(" ")
    at = [n for n, word in enumerate(words) if word.isalpha()]
    if not line.strip().startswith(("#", "//", "*")) or len(at) < 5:
        return None
    gone = rng.choice(at)
    return " ".join(words[:gone] + words[gone + 1 :])


WORDS = ("value", "data", "name", "other", "config", "result", "item", "context")


def _word(rng: random.Random, line: str) -> str | None:
    """Another word in the place of one: what is stale, and what a near duplicate differs by."""
    found = list(re.finditer(r"[A-Za-z_]{3,}|\d+", line))
    if not found:
        return None
    at = rng.choice(found)
    new = str(int(at[0]) + 1) if at[0].isdigit() else at[0] + "_" + rng.choice(WORDS)
    return (
        line[: at.start()]
        + (new if rng.random() < 0.5 or at[0].isdigit() else rng.choice(WORDS))
        + line[at.end() :]
    )


DRIFTS: dict[str, Drift] = {
    "trailing blanks": trailing,
    "indentation": reindented,
    "lost blank line": _lost_blank(beside=False),
    "lost blank line beside the change": _lost_blank(beside=True),
    "stale line: spacing": _stale(_spacing),
    "stale line: quotes": _stale(_quotes),
    "stale line: comment at its end": _stale(_tail),
    "stale line: comment shortened": _stale(_comment),
    "stale line: another word": _stale(_word),
}


# Adversaries ----------------------------------------------------------------------------------------

DEFINED = re.compile(r"(\s*(?:async )?(?:def|class|function|fn|func|struct)\s+)(\w+)")


def near(rng: random.Random, lines: Sequence[str]) -> list[str] | None:
    """A near duplicate of some lines: another name where they define one, else one other word."""
    for n, line in enumerate(lines):
        if found := DEFINED.match(line):
            return [*lines[:n], found[1] + found[2] + "_two" + line[found.end() :], *lines[n + 1 :]]
    order = [n for n, line in enumerate(lines) if line.strip()]
    rng.shuffle(order)
    for n in order:
        if (made := _word(rng, lines[n])) and made != lines[n]:
            return [*lines[:n], made, *lines[n + 1 :]]
    return None


def cut(text: str, part: str, instead: str) -> str:
    """A text with a part of whole lines replaced."""
    at = ("\n" + text).index("\n" + part)
    return text[:at] + instead + text[at + len(part) :]


# Counting -------------------------------------------------------------------------------------------


class Tally:
    """Counts of what came out, by category and who applied it."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.hows: dict[str, Counter[str]] = defaultdict(Counter)
        self.shown: list[str] = []
        self.verbose = 0

    def one(
        self,
        category: str,
        old: bytes,
        meant: bytes | None,
        edit: Edit,
        crlf: bool = False,
        seen: Sequence[bytes] = (),
    ) -> None:
        """Write, parse and apply an edit, and count what came out. `meant` None: it has to be refused."""
        reply = written(edit)
        why = ""
        try:
            verb = parse(reply.replace("\n", "\r\n") if crlf else reply)
            assert isinstance(verb, Edit) and verb.path == edit.path, (verb, edit.path)
            applied = apply(old, verb, seen=seen)
            self.hows[category][applied.how] += 1
            result = "exact" if applied.data == meant else "wrong"
        except (Malformed, EditFails) as error:
            result, why = "refused", str(error)
        self.counts[category][result] += 1
        if self.verbose and (result == "wrong" or (result == "refused" and meant is not None)):
            self.verbose -= 1
            print(f"=== {category}: {result} {edit.path}\n{why[:600]}\n{reply[:1500]}", file=sys.stderr)
        self.counts[category]["naive " + naive(old, meant, edit)] += 1


def naive(old: bytes, meant: bytes | None, edit: Edit) -> str:
    """The reference: the first place of the text."""
    text = old.decode()
    for block in edit.blocks:
        if block.search not in text:
            return "refused"
        text = text.replace(block.search, block.replace, 1)
    data = text.encode() if edit.whole is None else edit.whole.encode()
    return "exact" if data == meant else "wrong"


def measure(change: Change, tally: Tally) -> None:
    """All categories for one change."""
    rng = random.Random(change.name + str(len(change.old)))
    path = change.name
    old, new = change.old.encode(), change.new.encode()
    before, after = change.old.split("\n"), change.new.split("\n")
    closed = change.old.endswith("\n")
    if closed:
        before, after = before[:-1], after[:-1]
    blocks = blocks_between(before, after)
    edit = Edit(path, tuple(blocks))
    tally.one("blocks", old, new, edit)
    if max(len(before), len(after)) <= WHOLE:
        tally.one("whole file", old, new, Edit(path, whole=change.new if closed else change.new + "\n"))
    tally.one("CRLF reply", old, new, edit, crlf=True)
    tally.one("CRLF file", old.replace(b"\n", b"\r\n"), new.replace(b"\n", b"\r\n"), edit)
    for category, drift in DRIFTS.items():
        order = list(range(len(blocks)))
        rng.shuffle(order)
        for at in order:
            search, wanted = blocks[at].search.split("\n")[:-1], blocks[at].replace.split("\n")[:-1]
            if drifted := drift(rng, search, wanted):
                changed = Block(*("".join(x + "\n" for x in part) for part in drifted))
                if changed.search in change.old:
                    continue  # it now says another place word for word
                drifted_edit = replace(edit, blocks=(*blocks[:at], changed, *blocks[at + 1 :]))
                tally.one(category, old, new, drifted_edit)
                if category == UNTOLD and change.old.count(blocks[at].search) == 1:
                    shown = cut(change.old, blocks[at].search, changed.search).encode()
                    tally.one(SHOWN, old, new, drifted_edit, seen=[shown])
                break
    if closed and len(blocks[0].search) > 20:
        attack(rng, change, rng.choice(blocks), tally)


def attack(rng: random.Random, change: Change, block: Block, tally: Tally) -> None:
    """One block against files where its target is not what it was."""
    edit = Edit(change.name, (block,))
    meant = cut(change.old, block.search, block.replace)
    if block.search != change.old:
        tally.one("target twice", (change.old + block.search).encode(), None, edit)
        gone = cut(change.old, block.search, "").encode()
        tally.one("target gone", gone, None, edit)
        tally.one("target gone since it was shown", gone, None, edit, seen=[change.old.encode()])
    if other := near(rng, block.search.split("\n")):
        twin = "\n".join(other)
        if block.search not in twin:
            tally.one("near duplicate as well", (change.old + twin).encode(), (meant + twin).encode(), edit)
            tally.one("near duplicate instead", cut(change.old, block.search, twin).encode(), None, edit)


WELL_FORMED = ("blocks", "whole file")
ADVERSARIAL = ("target twice", "target gone", "near duplicate as well", "near duplicate instead",
               "target gone since it was shown")  # fmt: skip


UNTOLD = "stale line: another word"
"""The same text as a near duplicate in the place of its target: refused on purpose, so counted on its own."""
SHOWN = "stale line: another word, as it was shown"
"""The same where the state of the file that the model was shown is known, as it is to the agent."""


def report(tally: Tally) -> dict[str, object]:
    """The counts, and what they come to."""

    def total(names: Sequence[str], who: str = "") -> dict[str, float]:
        sums: Counter[str] = Counter()
        for name in names:
            sums.update(tally.counts[name])
        tried = sum(sums[who + each] for each in ("exact", "refused", "wrong"))
        return {
            "tried": tried,
            "exact_percent": round(100 * sums[who + "exact"] / max(1, tried), 2),
            "wrong": sums[who + "wrong"],
        }

    drifts = [name for name in tally.counts if name not in WELL_FORMED + ADVERSARIAL]
    told = [name for name in drifts if name != UNTOLD]
    hows = {name: dict(found) for name, found in tally.hows.items()}
    return {
        "well_formed": total(WELL_FORMED),
        "drift": total(told),
        "drift_with_another_word": total(drifts),
        "adversarial": total(ADVERSARIAL),
        "wrong_place": total([*tally.counts])["wrong"],
        "reference": {
            "well_formed": total(WELL_FORMED, "naive "),
            "drift": total(told, "naive "),
            "adversarial": total(ADVERSARIAL, "naive "),
            "wrong_place": total([*tally.counts], "naive ")["wrong"],
        },
        "categories": {
            name: dict(found) | {"how": hows.get(name, {})} for name, found in tally.counts.items()
        },
    }


def main() -> None:
    """Fetch, measure, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", type=Path, help="folder of the wheels; a temporary one if not given")
    parser.add_argument("--per-package", type=int, default=8, help="changed files of a package at most")
    parser.add_argument("--offline", action="store_true", help="only what is in the cache")
    parser.add_argument("--show", type=int, default=0, help="print so many that were refused or wrong")
    options = parser.parse_args()
    tally = Tally()
    tally.verbose = options.show
    left_out: Counter[str] = Counter()
    counted: dict[str, int] = {}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        cache = options.cache or Path(folder)
        for name, old, new in PAIRS:
            wheels = [fetch(cache, name, version, options.offline) for version in (old, new)]
            if wheels[0] is None or wheels[1] is None:
                counted[name] = 0
                continue
            found = list(changes(wheels[0], wheels[1], left_out))
            random.Random(name).shuffle(found)
            counted[name] = len(found[: options.per_package])
            for change in found[: options.per_package]:
                measure(change, tally)
    if not any(counted.values()):
        sys.exit("no package could be fetched: offline, and nothing in --cache")
    told = {"changes": sum(counted.values()), "packages": counted, "left_out": dict(left_out)}
    print(json.dumps(told | report(tally) | {"seconds": round(time.monotonic() - started, 1)}, indent=1))


if __name__ == "__main__":
    main()
