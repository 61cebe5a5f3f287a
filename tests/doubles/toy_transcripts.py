"""Made-up transcripts of one ticket, as long as real ones: a plan, its critique, and a conversation of five turns."""

# ruff: noqa: E501  texts as a person writes them

from __future__ import annotations

import json
from typing import Any

RULES = """You change a git worktree, one action in each reply. Write one line of why, then one action.

READ path[:first[-last]]
SEARCH pattern
RUN command
EDIT path
DONE summary
ASK question

To edit a file of up to 150 lines, write it whole in a fence:

EDIT path/to/file.py
```
the whole new text
```

To edit a longer file, write blocks in a fence. The lines of SEARCH must stand in the file exactly as you write
them, and only once:

EDIT path/to/file.py
```
<<<<<<< SEARCH
old lines
=======
new lines
>>>>>>> REPLACE
```

Rules
- Code stands in fences, never in JSON. Nothing is left out: no "rest unchanged".
- Never say that a check passes. The checks are run for you, and their output comes back.
- Change what the task asks for, and nothing else. Tests that exist are not weakened.
- A path is relative to the worktree. You see what you asked for in the next message.
- When the task is done, say DONE with what changed, in one sentence.
- When you cannot go on without a person, ASK one question with two or three options.
"""
TICKET = """# Ticket TICKET-1: slugify keeps words of other languages apart

Goal: `slugify` in text/slug.py turns a title into a part of an address: lower case, words joined by single
hyphens, accents dropped, nothing else than letters a to z, digits and hyphens.

Today it drops letters with accents, so that "Crème brûlée" becomes "crme-brle", and it leaves hyphens at the ends.

Checks
- tests: python -m pytest -q tests

# Repository

text/__init__.py
text/slug.py
  def slugify(title)
text/wrap.py
  def wrap(text, width)
  def indent(text, by)
tests/test_slug.py
  def test_words_are_joined
  def test_accents_are_dropped
  def test_no_hyphen_at_the_ends
README.md

# text/slug.py

def slugify(title):
    out = []
    for letter in title.lower():
        if letter.isascii() and letter.isalnum():
            out.append(letter)
        elif letter == " ":
            out.append("-")
    return "".join(out)

# tests/test_slug.py

from text.slug import slugify


def test_words_are_joined():
    assert slugify("A  long title") == "a-long-title"


def test_accents_are_dropped():
    assert slugify("Crème brûlée") == "creme-brulee"


def test_no_hyphen_at_the_ends():
    assert slugify(" -- so -- ") == "so"
"""
PLANNER = """You plan the work on a ticket. Reply with one JSON object and nothing else.

reason: two sentences about what is wrong and what follows.
subtasks: one to six, in order. Each has a title, the files that it touches, and a probe: a command that fails now
and passes when the subtask is done.

Rules
- As few subtasks as the work allows. A subtask is something that can be checked by itself.
- No code in the plan. No subtask that only reads.
- The checks of the ticket are run at the end whatever you plan.
"""
CRITIC = """You look for what is wrong with a plan. Reply with one JSON object and nothing else.

reason: what you looked at, in two sentences.
verdict: accept or revise.
findings: what must change, at most four, each with the evidence for it. None where you accept.
"""
PLAN = {
    "reason": "slugify drops letters with accents instead of the accents, and joins by each space. Both follow from "
    "going letter by letter, so the function is written anew.",
    "subtasks": [
        {
            "title": "Drop accents and join words once",
            "files": ["text/slug.py"],
            "probe": "python -m pytest -q tests/test_slug.py",
        }
    ],
}
VERDICT = {
    "reason": "The plan touches the one function that the ticket names. Its probe fails now and is the ticket's own "
    "test.",
    "verdict": "accept",
    "findings": [],
}
PLAN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string"},
        "subtasks": {
            "type": "array",
            "minItems": 1,
            "maxItems": 6,
            "items": {
                "type": "object",
                "properties": {
                    "title": {"type": "string"},
                    "files": {"type": "array", "items": {"type": "string"}},
                    "probe": {"type": "string"},
                },
                "required": ["title", "files", "probe"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["reason", "subtasks"],
    "additionalProperties": False,
}
TURNS = [
    (
        "Act: subtask 1 of 1. Drop accents and join words once.",
        "I look at the function first.\n\nREAD text/slug.py",
    ),
    (
        "text/slug.py, lines 1 to 8 of 8\n\ndef slugify(title):\n    out = []\n    for letter in title.lower():\n"
        "        if letter.isascii() and letter.isalnum():\n            out.append(letter)\n"
        '        elif letter == " ":\n            out.append("-")\n    return "".join(out)\n',
        "I take the accents off by decomposing, then split at whatever is no letter and no digit.\n\n"
        "EDIT text/slug.py\n```python\n"
        '"""Titles as parts of addresses."""\n\nimport re\nimport unicodedata\n\n\ndef slugify(title):\n'
        '    """Lower case, words joined by single hyphens, accents dropped.\n\n'
        "    Letters that have no plain form in ASCII are dropped, since an address is typed by hand, and a title\n"
        "    that has none at all becomes the empty string: the caller decides what stands there instead.\n"
        '    """\n'
        '    plain = unicodedata.normalize("NFKD", title.lower())\n'
        '    letters = "".join(each for each in plain if not unicodedata.combining(each))\n'
        '    words = re.split("[^a-z]+", letters)\n'
        '    return "-".join(words)\n```',
    ),
    (
        "Edited text/slug.py: 17 lines.\n\nThe probe fails: python -m pytest -q tests/test_slug.py\n\n"
        "FAILED tests/test_slug.py::test_no_hyphen_at_the_ends\n"
        "    def test_no_hyphen_at_the_ends():\n>       assert slugify(' -- so -- ') == 'so'\n"
        "E       AssertionError: assert '-so-' == 'so'\n\ntests/test_slug.py:13: AssertionError\n"
        "2 passed, 1 failed in 0.03s\n",
        "The empty words at the ends give hyphens, and digits are lost: I keep both in mind.\n\n"
        "EDIT text/slug.py\n```\n<<<<<<< SEARCH\n"
        '    words = re.split("[^a-z]+", letters)\n    return "-".join(words)\n=======\n'
        '    words = re.split("[^a-z0-9]+", letters)\n    return "-".join(word for word in words if word)\n'
        ">>>>>>> REPLACE\n```",
    ),
    (
        "Edited text/slug.py: 17 lines.\n\nThe probe passes: python -m pytest -q tests/test_slug.py\n\n"
        "3 passed in 0.02s\n",
        "The whole suite should still hold.\n\nRUN python -m pytest -q tests",
    ),
    (
        "python -m pytest -q tests ended with 0 after 0.41 s.\n\n...........\n11 passed in 0.11s\n",
        "DONE slugify drops accents, keeps digits, joins words by single hyphens and leaves none at the ends.",
    ),
]


PLAIN = "You answer in one line of plain text, without any explanation before or after it."
HELLO, COUNT, OK = "Say hello.", "Say the long list.", "Is it ok? Answer in JSON."
LIST = "".join(
    f"{first}{second}{third}{number % 10}"
    for number, (first, second, third) in enumerate(
        (a, b, c)
        for a in ("ka", "lo", "mi", "ne", "pu", "ri")
        for b in ("da", "fe", "gi", "ho", "ju")
        for c in "rst"
    )
)
"""90 words that are not joined, since numbers stand between them: a reply of many tokens."""


def transcripts() -> list[dict[str, Any]]:
    """All of them, as a request takes them: a ticket's seven, and three short ones."""
    plain = [
        {"messages": [_said("system", PLAIN), _said("user", asked)], "reply": reply}
        for asked, reply in ((HELLO, "Hello, and good day."), (COUNT, LIST), (OK, '{"ok": true}'))
    ]
    return [*ticket(), *plain]


def ticket() -> list[dict[str, Any]]:
    """Those of the ticket: plan, critique, and the turns."""
    plan, verdict = json.dumps(PLAN), json.dumps(VERDICT)
    found: list[dict[str, Any]] = [
        {"messages": [_said("system", PLANNER), _said("user", TICKET + "\nPlan this.")], "reply": plan},
        {
            "messages": [
                _said("system", CRITIC),
                _said("user", f"{TICKET}\n# Plan\n\n{plan}\n\nJudge this plan."),
            ],
            "reply": verdict,
        },
    ]
    messages = [_said("system", RULES)]
    for nth, (seen, reply) in enumerate(TURNS):
        messages = [*messages, _said("user", f"{TICKET}\n{seen}" if nth == 0 else seen)]
        found.append({"messages": messages, "reply": reply})
        messages = [*messages, _said("assistant", reply)]
    return found


def _said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
