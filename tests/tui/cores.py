"""Versions of a core in a workspace, proposals to change it, and minds to ask."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import scripted_mind
import seeds

from state import core, core_words
from state.journal import Journal
from state.workspace import Workspace

PARTS = {"sudoku4": "board", "scenes": "scene"}
LOST = {"task": "sudoku4", "measure": "exact", "before": 0.986, "after": 0.981, "rows": 512}
GAINED = {"task": "scenes: grelk", "measure": "accuracy", "before": 0.31, "after": 0.93, "rows": 256}
CALMER = {"task": "scenes", "measure": "ece", "before": 0.031, "after": 0.024, "rows": 2048}


def folder_of(folder: Path, parent: str | None, weights: bytes) -> str:
    """Write a version into a folder; its digest."""
    parts: dict[str, Any] = {}
    for name, task in PARTS.items():
        place = folder / "parts" / name
        place.mkdir(parents=True)
        files = {"checkpoint.json": b'{"learner": "hrm"}', "model.safetensors": weights + name.encode()}
        for file, data in files.items():
            (place / file).write_bytes(data)
        sums = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
        parts[name] = {"task": task, "learner": "hrm", "files": sums, "calibration": None}
    body = core.core_json({"schema": 1, "parent": parent, "made": {"by": "adopt"}, "parts": parts})
    (folder / "core.json").write_bytes(body)
    return hashlib.sha256(body).hexdigest()


def adopted(root: Path, parent: str | None = None, weights: bytes = b"first") -> str:
    """A version that a person put into force; its digest."""
    workspace = Workspace(root)
    aside = core.versions(workspace) / "aside"
    digest = folder_of(aside, parent, weights)
    aside.rename(aside.with_name(digest))
    journal = Journal.open(workspace.journal)
    core_words.adopt(journal, workspace, digest, "ada")
    journal.close()
    return digest


def proposed(story: seeds.Story, number: int = 7, **more: Any) -> str:
    """A ticket that asks to change the core, with its candidate; the proposal's id."""
    id_ = f"TICKET-{number}"
    root = story.workspace.root
    before = adopted(root)
    candidate = story.workspace.run(id_, 1) / "candidate"
    after = folder_of(candidate, before, b"second")
    story.admit(id_, "Take what the memory default knows into the core", "core", accept=["standard"])
    story.start(id_)
    story.check(id_, "keeps", "artifact")
    command = f"jetbox core revert {before[:12]}"
    rehearsed = f"{before[:12]} verifies: 2 parts, 203868 bytes"
    layers = [
        ("head.out.weight", [9, 64], 0.031),
        ("mix.0.up.weight", [128, 64], 0.012),
        ("mix.1", [64], 0.002),
    ]
    subject = {
        "revision": "r1", "goal": "learn grelk", "change_id": after[:12], "part": "scenes",
        "layer": ["head.out.weight", "mix.0.up.weight"],
        "rationale": "measured, not a model's words: 12 lessons in the memory default: 12 of grelk",
        "evidence": {
            "memory": {"name": "default", "digest": "a1" * 32, "method": "concepts"},
            "lessons": {"count": 12, "digest": "b2" * 32},
            "effects": "c3" * 32, "difference": "d4" * 32,
        },
        "figures": {"new_before": 0.31, "new_after": 0.93, "old_before": 0.986, "old_after": 0.984},
        "expected_effects": [GAINED, LOST, CALMER],
        "difference": [
            {"layer": name, "shape": shape, "before": 4.1, "change": 0.1, "share": share, "largest": 0.01}
            for name, shape, share in layers
        ],
        "receipts": [{"check": "keeps", "side": "artifact", "exit": 0, "output": "", "passed": True}],
        "revert_plan": {"to": before, "command": command, "rehearsed": rehearsed},
        "rollback": {"how": command, "rehearsed": rehearsed},
        "core": after, "before": before, "isolation": "bwrap",
    }  # fmt: skip
    summary = (
        "change the core: scenes learns what the memory default knows (new 31% to 93%, old 98.6% to 98.4%)"
    )
    return story.ask(id_, "core", summary, **{**subject, **more})


class Told:
    """The double of the mind, asked in the cockpit's own process; `said` changes what it replies."""

    opened = 0

    def __init__(self, **said: Any) -> None:
        Told.opened += 1
        self._mind = scripted_mind.Mind()
        self._said = said
        self.closed = False
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """As the client of the mind does it: through JSON, and an exception for a refusal."""
        self.asked.append((do, fields))
        said = self._said.get(do)
        if callable(said):
            said = said(fields)
        if isinstance(said, Exception):
            raise said
        if said is not None:
            return dict(said) if isinstance(said, Mapping) else said
        reply = scripted_mind.answered(self._mind, json.loads(json.dumps({"id": 1, "do": do, **fields})))
        if not reply.pop("ok"):
            raise Refusal(reply["reason"], reply["error"])
        return reply

    def close(self) -> None:
        """Ended."""
        self.closed = True


class Refusal(Exception):
    """What the client raises: a reason and a line."""

    def __init__(self, reason: str, line: str) -> None:
        super().__init__(line)
        self.reason = reason
