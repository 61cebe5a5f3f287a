"""Opening things in the person's editor, the cockpit out of the way meanwhile."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from textual.app import App, SuspendNotSupported


def editor() -> list[str]:
    """The command of the person's editor; empty where none is known."""
    for name in ("VISUAL", "EDITOR"):
        if command := os.environ.get(name, "").strip():
            return shlex.split(command, posix=os.name == "posix")
    for name in ("notepad",) if sys.platform == "win32" else ("nano", "vim", "vi"):
        if found := shutil.which(name):
            return [found]
    return []


def open_path(app: App[None], path: Path) -> str:
    """Open a file or folder; what went wrong, in one line, or ''."""
    command = editor()
    if not command:
        return "No editor is known: set EDITOR"
    try:
        with app.suspend():
            done = subprocess.run([*command, str(path)], check=False)
    except SuspendNotSupported:
        return "This terminal cannot be handed to an editor"
    except OSError as error:
        return f"{command[0]} cannot be started: {error.strerror or error}"
    app.refresh()
    return "" if done.returncode == 0 else f"{command[0]} ended with exit {done.returncode}"


_FILES_ONLY = frozenset(("nano", "pico", "ed", "joe", "mcedit", "notepad", "micro", "ne"))


def open_folder(app: App[None], path: Path) -> str:
    """Open a folder: in the person's editor, or in their shell where that takes only files or is not known.

    What went wrong, in one line, or ''.
    """
    command, shell = editor(), False
    if not command or Path(command[0]).name.lower().removesuffix(".exe") in _FILES_ONLY:
        name, other = ("COMSPEC", "cmd.exe") if sys.platform == "win32" else ("SHELL", "/bin/sh")
        command, shell = [os.environ.get(name) or other], True
    try:
        with app.suspend():
            if shell:
                print(f"\nThis is a shell in {path}. Leave it with `exit` when you are done.\n", flush=True)
            done = subprocess.run(command if shell else [*command, str(path)], cwd=path, check=False)
    except SuspendNotSupported:
        return "This terminal cannot be handed to an editor"
    except OSError as error:
        return f"{command[0]} cannot be started: {error.strerror or error}"
    app.refresh()
    return "" if shell or done.returncode == 0 else f"{command[0]} ended with exit {done.returncode}"


def open_bytes(app: App[None], data: bytes, name: str) -> str:
    """Open a copy of some bytes: what the journal names stays what it is."""
    with tempfile.TemporaryDirectory(prefix="jetbox-") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        return open_path(app, path)
