"""Whether the files that a change needs are in an 8k context: `python benchmarks/context.py --cache DIR`.

Changes are real: two neighbouring releases of public packages, as their source archives hold them. One change
is one release, and counts where it is small enough to be one task (at most MOST_LINES lines of notes and
MOST_FILES changed code files that were there before). The goal is the text that the newer release added to
its change log or release notes, markup and links taken out; each word that looks like a path or a file name,
and the modules of a dotted name, are taken out too, so that no path leaks. The files wanted are the code
files of the older release that the newer one changed by more than a version, a date or blanks. What is
searched is the older release, which has not seen the goal.

Four ways fill the same budget:
- `map`: what the product does: whole files, outlines, a map (files that stand in the map alone don't count);
- `baseline`: files ranked by how many words of the goal are in their path and content, whole files while
  they fit;
- `map_whole`, `baseline_outlined`: the product's ranking with the baseline's filling and the other way round,
  to tell what the ranking does and what the filling does.

`recall` is the mean over changes of the share of wanted files that are shown, whole or in outline; `whole`
counts only whole files; `lines` is the share of the changed lines of the older release that are in view, and
so the fairest of the three between whole files and outlines. `masked` is the same with each word of a wanted
file's name taken out of the goal. The constants of the product were set by looking at the packages under
`tuned`; those under `held_out` were only measured.

The archives are fetched by pip into the cache folder where they are not yet there; `--sets small` (the
default) takes a few releases, `--sets all` all of them.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import json
import re
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.agent.context import Choice, choose, fill
from orchestrator.agent.query import ask
from orchestrator.agent.rank import Ranking, rank
from orchestrator.agent.repomap import HUGE, Survey, survey
from orchestrator.agent.terms import STOP
from orchestrator.agent.tokens import OVERHEAD, tokens

BUDGET = 8_000
MOST_LINES = 40
MOST_FILES = 12
CODE = (".py", ".pyi", ".js", ".ts", ".c", ".rs", ".go", ".java")
TUNED = {
    "click": "8.1.2 8.1.3 8.1.4 8.1.5 8.1.6 8.1.7 8.1.8",
    "werkzeug": "3.0.1 3.0.2 3.0.3 3.0.4 3.0.5 3.0.6 | 3.1.1 3.1.2 3.1.3",
    "pytest": "8.3.0 8.3.1 8.3.2 8.3.3 8.3.4 8.3.5 | 8.4.1 8.4.2",
    "starlette": "0.46.0 0.46.1 0.46.2 0.47.0 0.47.1 0.47.2 0.47.3",
    "scrapy": "2.11.0 2.11.1 2.11.2 | 2.13.1 2.13.2 2.13.3",
}
HELD_OUT = {
    "flask": "2.2.0 2.2.1 2.2.2 2.2.3 2.2.4 2.2.5 | 3.0.1 3.0.2 3.0.3",
    "urllib3": "2.0.2 2.0.3 2.0.4 2.0.5 2.0.6 2.0.7 | 2.2.0 2.2.1 2.2.2 2.2.3",
    "tornado": "6.4.1 6.4.2 | 6.5 6.5.1 6.5.2 6.5.3",
    "marshmallow": "3.21.0 3.21.1 3.21.2 3.21.3 3.22.0 | 3.26.0 3.26.1 | 4.0.0 4.0.1 4.1.0 4.1.1",
    "sphinx": "7.4.1 7.4.2 7.4.3 7.4.4 7.4.5 7.4.6 7.4.7 | 8.0.0 8.0.1 8.0.2 | 8.1.0 8.1.1 8.1.2 8.1.3",
    "pylint": "3.3.3 3.3.4 3.3.5",
}
SMALL = {
    "tuned": {"starlette": "0.46.0 0.46.1 0.46.2"},
    "held_out": {"flask": "3.0.1 3.0.2 3.0.3", "marshmallow": "3.21.0 3.21.1 3.21.2 3.21.3"},
}
NOTES = re.compile(r"(^|/)(changes|changelog|history|news|release[-_]?notes?|releases|whatsnew)\b", re.I)
AUTHORS = re.compile(r"announce|contributors|authors", re.I)
LINKS = re.compile(r"https?://\S+|:(pr|issue|ghsa|user|cve|gh)[^`\s]*:`[^`]*`|#\d+|(?<![`\w])@[\w-]+", re.I)
PATHLIKE = re.compile(r"[\w.]/[\w.]|\.(py|rst|md|toml|js|c|txt|cfg|ini)\b")
TEXT = (".rst", ".md", ".txt", "")
RELEASED = re.compile(r"version|copyright|©|\b\d{4}-\d\d-\d\d\b|\b\d+\.\d+\.\d+", re.I)


@dataclass(frozen=True)
class Change:
    """One release: what it was to do, what it changed, and the lines of the older files that it touched."""

    name: str
    goal: str
    old: Mapping[str, bytes]
    wanted: Mapping[str, frozenset[int]]


def archive(cache: Path, package: str, version: str) -> dict[str, bytes]:
    """The text files of a source archive by path, fetched if it is not in the cache."""

    def kept() -> list[Path]:
        return [p for p in sorted(cache.glob("*.tar.gz")) if p.name.lower() == f"{package}-{version}.tar.gz"]

    if not kept():
        cache.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*pip, "-d", str(cache), f"{package}=={version}"], check=True, stdout=sys.stderr)
    files = {}
    with tarfile.open(kept()[0]) as opened:
        for member in opened:
            path = member.name.partition("/")[2]
            if member.isfile() and path and member.size <= HUGE and (held := opened.extractfile(member)):
                files[path] = held.read()
    return files


def is_notes(path: str) -> bool:
    """Whether a file tells of releases."""
    return bool(NOTES.search(path)) and not AUTHORS.search(path) and PurePosixPath(path).suffix in TEXT


def added(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> list[str]:
    """The lines that the newer release added to one of its notes: the file that gained most of them."""
    best: list[str] = []
    for path in sorted(p for p in new if is_notes(p)):
        before = set(old.get(path, b"").decode(errors="replace").split("\n"))
        lines = [x for x in new[path].decode(errors="replace").split("\n") if x not in before and x.strip()]
        if len(lines) > len(best):
            best = lines
    return best


def goal_of(lines: Iterable[str]) -> str:
    """Notes as a sentence: no heading, no date, no markup, no link, no path and no file name."""
    kept = []
    for line in lines:
        if re.match(r"^\s*([-=~^*#`+.]{3,}|\.\. |#+ |released\b|version\b|date:|:?unreleased)", line, re.I):
            continue
        if re.fullmatch(r"[\W\d]*(\w+ )?\d+\.\d+[\w.]*[\W\d]*(\([^)]*\))?\W*", line.strip()):
            continue
        kept.append(line.strip())
    text = " ".join(kept)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(
        r"https?://\S+|:(pr|issue|ghsa|user|cve|gh)[^`\s]*:`[^`]*`|#\d+|(?<![`\w])@[\w-]+",
        " ",
        text,
        flags=re.I,
    )
    text = re.sub(r":[\w:-]+:`~?([^`<]*)(<[^>]*>)?`", r"`\1`", text)
    text = re.sub(r"(?<![\w.])(?:[a-z_]\w*\.)+(?=\w)", "", text)
    words = [
        w for w in text.split() if not re.search(r"[\w.]/[\w.]|\.(py|rst|md|toml|js|c|txt|cfg|ini)\b", w)
    ]
    return " ".join(words)[:2_000]


def touched(old: bytes, new: bytes) -> frozenset[int]:
    """The lines of the older file, from 1, that were changed or stand before something new."""
    ones, others = old.decode(errors="replace").split("\n"), new.decode(errors="replace").split("\n")
    found: set[int] = set()
    for kind, a, b, c, d in difflib.SequenceMatcher(None, ones, others, autojunk=False).get_opcodes():
        text = [x for x in (*ones[a:b], *others[c:d]) if x.strip() and not RELEASED.search(x)]
        if kind != "equal" and text:
            found |= set(range(a + 1, max(b, a + 1) + 1))
    return frozenset(found)


def changes(cache: Path, packages: Mapping[str, str]) -> Iterator[Change]:
    """The changes of packages that are small enough to be one task."""
    for package, rows in packages.items():
        for row in rows.split("|"):
            versions = row.split()
            held: dict[str, bytes] = {}
            for older, newer in itertools.pairwise(versions):
                old = held or archive(cache, package, older)
                held = new = archive(cache, package, newer)
                notes = added(old, new)
                goal = goal_of(notes)
                moved = [p for p in sorted(old) if p.endswith(CODE) and p in new and old[p] != new[p]]
                if not 0 < len(notes) <= MOST_LINES or len(goal.split()) < 5 or len(moved) > 4 * MOST_FILES:
                    continue
                wanted = {p: lines for p in moved if (lines := touched(old[p], new[p]))}
                if 0 < len(wanted) <= MOST_FILES:
                    yield Change(f"{package} {newer}", goal, old, wanted)


def masked(change: Change) -> str:
    """The goal without the words of which the names of wanted files are made."""
    stems = [PurePosixPath(path).stem.lower() for path in change.wanted]
    parts = {part for stem in stems for part in re.findall(r"[a-z]{3,}", stem)}
    return re.sub(r"[^\W\d]\w*", lambda word: "" if parts & _words(word[0]) else word[0], change.goal)


def _words(text: str) -> set[str]:
    parts, whole = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", text), re.findall(r"[^\W\d]\w*", text)
    return {word.lower() for word in (*parts, *whole)}


def plain_order(mapped: Survey, goal: str) -> list[str]:
    """The baseline: by the number of the goal's words in path and content, then by path."""
    words = {word for word in _words(goal) if word not in STOP and len(word) > 1}
    points = {}
    for path in mapped.facts:
        points[path] = len(words & _words(path)) + len(words & _words(mapped.text(path)))
    return sorted((p for p in points if points[p]), key=lambda p: (-points[p], p))


