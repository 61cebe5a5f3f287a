"""A mind without a model: `python -P tests/doubles/scripted_mind.py [FAULT]` speaks docs/mind.md's protocol.

It stands in for the child that holds torch and a trained core. Its board part `sudoku4` is a solver, its
scene part `scenes` reads the scene that it is told (of a picture it says a colour by its bytes), and its
memories are lists of what it was told, kept until it ends. A FAULT makes it go wrong as a real one may:

    not-ready   says at once that its core is refused
    rubbish     answers with a line that is no JSON
    wrong-id    answers another request than the one asked
    hang        reads and never answers
    slow        takes a quarter of a second for each answer
    crash       ends at the first request but `status`
    crash-once PATH   the same, once: the file PATH remembers it
    long-line   answers with a line that does not end
    mute        never says that it is ready
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

CORE = "5c" * 32
SIDE, BOX, CELLS = 4, 2, 16
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "white")
SIZES = ("small", "large")
PLACES = ("top left", "top", "top right", "left", "middle", "right", "bottom left", "bottom", "bottom right")
NUMBERS = ("zero", "one", "two", "three")
PARTS: list[dict[str, Any]] = [
    {
        "name": "sudoku4",
        "task": "board",
        "learner": "hrm",
        "parameters": 12345,
        "cells": CELLS,
        "vocabulary": SIDE + 1,
        "rows": SIDE,
        "columns": SIDE,
        "box_rows": BOX,
        "box_columns": BOX,
        "blank": 0,
        "tokens": [".", "1", "2", "3", "4"],
        "bound": 0.5,
        "calibrated": True,
    },
    {
        "name": "scenes",
        "task": "scene",
        "learner": "hrm",
        "parameters": 54321,
        "size": 32,
        "shapes": SHAPES,
        "colours": COLOURS,
        "sizes": SIZES,
        "cells": PLACES,
        "most": 3,
        "answers": sorted({*SHAPES, *COLOURS, *SIZES, *PLACES, *NUMBERS, "yes", "no"}),
        "bound": 0.5,
        "calibrated": True,
    },
    {"name": "latents", "task": "latents", "learner": "jepa", "parameters": 9999, "size": 32, "width": 96},
]


class Refused(Exception):
    """A request that can't be answered: the reason, and a line."""

    def __init__(self, reason: str, line: str) -> None:
        super().__init__(line)
        self.reason = reason


