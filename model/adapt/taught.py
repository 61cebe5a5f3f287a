"""What all working memories over scenes share: lessons kept by question, claims, and the way they are held.

A lesson's question is taken apart (`wording`). Lessons whose questions ask the same make one *rule*, learned
and answered apart from all others. A question is claimed where its rule has a lesson and it has a word that
the core does not know; of a question in the core's words alone, only the very picture that was corrected is.
Of two lessons on the same question and picture the newer holds.
"""

from __future__ import annotations

import hashlib
import math
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datagen.scenes.words import column
from model.adapt.guard import hash_of
from model.adapt.wording import Asked, parse
from model.encoders import Words
from model.hrm.scene_part import ScenePart
from model.part import Answer, Learned, Lesson, Memory, Part, Question, Task

MOST = 4096  # lessons
ANSWER, QUESTION = 32, 400  # bytes of an answer (as the reasoner's table has room for), of a question
_CERTAIN = 0.999  # of what was said of this very picture
Key = tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """One lesson as it is kept: its question, the picture's hash, the answer."""

    text: str
    picture: bytes  # SHA-256
    answer: str


class Taught(Memory):
    """The frame of such a memory: it keeps lessons by rule; whoever derives from it says how it answers."""

    task: Task = "scene"

    def __init__(self, core: Part) -> None:
        if not isinstance(core, ScenePart):
            raise ValueError("a memory of words stands over a part that answers questions about scenes")
        self.core: ScenePart = core
        learner = core.learner
        self.known = frozenset(Words.parse(learner.vocabulary, learner.config.words).listed())
        self.kept: list[Kept] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.rules: dict[Key, list[int]] = {}
        self.contradicted = 0  # lessons that a newer one on the same picture took the place of
        self._hash = ""

    @property
    def core_hash(self) -> str:
        """The hash of the core's weights that this memory stands over."""
        self._hash = self._hash or hash_of(self.core.learner)
        return self._hash

    # -- what derives from it says

    @abstractmethod
    def remember(self, questions: Sequence[Question]) -> dict[str, np.ndarray]:
        """What is kept of the lessons' pictures beside their answers: arrays [N, ...]."""

    @abstractmethod
    def settle(self, seconds: float) -> dict[str, float | str]:
        """Learn from `self.kept`, `self.rules` and `self.arrays`; what it found, for show."""

    @abstractmethod
    def weigh(self, key: Key, questions: Sequence[Question]) -> list[dict[str, float]]:
        """The probability of each answer of a rule, for each question."""

    # -- the contract

    def learn(self, lessons: Sequence[Lesson], seconds: float) -> Learned:
        """Learn all lessons; ValueError where one is not of a scene, or its answer is empty or too long."""
        begin = time.process_time()
        newest: dict[tuple[Key, bytes], Lesson] = {}
        for lesson in lessons:
            where = self.key(lesson.question.text), _picture(lesson.question)
            newest.pop(where, None)
            newest[where] = lesson
        if len(newest) > MOST:
            raise ValueError(f"a memory keeps at most {MOST} lessons")
        self.contradicted = sum(
            said(lesson) != said(newest[self.key(lesson.question.text), _picture(lesson.question)])
            for lesson in lessons
        )
        held = list(newest.values())
        self.kept = [Kept(each.question.text, _picture(each.question), said(each)) for each in held]
        self.arrays = self.remember([each.question for each in held])
        self._sorted()
        facts = self.settle(seconds - (time.process_time() - begin))
        answers = self.answer([each.question for each in lessons]) if lessons else []
        right = sum(one.said == said(each) for one, each in zip(answers, lessons, strict=True))
        if self.contradicted:
            facts["contradicted"] = float(self.contradicted)
        return Learned(time.process_time() - begin, right, len(lessons), facts)

    def answer(self, questions: Sequence[Question], *, steps: int = 0, trace: bool = False) -> list[Answer]:
        """What was said of this very picture, else what the rule says; ValueError where there is no rule."""
        found: dict[int, Answer] = {}
        asked: dict[Key, list[int]] = {}
        for at, question in enumerate(questions):
            key = self.key(question.text)
            exact = self._exact(key, question)
            if exact is not None:
                found[at] = Answer(exact, _odds(_CERTAIN), ((exact, _CERTAIN),))
            elif key not in self.rules:
                raise ValueError("no lesson asks this")
            else:
                asked.setdefault(key, []).append(at)
        for key, places in asked.items():
            for at, odds in zip(places, self.weigh(key, [questions[at] for at in places]), strict=True):
                ranked = sorted(odds.items(), key=lambda each: (-each[1], each[0]))[:5]
                found[at] = Answer(ranked[0][0], _odds(ranked[0][1]), tuple(ranked))
        return [found[at] for at in range(len(questions))]

    def claims(self, questions: Sequence[Question]) -> list[bool]:
        """By the question's words: its rule has a lesson, and a word of it is none of the core's."""
        found = []
        for question in questions:
            asked = self.asked(question.text)
            known_rule = asked.key in self.rules
            found.append(known_rule and (asked.own or self._exact(asked.key, question) is not None))
        return found

    def held(self) -> dict[str, np.ndarray]:
        """Lessons as bytes, what is kept of their pictures, and the hash of the core below."""
        return {
            "core": np.frombuffer(bytes.fromhex(self.core_hash), np.uint8).copy(),
            "question": column([each.text for each in self.kept], QUESTION),
            "answer": column([each.answer for each in self.kept], ANSWER),
            "picture": np.frombuffer(b"".join(each.picture for each in self.kept), np.uint8)
            .reshape(-1, 32)
            .copy(),
            **{f"kept.{name}": each.copy() for name, each in self.arrays.items()},
            **self.weights(),
        }

    def hold(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Know what an earlier one knew; ValueError where it was learned over another core, or is broken."""
        core, count = arrays.get("core"), len(arrays.get("question", ()))
        if core is None or core.dtype != np.uint8 or core.tobytes() != bytes.fromhex(self.core_hash):
            raise ValueError("this memory was learned over another core")
        for name, width in (("question", QUESTION), ("answer", ANSWER), ("picture", 32)):
            each = arrays.get(name)
            if each is None or each.dtype != np.uint8 or each.shape != (count, width) or count > MOST:
                raise ValueError(f"this memory is broken: {name}")
        texts = (_texts(arrays["question"]), _texts(arrays["answer"]))
        pictures = [row.tobytes() for row in arrays["picture"]]
        if not all(map(str.strip, texts[1])):
            raise ValueError("this memory is broken: an answer is empty")
        kept = {name.partition(".")[2]: each for name, each in arrays.items() if name.startswith("kept.")}
        if any(len(each) != count or not np.isfinite(each).all() for each in kept.values()):
            raise ValueError("this memory is broken: what it keeps of pictures")
        empty = self.remember([])
        if {name: (each.dtype, each.shape[1:]) for name, each in kept.items()} != {
            name: (each.dtype, each.shape[1:]) for name, each in empty.items()
        }:
            raise ValueError("this memory is broken: what it keeps of pictures is of another form")
        self.kept = [Kept(*each) for each in zip(texts[0], pictures, texts[1], strict=True)]
        self.arrays = {name: np.array(each) for name, each in kept.items()}
        self._sorted()
        self.rehold(arrays)

    def weights(self) -> dict[str, np.ndarray]:
        """Further arrays of `held`, beside the lessons: none where all follows from these."""
        return {}

    def rehold(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take `weights` back; without any, settle anew from the lessons."""
        self.settle(math.inf)

    @property
    def numbers(self) -> int:
        """Numbers that are kept of the lessons' pictures, and `weights`."""
        return sum(each.size for each in (*self.arrays.values(), *self.weights().values()))

    # -- for whoever derives from it

    def asked(self, text: str) -> Asked:
        """A question taken apart."""
        return parse(text, self.known)

    def key(self, text: str) -> Key:
        """What a question asks."""
        return self.asked(text).key

    def _exact(self, key: Key, question: Question) -> str | None:
        """What was said of this very picture under this question."""
        for at in self.rules.get(key, ()):
            if self.kept[at].picture == _picture(question):
                return self.kept[at].answer
        return None

    def _sorted(self) -> None:
        self.rules = {}
        for at, each in enumerate(self.kept):
            self.rules.setdefault(self.key(each.text), []).append(at)


def said(lesson: Lesson) -> str:
    """A lesson's answer in words; ValueError where it is none, or too long."""
    text = lesson.answer.strip() if isinstance(lesson.answer, str) else ""
    if not text or len(text.encode()) > ANSWER:
        raise ValueError(f"an answer is a word or two, of at most {ANSWER} bytes")
    if len(lesson.question.text.encode()) > QUESTION:
        raise ValueError(f"a question has at most {QUESTION} bytes")
    return text


def _picture(question: Question) -> bytes:
    if question.image is None:
        raise ValueError("a picture and a question in words are asked for")
    return hashlib.sha256(np.ascontiguousarray(question.image).tobytes()).digest()


def _odds(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))


def _texts(rows: np.ndarray) -> list[str]:
    return [row.tobytes().rstrip(b"\0").decode("utf-8", "replace") for row in rows]
