"""A private folder for the temporary files of one command, where the system cannot mount one of its own.

It is the command's TMPDIR and home, can be entered by nobody else, and is gone with the command, whatever was
left in it. Its size is not bounded.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_VARIABLES = ("HOME", "TMPDIR", "TMP", "TEMP")
_WINDOWS = ("USERPROFILE", "APPDATA", "LOCALAPPDATA")
_LONGEST = 60.0  # seconds for the system's own tools; what is left then is the temporary folder's cleaner's


def make() -> Path:
    """A new, empty folder, without a link in its path."""
    return Path(tempfile.mkdtemp(prefix="jetbox-")).resolve()


def environment(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Variables for a command whose temporary files and home are in the folder."""
    names = (*_VARIABLES, *(_WINDOWS if sys.platform == "win32" else ()))
    return {**given, **dict.fromkeys(names, str(folder))}


def remove(folder: Path) -> None:
    """Remove it with all that is in it, links not followed. What cannot be removed is left: no error."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if sys.platform == "win32" or not os.path.lexists(folder):
        return
    # Folders that were closed, files that were made immutable, or a tree too deep for Python.
    steps = [["/bin/chmod", "-R", "u+rwX"], ["/bin/rm", "-rf"]]
    if sys.platform == "darwin":
        steps.insert(0, ["/usr/bin/chflags", "-R", "nouchg"])
    for step in steps:
        try:
            subprocess.run([*step, "--", str(folder)], capture_output=True, check=False, timeout=_LONGEST)
        except (OSError, subprocess.TimeoutExpired):
            return
