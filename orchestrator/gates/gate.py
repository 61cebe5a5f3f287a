"""The engine's side of the gates: which there are, what starts one, and what its end means.

A gate answers by its exit code: 0 it holds, `SKIPPED` it could not look, anything else it does not hold. What
a change contains cannot choose between the last two: tools are taken from outside the worktree alone.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

SKIPPED = 77
"""Exit code of a gate that could not look, as test programs of the GNU tools say it."""

TIME = 300.0
"""Seconds that a gate may take: a large project's `go vet` on a slow machine needs some minutes."""

GATES: Mapping[str, str] = {
    "python": "every Python file compiles",
    "go": "`go build` and `go vet` find nothing",
    "java": "`javac` compiles every source",
    "web-smoke": "each page opens in a browser without errors, and draws what it is there to draw",
}
"""The gates by name, with what each holds."""

_MODULES = {"web-smoke": "web"}

_START = """\
import runpy, sys, types
sys.modules["orchestrator"] = package = types.ModuleType("orchestrator")
package.__path__ = [sys.argv.pop(1)]
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
"""Runs a module of the package whose folder is named: a sandbox may show it, and not the folder above."""

CHROMIUM = (
    "/usr/lib/chromium/chromium",  # the program itself: what starts it wants settings that no sandbox shows
    "/usr/lib64/chromium-browser/chromium-browser",
    "/opt/google/chrome/chrome",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome-headless-shell",
    "chrome",
    "microsoft-edge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
"""Browsers that speak the debugging protocol, by name or path of their program."""

_TOOLS: Mapping[str, Sequence[str]] = {"go": ("go",), "java": ("javac",), "web-smoke": CHROMIUM}


def command(name: str, changed: Iterable[str]) -> list[str]:
    """The program that takes a gate, with its arguments.

    Args:
        name: of the gate.
        changed: paths that the change touches; a browser is shown the pages among them.
    """
    pages = (
        [path for path in changed if path.lower().endswith((".html", ".htm"))] if name == "web-smoke" else []
    )
    # -I: no module of the worktree, of a PYTHONPATH or of the user's own is in the way of the gate's
    module = f"orchestrator.gates.{_MODULES.get(name, name)}"
    start = [sys.executable, "-I", "-B", "-c", _START, str(Path(__file__).resolve().parents[1])]
    return [*start, module, *sorted(pages)]


def said(output: bytes) -> str:
    """What a gate found, or why it was skipped: its first line."""
    lines = output[: 1 << 16].decode("utf-8", "replace").split("\n")
    return next((line.strip()[:300] for line in lines if line.strip()), "it did not say why")


def tool(name: str) -> str:
    """Where the program that a gate needs lies on this machine, or ''. What counts is what the gate finds."""
    if name not in _TOOLS:
        return sys.executable
    found = (shutil.which(each) for each in _TOOLS[name])
    return next((str(Path(each)) for each in found if each), "")