def solved(cells: list[int]) -> list[int] | None:
    """The first grid of 4 x 4 that keeps the rules and fits; None where there is none."""
    grid = list(cells)

    def fits(at: int, digit: int) -> bool:
        row, column = divmod(at, SIDE)
        for other, held in enumerate(grid):
            r, c = divmod(other, SIDE)
            same = r == row or c == column or (r // BOX, c // BOX) == (row // BOX, column // BOX)
            if other != at and same and held == digit:
                return False
        return True

    def fill() -> bool:
        at = next((number for number, digit in enumerate(grid) if digit == 0), None)
        if at is None:
            return True
        for digit in range(1, SIDE + 1):
            if fits(at, digit):
                grid[at] = digit
                if fill():
                    return True
                grid[at] = 0
        return False

    if any(digit and not fits(at, digit) for at, digit in enumerate(cells)):
        return None
    return grid if fill() else None


class Mind:
    """The parts and the memories of the double."""

    def __init__(self) -> None:
        self.memories: dict[str, dict[str, Any]] = {}

    def status(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"core": CORE, "parts": PARTS, "memories": self.listed(), "memory_bytes": 1 << 20}

    def encode(self, request: dict[str, Any]) -> dict[str, Any]:
        given = [name for name in ("text", "image", "scene") if name in request]
        if len(given) != 1:
            raise Refused("request", "one of text, image and scene is needed")
        seed = hashlib.sha256(json.dumps(request[given[0]], sort_keys=True).encode()).digest()
        numbers = itertools.islice(itertools.cycle(seed), 96)
        modality = "text" if given == ["text"] else "image"
        return {"latent": [each / 128 - 1 for each in numbers], "modality": modality, "part": "latents"}

    def example(self, request: dict[str, Any]) -> dict[str, Any]:
        part, seed = request.get("part"), request.get("seed")
        if type(seed) is not int or part not in ("sudoku4", "scenes"):
            raise Refused("request", "an example is of a part that answers, and a whole number")
        draw = random.Random(seed)
        if part == "sudoku4":
            renamed = [0, *draw.sample(range(1, SIDE + 1), SIDE)]
            whole = [renamed[digit] for digit in solved([0] * CELLS) or []]
            blanks = draw.sample(range(CELLS), 9)
            cells = [0 if at in blanks else digit for at, digit in enumerate(whole)]
            return {"question": {"part": part, "cells": cells}, "answer": solved(cells)}
        objects = [
            {"shape": shape, "colour": draw.choice(COLOURS), "size": draw.choice(SIZES), "cell": cell}
            for shape, cell in zip(draw.sample(SHAPES, 3), draw.sample(PLACES, 3), strict=True)
        ]
        question = {"part": part, "question": f"what colour is the {objects[0]['shape']}?"}
        question["scene"] = {"objects": objects, "seed": seed}
        return {"question": question, "answer": objects[0]["colour"]}

    def reason(self, request: dict[str, Any]) -> dict[str, Any]:
        part, question = self.question(request)
        kept = self.recalled(request, part, question)
        said = kept[1] if kept else self.computed(part, request)
        impossible = said is None
        answer = (list(request["cells"]) if part["task"] == "board" else "no") if impossible else said
        sure = 0.2 if impossible else 0.9
        other = [] if part["task"] == "board" else [[str(answer), sure], ["yes", 1 - sure]]
        reply: dict[str, Any] = {
            "answer": answer,
            "probability": sure,
            "abstained": impossible,
            "by": kept[0] if kept else "core",
            "others": other,
            "doubts": [1 - sure] * CELLS if part["task"] == "board" else [],
            "consistency": {"cycles": None, "variants": None},
            "trace": [],
            "seconds": 0.001,
        }
        if request.get("trace") is True:
            reply["consistency"]["cycles"] = sure
            first = list(request["cells"]) if part["task"] == "board" else "yes"
            reply["trace"] = [
                {"answer": each, "change": change, "halt": halt, "doubt": 1 - halt}
                for each, change, halt in ((first, 1.0, 0.1), (answer, 0.4, 0.5), (answer, 0.02, sure))
            ]
        return reply

    def reflect(self, request: dict[str, Any]) -> dict[str, Any]:
        reply = self.reason({**request, "trace": True})
        reply["consistency"]["variants"] = reply["probability"]
        reply["reflection"] = {"variants": 4, "agreeing": 4 if reply["probability"] > 0.5 else 1}
        return reply

    def correct(self, request: dict[str, Any]) -> dict[str, Any]:
        part, question = self.question(request)
        name, answer = request.get("memory", "default"), request.get("answer")
        cells = part["task"] == "board"
        if cells != isinstance(answer, list) or (cells and len(answer) != CELLS) or answer in (None, ""):
            raise Refused("request", "an answer is a list of as many cells for a board, a word for a scene")
        if not isinstance(name, str) or not name.replace("-", "").isalnum():
            raise Refused("memory", f"{name!r} is no name of a memory")
        before = self.reason({**request, "memory": "auto"})
        kept = self.memories.setdefault(name, {"part": part["name"], "on": True, "lessons": []})
        if kept["part"] != part["name"]:
            raise Refused("memory", f"memory {name} is over {kept['part']}, not {part['name']}")
        kept["lessons"].append((question, answer))
        after = self.reason({**request, "memory": "auto"})
        memory = next(each for each in self.listed() if each["name"] == name)
        return {
            "memory": memory,
            "seconds": 0.01,
            "before": before,
            "after": after,
            "core_unchanged": True,
            "proposed": "",
        }

    def memory(self, request: dict[str, Any]) -> dict[str, Any]:
        op, name = request.get("op"), request.get("name")
        if op == "list":
            return {"memories": self.listed()}
        if name not in self.memories:
            raise Refused("memory", f"there is no memory {name!r}")
        if op in ("on", "off"):
            self.memories[name]["on"] = op == "on"
        elif op == "forget":
            del self.memories[name]
        elif op == "drop-last":
            self.memories[name]["lessons"] = self.memories[name]["lessons"][:-1]
        elif op == "copy" and isinstance(request.get("to"), str) and request["to"] not in self.memories:
            kept = self.memories[name]
            self.memories[request["to"]] = {**kept, "on": False, "lessons": list(kept["lessons"])}
        else:
            raise Refused("request", f"{op!r} can't be done to a memory")
        return {"memories": self.listed()}

    # -------------------------------------------------------------------------------------------------

    def question(self, request: dict[str, Any]) -> tuple[dict[str, Any], str]:
        part = next((each for each in PARTS if each["name"] == request.get("part")), None)
        if part is None or part["task"] == "latents":
            raise Refused("request", f"there is no part {request.get('part')!r}: sudoku4, scenes")
        if part["task"] == "board":
            cells = request.get("cells")
            if not isinstance(cells, list) or len(cells) != CELLS:
                raise Refused("request", f"sudoku4 takes {CELLS} cells")
            if not all(type(each) is int and 0 <= each <= SIDE for each in cells):
                raise Refused("request", f"a cell is a whole number from 0 to {SIDE}")
            return part, json.dumps(cells)
        if not isinstance(request.get("question"), str) or ("image" in request) == ("scene" in request):
            raise Refused("request", "a scene takes a question in words, and an image or a scene")
        shown = request.get("image") or request.get("scene")
        return part, json.dumps([request["question"], shown], sort_keys=True)

    def computed(self, part: dict[str, Any], request: dict[str, Any]) -> Any:
        if part["task"] == "board":
            return solved(request["cells"])
        text = request["question"].casefold()
        if "scene" not in request:
            try:
                rgb = base64.b64decode(request["image"]["rgb"], validate=True)
            except (ValueError, TypeError, KeyError):
                raise Refused("request", "the image can't be read") from None
            return COLOURS[sum(rgb) % len(COLOURS)]
        objects = request["scene"].get("objects", [])
        named = [
            each
            for each in objects
            if all(each[kind] in text for kind in ("shape", "colour", "size") if _named(text, kind))
        ]
        if text.startswith("how many"):
            return NUMBERS[len(named)]
        if text.startswith("is there"):
            return "yes" if named else "no"
        if not named:
            return None
        for start, kind in (("what colour", "colour"), ("what shape", "shape"), ("where", "cell")):
            if text.startswith(start):
                return named[0][kind]
        return named[0]["size"] if text.startswith("is ") else None

    def recalled(
        self, request: dict[str, Any], part: dict[str, Any], question: str
    ) -> tuple[str, Any] | None:
        wanted = request.get("memory", "auto")
        if wanted == "off":
            return None
        if wanted != "auto" and wanted not in self.memories:
            raise Refused("memory", f"there is no memory {wanted!r}")
        for name, kept in self.memories.items():
            if kept["part"] == part["name"] and (wanted == name or (wanted == "auto" and kept["on"])):
                for asked, answer in reversed(kept["lessons"]):
                    if asked == question:
                        return name, answer
        return None

    def listed(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "part": kept["part"],
                "method": "list",
                "core": CORE,
                "on": kept["on"],
                "lessons": len(kept["lessons"]),
                "right": len(kept["lessons"]),
                "digest": hashlib.sha256(json.dumps(kept["lessons"]).encode()).hexdigest(),
                "stale": False,
                "recurring": len(kept["lessons"]),
            }
            for name, kept in sorted(self.memories.items())
        ]


