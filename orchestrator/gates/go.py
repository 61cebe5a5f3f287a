"""Gate `go`: each module builds and `go vet` finds nothing; files without a module are made one for this.

Offline, with caches of its own. Modules that the person has downloaded are found where the sandbox shows
them.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.gates.inside import Skip, files, main, run, tool

_MAIN = re.compile(rb"^func main\(", re.MULTILINE)


def check() -> Iterator[str]:
    """What the compiler and `vet` say."""
    go = tool("go")
    if go is None:
        raise Skip("go is not installed")
    sources = files(".go")
    if not sources:
        yield "there is no Go file to look at"
        return
    with tempfile.TemporaryDirectory() as scratch:
        env = {
            "GOCACHE": f"{scratch}/cache",
            "GOTMPDIR": scratch,
            "GOFLAGS": "",
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "GOTELEMETRY": "off",
            "CGO_ENABLED": "1" if any(b'import "C"' in Path(each).read_bytes() for each in sources) else "0",
        }
        modules = [str(Path(each).parent) for each in files("go.mod") if Path(each).name == "go.mod"]
        for module in modules:
            for finding in _said(go, ("./...",), module, env):
                yield finding if module == "." else f"{module}: {finding}"
        loose = [each for each in sources if not any(_lies_in(each, module) for module in modules)]
        if loose:
            yield from run([go, "mod", "init", "loose"], ".", env)
            for group in _programs(loose):
                yield from _said(go, group, ".", env)


def _said(go: str, what: Sequence[str], folder: str, env: dict[str, str]) -> list[str]:
    """Fault of the compiler, else of `vet`: what does not compile is not worth a second opinion."""
    return run([go, "build", "-o", os.devnull, *what], folder, env) or run([go, "vet", *what], folder, env)


def _lies_in(path: str, module: str) -> bool:
    return module == "." or path.startswith(f"{module}/")


def _programs(loose: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """What is built together: a folder, or each program of a folder that holds several."""
    for folder in sorted({str(Path(each).parent) for each in loose}):
        own = [each for each in loose if str(Path(each).parent) == folder and not each.endswith("_test.go")]
        starts = [each for each in own if _MAIN.search(Path(each).read_bytes())]
        if len(starts) < 2:
            yield (f"./{folder}",)
            continue
        shared = [each for each in own if each not in starts]
        for start in starts:
            yield tuple(f"./{each}" for each in (start, *shared))


if __name__ == "__main__":
    main(check)
