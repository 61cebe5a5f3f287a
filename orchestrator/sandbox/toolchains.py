# ruff: noqa: PTH110, PTH111, PTH112, PTH113, PTH117, PTH118, PTH120, PTH208
"""Which folders a command needs beside the system's, so that a project's own tools work inside.

A repository can grant nothing by what it holds: only real folders count (no links), the base interpreter that
an environment names only if it is one and lies outside the repository, and a folder from which the person's
secrets could be reached is refused. Paths are plain strings here: this runs before every command.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestrator.sandbox.policy import Policy
from orchestrator.sandbox.system import SYSTEM
from orchestrator.settings import SHIPPED
from state.home import config_home, data_home

_SECRET = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".netrc", ".git-credentials", ".pypirc", ".npmrc",
    ".password-store", ".mozilla", ".local/share/keyrings", ".cargo/credentials.toml",
)  # fmt: skip
_LARGEST = 1024 * 1024  # bytes of a settings file among packages
_PROGRAMS = "Scripts" if sys.platform == "win32" else "bin"

_HOMES = (
    ("~/.rustup", "~/.rustup", "RUSTUP_HOME"),
    ("~/.cargo/registry", "~/.cargo", "CARGO_HOME"),
    ("~/go/pkg/mod", "~/go/pkg/mod", "GOMODCACHE"),
)
"""What is granted; what a tool is told that would look for it in its home, which inside is another one."""

_OFFLINE = {
    "CARGO_NET_OFFLINE": "true", "COREPACK_ENABLE_NETWORK": "0", "GOPROXY": "off", "GOTOOLCHAIN": "local",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_RETRIES": "0", "UV_OFFLINE": "1", "npm_config_offline": "true",
}  # fmt: skip
"""Tools that would try for a minute to reach a network that is not there say so at once."""


class TooWide(Exception):
    """A folder that was to be readable holds secrets."""


def readable(policy: Policy, root: Path, home: Path) -> tuple[Path, ...]:
    """Folders that exist and that commands of this repository may read.

    Args:
        policy: what is granted.
        root: the repository's own folder.
        home: Jetbox's folder in it, which no grant may cover.

    Raises:
        TooWide: a grant of the person's own would show their secrets.
    """
    secrets = _secrets(home)
    found = [each for each in map(os.path.expanduser, policy.readable) if os.path.exists(each)]
    for each in found:
        if secret := _covers(each, secrets):
            raise TooWide(f"{each} must not be readable in the sandbox: {secret} lies in it")
    environments = [str(root / name) for name in policy.beside if _plain_folder(root / name)]
    found += environments
    for environment in environments:
        found += _base(environment, str(root))
    for prefix in dict.fromkeys((sys.prefix, sys.base_prefix)):
        found += _parts(prefix) if _covers(prefix, secrets) else [prefix, os.path.realpath(prefix)]
    found.append(str(SHIPPED))
    if "site-packages" not in __file__:  # run from its sources: child processes of the checks import them
        found += _sources()
    there = [each for each in dict.fromkeys(found) if os.path.isabs(each) and os.path.exists(each)]
    shown = [each for each in there if not _covers(each, secrets)]
    return tuple(Path(each) for each in shown if not any(each.startswith(f"{other}/") for other in shown))


def search_path(policy: Policy, root: Path, worktree: Path, given: str) -> str:
    """PATH for a command: the project's own environments first, Jetbox's interpreter last.

    A folder that leads into a version manager by a link, or by shims that ask a program which is not inside,
    is followed by the one that it stands for.
    """
    parts: list[str] = []
    for inner in (_PROGRAMS, ".bin"):
        for name in policy.beside:
            parts += [os.path.join(folder, name, inner) for folder in (worktree, root)]
    parts = [part for part in parts if os.path.isdir(part)]
    for part in given.split(os.pathsep):
        if os.path.isabs(part):
            parts += [part, os.path.realpath(part), *_behind_shims(part)]
    return os.pathsep.join(dict.fromkeys([*parts, str(Path(sys.executable).parent)]))


def environment_of(policy: Policy, root: Path, worktree: Path) -> Path | None:
    """The Python environment that commands use, if the project has one."""
    for folder in (worktree, root):
        for name in policy.beside:
            if (folder / name / "pyvenv.cfg").is_file() and _plain_folder(folder / name):
                return folder / name
    return None


def variables(policy: Policy) -> dict[str, str]:
    """What tools are told inside: where they find what they look for in the person's home, and no network."""
    found = {**_OFFLINE, "GIT_CONFIG_SYSTEM": str(SHIPPED / "gitconfig")}
    for granted, told, variable in _HOMES:
        if granted in policy.readable and os.path.isdir(os.path.expanduser(granted)):
            found[variable] = os.path.expanduser(told)
    return found


