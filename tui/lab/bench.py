"""What lies on the bench: for each part its question, the last answer, and what is being changed. No drawing.

The screen asks it for what to send and hands it what came back; a reply to a question that is no longer the
one on the bench is dropped, so that an answer never stands beside another question.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tui.lab import replies, scene
from tui.lab.board import DOUBT, Shown
from tui.lab.replies import Answer, Corrected, Memory, Part, Said, Unclear
from tui.line_edit import LineEdit

Mode = Literal["look", "edit", "correct"]
_KEPT = 12  # texts that were encoded and are still compared with


@dataclass
class Bench:
    """One part's question and what is known of it."""

    part: Part
    mode: Mode = "look"
    cells: list[int] = field(default_factory=list)
    """The board that is asked."""
    draft: list[int] = field(default_factory=list)
    """The right answer, while it is being typed."""
    lines: list[LineEdit] = field(default_factory=list)
    """Objects of the scene, then the question; or the text to encode."""
    at: int = 0
    """The cell or the line that the cursor is on."""
    seed: int = 0
    """Of the example that the question came from; 0: it is one's own."""
    truth: Said | None = None
    """The true answer, where the question is an example as it came, or where it was taught."""
    taught: bool = False
    """Whether `truth` is what a person said."""
    answer: Answer | None = None
    corrected: Corrected | None = None
    asked: dict[str, Any] | None = None
    """The question that `answer` is to."""
    cycle: int = -1
    """The cycle that is shown; -1: the answer itself."""
    latents: list[tuple[str, tuple[float, ...]]] = field(default_factory=list)
    """Texts that were encoded, the newest first."""
    problem: str = ""
    """Why it was not asked or answered, in one line."""

    def __post_init__(self) -> None:
        if self.part.task == "board":
            blank = self.part.blank or 0
            self.cells = self.cells or [blank] * self.part.cells
        else:
            count = self.part.most + 1 if self.part.task == "scene" else 1
            self.lines = self.lines or [LineEdit() for _ in range(count)]

    # What is asked ---------------------------------------------------------------------------------

    def question(self) -> dict[str, Any]:
        """The fields of what is asked.

        Raises:
            Unclear: it cannot be asked as it is; the message says what is wrong.
        """
        part = self.part
        if part.task == "board":
            return {"part": part.name, "cells": list(self.cells)}
        if part.task == "latents":
            text = self.lines[0].text.strip()
            if not text:
                raise Unclear("there is no text to encode: e writes one")
            return {"text": text}
        objects = scene.scene([edit.text for edit in self.lines[:-1]], part)
        asked = self.lines[-1].text.strip()
        if not asked:
            raise Unclear("there is no question: e writes one")
        return {"part": part.name, "question": asked, "scene": {"objects": objects, "seed": self.seed}}

    def take_example(self, reply: Mapping[str, Any], seed: int) -> None:
        """Put an example on the bench; Unclear where it cannot be read."""
        question, truth = replies.example(reply, self.part)
        if self.part.task == "board":
            self.cells = list(question["cells"])
        else:
            told = [scene.told(each) for each in question["objects"]][: self.part.most]
            told += [""] * (self.part.most - len(told))
            self.lines = [LineEdit(text, len(text)) for text in (*told, question["question"])]
        self.mode, self.at = "look", 0
        self.anew()
        self.seed, self.truth = seed, truth

    def anew(self) -> None:
        """The question has changed: what was known of the old one is not of this one."""
        self.seed, self.truth, self.taught = 0, None, False
        self.answer = self.corrected = self.asked = None
        self.cycle, self.problem = -1, ""

    def take_answer(self, reply: Mapping[str, Any], asked: dict[str, Any], *, keep: bool = False) -> bool:
        """Take the answer to a question; whether it is still the one on the bench.

        `keep` says that it is the answer after a correction, whose before and after stay in sight.
        """
        try:
            if self.question() != asked:
                return False
        except Unclear:
            return False
        self.answer, self.asked, self.cycle = replies.answer(reply, self.part), asked, -1
        self.corrected, self.problem = self.corrected if keep else None, ""
        return True

    def take_corrected(self, reply: Mapping[str, Any], asked: dict[str, Any], right: list[int] | str) -> bool:
        """Take what a correction did; whether its question is still the one on the bench."""
        found = replies.corrected(reply, self.part)
        try:
            if self.question() != asked:
                return False
        except Unclear:
            return False
        self.corrected, self.answer, self.asked = found, found.after, asked
        self.truth, self.taught = right if isinstance(right, str) else tuple(right), True
        self.cycle, self.problem = -1, ""
        return True

    def take_latent(self, reply: Mapping[str, Any], text: str) -> None:
        """Take the numbers of a text."""
        found = replies.latent(reply)
        self.latents = [(text, found), *(each for each in self.latents if each[0] != text)][:_KEPT]
        self.problem = ""

    # What is shown ---------------------------------------------------------------------------------

    @property
    def trace(self) -> tuple[replies.Cycle, ...]:
        """The cycles of the answer."""
        return self.answer.trace if self.answer is not None else ()

    def step(self, by: int) -> None:
        """To another cycle; behind the last one stands the answer itself."""
        count = len(self.trace)
        if count:
            at = count if self.cycle < 0 else self.cycle
            at = max(0, min(count, at + by))
            self.cycle = -1 if at == count else at

    @property
    def saying(self) -> Said | None:
        """The answer, or what it was after the cycle that is shown."""
        if 0 <= self.cycle < len(self.trace):
            return self.trace[self.cycle].answer
        return self.answer.said if self.answer is not None else None

    def shown(self) -> Shown:
        """The board as it stands."""
        given = [each != self.part.blank for each in self.cells]
        if self.part.blank is None and (said := self.saying) is not None and not isinstance(said, str):
            given = [each == now for each, now in zip(self.cells, said, strict=True)]  # any cell may differ
        if self.mode == "correct":
            before = self.answer.said if self.answer is not None else self.cells
            changed = frozenset(at for at, each in enumerate(self.draft) if each != before[at])
            return Shown(self.draft, given, changed=changed, at=self.at)
        if self.mode == "edit" or self.answer is None or isinstance(self.answer.said, str):
            return Shown(self.cells, given, at=self.at if self.mode == "edit" else None)
        said = self.saying
        assert said is not None and not isinstance(said, str)
        if self.cycle >= 0:
            before = self.trace[self.cycle - 1].answer if self.cycle else self.cells
            changed = frozenset(
                at for at, each in enumerate(said) if each != before[at] and not given[at] and self.cycle
            )
            return Shown(said, given, changed=changed)
        wrong = frozenset(self.missed(said))
        changed = frozenset()
        if self.corrected is not None:
            changed = frozenset(at for at, one in enumerate(self.corrected.before.said) if one != said[at])
        return Shown(said, given, self.answer.doubts, changed - wrong, wrong)

    def missed(self, said: Said) -> list[int]:
        """The cells in which an answer is not the true one; none where that is not known."""
        if self.truth is None or isinstance(said, str) or isinstance(self.truth, str):
            return []
        return [at for at, (one, true) in enumerate(zip(said, self.truth, strict=True)) if one != true]

    @property
    def right(self) -> bool | None:
        """Whether the answer is the true one; None where that is not known."""
        if self.truth is None or self.answer is None:
            return None
        return self.answer.said == self.truth

    @property
    def doubtful(self) -> int:
        """How many cells are doubtful."""
        if self.answer is None:
            return 0
        return sum(each >= DOUBT for each in self.answer.doubts)

    def nearest(self) -> list[tuple[float, str]]:
        """Earlier texts by how near their numbers are to the newest one's: the cosine, and the text."""
        if not self.latents:
            return []
        (_, newest), *earlier = self.latents
        found = [(cosine(newest, numbers), text) for text, numbers in earlier]
        return sorted(found, key=lambda each: -each[0])

    # Editing ---------------------------------------------------------------------------------------

    def edit(self) -> None:
        """Begin to change the question."""
        self.mode, self.problem, self.cycle = "edit", "", -1
        self.at = min(self.at, len(self.cells or self.lines) - 1)

    def correct(self) -> None:
        """Begin to write a board's right answer: the true one where it is known, else what was answered."""
        start = self.truth if self.truth is not None else self.answer.said if self.answer else self.cells
        assert not isinstance(start, str)
        self.draft = list(start)
        self.mode, self.cycle = "correct", -1
        said = self.answer.said if self.answer else ()
        self.at = next((n for n, each in enumerate(self.draft) if n < len(said) and each != said[n]), 0)

    def key(self, name: str, character: str | None) -> bool:
        """Take a key while the question or the right answer is changed; False where it is none of ours."""
        return (
            self._cell_key(name, character) if self.part.task == "board" else self._line_key(name, character)
        )

    def _cell_key(self, name: str, character: str | None) -> bool:
        part, here = self.part, self.draft if self.mode == "correct" else self.cells
        row, column = divmod(self.at, part.columns)
        match name:
            case "up" | "down":
                row = (row + (1 if name == "down" else -1)) % part.rows
            case "left" | "right":
                self.at = (self.at + (1 if name == "right" else -1)) % part.cells
                return True
            case "home" | "end":
                column = 0 if name == "home" else part.columns - 1
            case "backspace" | "delete" | "space":
                self._put(here, part.blank if part.blank is not None else 0)
                return True
            case "plus" | "+" | "minus" | "-":
                step = 1 if name in ("plus", "+") else -1
                self._put(here, (here[self.at] + step) % len(part.tokens))
                return True
            case _ if character is not None and character.isprintable():
                found = self._token(character)
                if found is None:
                    return False
                self._put(here, found)
                self.at = (self.at + 1) % part.cells
                return True
            case _:
                return False
        self.at = row * part.columns + column
        return True

    def _token(self, character: str) -> int | None:
        tokens, blank = self.part.tokens, self.part.blank
        for wanted in (character, character.upper(), character.lower()):
            if wanted in tokens:
                return tokens.index(wanted)
        return blank if character in "0. " else None

    def _put(self, here: list[int], token: int) -> None:
        if here[self.at] != token:
            here[self.at] = token
            if here is self.cells:
                self.anew()

    def _line_key(self, name: str, character: str | None) -> bool:
        if name in ("up", "down", "tab", "shift+tab"):
            step = 1 if name in ("down", "tab") else -1
            self.at = (self.at + step) % len(self.lines)
            return True
        before = self.lines[self.at].text
        moved = self.lines[self.at].key(name, character)
        if self.lines[self.at].text != before:
            self.anew()
        return moved

    def paste(self, text: str) -> None:
        """Take pasted text: words where words are typed; on a board a character a cell."""
        if self.part.task == "board":
            for character in text[: self.part.cells * 2]:
                if not character.isspace():
                    self._cell_key(character, character)
            return
        self.lines[self.at].insert(text)
        self.anew()


def cosine(one: tuple[float, ...], two: tuple[float, ...]) -> float:
    """How far two lists of numbers point the same way, -1 to 1."""
    if len(one) != len(two):
        return 0.0
    size = math.hypot(*one) * math.hypot(*two)
    return sum(a * b for a, b in zip(one, two, strict=True)) / size if size else 0.0


def memory_of(memories: tuple[Memory, ...], part: Part) -> Memory | None:
    """The memory that a correction of a part goes to: one that is on, else any of its own."""
    own = [each for each in memories if each.part == part.name]
    return next((each for each in own if each.on), own[0] if own else None)
