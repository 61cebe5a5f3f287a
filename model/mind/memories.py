"""The working memories of a workspace, beside a core: taught, switched, forgotten, and never torn.

Many minds may share them. Each looks whether a memory was written since it last looked; to change one, it
holds that memory's lock (`alone`), reads it again, and writes the next generation. A memory that was learned
over another part of the core is `stale`: it learns its lessons again before it answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from model.adapt import methods
from model.errors import ModelError
from model.mind import core as cores
from model.mind import records, request
from model.mind.core import Core, Opened
from model.mind.errors import MindRefused
from model.mind.records import Record, RecordBroken
from model.part import Lesson, Memory, Question, Said

SECONDS = {"board": 30.0, "scene": 2.0}
"""CPU time that learning all lessons may take: what docs/mind.md promises of a correction."""
MOST = 64  # memories of a workspace
_ASKED = ("cells", "image", "scene", "question")  # fields of a request that make the question
Alone = Callable[[str], AbstractContextManager[bool]]


@dataclass
class Remembered:
    """One memory as this mind has it."""

    record: Record
    seen: tuple[int, int, int] | None
    memory: Memory | None = field(default=None)  # None: not learned over this core yet
    fault: str = ""

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.name

    @property
    def trusted(self) -> float:
        """The most its answers are believed: its lessons' share of right ones, by the rule of succession."""
        return (self.record.right + 1) / (len(self.record.lessons) + 2)


