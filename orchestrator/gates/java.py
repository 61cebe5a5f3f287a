"""Gate `java`: `javac` compiles every source, with the jars of the repository beside them.

A project with dependencies from elsewhere is built by its own tool: make that a check of its own.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.gates.inside import Skip, files, main, run, tool

_PACKAGE = re.compile(r"^\s*package\s+([\w.]+)\s*;", re.MULTILINE)
_OPTIONS = ("-J-Xmx1g", "-encoding", "UTF-8", "-proc:none", "-implicit:none", "-nowarn")


def check() -> Iterator[str]:
    """What the compiler says."""
    javac = tool("javac")
    if javac is None:
        raise Skip("javac is not installed")
    sources = files(".java")
    if not sources:
        yield "there is no Java file to look at"
        return
    with tempfile.TemporaryDirectory() as scratch:
        found = _compiled(javac, sources, (), scratch)
        roots = _roots(sources)
        if len(roots) > 1 and any("duplicate" in line or "too many module" in line for line in found):
            # programs beside each other that have classes of one name: each by itself, seeing the others
            found = []
            for root, own in sorted(roots.items()):
                found += _compiled(javac, own, [root, *(other for other in roots if other != root)], scratch)
    yield from found


def _roots(sources: Sequence[str]) -> dict[str, list[str]]:
    """The sources by the folder that their packages begin in."""
    found: dict[str, list[str]] = {}
    for source in sources:
        package = _PACKAGE.search(Path(source).read_text("utf-8", "replace"))
        depth = len(package[1].split(".")) if package else 0
        parts = Path(source).parent.parts
        root = Path(*parts[: max(0, len(parts) - depth)])
        found.setdefault(root.as_posix(), []).append(source)
    return found


def _compiled(javac: str, sources: Sequence[str], beside: Sequence[str], scratch: str) -> list[str]:
    """Fault that is found in these sources. Paths go by a file: a command line has an end."""
    jars = os.pathsep.join(files(".jar"))
    arguments = Path(scratch, "arguments")
    quoted = (each.replace("\\", "\\\\").replace('"', '\\"') for each in sources)
    arguments.write_text("".join(f'"./{each}"\n' for each in quoted), "utf-8", "surrogateescape")
    made = tempfile.mkdtemp(dir=scratch)
    where = ["-d", made, "-cp", jars or made, *(["-sourcepath", os.pathsep.join(beside)] if beside else [])]
    env = dict.fromkeys(("JAVA_TOOL_OPTIONS", "JDK_JAVAC_OPTIONS", "CLASSPATH"))
    return run([javac, *_OPTIONS, *where, f"@{arguments}"], ".", env)


if __name__ == "__main__":
    main(check)
