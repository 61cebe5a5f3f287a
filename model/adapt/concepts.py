"""A working memory of words: it finds what a person's word depends on, by how well that explains the lessons.

A scene is first read as a table of the core's beliefs (`beliefs`), and the table as *concepts* (`traits`):
what the object asked about is (its shape, colour, size, row, column), how it stands to the other, what else
there is.
A *reading* of the lessons is a set of none, one or two concepts; under it a lesson's answer is told by
attention over the others whose concepts agree with its own. Readings are weighed by the chance that they gave
to each lesson before it came, as Bayes has it, and all of them answer together: after one lesson little is
certain, after eight the rule stands out. No rule is ever told to it.

Colours and shapes are alike as far as the core's sight takes one for the other, so red may speak for an
orange that no lesson showed; whether it does is a reading like the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from model.adapt.beliefs import WIDTH, reader_of
from model.adapt.taught import Key, Taught
from model.adapt.traits import Traits, names_some, traits
from model.part import Part, Question

_PRIOR = (0.05, 0.6, 0.35)  # readings of no, one, two concepts
_WHOSE = {  # what concepts weigh before any lesson: where a question names two objects, and where not
    True: {"it": 1.0, "the": 0.5, "both": 2.0, "all": 0.1},
    False: {"it": 1.0, "the": 0.25, "both": 0.25, "all": 0.25},
}
_DOUBT = 0.05  # lessons' worth of not knowing, under each reading
_FADES = ((0.995, 0.9), (0.75, 0.1))  # a lesson's weight against the next one's, with what that weighs before
"""Either the rule stays as it is, or it changes and what was said long ago counts little."""
_NOVEL = 4.0  # answers' worth of one that never came, after one lesson
_MOST = 96  # lessons of a rule that are weighed: the newest
_LEAST = 1e-3  # readings of less weight against the likeliest are left out of answers
_CHUNK = 64  # questions at once


@dataclass
class _Rule:
    """What was found of one rule."""

    places: list[int]  # of its lessons
    answers: list[str]
    said: np.ndarray  # [N, A], one for the answer of each lesson
    lessons: Traits
    sets: list[tuple[int, ...]]  # readings: numbers of concepts, the likeliest first
    fades: np.ndarray  # [H], of each reading
    weights: np.ndarray  # [H], of the readings, together one

    @property
    def found(self) -> str:
        """What the answer depends on, in words, by the likeliest sets of concepts."""
        shares: dict[tuple[int, ...], float] = {}
        for each, weight in zip(self.sets, self.weights, strict=True):
            shares[each] = shares.get(each, 0.0) + float(weight)
        best = max(shares, key=lambda each: shares[each])
        names = " and ".join(self.lessons.names[at] for at in best) or "nothing in the picture"
        faded = float(self.weights[self.fades < _FADES[0][0]].sum()) > 0.5
        return f"depends on {names} ({shares[best]:.0%}{', the newest lessons count most' if faded else ''})"


class Concepts(Taught):
    """Over a part that answers questions about scenes."""

    method = "concepts"

    def __init__(self, core: Part, seed: int = 0) -> None:
        super().__init__(core)  # nothing is drawn: whatever the seed, it is the same
        self.reader = reader_of(self.core.learner)
        self._rules: dict[Key, _Rule] = {}
        self.arrays = self.remember([])

    def remember(self, questions: Sequence[Question]) -> dict[str, np.ndarray]:
        """Tables of beliefs, float32 [N, 9, 17]."""
        if not questions:
            return {"beliefs": np.zeros((0, 9, WIDTH), np.float32)}
        with torch.no_grad():
            return {"beliefs": self.reader.read(self.core.seen(questions))}

    def settle(self, seconds: float) -> dict[str, float | str]:
        """Weigh the readings of each rule; the likeliest of each, in words."""
        self._rules = {key: self._weighed(places[-_MOST:]) for key, places in self.rules.items()}
        return {" ".join(key[1:]): rule.found for key, rule in self._rules.items()}

    def weigh(self, key: Key, questions: Sequence[Question]) -> list[dict[str, float]]:
        """All readings together, by their weights; what is missing to one is that none of these fits."""
        return self.told(key, self.remember(questions)["beliefs"], [each.text for each in questions])

    def told(self, key: Key, tables: np.ndarray, texts: Sequence[str]) -> list[dict[str, float]]:
        """The probability of each answer of a rule, of tables of beliefs [N, 9, 17] and as many questions."""
        rule, asked = self._rules[key], [self.asked(each) for each in texts]
        rows: list[np.ndarray] = []
        for start in range(0, len(tables), _CHUNK):
            part = slice(start, start + _CHUNK)
            rows += list(self._odds(rule, traits(tables[part], asked[part], rule.lessons.many)))
        return [dict(zip(rule.answers, map(float, row), strict=True)) for row in rows]

    def fits(self, key: Key, tables: np.ndarray, texts: Sequence[str]) -> list[bool]:
        """Whether scenes are of the kind that a rule's lessons showed: as many objects, those named there."""
        counts = {int(each) for each in self.arrays["beliefs"][self._rules[key].places][..., 0].sum(1)}
        return [
            int(table[:, 0].sum()) in counts and names_some(table, self.asked(text))
            for table, text in zip(tables, texts, strict=True)
        ]

    def _odds(self, rule: _Rule, asked: Traits) -> np.ndarray:
        """[Q, A]."""
        alike = _together(_agreement(asked, rule.lessons, self.reader.fit.alike), rule.sets)
        alike *= rule.fades[:, None, None] ** np.arange(len(rule.places) - 1, -1, -1)
        return np.asarray(np.einsum("h,hqa->qa", rule.weights, _told(alike, rule.said, _base(rule.said)[-1])))

    def _weighed(self, places: list[int]) -> _Rule:
        """The readings of one rule, by what they say of its lessons."""
        kept = [self.kept[at] for at in places]
        answers = sorted({each.answer for each in kept})
        said = np.array([[float(each.answer == one) for one in answers] for each in kept])
        lessons = traits(self.arrays["beliefs"][places], [self.asked(each.text) for each in kept])
        sets: list[tuple[int, ...]] = [()]
        sets += [(at,) for at in range(len(lessons.names))]
        whose = list(zip(lessons.kinds, lessons.subjects, strict=True))
        sets += [pair for pair in itertools.combinations(range(len(whose)), 2) if _apart(whose, *pair)]
        alike = _together(_agreement(lessons, lessons, self.reader.fit.alike), sets)
        prior = np.log(_before(lessons, sets))
        score = np.concatenate(
            [prior + np.log(share) + _evidence(alike, said, fade) for fade, share in _FADES]
        )
        order = np.argsort(-score, kind="stable")
        order = order[score[order] > score[order[0]] + np.log(_LEAST)]
        weights = np.exp(score[order] - score[order[0]])
        fades = np.repeat([fade for fade, _ in _FADES], len(sets))[order]
        chosen = [sets[at % len(sets)] for at in order]
        return _Rule(places, answers, said, lessons, chosen, fades, weights / weights.sum())


