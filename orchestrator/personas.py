"""Personas: who does it. A file each, with a system prompt, a role of `models.yaml`, and a form of reply.

Guarantees: a `Persona` that exists is well formed; `render` is a function of the persona and of its
arguments alone, so that a prompt's front stays the same byte for byte and a server's prefix cache holds.
How an agent's actions are written stands here once (`{verbs}`), so that every persona teaches what the
parser of replies reads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from orchestrator.providers.base import Think
from orchestrator.settings import SHIPPED, document
from tickets import strict_yaml
from tickets.explain import explain
from tickets.problems import Problem, TicketError, did_you_mean, in_order, listed
from tickets.values import is_name

_FOLDER = SHIPPED / "personas"
_MOST = 200  # personas of a project: beyond that the rest is not looked at

_FENCE = "```"
VERBS = f"""\
Answer with exactly one action. A sentence or two of thought may come before it, nothing after it.

READ path
READ path:first-last
  Shows a file, or some of its lines.

SEARCH text
  Shows the lines of the repository that hold this text.

RUN command
  Runs a shell command in the repository's root and shows what it prints.

EDIT path
  Changes one file. For a new file, and for a file of at most {{whole_file}} lines, give all of its new text
  in a fence:

EDIT path
{_FENCE}
all lines of the file
{_FENCE}

  For a longer file give SEARCH/REPLACE blocks in a fence. The lines to find are copied exactly as they stand,
  enough of them to be there once, and they are as few as that takes:

EDIT path
{_FENCE}
<<<<<<< SEARCH
lines as they stand
=======
lines that come in their place
>>>>>>> REPLACE
{_FENCE}

DONE summary
  The subtask is done. Commands are run then to see whether that is so.

ASK question
- first option (recommended)
- second option
  Asks a person. Only for what neither the task nor the files can answer.

Paths start at the repository's root. Code is written in fences as it stands, never inside JSON."""
"""How the actions of `orchestrator/agent/verbs.py` are written, for a model."""