def whole_files(mapped: Survey, order: Sequence[str]) -> Choice:
    """Whole files in their order, while they fit."""
    files = list[tuple[str, str]]()
    costs = dict[str, int]()
    for path in order:
        cost = tokens(path + "\n" + mapped.text(path)) + OVERHEAD
        if sum(costs.values()) + cost <= BUDGET:
            files.append((path, mapped.text(path)))
            costs[path] = cost
    return Choice(files, [], "", [], costs)


def outlined(mapped: Survey, order: Sequence[str], goal: str) -> Choice:
    """The product's filling of the baseline's order."""
    weights = rank(mapped, ask(goal, (), (), mapped.facts, mapped.graph.defined)).weights
    return fill(mapped, Ranking([(path, 1.0) for path in order], weights), BUDGET)


def score(change: Change, choice: Choice) -> dict[str, float]:
    """The shares of what is wanted that is shown."""
    if choice.total > BUDGET:
        raise SystemExit(f"{change.name}: {choice.total} tokens are more than {BUDGET}")
    whole, outlines = {p for p, _ in choice.files}, dict(choice.outlines)
    lines = sum(map(len, change.wanted.values()))
    seen = 0
    for path, touched_lines in change.wanted.items():
        if path in whole:
            seen += len(touched_lines)
        elif path in outlines:
            seen += len(touched_lines & {int(x.partition(":")[0]) for x in outlines[path].split("\n") if x})
    size = len(change.wanted)
    return {
        "recall": len(change.wanted.keys() & (whole | outlines.keys())) / size,
        "whole": len(change.wanted.keys() & whole) / size,
        "lines": seen / lines,
    }


