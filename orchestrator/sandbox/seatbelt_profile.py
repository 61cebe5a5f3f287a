"""What a box is in the language of macOS's sandbox (SBPL), as text: pure, so that it can be read and tested.

Everything is denied that is not named here. Names from outside never become part of the text: they are
parameters, and the text knows only `(param "P3")`. Of two rules that fit, the later one wins. What each rule
is needed for was taken from profiles in wide use: Chromium's `common.sb`, Nix's `sandbox-defaults.sb`, and
those of the coding tools that run on macOS.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.sandbox.backend import Unusable

SYSTEM = (
    "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec", "/usr/share", "/usr/local",
    "/opt/homebrew", "/opt/local", "/nix/store",
    "/System/Library", "/System/Cryptexes", "/System/iOSSupport", "/System/Volumes/Preboot/Cryptexes",
    "/private/preboot/Cryptexes", "/private/var/db/dyld", "/private/var/db/timezone", "/private/var/select",
    "/private/var/db/xcode_select_link",
    "/Library/Apple", "/Library/Developer", "/Library/Frameworks", "/Library/Java", "/Library/Perl",
    "/Library/Ruby", "/Applications/Xcode.app",
)  # fmt: skip
"""Programs and libraries. Never `/System` or `/private` as a whole: under `/System/Volumes/Data` lies
everything that is the user's."""

SERVICES = tuple(
    f"{prefix}/{name}" for prefix in ("/usr/local", "/opt/homebrew", "/opt/local") for name in ("etc", "var")
)
"""Inside the folders above, and not programs: databases and settings of the user's own services."""

ETC = (
    "/private/etc/bashrc", "/private/etc/gitconfig", "/private/etc/group", "/private/etc/localtime",
    "/private/etc/manpaths", "/private/etc/passwd", "/private/etc/paths", "/private/etc/paths.d",
    "/private/etc/profile", "/private/etc/protocols", "/private/etc/services", "/private/etc/shells",
    "/private/etc/ssl", "/private/etc/zprofile", "/private/etc/zshenv", "/private/etc/zshrc",
    "/usr/local/etc/gitconfig", "/usr/local/etc/openssl@3", "/usr/local/etc/ca-certificates",
    "/opt/homebrew/etc/gitconfig", "/opt/homebrew/etc/openssl@3", "/opt/homebrew/etc/ca-certificates",
)  # fmt: skip
"""Settings that programs look up and that say nothing of the user: `passwd` has no passwords here."""

LINKS = ("/etc", "/tmp", "/var")
"""Links into `/private` that programs follow."""

MACH = (
    "com.apple.logd",
    "com.apple.system.logger",
    "com.apple.system.notification_center",
    "com.apple.system.opendirectoryd.libinfo",  # names of users and groups
    "com.apple.system.opendirectoryd.membership",
)
"""Services that can be asked. Not the keychain's, nor those that start programs or open addresses."""

_SYSCTL_PREFIXES = (
    "hw.",
    "kern.os",
    "kern.proc.pgrp.",
    "kern.proc.pid.",
    "machdep.cpu.",
)
_SYSCTL = (
    "kern.argmax", "kern.bootargs", "kern.hostname", "kern.iossupportversion", "kern.maxfiles",
    "kern.maxfilesperproc", "kern.maxproc", "kern.ngroups", "kern.secure_kernel", "kern.tcsm_available",
    "kern.tcsm_enable", "kern.usrstack64", "kern.version", "kern.willshutdown", "machdep.ptrauth_enabled",
    "security.mac.lockdown_mode_state", "sysctl.proc_cputype", "vm.loadavg", "vm.page_free_count",
    "vm.swapusage",
)  # fmt: skip
# What the system says of itself. Not `kern.procargs2`, which shows other programs' environments.

