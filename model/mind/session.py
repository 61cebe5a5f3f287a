"""The verbs of the protocol over an opened core and its memories. One request at a time, in their order.

An answer comes from the memory that claims the question, else from the core as if no memory were there. Its
probability is the part's own calibration, and never more than a memory's record of its lessons allows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from model.devices import peak_bytes
from model.jepa.learner import JepaLearner
from model.jepa.views import scaled
from model.mind import request as requests
from model.mind.core import Core, Opened
from model.mind.errors import MindRefused
from model.mind.examples import example
from model.mind.memories import Memories, Remembered
from model.mind.request import Asked
from model.part import Question, Said
from model.reflect import calibration
from model.reflect.look import Look, look, varying

_SHOWN = 4  # digits of a probability
DEFAULT = "default"
_UNMEASURED = calibration.Calibration()


class Session:
    """A core, its memories, and the answers to requests."""

    def __init__(self, core: Core, memories: Memories) -> None:
        self.core, self.memories = core, memories
        self._vary = {
            name: varying(each.part, str(each.meta.data.get("recipe", "")))
            for name, each in core.parts.items()
            if each.part is not None
        }
        self._maps = {name: calibration.parse(each.calibration) for name, each in core.parts.items()}

    def answer(self, asked: Asked) -> dict[str, Any]:
        """The fields of the reply; MindRefused where there is none."""
        verbs = {
            "status": self._status,
            "encode": self._encode,
            "example": self._example,
            "reason": self._reason,
            "reflect": self._reflect,
            "correct": self._correct,
            "memory": self._memory,
        }
        return verbs[asked.do](asked.body)

    # -------------------------------------------------------------------------------------------------

    def _status(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "core": self.core.digest,
            "parts": [self._told(each) for each in self.core.parts.values()],
            "memories": self.memories.listed(),
            "memory_bytes": peak_bytes(torch.device("cpu")),
        }

    def _told(self, each: Opened) -> dict[str, Any]:
        """A part, with what it takes."""
        return {
            "name": each.name,
            "task": each.task,
            "learner": each.learner_name,
            "parameters": each.parameters,
            "calibrated": self._maps[each.name].fitted,
            "bound": self._maps[each.name].bound,
            **each.takes,
        }

    def _encode(self, body: Mapping[str, Any]) -> dict[str, Any]:
        found = next((each for each in self.core.parts.values() if each.task == "latents"), None)
        if found is None or not isinstance(found.learner, JepaLearner):
            raise MindRefused("request", "this core has no part that encodes")
        learner, config = found.learner, found.learner.config
        if sum(name in body for name in ("text", "image", "scene")) != 1:
            raise MindRefused("request", "one of text, image and scene is needed")
        with torch.no_grad():
            if "text" in body:
                text = body["text"]
                if not isinstance(text, str) or not text.strip() or len(text) > 2000:
                    raise MindRefused("request", "a text of 1 to 2000 characters is needed")
                ids = learner.words().encode([text], config.text.length)
                latent = learner.net.towers.caption(learner.net.towers.text(ids), ids)
            else:
                pixels = torch.from_numpy(requests.picture(body, config.vision.size))[None]
                latent = learner.net.towers.picture(learner.net.towers.vision(scaled(pixels)))
        numbers = [round(each, 6) for each in latent[0].float().tolist()]
        return {
            "latent": numbers,
            "modality": "text" if "text" in body else "image",
            "part": found.name,
        }

    def _example(self, body: Mapping[str, Any]) -> dict[str, Any]:
        seed = body.get("seed", 0)
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 1 << 31:
            raise MindRefused("request", "seed is a whole number from 0 to 2147483647")
        return example(self._opened(body), seed)

    def _reason(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(body.get("trace", False), bool):
            raise MindRefused("request", "trace is true or false")
        opened, question = self._question(body)
        return self._answered(opened, question, body.get("memory", "auto"), body.get("trace", False))

    def _reflect(self, body: Mapping[str, Any]) -> dict[str, Any]:
        opened, question = self._question(body)
        return self._answered(opened, question, body.get("memory", "auto"), True, reflecting=True)

    def _correct(self, body: Mapping[str, Any]) -> dict[str, Any]:
        opened, question = self._question(body)
        cells = 0 if question.cells is None else len(question.cells)
        answer = requests.answer(body.get("answer"), opened.task, cells)
        name = requests.name(body.get("memory", DEFAULT))
        before = self._answered(opened, question, "auto", False)
        opened.unchanged()
        try:
            seconds = self.memories.taught(name, opened, body, question, answer)
        finally:
            opened.unchanged()
        after = self._answered(opened, question, "auto", False)
        told = next(each for each in self.memories.listed() if each["name"] == name)
        return {
            "memory": told,
            "seconds": round(seconds, _SHOWN),
            "before": before,
            "after": after,
            "core_unchanged": True,
        }

    def _memory(self, body: Mapping[str, Any]) -> dict[str, Any]:
        op = body.get("op")
        if op not in requests.OPS:
            raise MindRefused(
                "request", f"there is no {str(op)[:40]!r}; a memory takes {', '.join(requests.OPS)}"
            )
        if op != "list":
            name = requests.name(body.get("name"))
            other = requests.name(body.get("to")) if op == "copy" else ""
            self.memories.change(op, name, other)
        return {"memories": self.memories.listed()}

    # -------------------------------------------------------------------------------------------------

    def _opened(self, body: Mapping[str, Any]) -> Opened:
        answering = self.core.answering()
        opened = answering.get(str(body.get("part")))
        if opened is None:
            there = ", ".join(answering) or "none"
            raise MindRefused("request", f"there is no part {str(body.get('part'))[:40]!r} to ask: {there}")
        return opened

    def _question(self, body: Mapping[str, Any]) -> tuple[Opened, Question]:
        opened = self._opened(body)
        question = requests.question(body, opened.task, opened.size)
        _fits(opened, question)
        return opened, question

    def _answered(
        self, opened: Opened, question: Question, wanted: object, trace: bool, *, reflecting: bool = False
    ) -> dict[str, Any]:
        """An ANSWER. The variants are always asked: the probability is worth their time."""
        began = time.perf_counter()
        memory = self.memories.claiming(opened, question, wanted)
        part = memory.memory if memory else opened.part
        assert part is not None
        try:
            found = look(part, [question], self._vary[opened.name], trace=trace)[0]
        except ValueError as error:
            raise MindRefused("request", str(error)) from None
        told = _UNMEASURED if memory else self._maps[opened.name]
        probability = told.probability(*found.features)
        if memory:  # nothing was measured of it: its own belief, no further than its lessons bear it out
            probability = min(probability, memory.trusted)
        strange = [] if memory else opened.strange(question)
        reply = _plain(found, memory) | {
            "probability": round(probability, _SHOWN),
            "abstained": bool(probability < told.bound or strange),
            "unknown": strange,
            "consistency": {"cycles": _rounded(found.cycles), "variants": _rounded(found.variants)},
            "seconds": round(time.perf_counter() - began, _SHOWN),
        }
        if reflecting:
            reply["reflection"] = {
                "variants": found.asked,
                "agreeing": found.agreeing,
                "sure": round(found.answer.sure, _SHOWN),
                "calibrated": told.fitted,
                "bound": told.bound,
            }
        return reply


def _fits(opened: Opened, question: Question) -> None:
    """MindRefused where a board is not one of this part's: before it is turned and renamed."""
    config, cells = opened.board, question.cells
    if config is None or cells is None:
        return
    if len(cells) != config.grid.cells or cells.max() >= config.vocabulary:
        raise MindRefused(
            "request", f"{opened.name} takes {config.grid.cells} cells of 0 to {config.vocabulary - 1}"
        )


def _plain(found: Look, memory: Remembered | None) -> dict[str, Any]:
    """What JSON can hold of an answer."""
    answer = found.answer
    doubts = [] if answer.doubts is None else [round(float(each), _SHOWN) for each in answer.doubts]
    return {
        "answer": said(answer.said),
        "by": memory.name if memory else "core",
        "others": [[text, round(share, _SHOWN)] for text, share in answer.others],
        "doubts": doubts,
        "trace": [
            {
                "answer": each.answer,
                "change": _rounded(each.change),
                "halt": _rounded(each.halt),
                "doubt": _rounded(each.doubt),
            }
            for each in answer.cycles
        ],
    }


def said(answer: Said) -> list[int] | str:
    """An answer as JSON has it."""
    return [int(each) for each in answer] if isinstance(answer, np.ndarray) else answer


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, _SHOWN)