Prose = Annotated[str, Field(min_length=1, max_length=20_000)]
Short = Annotated[str, Field(min_length=1, max_length=1_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class Prompt(_Strict):
    """The parts of a system prompt, each with a job of its own."""

    role: Prose
    """Who the model is, and what it is given."""
    constraints: Annotated[tuple[Short, ...], Field(max_length=40, strict=False)] = ()
    """What holds whatever the task is, one rule a line."""
    format: Prose
    """What a reply looks like. `{verbs}` stands for an agent's actions, `{whole_file}` for the lines up to
    which a file is rewritten whole."""


class Example(_Strict):
    """A question and the reply that is wanted."""

    user: Prose
    """What is asked."""
    reply: Prose
    """What is to be answered, exactly in the form asked for."""


class Persona(_Strict):
    """One file of `personas/`."""

    describe: Annotated[str, Field(min_length=1, max_length=200)]
    """What it is for, in one line for people."""
    model: Annotated[str, Field(pattern="^[a-z][a-z0-9-]{0,30}$")]
    """The role of `models.yaml` that answers, such as `coder`; never a model's name."""
    think: Literal["never", "auto", "always", "low", "medium", "high"] = "auto"
    """How much the model is to think before it answers; `auto`: as its entry in `models.yaml` says."""
    temperature: Annotated[float, Field(ge=0, le=2, strict=False)] | None = None
    """0 repeats itself, 1 is free; left out: as the model's entry says."""
    prompt: Prompt
    """The system prompt."""
    examples: Annotated[tuple[Example, ...], Field(max_length=8, strict=False)] = ()
    """Shown in the prompt: one or two say more than ten rules."""
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    """JSON Schema that the whole reply satisfies; without one the reply is text."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Of one that plans: how many replies of no use until the work goes on without a plan."""

    @field_validator("schema_")
    @classmethod
    def _of_an_object(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and (value.get("type") != "object" or not value.get("properties")):
            raise ValueError("describes no object, expected `type: object` with `properties`")
        return value

    @property
    def acts(self) -> bool:
        """Whether it changes files by an agent's actions: only such a persona can work on a ticket."""
        return self.schema_ is None and "{verbs}" in self.prompt.format


def names(folder: Path | None) -> frozenset[str]:
    """Every persona there is: the shipped ones and the files of a project's folder. Reads no file."""
    found = set(_shipped())
    if folder is not None and folder.is_dir():
        own = (path.stem for path in sorted(folder.glob("*.yaml"))[:_MOST])
        found |= {name for name in own if is_name(name)}
    return frozenset(found)


def working(folder: Path | None) -> frozenset[str]:
    """The personas that can work on a ticket. One whose file is broken is among them: its use says why."""
    return frozenset(name for name in names(folder) if _acts(name, folder))


def _acts(name: str, folder: Path | None) -> bool:
    try:
        return load(name, folder).acts
    except TicketError:
        return True


def installed(folder: Path | None) -> Mapping[str, Persona]:
    """Every persona by its name, in order.

    Raises:
        TicketError: with every problem of every file.
    """
    found: dict[str, Persona] = {}
    problems: list[Problem] = []
    for name in sorted(names(folder)):
        try:
            found[name] = load(name, folder)
        except TicketError as error:
            problems += error.problems
    if problems:
        raise TicketError(problems)
    return found


def load(name: str, folder: Path | None) -> Persona:
    """One persona: the project's own file where there is one, else the shipped one.

    Args:
        name: the file's stem.
        folder: the project's `personas/`; None where there is no project.

    Raises:
        TicketError: there is none of this name, or its file is wrong: `file:line:column: field: ...`.
    """
    own = own_file(name, folder)
    if own is not None:
        return _read(own, f"{own.parent.name}/{own.name}")
    if name in _shipped():
        return _shipped_one(name)
    known = names(folder)
    wrong = f"nobody knows {name[:80]!r}, there is {listed(known)}{did_you_mean(name, known)}"
    raise TicketError([Problem("personas", 1, 1, "persona", wrong)])


def roles(wanted: Iterable[str], folder: Path | None = None) -> frozenset[str]:
    """The roles of `models.yaml` that these personas speak through. One that cannot be read has none."""
    found = set()
    for name in wanted:
        with contextlib.suppress(TicketError):
            found.add(load(name, folder).model)
    return frozenset(found)


def fault(wanted: Iterable[str], folder: Path | None) -> str | None:
    """Why one of these personas cannot be used, in one line."""
    for name in wanted:
        try:
            load(name, folder)
        except TicketError as error:
            return str(error.problems[0])
    return None


def own_file(name: str, folder: Path | None) -> Path | None:
    """The project's own file of this name, if there is one."""
    path = folder / f"{name}.yaml" if folder is not None and is_name(name) else None
    return path if path is not None and path.is_file() else None


@cache
def _shipped() -> frozenset[str]:
    return frozenset(path.stem for path in _FOLDER.glob("*.yaml"))


@cache
def _shipped_one(name: str) -> Persona:
    return _read(_FOLDER / f"{name}.yaml", f"{name}.yaml")


def _read(path: Path, shown: str) -> Persona:
    found = document(path, shown)
    root = found.root or strict_yaml.Node({}, 1, 1, {})
    try:
        return Persona.model_validate(root.value)
    except ValidationError as error:
        problems = explain(error.errors(include_url=False), Persona, found, shown)
        raise TicketError(in_order(problems)) from error


def render(persona: Persona, whole_file: int = 150) -> str:
    """The system prompt.

    Args:
        persona: whose.
        whole_file: lines up to which the model rewrites a file whole; see `Chosen.whole_file`.
    """

    def filled(text: str) -> str:
        return text.strip().replace("{verbs}", VERBS).replace("{whole_file}", str(whole_file))

    prompt = persona.prompt
    parts = [filled(prompt.role)]
    if prompt.constraints:
        parts.append("\n".join(("# Rules", "", *(f"- {filled(rule)}" for rule in prompt.constraints))))
    parts.append(f"# Your reply\n\n{filled(prompt.format)}")
    for number, example in enumerate(persona.examples, 1):
        asked, reply = example.user.strip(), example.reply.strip()
        parts.append(f"# Example {number}\n\nYou are told:\n\n{asked}\n\nYou reply:\n\n{reply}")
    return "\n\n".join(parts)


def thinks(persona: Persona, usual: Think, more: Think) -> Think:
    """How much a model is to think for this persona.

    Args:
        persona: who asks.
        usual: what the model's policy says for ordinary turns; None: it cannot think.
        more: the same for hard turns.
    """
    if usual is None or persona.think == "auto":
        return usual
    graded = isinstance(usual, str)
    if persona.think == "never":
        return "low" if graded else False
    if persona.think == "always":
        return more or ("medium" if graded else True)
    return persona.think if graded else True