def measure(
    found: Sequence[Change], goal: Callable[[Change], str], cache: dict[bytes, Any], verbose: bool
) -> dict[str, Any]:
    """All ways on all changes."""
    ways = ("map", "baseline", "map_whole", "baseline_outlined")
    sums: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    seconds = []
    for change in found:
        text = goal(change)
        mapped = survey(change.old, cache)
        began = time.perf_counter()
        choice = choose(mapped, text, budget=BUDGET)
        seconds.append(time.perf_counter() - began)
        order = plain_order(mapped, text)
        query = ask(text, (), (), mapped.facts, mapped.graph.defined)
        places = [path for path, _ in rank(mapped, query).files]
        whole = whole_files(mapped, order), whole_files(mapped, places)
        for name, each in zip(ways, (choice, *whole, outlined(mapped, order, text)), strict=True):
            sums[name].append(score(change, each))
        if verbose:
            said = {name: round(rows[-1]["recall"], 2) for name, rows in sums.items()}
            print(
                change.name, len(mapped.facts), said, repr(text[:300]), sorted(change.wanted), file=sys.stderr
            )
            at = {path: places.index(path) if path in places else None for path in sorted(change.wanted)}
            print("   ", at, file=sys.stderr)
    out: dict[str, Any] = {
        name: {
            key: round(statistics.fmean(row[key] for row in rows), 3) for key in ("recall", "whole", "lines")
        }
        for name, rows in sums.items()
    }
    best, base = out["map"], out["baseline"]
    out["ratio"] = {key: round(best[key] / base[key], 2) if base[key] else None for key in best}
    alone = out["map_whole"]["recall"]
    out["ratio"]["ranking_alone"] = round(alone / base["recall"], 2) if base["recall"] else None
    out["choose_seconds_median"] = round(statistics.median(seconds), 3)
    return out


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--cache", type=Path, required=True, help="folder of the source archives")
    asked.add_argument("--sets", choices=("small", "tuned", "all"), default="small")
    asked.add_argument("--verbose", action="store_true", help="each change, on standard error")
    options = asked.parse_args()
    sets = SMALL if options.sets == "small" else {"tuned": TUNED, "held_out": HELD_OUT}
    if options.sets == "tuned":
        sets = {"tuned": TUNED}
    out: dict[str, Any] = {"method": " ".join((__doc__ or "").split()), "budget": BUDGET}
    for name, packages in sets.items():
        found = list(changes(options.cache, packages))
        files = [len(change.wanted) for change in found]
        cache: dict[bytes, Any] = {}
        out[name] = {
            "packages": sorted({change.name.split()[0] for change in found}),
            "changes": len(found),
            "files_wanted": sum(files),
            **measure(found, lambda change: change.goal, cache, options.verbose),
            "masked": measure(found, masked, cache, False),
        }
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
