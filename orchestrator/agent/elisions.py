"""Lines that stand for code which a model left out: `# ... rest unchanged`, `// existing code`, `...`.

Written to a file they would delete what they stand for. A line that the old file has itself is none, which
only the caller can tell.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

_LONGEST = 160
_COMMENT = re.compile(r"\s*(?:#|//+|--|/\*+|<!--|;+|%|\*|\"{3}|'{3}|\{/\*)\s*(.*?)\s*(?:\*/\}?|-->)?\s*\Z")
_DOTS = re.compile(r"[\[(]?(?:\.\.\.|…)")
_WHAT = (
    r"(?:rest|remainder|remaining|existing|previous|other|original|unchanged|same|omitted|snip|skipped"
    r"|continue[sd]?|truncated|keep)"
)
_THING = (
    r"(?:code|file|function|functions|method|methods|class|classes|imports?|implementation|logic|content|contents"
    r"|lines?|tests?|body|module|definitions?|fields?|unchanged|omitted|as before|above|below|here|same|is)"
)
_SAYS = re.compile(rf"\b{_WHAT}\b.{{0,60}}\b{_THING}\b|\bunchanged\b|\bsame as before\b", re.IGNORECASE)
_PLAIN = re.compile(
    rf"(?:(?:the )?rest of (?:the |this )?{_THING}\b.{{0,60}}"
    rf"|(?:the )?(?:existing|remaining|previous|other) {_THING}"
    rf"(?: (?:here|unchanged|stays?|remains?|goes here|as before|is unchanged|stays the same))?|unchanged"
    rf"|same as before|(?:keep|leave) (?:the )?(?:rest|existing|other).{{0,60}}"
    r"|code (?:omitted|unchanged).{0,40})"
    r"[\s.…:]*\Z",
    re.IGNORECASE,
)


def first_elision(lines: Sequence[str], known: Collection[str], path: str) -> int | None:
    """The index of the first line that stands for others, if there is one.

    Args:
        lines: new text.
        known: lines of the old text, stripped: these are meant as they stand.
        path: of the file; `...` alone is a statement in Python.
    """
    for at, line in enumerate(lines):
        if (
            len(line) <= _LONGEST
            and line.strip() not in known
            and _elides(line)
            and not _stub(lines, at, path)
        ):
            return at
    return None


def _elides(line: str) -> bool:
    bare = line.strip()
    if bare in ("...", "…", "[...]", "(...)"):
        return True
    if _DOTS.match(bare):  # `... rest of the file ...`, with no comment sign
        return _SAYS.search(bare) is not None
    comment = _COMMENT.match(line)
    if comment is None:
        return False
    said = comment[1]
    if dots := _DOTS.match(said):
        after = said[dots.end() :].strip(" .…])")
        return not after or _SAYS.search(after) is not None
    return _PLAIN.match(said) is not None


def _stub(lines: Sequence[str], at: int, path: str) -> bool:
    """Whether `...` is all of a body in Python, or a prompt of its console."""
    if lines[at].strip() != "..." or not path.endswith((".py", ".pyi")):
        return False
    above = next((line.strip() for line in reversed(lines[:at]) if line.strip()), "")
    return above.endswith((":", '"""', "'''", ",", "(", "[", "{")) or above.startswith(
        (">>>", "...", "#", "@")
    )
