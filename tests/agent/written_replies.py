"""Edits as a careful model writes them: the reply that `replies.parse` is to read back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from orchestrator.agent.verbs import Block, Edit


def written(edit: Edit, language: str = "") -> str:
    """The reply for an edit: a fence longer than any within, and marks unlike all lines of the text."""
    if edit.whole is not None:
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", edit.whole)), default=0))
        return f"EDIT {_path(edit.path)}\n{fence}{language}\n{edit.whole}{fence}\n"
    text = "".join(block.search + block.replace for block in edit.blocks)
    taken = {len(run) for run in re.findall(r"^[ \t]*([<=>]{5,9})", text, re.MULTILINE)}
    signs = next((n for n in (7, 9, 8, 6, 5) if n not in taken), 7)
    parts = [
        f"{'<' * signs} SEARCH\n{block.search}{'=' * signs}\n{block.replace}{'>' * signs} REPLACE\n"
        for block in edit.blocks
    ]
    return f"EDIT {_path(edit.path)}\n" + "".join(parts)


def blocks_between(old: Sequence[str], new: Sequence[str], context: int = 3) -> list[Block]:
    """SEARCH/REPLACE blocks from one list of lines to another, each with context until it fits once."""
    steps = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    rows = "\n" + "\n".join(old) + "\n"
    spans: list[tuple[int, int]] = []
    for tag, i1, i2, _, _ in steps:
        if tag == "equal":
            continue
        start, end = _widened(old, rows, i1, i2, context)
        while spans and start <= spans[-1][1]:
            before = spans.pop()
            start, end = min(start, before[0]), max(end, before[1])
        spans.append((start, end))
    equal = [(i1, i2, j1) for tag, i1, i2, j1, _ in steps if tag == "equal"]

    def there(at: int) -> int:
        """Where an equal line of the old text stands in the new one."""
        return next(j1 + at - i1 for i1, i2, j1 in equal if i1 <= at < i2)

    return [
        Block(
            _text(old[start:end]),
            _text(new[there(start) if start else 0 : there(end - 1) + 1 if end < len(old) else len(new)]),
        )
        for start, end in spans
    ]


def _widened(old: Sequence[str], rows: str, i1: int, i2: int, context: int) -> tuple[int, int]:
    start, end = max(0, i1 - context), min(len(old), i2 + context)
    while True:
        text = "\n" + "\n".join(old[start:end]) + "\n"
        first = rows.find(text)
        if (rows.find(text, first + 1) < 0 and text.strip()) or (not start and end == len(old)):
            return start, end
        start, end = max(0, start - 2), min(len(old), end + 2)


def _text(lines: Sequence[str]) -> str:
    return "".join(line + "\n" for line in lines)


def _path(path: str) -> str:
    return f"`{path}`" if " " in path else path
