"""What does a command that floods its output cost the engine? Memory, time, and whether all of it is counted.

    python benchmarks/flood.py [--bytes 1073741824] [--backend chosen|none]

Runs in a process of its own, as the engine does: a small command first, so that all is loaded; then the
flood, through `Sandbox.run`, with its output followed in a file. Peak memory is the system's own figure for
this process, so that no moment is missed. Prints JSON; exit 1 if the flood took more than 20 MB, or a byte
was not counted.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from orchestrator.sandbox import choose  # noqa: E402
from orchestrator.sandbox.bare import Bare  # noqa: E402
from orchestrator.sandbox.policy import Narrowing, merge  # noqa: E402
from orchestrator.sandbox.sandbox import Sandbox  # noqa: E402
from orchestrator.user import SandboxSettings, shipped  # noqa: E402
from state.workspace import Workspace  # noqa: E402

MB = 1_000_000
MOST = 20 * MB
FLOOD = """
import os, sys
left, block = int(sys.argv[1]), b"\\x1b[2J flood \\xff\\n" * 5000
while left:
    left -= os.write(1, block[:left])
"""


def peak() -> int:
    """The most bytes that this process has held so far."""
    if sys.platform == "linux":
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert found
        return int(found[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def measure(size: int, root: Path, backend: str) -> dict[str, object]:
    """Flood with so many bytes; the figures."""
    workspace, policy = Workspace(root), merge(shipped(), SandboxSettings(), Narrowing())
    worktree = root / "worktree"
    worktree.mkdir()
    if backend == "none":
        sandbox = Sandbox(Bare(), policy, workspace)
    else:
        sandbox = choose.choose(workspace, policy).sandbox
    command = [sys.executable, "-I", "-S", "-c", FLOOD]
    live, seen = root / "live.log", [0]

    def sink(data: bytes) -> None:
        seen[0] += len(data)

    sandbox.run([*command, "100"], worktree, live=live, sink=sink)
    seen[0], before = 0, peak()
    done = sandbox.run([*command, str(size)], worktree, live=live, sink=sink)
    grown = peak() - before
    left_out = re.search(rb"\n\[\.\.\. (\d+) bytes left out \.\.\.\]\n", done.output)
    counted = len(done.output) if left_out is None else len(done.output) - len(left_out[0]) + int(left_out[1])
    return {
        "isolation": sandbox.isolation,
        "bytes": size,
        "counted": counted,
        "seen": seen[0],
        "kept": len(done.output),
        "followed": live.stat().st_size,
        "exit": done.exit,
        "reason": done.reason,
        "seconds": round(done.seconds, 2),
        "mb_per_second": round(size / MB / max(done.seconds, 1e-6)),
        "peak_growth_mb": round(grown / MB, 1),
        "ok": grown < MOST and counted == seen[0] == size and done.exit == 0,
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bytes", type=int, default=1 << 30)
    parser.add_argument("--backend", choices=("chosen", "none"), default="chosen")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = measure(asked.bytes, Path(folder).resolve(), asked.backend)
    print(json.dumps(found, indent=2))
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