def _named(text: str, kind: str) -> bool:
    words = {"shape": SHAPES, "colour": COLOURS, "size": SIZES}[kind]
    asked = {"colour": "what colour", "shape": "what shape", "size": "small or large"}[kind]
    return asked not in text and any(word in text for word in words)


def answered(mind: Mind, request: dict[str, Any]) -> dict[str, Any]:
    """The reply to one request."""
    verbs = {
        name: getattr(mind, name)
        for name in ("status", "encode", "example", "reason", "reflect", "correct", "memory")
    }
    number = request.get("id")
    try:
        if request.get("do") not in verbs:
            raise Refused("request", f"there is no {request.get('do')!r}: {', '.join(verbs)}")
        return {"id": number, "ok": True, **verbs[request["do"]](request)}
    except Refused as error:
        return {"id": number, "ok": False, "reason": error.reason, "error": str(error)}


def main(argv: list[str]) -> int:
    """Answer until the input ends."""
    fault = argv[0] if argv else ""
    if fault == "mute":
        sys.stdin.buffer.read()
        return 0
    if fault == "not-ready":
        _say({"ready": False, "error": "the core is refused: sudoku4/model.safetensors was altered"})
        return 1
    _say({"ready": True, "protocol": 1, "core": CORE, "seconds": 0.01})
    mind = Mind()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if fault == "hang":
            continue
        if fault == "slow":
            time.sleep(0.25)
        if fault == "rubbish":
            sys.stdout.buffer.write(b"Traceback (most recent call last):\n")
            sys.stdout.buffer.flush()
            continue
        if fault == "long-line":
            while True:
                sys.stdout.buffer.write(b"x" * 65536)
        if fault == "crash" and request["do"] != "status":
            os._exit(9)
        if fault == "crash-once" and request["do"] != "status" and not Path(argv[1]).exists():
            Path(argv[1]).touch()
            os._exit(9)
        reply = answered(mind, request)
        if fault == "wrong-id":
            reply["id"] += 1000
        _say(reply)
    return 0


def _say(body: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(body, sort_keys=True).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
