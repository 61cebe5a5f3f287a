"""What a shell line starts, seen through what starts others: `env`, `xargs`, `sh -c`, `find -exec`.

Pure, and comfort alone: a program that is started may start any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator import shell
from orchestrator.shell import Command, Word, words
from tickets.problems import clipped

MOST = 2000
"""Commands that are followed; a line with more is taken as unreadable."""
UNTOLD = "(something that only shows when it runs)"
"""Stands for a program or a host that cannot be told beforehand."""

_DEEPEST = 12  # how often one command may start the next
_ASSIGNED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\[[^]]*\])?\+?=")
_SYSTEM = re.compile(r"/(usr/(local/)?)?s?bin|/opt/(homebrew|local)/bin")


_SHELLS = words("sh bash dash ash ksh zsh fish")
_BEFORE = {
    "env": (words("-u --unset -C --chdir"), 0),
    "command": (words(""), 0),
    "builtin": (words(""), 0),
    "exec": (words("-a"), 0),
    "time": (words("-f --format -o --output"), 0),
    "timeout": (words("-s --signal -k --kill-after"), 1),
    "nice": (words("-n --adjustment"), 0),
    "ionice": (words("-c --class -n --classdata -p --pid"), 0),
    "nohup": (words(""), 0),
    "setsid": (words(""), 0),
    "stdbuf": (words("-i --input -o --output -e --error"), 0),
    "xargs": (words("-a --arg-file -d --delimiter -E -I -L -n --max-args -P --max-procs -s -J -R"), 0),
    "sudo": (words("-u --user -g --group -h --host -p --prompt -C -D --chdir -R -r -t -T -U"), 0),
    "doas": (words("-u -C"), 0),
    "npx": (words("-p --package"), 0),
    "uvx": (words("--from --with -p --python --index --default-index --index-url"), 0),
}
"""Commands that start what follows them: their options that take a word, and words before the command."""

_RUNS = {
    "uv": (
        words("run"),
        words(
            "--with --with-editable --with-requirements -p --python --extra --group --only-group --env-file"
            " --project --directory --package --index --default-index --index-url"
        ),
    ),
    "poetry": (words("run"), words("")),
    "pipenv": (words("run"), words("")),
    "pdm": (words("run"), words("")),
    "bundle": (words("exec"), words("")),
    "npm": (words("exec"), words("-p --package")),
    "pnpm": (words("exec dlx"), words("")),
    "yarn": (words("exec dlx"), words("")),
}
"""Commands that start what follows one of these words, and their options that take a word."""


def started(line: str) -> list[Command]:
    """Every command of the line and every one that those start, each from its program on.

    A word that is not `sure` at the head of one means that the program only shows when it runs.

    Raises:
        shell.Unreadable: it cannot be told what would run.
    """
    waiting = [(command, 0) for command in reversed(shell.commands(line))]
    found: list[Command] = []
    while waiting:
        command, depth = waiting.pop()
        command = _unassigned(command)
        if not command:
            continue
        found.append(command)
        if len(found) > MOST or depth > _DEEPEST:
            raise shell.Unreadable("out of all proportion")
        waiting += [(inner, depth + 1) for inner in _inside(command)]
    return found


def name(word: Word) -> str:
    """What a program is called: by its name in one of the system's folders, anywhere else by its path."""
    folder, _, last = word.text.rpartition("/")
    return (last if _SYSTEM.fullmatch(folder) else word.text).removesuffix(".exe")


def positional(command: Command, valued: frozenset[str] = frozenset()) -> list[Word]:
    """The words after the program that are neither options nor what options in `valued` take."""
    left, found = command[1:], []
    while left := left[_options(left, valued) :]:
        found.append(left[0])
        left = left[1:]
    return found


def printable(text: str) -> str:
    """A name as it may be told: on one line, without control characters, not too long."""
    return clipped("".join(char if char.isprintable() else "?" for char in text))


def _unassigned(command: Command) -> Command:
    at = 0
    while at < len(command) and _ASSIGNED.match(command[at].text):
        at += 1
    return command[at:]


def _inside(command: Command) -> Iterator[Command]:
    """The commands that this one starts, as far as its words say so."""
    program, rest = name(command[0]), command[1:]
    if program in _SHELLS:
        yield from _shell(rest)
    elif program == "env" and (split := _split_string(rest)) is not None:
        yield from _read(split)
    elif program in _BEFORE:
        valued, before = _BEFORE[program]
        rest = rest[_options(rest, valued) :]
        yield (_unassigned(rest) if program in ("env", "sudo") else rest)[before:]
    elif program in _RUNS:
        verbs, valued = _RUNS[program]
        rest = rest[_options(rest, valued) :]
        if rest and rest[0].text in verbs:
            yield rest[1 + _options(rest[1:], valued) :]
    elif program == "eval":
        yield from _read(rest)
    elif program == "trap":
        yield from _read(rest[:1])
    elif program in (".", "source") and rest:
        yield (_script(rest[0]),)
    elif program == "find":
        yield from _found(rest)


def _found(rest: Command) -> Iterator[Command]:
    """What `find` runs on what it finds."""
    begun: int | None = None
    for at, word in enumerate(rest):
        if begun is None and word.text in ("-exec", "-execdir", "-ok", "-okdir"):
            begun = at + 1
        elif begun is not None and word.text in (";", "+"):
            yield rest[begun:at]
            begun = None
    if begun is not None:
        yield rest[begun:]


def _shell(rest: Command) -> Iterator[Command]:
    """What a shell runs: its `-c` text, its script, or what it is fed, which nobody knows."""
    at = 0
    while at < len(rest) and rest[at].text[:1] in ("-", "+") and len(rest[at].text) > 1:
        text = rest[at].text
        at += 1
        if text in ("--version", "--help"):
            return
        if text.startswith("--"):
            at += text in ("--rcfile", "--init-file")
            continue
        at += text.casefold().count("o")  # each takes the name of a setting
        if "c" in text:
            at += _options(rest[at:], words("-o -O"))
            yield from _read(rest[at : at + 1])
            return
    fed = at >= len(rest) or rest[at].text == "-"
    yield (Word("", sure=False) if fed else _script(rest[at]),)


def _script(word: Word) -> Word:
    """A file that is read as a script: a bare name is one of the folder, not of the path."""
    return word if "/" in word.text else Word(f"./{word.text}", word.sure)


def _read(given: Command) -> list[Command]:
    """Words that are themselves read as shell."""
    if not all(word.sure for word in given):
        return [(Word("", sure=False),)]
    return shell.commands(" ".join(word.text for word in given))


def _split_string(rest: Command) -> Command | None:
    """What `env -S` takes apart by itself; None without it."""
    for at, word in enumerate(rest):
        if word.text in ("-S", "--split-string"):
            return rest[at + 1 :]
        for option in ("-S", "--split-string="):
            if word.text.startswith(option):
                return (Word(word.text.removeprefix(option), word.sure), *rest[at + 1 :])
        if not word.text.startswith("-"):
            return None
    return None


def _options(given: Command, valued: frozenset[str]) -> int:
    """How many words at the head are options and what they take."""
    at = 0
    while at < len(given) and given[at].text[:1] == "-" and given[at].text != "-":
        text = given[at].text
        at += 1
        if text == "--":
            break
        if text.startswith("--"):
            at += text in valued
            continue
        last = next((place for place, letter in enumerate(text[1:], 1) if f"-{letter}" in valued), None)
        at += last == len(text) - 1
    return min(at, len(given))