class Memories:
    """The folder of memories, over one opened core."""

    def __init__(self, folder: Path, core: Core, alone: Alone) -> None:
        self._folder, self._core, self._alone = folder, core, alone
        self._held: dict[str, Remembered] = {}
        self._broken: dict[str, tuple[Any, str]] = {}

    def listed(self) -> list[dict[str, Any]]:
        """Every memory as the protocol has it."""
        self._look()
        return [self._told(each) for _, each in sorted(self._held.items())]

    def claiming(self, opened: Opened, question: Question, wanted: object) -> Remembered | None:
        """The memory that answers a question to this part; None where the core does.

        `auto` asks those that are on, the one taught last first; a name asks that one, on or off.
        """
        if wanted == "off":
            return None
        self._look()
        if wanted == "auto":
            mine = [
                each for each in self._held.values() if each.record.part == opened.name and each.record.on
            ]
            mine.sort(key=lambda each: (-_taught_at(each.record), each.name))
        else:
            mine = [self._named(request.name(wanted))]
            if mine[0].record.part != opened.name:
                raise MindRefused("memory", f"the memory {mine[0].name} is over {mine[0].record.part}")
        for each in mine:
            if not each.record.lessons or (each.fault and wanted == "auto"):
                continue
            try:
                memory = self._ready(each)
            except MindRefused:
                if wanted != "auto":
                    raise
                continue  # it can't learn, or another mind is teaching it: the core answers
            if memory.claims([question])[0]:
                return self._held[each.name]
        return None

    def taught(
        self, name: str, opened: Opened, body: Mapping[str, Any], question: Question, answer: Said
    ) -> float:
        """Add a lesson and learn them all; the seconds of CPU time. The memory is made where there is none.

        A question that it was taught before has the new answer. MindRefused where it can't be.
        """
        assert opened.part is not None
        with self._only(name):
            held = self._held.get(name)
            if held is None and len(self._held) >= MOST:
                raise MindRefused("memory", f"there are {MOST} memories already: forget one first")
            record = held.record if held else self._fresh(name, opened)
            if record.part != opened.name:
                raise MindRefused("memory", f"the memory {name} is over {record.part}, not {opened.name}")
            asked = {each: body[each] for each in _ASKED if each in body}
            said = [int(each) for each in answer] if isinstance(answer, np.ndarray) else answer
            lesson = {
                "question": asked,
                "answer": said,
                "kind": opened.name if opened.task == "board" else " ".join(question.text.split()[:2]),
                "core": self._core.digest,
                "at": time.time_ns() // 1_000_000,
            }
            others = tuple(each for each in record.lessons if each["question"] != asked)
            if len(others) >= records.MOST_LESSONS:
                raise MindRefused("memory", f"the memory {name} has {len(others)} lessons: make another one")
            return self._learned(replace(record, lessons=(*others, lesson)), opened)

    def change(self, op: str, name: str, to: str) -> None:
        """on, off, forget, copy (to another name), drop-last."""
        if op == "copy":
            self._copied(self._named(name, looking=True), to)
            return
        with self._only(name):
            if op == "forget" and name in self._broken:
                records.remove(self._folder / name)
                return
            held = self._named(name)
            if op == "forget":
                records.remove(self._folder / name)
                del self._held[name]
            elif op == "drop-last":
                if not held.record.lessons:
                    raise MindRefused("memory", f"the memory {name} has no lessons")
                self._learned(replace(held.record, lessons=held.record.lessons[:-1]), self._part(held))
            else:
                self._written(replace(held.record, on=op == "on"), held.memory, held=None)

    def refreshed(self) -> bool:
        """Let one stale memory learn again; False where there was none to."""
        self._look()
        for each in self._held.values():
            if each.memory is None and not each.fault and each.record.lessons:
                try:
                    self._ready(each)
                except MindRefused:
                    if not self._held[each.name].fault:
                        return False  # another mind is teaching it: no use in asking again at once
                return True
        return False

    # -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Take in what was written, or went, since the last look."""
        there = set()
        try:
            names = sorted(each.name for each in self._folder.iterdir() if records.NAME.fullmatch(each.name))
        except OSError:
            names = []
        for name in names[: 4 * MOST]:
            seen = records.stamp(self._folder / name)
            if seen is None:
                continue
            there.add(name)
            held = self._held.get(name)
            if (held and held.seen == seen) or self._broken.get(name, (None,))[0] == seen:
                continue
            try:
                record = records.read(self._folder / name)
            except RecordBroken as error:
                self._broken[name] = seen, str(error)
                self._held.pop(name, None)
                continue
            self._broken.pop(name, None)
            self._held[name] = self._taken(record, seen, held)
        for name in [each for each in self._held if each not in there]:
            del self._held[name]
        for name in [each for each in self._broken if each not in there]:
            del self._broken[name]

    def _taken(self, record: Record, seen: tuple[int, int, int], before: Remembered | None) -> Remembered:
        """A record that was read; what was learned of the very same lessons over this core is kept."""
        opened = self._core.parts.get(record.part)
        if opened is None or opened.part is None:
            return Remembered(record, seen, fault=f"this core has no part {record.part!r}")
        if before and before.memory and _same(before.record, record):
            return Remembered(record, seen, before.memory)
        found = Remembered(record, seen)
        if self._fits(record, opened):
            held = records.arrays(self._folder / record.name, record)
            if held is not None:
                try:
                    memory = methods.build(record.method, opened.part)
                    memory.hold(held)
                    found.memory = memory
                except (ValueError, ModelError):
                    pass  # it learns its lessons again
        return found

    def _fits(self, record: Record, opened: Opened) -> bool:
        """Whether what a record learned was learned over the weights that this part has."""
        if record.core == self._core.digest:
            return True
        home = self._folder.parent
        try:
            told = cores.index(home, record.core)["parts"][record.part]
        except (ModelError, KeyError):
            return False
        return bool(told["files"]["model.safetensors"] == opened.weights)

    def _ready(self, held: Remembered) -> Memory:
        """What answers; a stale memory learns its lessons over this core first, and is written so once."""
        if held.memory is None:
            with self._only(held.name):
                now = self._named(held.name)
                if now.memory is None:
                    try:
                        self._learned(now.record, self._part(now))
                    except MindRefused as error:  # it is told, and not tried again until it is written
                        now.fault = str(error)
                        raise
            held.memory = self._named(held.name).memory
        if held.memory is None:
            raise MindRefused("memory", f"the memory {held.name} could not learn its lessons again")
        return held.memory

    def _learned(self, record: Record, opened: Opened) -> float:
        """Learn a record's lessons over this core and write it down; the seconds."""
        assert opened.part is not None
        began = time.process_time()
        memory = methods.build(record.method, opened.part)
        try:
            lessons = [self._lesson(each, opened) for each in record.lessons]
            found = memory.learn(lessons, SECONDS[opened.task]) if lessons else None
        except (ValueError, ModelError) as error:
            raise MindRefused("memory", f"it can't be learned: {error}") from None
        finally:
            opened.unchanged()  # before a word of it is written
        facts = {str(name): value for name, value in found.facts.items()} if found else {}
        learned = {"right": found.right if found else 0, "numbers": memory.numbers, "facts": _sound(facts)}
        record = replace(record, core=self._core.digest, learned=learned)
        self._written(record, memory, memory.held() if lessons else {})
        return time.process_time() - began

    def _written(self, record: Record, memory: Memory | None, held: Mapping[str, np.ndarray] | None) -> None:
        """The next generation on the disk, and here."""
        folder = self._folder / record.name
        record = records.write(folder, replace(record, generation=record.generation + 1), held)
        self._held[record.name] = Remembered(record, records.stamp(folder), memory)

    def _copied(self, held: Remembered, to: str) -> None:
        """The same lessons under another name, switched off."""
        with self._only(to):
            if to in self._held or to in self._broken:
                raise MindRefused("memory", f"there is a memory {to} already")
            arrays = records.arrays(self._folder / held.name, held.record)
            if arrays is None:
                raise MindRefused("memory", f"the memory {held.name} is being written: try again")
            self._written(replace(held.record, name=to, on=False, generation=0), held.memory, arrays)

    def _lesson(self, told: Mapping[str, Any], opened: Opened) -> Lesson:
        """A lesson of a record; MindRefused where it is none of this part."""
        question = request.question(told["question"], opened.task, opened.size)
        cells = 0 if question.cells is None else len(question.cells)
        return Lesson(question, request.answer(told["answer"], opened.task, cells))

    def _fresh(self, name: str, opened: Opened) -> Record:
        assert opened.part is not None
        if name in self._broken:
            raise MindRefused("memory", self._broken[name][1])
        return Record(
            name=name,
            part=opened.name,
            core=self._core.digest,
            method=methods.default(opened.part.task),
            on=True,
            lessons=(),
            learned={},
            generation=0,
            arrays="",
        )

    def _only(self, name: str) -> AbstractContextManager[None]:
        return _Only(self._alone(name), name, self._look)

    def _named(self, name: str, *, looking: bool = False) -> Remembered:
        if looking:
            self._look()
        if name in self._broken:
            raise MindRefused("memory", self._broken[name][1])
        if name not in self._held:
            raise MindRefused("memory", f"there is no memory {name!r}")
        return self._held[name]

    def _part(self, held: Remembered) -> Opened:
        opened = self._core.parts.get(held.record.part)
        if opened is None or opened.part is None:
            raise MindRefused("memory", f"the memory {held.name} can't learn: {held.fault}")
        return opened

    def _told(self, each: Remembered) -> dict[str, Any]:
        record = each.record
        return {
            "name": record.name,
            "part": record.part,
            "method": record.method,
            "core": record.core,
            "on": record.on,
            "lessons": len(record.lessons),
            "right": record.right,
            "numbers": int(record.learned.get("numbers", 0)),
            "facts": record.learned.get("facts", {}),
            "digest": record.digest,
            "stale": each.memory is None and bool(record.lessons),
            "recurring": sum(lesson["core"] == self._core.digest for lesson in record.lessons),
            "fault": each.fault,
        }


class _Only:
    """A block in which this mind alone changes a memory; it was read again at its beginning."""

    def __init__(self, lock: AbstractContextManager[bool], name: str, look: Callable[[], None]) -> None:
        self._lock, self._name, self._look = lock, name, look

    def __enter__(self) -> None:
        if not self._lock.__enter__():
            self._lock.__exit__(None, None, None)
            raise MindRefused("memory", f"another mind is learning with the memory {self._name}: try again")
        self._look()

    def __exit__(self, *why: Any) -> None:
        self._lock.__exit__(*why)


def _same(one: Record, two: Record) -> bool:
    return one.lessons == two.lessons and one.method == two.method


def _taught_at(record: Record) -> int:
    at = record.lessons[-1]["at"] if record.lessons else 0
    return at if isinstance(at, int) else 0


def _sound(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts that JSON can hold, shortened."""
    found: dict[str, Any] = {}
    for name, value in list(facts.items())[:40]:
        if isinstance(value, str):
            found[name[:60]] = value[:200]
        elif isinstance(value, int | float) and np.isfinite(value):
            found[name[:60]] = round(float(value), 6)
    return found
