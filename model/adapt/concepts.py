"""A working memory of words: it finds what a person's word depends on, by how well that explains the lessons.

A scene is first read as a table of the core's beliefs (`beliefs`), and the table as *concepts* (`traits`):
what the object asked about is (its shape, colour, size, row, column), how it stands to the other, what else
there is.
A *reading* of the lessons is a set of none, one or two concepts; under it a lesson's answer is told by
attention over the others whose concepts agree with its own. Readings are weighed by the chance that they gave
to each lesson before it came, as Bayes has it, and all of them answer together: after one lesson little is
certain, after eight the rule stands out. No rule is ever told to it.

Colours and shapes are alike as far as the core's own words for them are (`likeness`), so red may speak for an
orange that no lesson showed; whether it does is a reading like the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from datagen.scenes.scene import COLOURS, SHAPES
from model.adapt.beliefs import WIDTH, Reader, reader_of
from model.adapt.guard import hash_of
from model.adapt.taught import Key, Taught
from model.adapt.traits import Traits, traits
from model.jepa.learner import JepaLearner
from model.part import Part, Question

_PRIOR = (0.05, 0.6, 0.35)  # readings of no, one, two concepts
_WHOSE = {  # what concepts weigh before any lesson: where a question names two objects, and where not
    True: {"it": 1.0, "the": 0.5, "both": 2.0, "all": 0.1},
    False: {"it": 1.0, "the": 0.25, "both": 0.25, "all": 0.25},
}
_DOUBT = 0.05  # lessons' worth of not knowing, under each reading
_NEAR = 0.2  # cosines from one are as far as e
_RECENT = 0.995  # the weight of a lesson against the one after it: of two that disagree the newer
_NOVEL = 4.0  # answers' worth of one that never came, after one lesson
_MOST = 192  # lessons of a rule that are weighed: the newest


@dataclass
class _Rule:
    """What was found of one rule."""

    places: list[int]  # of its lessons
    answers: list[str]
    said: np.ndarray  # [N, A], one for the answer of each lesson
    lessons: Traits
    sets: list[tuple[int, ...]]  # readings: numbers of concepts
    weights: np.ndarray  # [H], of the readings, together one


class Concepts(Taught):
    """Over a part that answers questions about scenes, and the JEPA whose words tell what is alike."""

    method = "concepts"

    def __init__(self, core: Part, jepa: JepaLearner | None = None, seed: int = 0) -> None:
        super().__init__(core)
        self.alike = {kind: likeness(jepa, words) for kind, words in (("colour", COLOURS), ("shape", SHAPES))}
        self._reader: Reader | None = None
        self._rules: dict[Key, _Rule] = {}
        self.arrays = self.remember([])

    @property
    def reader(self) -> Reader:
        """The reader of pictures, fitted when it is first needed."""
        if self._reader is None:
            learner = self.core.learner
            vision = learner.config.vision
            key = hash_of(learner.encoder)
            self._reader = reader_of(key, learner.seen, vision.size, vision.patch)
        return self._reader

    def remember(self, questions: Sequence[Question]) -> dict[str, np.ndarray]:
        """Tables of beliefs, float32 [N, 9, 17]."""
        if not questions:
            return {"beliefs": np.zeros((0, 9, WIDTH), np.float32)}
        with torch.no_grad():
            return {"beliefs": self.reader.read(self.core.seen(questions))}

    def settle(self, seconds: float) -> dict[str, float | str]:
        """Weigh the readings of each rule; the likeliest of each, in words."""
        self._rules = {key: self._weighed(places[-_MOST:]) for key, places in self.rules.items()}
        facts: dict[str, float | str] = {}
        for key, rule in self._rules.items():
            best = int(np.argmax(rule.weights))
            names = " and ".join(rule.lessons.names[at] for at in rule.sets[best]) or "nothing in the picture"
            facts[" ".join(key[1:])] = f"depends on {names} ({rule.weights[best]:.0%})"
        return facts

    def weigh(self, key: Key, questions: Sequence[Question]) -> list[dict[str, float]]:
        """All readings together, by their weights; what is missing to one is that none of these fits."""
        rule = self._rules[key]
        asked = traits(
            self.remember(questions)["beliefs"],
            [self.asked(each.text) for each in questions],
            rule.lessons.many,
        )
        alike = _together(_agreement(asked, rule.lessons, self.alike), rule.sets) * _age(len(rule.places))
        odds = _told(alike, rule.said, _base(rule.said)[-1])  # [H, Q, A]
        whole = np.einsum("h,hqa->qa", rule.weights, odds)
        return [dict(zip(rule.answers, map(float, row), strict=True)) for row in whole]

    def _weighed(self, places: list[int]) -> _Rule:
        kept = [self.kept[at] for at in places]
        answers = sorted({each.answer for each in kept})
        said = np.array([[float(each.answer == one) for one in answers] for each in kept])
        tables = self.arrays["beliefs"][places]
        lessons = traits(tables, [self.asked(each.text) for each in kept])
        sets: list[tuple[int, ...]] = [()]
        sets += [(at,) for at in range(len(lessons.names))]
        whose = list(zip(lessons.kinds, lessons.subjects, strict=True))
        pairs = [pair for pair in itertools.combinations(range(len(whose)), 2) if _apart(whose, *pair)]
        sets += pairs
        prior = np.log(_before(lessons, sets))
        alike = _together(_agreement(lessons, lessons, self.alike), sets) * _age(len(places))
        score = prior + _evidence(alike, said)
        weights = np.exp(score - score.max())
        return _Rule(places, answers, said, lessons, sets, weights / weights.sum())


def _before(lessons: Traits, sets: Sequence[tuple[int, ...]]) -> np.ndarray:
    """[H]: what each reading weighs before any lesson; concepts of what the question names weigh more."""
    whose = _WHOSE[lessons.pair]
    single = [whose[name.split()[0]] for name in lessons.subjects]
    found = np.array([np.prod([single[at] for at in each]) for each in sets])
    sizes = np.array([len(each) for each in sets])
    for size, share in enumerate(_PRIOR):
        whole = found[sizes == size].sum()
        found[sizes == size] *= share / whole if whole else 0.0
    return np.maximum(found, 1e-12)


def _apart(whose: list[tuple[str, str]], one: int, two: int) -> bool:
    """Whether two concepts are not the same thing looked at twice: a colour, and what is like it."""
    first, second = whose[one], whose[two]
    return first[1] != second[1] or first[0].split()[-1] != second[0].split()[-1]


def likeness(jepa: JepaLearner | None, words: Sequence[str]) -> np.ndarray:
    """[W, W]: how alike the JEPA's latents of these words are, itself 1; unknown ones are like none."""
    if jepa is None:
        return np.eye(len(words))
    net = jepa.net
    with torch.no_grad():
        every = net.towers.text.words.weight
        if jepa.config.tasks.words:
            every = net.words(every)
        ids = jepa.words().encode(list(words), 1)[:, 0].to(every.device)
        rows = torch.nn.functional.normalize(every[ids].float(), dim=-1)
        cosines = (rows @ rows.T).cpu().numpy().astype(np.float64)
        known = (ids > 2).cpu().numpy()  # not padding, unknown or mask
    found = np.exp((np.minimum(cosines, 1.0) - 1) / _NEAR)
    found[~known] = found[:, ~known] = 0.0
    np.fill_diagonal(found, 1.0)
    return found


def _agreement(ones: Traits, others: Traits, alike: dict[str, np.ndarray]) -> np.ndarray:
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


def _age(count: int) -> np.ndarray:
    """[N]: the weights of lessons, the newest last."""
    return np.asarray(_RECENT ** np.arange(count - 1, -1, -1))


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


def _evidence(alike: np.ndarray, said: np.ndarray) -> np.ndarray:
    """[H]: the log chance that each reading gave the lessons, one after the other."""
    before = np.tril(np.ones(alike.shape[1:]), -1)
    odds = _told(alike * before, said, _base(said)[:-1])
    right = (odds * said).sum(-1)
    return np.asarray(np.log(np.maximum(right, 1e-9)).sum(-1))
