"""Which files matter for a ticket: its words looked up in paths, definitions, prose and code, then spread
over the graph of references, so that what uses a found file, or is used by it, is found too.

Guarantees: pure, and the same to the last bit for the same files and words; a file that the ticket names
comes before each one that it does not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from orchestrator.agent.query import Query
from orchestrator.agent.repomap import Survey
from orchestrator.agent.terms import split
from orchestrator.globs import matches

K1, B = 1.2, 0.6  # of BM25 (Robertson and Zaragoza 2009)
PATH, NAME = 1.0, 0.6  # for a word that is in a path or a definition's name, beside 1 for being there often
SEEDS = 60  # files that the walk over references starts from
NEAR = 0.35  # what a walk's figure adds, beside 1 for the best match of words
SYMBOL = 0.6  # for a definition that the ticket names
INSIDE = 0.5  # for a file in the ticket's paths, shared among the more the wider the globs
PAIR = 0.35  # of a module's score goes to its test, and the other way round
LESS = {"prose": 0.4, "data": 0.25}  # a page that tells of a thing is seldom what is to be changed
NAMED = 10.0  # above all other sums


@dataclass(frozen=True)
class Ranking:
    """Files with a score above 0, best first, and the weight of each term of the query in this repository."""

    files: Sequence[tuple[str, float]]
    weights: Mapping[str, float]


def rank(survey: Survey, query: Query, paths: Sequence[str] = ()) -> Ranking:
    """Order the files of a survey by what they have to do with a query and the globs of a ticket."""
    scores, weights = _words(survey, query)
    best = max(scores.values(), default=0.0)
    if best > 0:
        scores = {path: score / best for path, score in scores.items()}
    for name in sorted(query.symbols):
        homes = survey.graph.defined.get(name, ())
        for path in homes:
            scores[path] = scores.get(path, 0.0) + SYMBOL * query.symbols[name] / len(homes)
    inside = within(survey.facts, paths)
    for path in inside:
        scores[path] = scores.get(path, 0.0) + INSIDE / math.sqrt(len(inside))
    for path in query.named:
        if path in survey.facts:
            scores[path] = scores.get(path, 0.0) + 1.0
    scores = {p: s * LESS.get(survey.facts[p].language, 1.0) for p, s in scores.items()}
    seeds = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:SEEDS]
    near = survey.graph.spread({path: score * score for path, score in seeds})
    most = max(near.values(), default=0.0)
    for path in sorted(near):
        less = LESS.get(survey.facts[path].language, 1.0)
        scores[path] = scores.get(path, 0.0) + NEAR * less * near[path] / most
    scores = _paired(scores, survey.facts)
    for at, path in enumerate(query.named):
        if path in survey.facts:
            scores[path] = scores.get(path, 0.0) + NAMED - at / 1_000
    files = sorted(((p, s) for p, s in scores.items() if s > 0), key=lambda item: (-item[1], item[0]))
    return Ranking(files, weights)


def within(known: Iterable[str], globs: Sequence[str]) -> list[str]:
    """The paths that match a glob of a ticket, as for what its change may touch."""
    return [path for path in sorted(known) if any(matches(path, glob) for glob in globs)]


def _words(survey: Survey, query: Query) -> tuple[dict[str, float], dict[str, float]]:
    """BM25 over the words of each file, and the weight of each term: its rareness times what was asked."""
    heard: dict[str, tuple[str, ...]] = {}  # words of files, with the terms of the query in each
    # A stem stands in each word that has it, but for a last y; most words are done with by that.
    hint = re.compile(
        "|".join(re.escape(term.removesuffix("y")) for term in sorted(query.terms)), re.IGNORECASE
    )

    def terms(word: str) -> tuple[str, ...]:
        found = heard.get(word)
        if found is None:
            found = ()
            if hint.search(word):
                found = tuple(term for term in split(word) if term in query.terms)
            heard[word] = found
        return found

    counts: dict[str, dict[str, int]] = {}
    marks: dict[str, dict[str, float]] = {}
    lengths: dict[str, int] = {}
    for path, facts in survey.facts.items():
        lengths[path] = len(facts.code) + len(facts.prose)
        sums: dict[str, int] = {}
        for words in (facts.code, facts.prose):
            for word, number in words.items():
                for term in terms(word):
                    sums[term] = sums.get(term, 0) + number
        mark: dict[str, float] = {}
        for share, names in ((NAME, [d.name for d in facts.definitions]), (PATH, _path_words(path))):
            for term in dict.fromkeys(term for name in names for term in terms(name)):
                mark[term] = mark.get(term, 0.0) + share
                sums.setdefault(term, 1)
        if sums:
            counts[path], marks[path] = sums, mark
    spread: dict[str, int] = dict.fromkeys(query.terms, 0)
    for sums in counts.values():
        for term in sums:
            spread[term] += 1
    number = len(survey.facts)
    weights = {
        term: query.terms[term] * math.log1p((number - at + 0.5) / (at + 0.5)) for term, at in spread.items()
    }
    usual = sum(lengths.values()) / max(number, 1)
    scores = {}
    for path, sums in counts.items():
        long = K1 * (1 - B + B * lengths[path] / max(usual, 1))
        often = sum(weights[t] * sums[t] * (K1 + 1) / (sums[t] + long) for t in sorted(sums))
        scores[path] = often + sum(weights[t] * marks[path][t] for t in sorted(marks[path]))
    return scores, weights


def _path_words(path: str) -> list[str]:
    return re.findall(r"[^\W_][^\W]*", path.rpartition(".")[0] or path)


def _paired(scores: Mapping[str, float], known: Mapping[str, object]) -> dict[str, float]:
    """A test and the module that it is named after raise one another."""
    modules: dict[str, list[str]] = {}
    tests: dict[str, list[str]] = {}
    for path in known:
        name = PurePosixPath(path).name.split(".")[0].lower()
        bare = re.sub(r"^test_?|_?(test|tests|spec)$", "", name)
        marked = bare != name or re.search(r"\.(test|spec)\.", path)
        (tests if marked else modules).setdefault(bare if marked else name.strip("_"), []).append(path)
    out = dict(scores)
    for name in sorted(tests):
        ones, others = tests[name], modules.get(name, [])
        if name and others and len(ones) * len(others) <= 12:
            for one in ones:
                for other in others:
                    out[one] = out.get(one, 0.0) + PAIR * scores.get(other, 0.0) / len(ones)
                    out[other] = out.get(other, 0.0) + PAIR * scores.get(one, 0.0) / len(others)
    return out
