"""What is new about a ticket's commands: programs that nobody has named yet, and hosts of the network.

It tells a person before anything starts. It is comfort, not a boundary: nearly every known program can start
any other and address any host. The boundary is the sandbox, which has no network and holds for all of them.
Pure; where a line cannot be read it says so by `UNTOLD`, which is never known and so always asks.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from orchestrator import shell
from orchestrator.checks import Check
from orchestrator.named_hosts import hosts
from orchestrator.shell import Command, Word, words
from orchestrator.started import UNTOLD, name, printable, started
from tickets import values

__all__ = ["UNTOLD", "commands", "hosts", "new_programs", "programs"]

_OWN = words(
    ": . [ [[ alias bg break builtin cd command continue declare dirs disown echo eval exec exit export false"
    " fg getopts hash jobs kill let local popd printf pushd pwd read readonly return set shift shopt source"
    " test times trap true type typeset ulimit umask unset wait"
)
"""The shell's own commands."""


def commands(spec: Mapping[str, Any], checks: Iterable[Check]) -> tuple[str, ...]:
    """Every command line that an attempt under this spec would run: steps, checks, rollback."""
    steps = (spec.get("with") or {}).get("steps")  # of a training run, a number
    listed = steps if isinstance(steps, list | tuple) else ()
    lines = [step["run"] if isinstance(step, Mapping) else step for step in listed]
    lines += [check.run for check in checks if check.run]
    rollback = values.rollback(spec.get("rollback") or "revert")
    if isinstance(rollback, values.ByShell):
        lines.append(rollback.command)
    return tuple(dict.fromkeys(lines))


def new_programs(lines: Iterable[str], known: Collection[str]) -> list[str]:
    """The programs of these lines that are not known, in order."""
    return sorted({program for line in lines for program in programs(line)}.difference(known))


@lru_cache(1024)  # asked before every step of every ticket
def programs(command: str) -> frozenset[str]:
    """The programs that a shell line names, beside the shell's own commands and the repository's own files.

    A program in one of the system's folders goes by its name, one anywhere else by its path.
    """
    try:
        found = started(command)
    except shell.Unreadable:
        return frozenset((UNTOLD,))
    strayed = any(_strays(each) for each in found)
    return frozenset(program for each in found if (program := _program(each[0], strayed)))


def _program(word: Word, strayed: bool) -> str:
    """What to call the program; '' for the repository's own and the shell's own."""
    if not word.sure or not word.text:
        return UNTOLD
    called = name(word)
    if "/" not in called:
        return "" if called in _OWN else printable(called)
    inside = not called.startswith(("/", "~")) and posixpath.normpath(called).split("/")[0] != ".."
    return "" if inside and not strayed else printable(called)


def _strays(command: Command) -> bool:
    """Whether a relative path after this command may lie outside the repository."""
    if name(command[0]) not in ("cd", "pushd", "popd"):
        return False
    to = command[1] if len(command) > 1 else Word("~")
    return not to.sure or to.text.startswith(("/", "~", "-")) or ".." in to.text.split("/")
