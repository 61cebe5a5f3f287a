"""A person's question about a scene, taken apart: what it asks in words of their own, and of which objects.

Pure and by fixed rules: words that the core knows name objects ("the small red one", "the star at the top"),
a short list of English words carries the sentence, and whatever is left is the person's own. Two questions
ask the same where these words and the form (open, how many, yes or no) are the same: "what kind is it?" and
"which kind is this?".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from datagen.scenes.scene import CELLS, COLOURS, SHAPES, SIZES

MOST_WORDS = 64  # of a question that are read
_PLURALS = {f"{shape}{'es' if shape == 'cross' else 's'}": shape for shape in SHAPES}
_ROWS = {"top": 0, "bottom": 2}
_COLUMNS = {"left": 0, "right": 2}
_PARTS = ("shape", "colour", "size", "row", "column")
_NOUNS = {"object", "objects", "one", "ones", "thing", "things", "shape", "shapes"}
_ARTICLES = {"a", "an", "the"}
_OTHERS = {"other", "others", "rest"}
PLAIN = _ARTICLES | {"object", "objects", "one", "ones", "thing", "things", "picture", "scene", "image"}
_SENTENCE = """am and are as at be by can could did do does for from give has have here how i if in is it its
me my now of on or please say see tell that their them then there these they this those to us was we were
what when where which who whose why will with would you your"""
PLAIN |= set(_SENTENCE.split())
"""Words that carry a sentence, and ask for nothing."""
_POLAR = {"is", "are", "was", "were", "does", "do", "did", "has", "have", "can", "could", "will", "would"}


@dataclass(frozen=True)
class Named:
    """What a question says of one object; -1 where it does not say."""

    shape: int = -1
    colour: int = -1
    size: int = -1
    row: int = -1
    column: int = -1
    other: bool = False  # "the other one": whatever was not named before it

    @property
    def says(self) -> bool:
        """Whether it says anything at all."""
        return self != Named()


@dataclass(frozen=True)
class Asked:
    """A question taken apart."""

    form: str  # open, many or polar
    new: frozenset[str]  # the words that are not the core's
    named: tuple[Named, ...]
    frame: tuple[str, ...]  # its words with "#" for each named object
    own: bool  # whether any of its words is unknown to the core

    @property
    def key(self) -> tuple[str, ...]:
        """Questions with the same key ask the same."""
        return (self.form, *sorted(self.new)) if self.new else ("frame", *self.frame)


def parse(text: str, known: Collection[str]) -> Asked:
    """A question taken apart, for a core that knows these words; never fails, whatever the text is."""
    words = re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text.lower())[:MOST_WORDS]
    named, frame = _named(words)
    new = frozenset(_one(word) for word in frame if word not in known and word not in PLAIN and word != "#")
    own = any(word not in known for word in words)
    return Asked(_form(words), new, tuple(named), tuple(frame), own)


def _one(word: str) -> str:
    """One of several: "zorps" asks for what "zorp" asks for."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _form(words: list[str]) -> str:
    if words[:2] == ["how", "many"]:
        return "many"
    return "polar" if words and words[0] in _POLAR else "open"


def _named(words: list[str]) -> tuple[list[Named], list[str]]:
    """The objects that are named, in their order, and the words around them."""
    found: list[dict[str, int]] = []
    frame: list[str] = []
    said: dict[str, int] | None = None  # the object being named
    for at, word in enumerate(words):
        told = _told(word, words[at + 1] if at + 1 < len(words) else "")
        if told:
            if said is None or (told.keys() & said.keys()):
                said = {}
                found.append(said)
                frame.append("#")
            said.update(told)
        elif word in _ARTICLES and said is not None and not said.keys() & {"shape", "noun"}:
            said = None  # "the red and the blue": a new one begins
        elif word in _NOUNS and said is not None and "shape" not in said:
            said["noun"] = 1
        elif said is not None and word in {"at", "on", "in", "the"}:
            frame.append(word)  # "the star at the top": still the same object
        else:
            said = None
            frame.append(word)
    objects = []
    for one in found:
        shape, colour, size, row, column = (one.get(kind, -1) for kind in _PARTS)
        objects.append(Named(shape, colour, size, row, column, "other" in one))
    return objects, [word for word in frame if word not in _ARTICLES | {"at", "on", "in"}]


def _told(word: str, after: str) -> dict[str, int]:
    """What a word says of the object that it belongs to."""
    word = _PLURALS.get(word, word)
    for name, words in (("shape", SHAPES), ("colour", COLOURS), ("size", SIZES)):
        if word in words:
            return {name: words.index(word)}
    if word in _OTHERS:
        return {"other": 1}
    if after == "of":  # "left of": between objects
        return {}
    if word in _ROWS:
        return {"row": _ROWS[word]}
    if word in _COLUMNS:
        return {"column": _COLUMNS[word]}
    return {"row": 1, "column": 1} if word == CELLS[4] else {}
