"""Output of commands as a model is shown it: short, the failing part first."""

from __future__ import annotations

import re

LONGEST = 4_000
"""Characters of one output in a prompt: some 1,200 tokens, in which small models still find the error."""

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|[\x00-\x08\x0b-\x1f\x7f]")
_FAILS = re.compile(
    r"^(Traceback \(|FAIL|ERROR|E  |panic:|--- FAIL|error(\[|:)|\S+:\d+(:\d+)?: (error|fatal)|Exception in|"
    r"AssertionError|not ok |npm ERR|SyntaxError)",
    re.MULTILINE,
)


def shown(output: bytes, longest: int = LONGEST) -> str:
    """Output as text: whole where it is short, else from the first failure on, and the end."""
    text = _CONTROL.sub("", output.decode("utf-8", "replace")).strip("\n")
    if len(text) <= longest:
        return text
    found = _FAILS.search(text)
    start = found.start() if found and found.start() < len(text) - longest // 3 else 0
    head = text[start : start + longest * 2 // 3]
    tail = text[-(longest // 3) :]
    left = len(text) - len(head) - len(tail) - start
    before = f"({start} characters before this)\n" if start else ""
    return f"{before}{head}\n... ({max(left, 0)} characters left out) ...\n{tail}"
