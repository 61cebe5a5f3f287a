"""Transcripts in documents, run as they stand.

A block that is fenced with ```console holds commands after `$ `, each with what it prints below. `...` stands
for anything, runs of blanks for each other; `# exits N` behind a command says another exit code than 0. All
blocks of a document are one session: one folder, one environment.
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXITS = re.compile(r"\s+# exits (\d+)$")
_CHECK = doctest.OutputChecker()
_HOW = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_LONGEST = 900.0  # seconds for one command: a training among them, on a busy machine


@dataclass(frozen=True)
class Step:
    """One command of a document."""

    command: str
    prints: str
    exits: int


def steps(document: Path) -> list[Step]:
    """The commands of a document, in order."""
    found = []
    for block in _FENCE.findall(document.read_text(encoding="utf-8")):
        head, *parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
        assert not head.strip(), f"{document.name}: a block begins with no command: {head!r}"
        for part in parts:
            command, _, prints = part.partition("\n")
            while command.endswith("\\"):
                more, _, prints = prints.partition("\n")
                command = command[:-1].rstrip() + " " + more.strip()
            exits = _EXITS.search(command)
            found.append(Step(_EXITS.sub("", command), prints.rstrip(), int(exits[1]) if exits else 0))
    return found


class Session:
    """A shell that a person types into: the folder stays from command to command."""

    def __init__(self, home: Path, folder: Path, **more: str) -> None:
        self.folder = folder
        own = Path(sys.executable).parent
        self._env: Mapping[str, str] = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("JETBOX", "XDG_"))},
            "PATH": f"{own}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "COLUMNS": "100",
            "NO_COLOR": "1",
            **more,
        }

    def run(self, step: Step) -> str:
        """Do one step; AssertionError where it ends or prints otherwise than the document says."""
        shell = shutil.which("bash")
        assert shell
        told = f"{step.command}\nstatus=$?\npwd -P >&3\nexit $status"
        read, write = os.pipe()
        try:
            done = subprocess.run(
                [shell, "-c", f"exec 3>&{write}\n{told}"],
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_LONGEST,
                pass_fds=(write,),
                check=False,
            )
        finally:
            os.close(write)
        with os.fdopen(read) as end:
            where = end.read().strip()
        self.folder = Path(where or self.folder)
        said = done.stdout.decode("utf-8", "replace")
        assert done.returncode == step.exits, f"$ {step.command}\nended with {done.returncode}:\n{said}"
        if step.prints:
            wanted = step.prints + "\n"
            fits = _CHECK.check_output(wanted, said, _HOW)
            assert fits, f"$ {step.command}\nwas to print:\n{wanted}\nprinted:\n{said}"
        return said