def project_path(environment: Path, root: Path, worktree: Path) -> list[str]:
    """What an editable install of the project adds to Python's path, in the worktree instead of the checkout.

    Inside, the checkout is not there; outside, a test would try the checkout's code and not the worktree's.
    """
    found: list[str] = []
    for packages in _glob(str(environment / "lib"), "python3", "site-packages"):
        for name in _names(packages):
            for path in map(Path, _editable(packages, name)):
                if path.is_absolute() and ".." not in path.parts and path.is_relative_to(root):
                    found.append(str(worktree / path.relative_to(root)))
    return [each for each in dict.fromkeys(found) if os.path.isdir(each)]


def _editable(packages: str, name: str) -> list[str]:
    """What a file among the packages may say of folders that Python is to look in."""
    finder = name.startswith("__editable___") and name.endswith("_finder.py")  # setuptools, for a flat layout
    if not finder and not name.endswith(".pth"):
        return []
    try:
        text = _small(f"{packages}/{name}").decode()
    except (OSError, UnicodeDecodeError):
        return []
    if finder:
        return [os.path.dirname(package) for package in re.findall(r"'(/[^'\n]+)'", text)]
    return [line.strip() for line in text.splitlines()]


def _small(path: str) -> bytes:
    """A settings file that a command may have made: never one that is endless or that is waited for.

    Raises:
        OSError: it cannot be read, or is no ordinary file of ordinary size.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - opening a device may already do something
        raise OSError(f"{path} is no file")
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(fd, "rb") as file:
        content = file.read(_LARGEST + 1) or b""
    if len(content) > _LARGEST:
        raise OSError(f"{path} is larger than any of its kind")
    return content


def hidden(root: Path) -> tuple[Path, ...]:
    """What is the person's own although it lies among the system's programs, as for services in /opt."""
    own = {Path.home().resolve(), config_home(), data_home(), root}
    return tuple(sorted(path for path in own if path.is_dir() and any(map(path.is_relative_to, SYSTEM))))


def _sources() -> Iterable[str]:
    above = Path(__file__).resolve().parents[2]
    return [str(above / name) for name in ("orchestrator", "state", "tickets", "datagen", "model")]


def _secrets(home: Path) -> list[str]:
    """Folders and files that nothing readable may cover or lie in, each as written and as it is."""
    user = os.path.expanduser("~")
    named = [str(home), str(config_home()), str(data_home()), *(f"{user}/{name}" for name in _SECRET)]
    return [each for name in named for each in dict.fromkeys((name, os.path.realpath(name)))]


def _covers(path: str, secrets: Sequence[str]) -> str:
    """The first secret that could be read if this could; empty when there is none."""
    real = os.path.realpath(path)
    for secret in secrets:
        for one in (real, path.rstrip("/") or "/"):
            if secret == one or secret.startswith(f"{one.rstrip('/')}/") or one.startswith(f"{secret}/"):
                return secret
    return ""


def _plain_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _base(environment: str, root: str) -> list[str]:
    """The base interpreter that a Python environment names, as far as it is one and not the repository's."""
    try:
        lines = _small(f"{environment}/pyvenv.cfg").decode(errors="replace").splitlines()
    except OSError:
        return []
    folder = next((line.partition("=")[2].strip() for line in lines if line.startswith("home")), "")
    if not folder.startswith("/") or ".." in folder.split("/"):
        return []
    prefix = os.path.dirname(os.path.normpath(folder))
    if not prefix.strip("/"):
        return []
    for each in (prefix, os.path.realpath(prefix)):
        if f"{each}/".startswith((f"{root}/", f"{os.path.realpath(root)}/")):
            return []  # a link in the repository could lead anywhere
    return _parts(prefix)


def _parts(prefix: str) -> list[str]:
    """Of a Python installation what an interpreter needs; nothing where there is none."""
    if not any(os.path.isfile(each) for each in _glob(f"{prefix}/lib", "python3", "os.py")):
        return []
    named = [f"{prefix}/{name}" for name in ("bin", "lib", "include")]
    return [*named, *(os.path.realpath(each) for each in named)]


def _behind_shims(folder: str) -> list[str]:
    """For a folder of shims, as pyenv's and rbenv's, the programs of the version that is chosen for all."""
    if not folder.endswith("/shims"):
        return []
    above = folder.removesuffix("/shims")
    try:
        chosen = Path(above, "version").read_text().split()
    except (OSError, UnicodeDecodeError):
        return []
    return [f"{above}/versions/{name}/bin" for name in chosen if "/" not in name]


def _glob(folder: str, start: str, inner: str) -> list[str]:
    return [f"{folder}/{name}/{inner}" for name in _names(folder) if name.startswith(start)]


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
