"""What a ticket's words ask for: terms to look for, names of definitions, files that it names outright."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from orchestrator.agent.terms import STOP, split

TEXT = 20_000  # characters of a ticket that are looked at
AMBIGUOUS = 3  # files that a name may stand for and still be meant
_PATH = re.compile(r"[\w@.+-]+(?:[/\\][\w@.+-]+)*")
_NAME = re.compile(r"[^\W\d]\w*")
_CODE = re.compile(r"`([^`\n]{1,200})`")
_CODELIKE = 2.5  # what a word written like an identifier weighs; a plain word weighs 1
_COMMAND = 0.3  # what a word of a command line weighs: programs and options are no subject


@dataclass(frozen=True)
class Query:
    """Terms and names with their weights, and named files in the order in which they were named."""

    terms: Mapping[str, float]
    symbols: Mapping[str, float]
    named: tuple[str, ...]


def ask(
    goal: str, constraints: Sequence[str], commands: Sequence[str], known: Iterable[str], names: Iterable[str]
) -> Query:
    """Read a ticket's words.

    Args:
        goal: what is to be done.
        constraints: further sentences.
        commands: command lines of the checks; they count for the files they name.
        known: the paths of the repository.
        names: the names that are defined in it.
    """
    stems: dict[str, list[str]] = {}
    for path in sorted(known):
        pure = PurePosixPath(path)
        for name in {pure.name: 0, pure.stem: 0}:
            stems.setdefault(name.lower(), []).append(path)
    defined = names if isinstance(names, (set, frozenset, dict)) else frozenset(names)
    terms: dict[str, float] = {}
    symbols: dict[str, float] = {}
    named: dict[str, None] = {}
    texts = [(goal, 1.0), *((text, 0.7) for text in constraints), *((text, _COMMAND) for text in commands)]
    for text, share in texts:
        text = text[:TEXT]
        quoted = {name for code in _CODE.findall(text) for name in _NAME.findall(code)}
        for found in _PATH.finditer(text):
            named.update(dict.fromkeys(_meant(found[0], stems)))
        for word in _NAME.findall(text):
            codelike = word in quoted or "_" in word.strip("_") or bool(re.search(r"[a-z][A-Z]", word))
            if word in defined and (codelike or f"{word}(" in text or word[0].isupper()):
                symbols[word] = max(symbols.get(word, 0.0), share * (1.0 if codelike else 0.6))
            weight = share * (_CODELIKE if codelike else 1.0)
            for term in split(word):
                if len(term) > 1 and (codelike or (term not in _STOPPED and word.lower() not in STOP)):
                    terms[term] = max(terms.get(term, 0.0), weight)
    return Query(terms, symbols, tuple(named))


_STOPPED = frozenset(term for word in STOP for term in split(word))


def _meant(word: str, stems: Mapping[str, Sequence[str]]) -> list[str]:
    """The files that a word names: a path or its end, a file name, or a module with dots."""
    word = re.sub(r"^(\./)+", "", word.replace("\\", "/")).strip(".-")
    if "/" not in word and "." not in word:
        return []
    for end in (word, word.replace(".", "/"), word.rpartition(".")[0].replace(".", "/")):
        if not end or ("/" not in end and end != word):
            continue
        parts = end.lower().split("/")
        found = []
        for path in stems.get(parts[-1], ()):
            pure = PurePosixPath(path.lower())
            whole, bare = pure.parts, (*pure.parts[:-1], pure.stem)
            if list(whole[-len(parts) :]) == parts or list(bare[-len(parts) :]) == parts:
                found.append(path)
        if end in found:
            return [end]
        if 0 < len(found) <= AMBIGUOUS:
            return found
    return []