_DEVICES = ("/dev/null", "/dev/zero", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/dtracehelper")
_READ_DEVICES = ("/dev/random", "/dev/urandom", "/dev/autofs_nowait")

# What is denied here, `(deny default)` leaves open (WebKit's and Firefox's profiles name the same).
_HEAD = """\
(version 1)
(deny default)
(allow process-fork)
(allow signal (target same-sandbox))
(deny process-info* nvram* file-map-executable)
(allow process-info* (target same-sandbox))
(when (defined? 'dynamic-code-generation) (allow dynamic-code-generation))
(allow ipc-posix-sem)
(allow ipc-posix-shm* (ipc-posix-name-regex #"^/(psm_|torch_|__KMP_REGISTERED_LIB_)"))
(allow ipc-posix-shm-read* (ipc-posix-name "apple.shm.notification_center"))
(allow system-socket (socket-domain AF_UNIX))
(allow pseudo-tty)
(allow file-read* file-write* file-ioctl (literal "/dev/ptmx"))
(allow file-read* file-write* file-ioctl
  (require-all (regex #"^/dev/ttys[0-9]+") (extension "com.apple.sandbox.pty")))
(allow file-read* file-write-data (subpath "/dev/fd"))
(allow file-read-data (literal "/"))
"""

# Last, so that nothing above can open it again. A hard link or a clone would give a file of the user's a name
# in the worktree; programs copy where they cannot link.
_TAIL = """\
(deny file-write-setugid)
(when (defined? 'file-link) (deny file-link))
(when (defined? 'file-clone) (deny file-clone))
(deny network*)
"""


@dataclass(frozen=True)
class Places:
    """The paths of one box, absolute and without links, and what is passed on the way to them."""

    worktree: Path
    scratch: Path
    """The private folder for temporary files."""
    readable: tuple[Path, ...] = ()
    passed: tuple[Path, ...] = ()
    """Folders and links above them: that they are there can be seen, not what is in them."""


def profile(places: Places) -> tuple[str, dict[str, str]]:
    """The profile and its parameters.

    Raises:
        Unusable: a path would open the whole disk, or is not absolute.
    """
    parameters: dict[str, str] = {}

    def named(path: Path) -> str:
        if not path.is_absolute() or path == Path(path.anchor) or ".." in path.parts:
            raise Unusable(f"a sandbox cannot be built around {path}")
        name = f"P{len(parameters)}"
        parameters[name] = str(path)
        return f'(param "{name}")'

    worktree, scratch = named(places.worktree), named(places.scratch)
    own = [f"(subpath {worktree})", f"(subpath {scratch})"]
    tops = [f"(literal {worktree})", f"(literal {scratch})"]
    readable = [f"(subpath {named(path)})" for path in dict.fromkeys(places.readable)]
    passed = [f"(literal {named(path)})" for path in dict.fromkeys(places.passed) if path.name]
    pointers = [named(places.worktree / name) for name in pointer_names()]
    above = sorted({*LINKS, *_above((*SYSTEM, *ETC, *_DEVICES))})
    sysctl = [*_all("sysctl-name", _SYSCTL), *_all("sysctl-name-prefix", _SYSCTL_PREFIXES)]
    rules = [
        _rule("allow", "file-read* file-map-executable process-exec*", _all("subpath", SYSTEM)),
        _rule("deny", "file-read* file-map-executable process-exec*", _all("subpath", SERVICES)),
        _rule("allow", "file-read*", _all("subpath", ETC)),
        _rule("allow", "file-read-metadata", [*_all("literal", above), *passed]),
        _rule("allow", "file-read*", _all("literal", (*_DEVICES, *_READ_DEVICES))),
        _rule("allow", "file-write-data file-ioctl", _all("literal", _DEVICES)),
        _rule("allow", "mach-lookup", _all("global-name", MACH)),
        _rule("allow", "sysctl-read", sysctl),
        _rule("allow", "file-read* file-map-executable process-exec*", [*readable, *own]),
        _rule("allow", "file-write*", own),
        _rule(
            "deny", "file-write*", [f"({by} {each})" for each in pointers for by in ("literal", "subpath")]
        ),
        # A worktree that was moved away could be put up again with another `.git`.
        _rule("deny", "file-write-create file-write-unlink", tops),
    ]
    return _HEAD + "".join(rules) + _TAIL, parameters


def pointer_names() -> Sequence[str]:
    """`.git` in every case: most disks of a Mac take them for one name."""
    return sorted("." + "".join(letters) for letters in itertools.product("gG", "iI", "tT"))


def _rule(verb: str, operations: str, filters: Iterable[str]) -> str:
    """One rule; none at all without a filter, since a rule without one fits everything."""
    found = list(filters)
    return "".join((f"({verb} {operations}", *(f"\n  {each}" for each in found), ")\n")) if found else ""


def _all(kind: str, names: Iterable[str]) -> list[str]:
    """Filters for names that are written in this file, and need no quoting."""
    return [f'({kind} "{name}")' for name in names]


def _above(paths: Iterable[str]) -> set[str]:
    return {str(parent) for path in paths for parent in PurePosixPath(path).parents}
