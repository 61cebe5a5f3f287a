"""Which paths an edit may name, and what it may find there: decisions alone, for `edits_by_*.py` to act on.

The rules for names are the same on every system where a name could do harm on another one: what a worktree
holds is committed, and checked out elsewhere.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
import unicodedata

from tickets.problems import quoted

MOST_BYTES = 1024
"""Of a path in UTF-8: a quarter of what Linux takes, so that the worktree's own path has room before it."""
MOST_NAME = 255
"""Bytes of one name, as the usual file systems have it."""
MOST_PARTS = 64

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))  # as state.safe_text has it
_SHORT = re.compile(r"git~[0-9]+")  # what NTFS calls .git in its names of eight and three letters
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9¹²³])( *\..*)?", re.IGNORECASE
)

LEFTOVER = re.compile(r"\.jetbox-edit-[0-9a-f]{16}\.tmp")
"""Names of new files that are not in place yet. One that a killed edit left is taken away by the next edit
in its folder."""


class EditRefused(Exception):
    """An edit that is not made. The message says what was in its way; nothing was changed."""


def parts(path: str, *, windows: bool = sys.platform == "win32") -> tuple[str, ...]:
    """The names of a path below a worktree, in order; at least one.

    Args:
        path: relative, with `/` between names.
        windows: whether the names must also be plain ones to Windows.

    Raises:
        EditRefused: the path could leave the worktree, reach git's own files, or hide what it is.
    """
    if not path:
        raise EditRefused("an edit needs a path")
    if any(unicodedata.category(char) in _HIDDEN for char in path):
        raise EditRefused(f"{quoted(path)} holds a character that cannot be seen")
    if "\\" in path:
        raise EditRefused(f"{quoted(path)} holds a backslash: names are parted by /")
    if len(path.encode()) > MOST_BYTES:
        raise EditRefused(f"{quoted(path)} is longer than {MOST_BYTES} bytes")
    if path.startswith("/"):
        raise EditRefused(f"{quoted(path)} is absolute: name it from the worktree on")
    names = tuple(path.split("/"))
    if len(names) > MOST_PARTS:
        raise EditRefused(f"{quoted(path)} is deeper than {MOST_PARTS} folders")
    for name in names:
        if why := _odd(name) or (_odd_on_windows(name) if windows else None):
            raise EditRefused(f"{quoted(path)} {why}")
    return names


def assert_file(seen: os.stat_result, path: str) -> None:
    """Hold what an unfollowing look found against what an edit may touch.

    Raises:
        EditRefused: it is a link, no file, or has a second name.
    """
    if stat.S_ISLNK(seen.st_mode):
        raise EditRefused(f"{path} is a link: no edit follows one")
    if not stat.S_ISREG(seen.st_mode):
        raise EditRefused(f"{path} is not a file")
    if seen.st_nlink > 1:
        raise EditRefused(f"{path} has a second name, perhaps outside: remove it and write it anew")


def aside() -> str:
    """A name for a new file that is not in place yet; nobody can guess it."""
    return f".jetbox-edit-{secrets.token_hex(8)}.tmp"


def missing(path: str) -> EditRefused:
    """There is nothing at the path."""
    return EditRefused(f"there is no file {path}")


def changed(path: str) -> EditRefused:
    """Another process works on the same file."""
    return EditRefused(f"{path} was changed by another process while the edit was made")


def _odd(name: str) -> str | None:
    """What is wrong with a name anywhere."""
    if name in ("", ".", ".."):
        return f"has {quoted(name)} as a name: write it out"
    if len(name.encode()) > MOST_NAME:
        return f"has a name of more than {MOST_NAME} bytes"
    # Git's own files, by every name that some system takes for theirs: HFS+ folds case, NTFS drops dots and
    # blanks at the end, has a short name, and opens `.git::$INDEX_ALLOCATION` as the folder.
    plain = unicodedata.normalize("NFKC", name).casefold().partition(":")[0].rstrip(". ")
    if plain == ".git" or _SHORT.fullmatch(plain):
        return f"names git's own files by {quoted(name)}"
    return None


def _odd_on_windows(name: str) -> str | None:
    """What is wrong with a name on Windows, which reads streams, devices and wildcards into it."""
    if re.search(r'[:<>"|?*]', name):
        return f"has a character in {quoted(name)} that Windows does not take"
    if name[-1] in ". ":
        return f"has {quoted(name)} as a name: Windows drops a dot or blank at its end"
    if _RESERVED.fullmatch(name):
        return f"has {quoted(name)} as a name: that is a device on Windows"
    return None
