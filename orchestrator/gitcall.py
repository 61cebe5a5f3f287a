"""How git is run: which binary, in which environment, with which settings.

Guarantees of each call made here:
- nothing of the caller's environment reaches git (no `GIT_*`), and nothing configured runs: no hooks, no
  fsmonitor, no signing, no merge driver, no filter driver (unless the user's own filters are asked for,
  which only the following-up of the user's checkout does), no network, no garbage collection;
- what git writes is fsynced before the call returns.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

OLDEST = (2, 38)  # the first with `merge-tree --write-tree`

# Overrides of configuration, for every call. The reason stands beside what is not plain.
SETTINGS: Mapping[str, str] = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.fsync": "committed,reference",
    "core.fsyncMethod": "fsync",
    "core.quotePath": "true",
    "core.safecrlf": "false",  # true would make a checkpoint fail over a line ending
    "core.logAllRefUpdates": "true",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "commit.gpgSign": "false",
    "i18n.commitEncoding": "UTF-8",  # part of a commit's bytes, so of its oid
    "submodule.recurse": "false",
    "protocol.allow": "never",  # a partial clone would fetch what it lacks
    "merge.renames": "true",  # the merged tree depends on these, so they are the same everywhere
    "merge.renormalize": "false",
    "merge.conflictStyle": "merge",
    "merge.default": "text",
}
# Besides, in worktrees that are Jetbox's own.
OWN_SETTINGS: Mapping[str, str] = {
    "core.sparseCheckout": "false",
    "core.trustctime": "true",  # a file rewritten with its old size and time must not pass as unchanged
    "core.checkStat": "default",
    "core.untrackedCache": "false",
    "core.splitIndex": "false",
    "index.sparse": "false",
}


class GitError(Exception):
    """A git call failed; the message holds the call and what git said."""


class GitMissing(GitError):
    """There is no git on this machine."""


class GitTooOld(GitError):
    """The git found lacks what Jetbox needs."""


class NotARepository(GitError):
    """The folder is in no git repository with a checkout."""


class RefLocked(GitError):
    """A ref stays locked by another git process."""


@dataclass(frozen=True)
class Done:
    """How one git call ended."""

    code: int
    out: bytes
    err: bytes

    @property
    def said(self) -> str:
        """What git said on standard error, for a message."""
        return self.err.decode(errors="replace").strip() or f"exit status {self.code}"


@functools.cache
def git_binary() -> str:
    """Path of a git that is new enough."""
    found = shutil.which("git")
    if found is None:
        raise GitMissing("git was not found on PATH: install git 2.38 or newer (https://git-scm.com)")
    text = subprocess.run(
        [found, "version"], capture_output=True, check=True, stdin=subprocess.DEVNULL
    ).stdout
    numbers = re.search(rb"(\d+)\.(\d+)", text)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST:
        said = text.decode(errors="replace").strip()
        raise GitTooOld(f"{found} is {said}; Jetbox needs git {OLDEST[0]}.{OLDEST[1]} or newer")
    return found


def spawn(
    args: Iterable[str | bytes | Path],
    *,
    settings: Mapping[str, str],
    cwd: Path,
    input: bytes | None = None,
    variables: Mapping[str, str] | None = None,
    inherit_fds: tuple[int, ...] = (),
) -> Done:
    """Run git once, with nothing of the caller's but home, path and locale-free basics."""
    env = {k: v for k, v in os.environ.items() if not k.upper().startswith("GIT_") and k != "LANGUAGE"}
    env |= {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        # For reflogs, where the machine may have no identity; commits name theirs.
        "GIT_COMMITTER_NAME": "Jetbox",
        "GIT_COMMITTER_EMAIL": "jetbox@localhost",
        # Settings go by environment: a driver's name may hold '=' and more, which `-c` would misread.
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for n, (key, value) in enumerate(settings.items()):
        env[f"GIT_CONFIG_KEY_{n}"] = key
        env[f"GIT_CONFIG_VALUE_{n}"] = value
    env |= variables or {}
    done = subprocess.run(
        [git_binary(), *args],
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        cwd=cwd,
        env=env,
        pass_fds=inherit_fds if os.name == "posix" else (),
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Drivers:
    """The filter and merge drivers that are configured, as settings that switch each one off."""

    def __init__(self) -> None:
        """Nothing is read before the first use."""
        self._files: dict[str, tuple[int, int] | None] = {}
        self._settings: dict[str, str] = {}

    def off(self, common_dir: Path, inherit_fds: tuple[int, ...] = ()) -> Mapping[str, str]:
        """The settings; read again when a configuration file changed."""
        if not self._files or any(_signature(f) != s for f, s in self._files.items()):
            self._read(common_dir, inherit_fds)
        return self._settings

    def _read(self, common_dir: Path, inherit_fds: tuple[int, ...]) -> None:
        home = Path(os.environ.get("HOME") or Path("~").expanduser())
        files = {
            str(common_dir / "config"),
            str(common_dir / "config.worktree"),
            str(home / ".gitconfig"),
            str(Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "git" / "config"),
        }
        args = (f"--git-dir={common_dir}", "config", "--list", "-z", "--show-origin", "--name-only")
        done = spawn(args, settings={}, cwd=common_dir, inherit_fds=inherit_fds)
        if done.code != 0:
            raise GitError(f"git cannot read its configuration: {done.said}")
        words = [os.fsdecode(word) for word in done.out.split(b"\0")]
        settings: dict[str, str] = {}
        for origin, key in zip(words[::2], words[1::2], strict=False):
            if origin.startswith("file:"):
                files.add(str(common_dir / origin.removeprefix("file:")))
            section, _, rest = key.partition(".")
            name = rest.rpartition(".")[0]
            if section == "filter" and name:
                settings |= {f"filter.{name}.{what}": "" for what in ("clean", "smudge", "process")}
                settings[f"filter.{name}.required"] = "false"
            elif section == "merge" and name:
                # An empty command would pass as a merge that kept "ours"; a failing one is a conflict, and
                # said.
                settings[f"merge.{name}.driver"] = "exit 1"
        self._files = {f: _signature(f) for f in files}
        self._settings = settings


def _signature(file: str) -> tuple[int, int] | None:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
