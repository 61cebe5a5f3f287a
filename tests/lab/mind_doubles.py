"""A workspace, and minds of the double over it."""

from __future__ import annotations

import sys
from pathlib import Path

from orchestrator.lab.mind import Mind
from state.journal import Journal
from state.workspace import Workspace

DOUBLE = [sys.executable, "-P", str(Path(__file__).parent.parent / "doubles" / "scripted_mind.py")]
BOARD = {"part": "sudoku4", "cells": [1, 0, 0, 0, 0, 0, 3, 0, 0, 4, 0, 0, 0, 0, 0, 2]}
SOLVED = [1, 3, 2, 4, 4, 2, 3, 1, 2, 4, 1, 3, 3, 1, 4, 2]
CIRCLE = {
    "part": "scenes",
    "question": "what colour is the circle?",
    "scene": {
        "objects": [{"shape": "circle", "colour": "red", "size": "small", "cell": "top left"}],
        "seed": 1,
    },
}


def workspace(root: Path) -> Workspace:
    """One with a journal."""
    root.mkdir(parents=True, exist_ok=True)
    made = Workspace(root)
    made.home.mkdir(exist_ok=True)
    Journal.open(made.journal).close()
    return made


def mind(place: Workspace, *fault: str) -> Mind:
    """A mind of the double."""
    return Mind.open(place, [*DOUBLE, *fault])
