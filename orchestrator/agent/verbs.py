"""What a model can do in one turn: six verbs, written as plain text.

    READ path[:first[-last]]      SEARCH pattern      RUN command
    EDIT path + fence             DONE summary        ASK question + options

Code stands in fences, never inside JSON. `replies.py` reads what models really write.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.agent import markers


@dataclass(frozen=True)
class Read:
    """Show a file, or some of its lines (from 1, both included; 0 means from the start, to the end)."""

    path: str
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class Search:
    """Show the lines that hold a text."""

    pattern: str


@dataclass(frozen=True)
class Block:
    """One SEARCH/REPLACE: lines as they stand, and what comes in their place."""

    search: str
    replace: str


@dataclass(frozen=True)
class Edit:
    """Change one file: by blocks, or by all of its new text."""

    path: str
    blocks: tuple[Block, ...] = ()
    whole: str | None = None


@dataclass(frozen=True)
class Run:
    """Run a shell command line in the worktree."""

    command: str


@dataclass(frozen=True)
class Done:
    """The model holds the subtask to be done. The checks decide."""

    summary: str


@dataclass(frozen=True)
class Ask:
    """A question to the person, with two or three options and the one that is recommended."""

    question: str
    options: tuple[str, ...] = ()
    recommended: int = 0


Verb = Read | Search | Edit | Run | Done | Ask


class Malformed(Exception):
    """The reply holds no action that can be taken; the message shows the right form, for the model."""


EDIT_FORM = f"""\
For a new or a short file, all of it:

EDIT path/to/file
```
every line of the file
```

For a part of a file, one block or more:

EDIT path/to/file
{markers.FORM}"""

FORMS = {
    "READ": "READ path/to/file\nor, for some lines:\nREAD path/to/file:10-40",
    "SEARCH": "SEARCH text to look for",
    "EDIT": EDIT_FORM,
    "RUN": "RUN command",
    "DONE": "DONE what was changed, in one line",
    "ASK": "ASK the question\n- one option (recommended)\n- another option",
}
"""How each verb is written, as a model is shown it."""
