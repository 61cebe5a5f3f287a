"""Which parts of a Linux system every box shows, read-only, whatever the project is."""

from __future__ import annotations

import contextlib
import os
import shutil

_TOOLS = "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin:/run/wrappers/bin:/run/current-system/sw/bin"

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store")
"""Programs and libraries; a link stays a link."""

_ETC = (
    "alternatives", "ca-certificates", "crypto-policies", "debian_version", "dotnet", "fonts", "gai.conf",
    "host.conf", "inputrc", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime",
    "lsb-release", "magic", "maven/logging", "maven/m2.conf", "mime.types", "nsswitch.conf", "os-release",
    "pki/ca-trust/extracted", "pki/java", "pki/tls/cert.pem", "pki/tls/certs", "pki/tls/openssl.cnf",
    "protocols", "services", "ssl/certs", "ssl/openssl.cnf", "static", "timezone", "xml",
)  # fmt: skip
_ETC_BEGINS = ("java-", "ImageMagick-")


def _etc() -> tuple[str, ...]:
    begun: list[str] = []
    with contextlib.suppress(OSError):
        begun = sorted(name for name in os.listdir("/etc") if name.startswith(_ETC_BEGINS))  # noqa: PTH208
    return tuple(f"/etc/{name}" for name in (*_ETC, *begun))


ETC = (*_etc(), "/sys/devices/system/cpu", "/sys/devices/system/node")
"""Settings that programs look up and that say nothing of the user. Never all of /etc."""


def people(uid: int) -> dict[str, bytes]:
    """Files of /etc that are made up, so that no name of this machine is seen: content by name."""
    user = f"jetbox:x:{uid}:{uid}:Jetbox:/tmp:/bin/sh\n"
    others = "" if uid == 0 else "root:x:0:0:root:/root:/bin/sh\n"
    return {
        "passwd": f"{others}{user}nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n".encode(),
        "group": f"root:x:0:\njetbox:x:{uid}:\nnogroup:x:65534:\n".encode(),
        "hosts": b"127.0.0.1 localhost jetbox\n::1 localhost\n",
    }


def in_system(path: str) -> bool:
    """Whether it lies where every box shows it."""
    return any(path.startswith(f"{folder}/") for folder in SYSTEM)


def system_tool(name: str) -> str | None:
    """Where a program of the system's is. PATH is not asked: it may lead into a project's environment.

    A link from elsewhere, as in NixOS's /run, is followed: it is not there inside.
    """
    found = shutil.which(name, path=_TOOLS)
    return found if found is None or in_system(found) else os.path.realpath(found)