def _before(lessons: Traits, sets: Sequence[tuple[int, ...]]) -> np.ndarray:
    """[H]: what each reading weighs before any lesson; concepts of what the question names weigh more."""
    whose = _WHOSE[lessons.pair]
    single = [whose[name.split()[0]] for name in lessons.subjects]
    found = np.array([np.prod([single[at] for at in each]) for each in sets])
    sizes = np.array([len(each) for each in sets])
    for size, share in enumerate(_PRIOR):
        whole = found[sizes == size].sum()
        found[sizes == size] *= share / whole if whole else 0.0
    return np.asarray(np.maximum(found, 1e-12))


def _apart(whose: list[tuple[str, str]], one: int, two: int) -> bool:
    """Whether two concepts are not the same thing looked at twice: a colour, and what is like it."""
    first, second = whose[one], whose[two]
    return first[1] != second[1] or first[0].split()[-1] != second[0].split()[-1]


def _agreement(ones: Traits, others: Traits, alike: Mapping[str, np.ndarray]) -> np.ndarray:
    """[C, N, M]: the chance that two scenes agree in each concept, or how alike they are in it."""
    rows = []
    for one, other, kind in zip(ones.values, others.values, ones.kinds, strict=True):
        near = np.eye(one.shape[1])
        if kind.startswith("like "):
            near[:-1, :-1] = alike[kind.removeprefix("like ")]
        rows.append(one @ near @ other.T)
    return np.stack(rows).astype(np.float64)


def _together(agreement: np.ndarray, sets: Sequence[tuple[int, ...]]) -> np.ndarray:
    """[H, N, M]: the same for sets of concepts: agreement in all of them."""
    whole = np.ones((len(sets), *agreement.shape[1:]))
    for place in range(2):
        at = [number for number, each in enumerate(sets) if len(each) > place]
        whole[at] *= agreement[[sets[number][place] for number in at]]
    return whole


def _base(said: np.ndarray) -> np.ndarray:
    """[N + 1, A]: what is said before a picture is looked at, after so many lessons [N, A].

    Any answer that came alike, and with the weight of `_NOVEL` answers after one lesson (half after two) one
    that never came; to an answer that is still to come goes all of that.
    """
    count = np.arange(len(said) + 1)
    came = np.vstack([np.zeros(said.shape[1]), np.cumsum(said, 0)]) > 0
    novel = _NOVEL / np.maximum(count, 1e-9)
    whole = came.sum(1) + novel
    return np.asarray(np.where(came, 1.0, novel[:, None]) / whole[:, None])


def _told(alike: np.ndarray, said: np.ndarray, base: np.ndarray) -> np.ndarray:
    """[H, Q, A]: attention over lessons [N, A] by [H, Q, N], and a little of not knowing."""
    whole = alike.sum(-1, keepdims=True)
    return np.asarray((alike @ said + _DOUBT * base) / (whole + _DOUBT))


def _evidence(alike: np.ndarray, said: np.ndarray, fade: float) -> np.ndarray:
    """[H]: the log chance that each reading gave the lessons, one after the other."""
    count = np.arange(len(said))
    ago = count[:, None] - count[None, :] - 1  # lessons between one and the one that comes
    odds = _told(alike * np.where(ago >= 0, fade ** np.maximum(ago, 0), 0.0), said, _base(said)[:-1])
    return np.asarray(np.log(np.maximum((odds * said).sum(-1), 1e-9)).sum(-1))
