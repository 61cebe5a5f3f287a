"""Which parts of a Linux system every box shows, read-only, whatever the project is."""

from __future__ import annotations

import shutil

_TOOLS = "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin:/run/wrappers/bin:/run/current-system/sw/bin"

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store")
"""Programs and libraries; a link stays a link."""

ETC = (
    "/etc/alternatives", "/etc/ca-certificates", "/etc/crypto-policies", "/etc/debian_version", "/etc/fonts",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/magic",
    "/etc/mime.types", "/etc/nsswitch.conf", "/etc/os-release", "/etc/pki/tls", "/etc/protocols",
    "/etc/services", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/timezone",
    "/sys/devices/system/cpu", "/sys/devices/system/node",
)  # fmt: skip
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


def system_tool(name: str) -> str | None:
    """Where a program of the system's is. PATH is not asked: it may lead into a project's environment."""
    return shutil.which(name, path=_TOOLS)
