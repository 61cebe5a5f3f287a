"""The host that every child run is started in: `python -P -m orchestrator.child RUN_DIR MODULE [LOCK_FD]`.

It guarantees, whatever MODULE does: one process at a time works in RUN_DIR (`run.lock`), `process.json`
names it, it yields to the person at the machine (low priority), it reaches no network (`sandbox/nonet.py`),
and it ends with a `result.json`, be it one clear line about what went wrong. MODULE offers
`main(run_dir: Path) -> int | None`; as with `python -m`, a package stands for its `__main__`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from orchestrator.sandbox.nonet import deny_network
from state import durable
from state.lock import Lock
from state.process import own_identity
from state.run_folder import LOCK, PROCESS, RESULT
from state.safe_text import trace

ERROR = "error.txt"
PROBE_WAIT = 0.2  # seconds: whoever only asks whether the lock is held has it for a moment
_NICENESS = 10
_ERROR_LENGTH = 500


def main(argv: list[str]) -> int:
    """Host one run; the exit status is MODULE's, 1 after an error, 0 when another process has the run."""
    if len(argv) not in (2, 3):
        print("usage: python -P -m orchestrator.child RUN_DIR MODULE [LOCK_FD]", file=sys.stderr)
        return 2
    run_dir, module = Path(argv[0]).resolve(), argv[1]
    lock = Lock(run_dir / LOCK)
    ours = lock.adopt(int(argv[2])) if len(argv) == 3 else lock.acquire(PROBE_WAIT)
    if not ours:
        print(f"already running: {run_dir}")
        return 0
    try:
        durable.replace(run_dir / PROCESS, _line(own_identity()))
        _yield_to_others()
        deny_network()
        status = importlib.import_module(main_module(module)).main(run_dir)
        if not (run_dir / RESULT).exists():
            _fail(run_dir, f"{module} ended without writing {RESULT}")
            return 1
        return int(status or 0)
    except Exception as error:  # the boundary: whatever went wrong becomes a result that can be read
        _report(run_dir, error)
        return 1
    finally:
        lock.release()


def main_module(name: str) -> str:
    """The module that works for a name: a package stands for its `__main__`."""
    spec = importlib.util.find_spec(name)
    return f"{name}.__main__" if spec and spec.submodule_search_locations is not None else name


def one_line(error: BaseException) -> str:
    """An exception in one printable line of limited length."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return "".join(c if c.isprintable() else "?" for c in text)[:_ERROR_LENGTH]


def _report(run_dir: Path, error: Exception) -> None:
    """Leave the trace and the line; on a full disk, at least the line in the output."""
    line = one_line(error)
    print(line, file=sys.stderr)
    try:
        _fail(run_dir, line)
        durable.replace(run_dir / ERROR, trace(error).encode())
    except OSError as second:
        print(f"could not write {RESULT}: {one_line(second)}", file=sys.stderr)


def _fail(run_dir: Path, line: str) -> None:
    durable.replace(run_dir / RESULT, _line({"v": 1, "ok": False, "error": line}))


def _line(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True).encode() + b"\n"


def _yield_to_others() -> None:
    """Lower this process's priority as far as the system lets it; not being able to is no error."""
    if sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        return
    try:
        os.nice(_NICENESS)
        if sys.platform == "linux":  # the scheduler weighs sessions first, processes second
            Path("/proc/self/autogroup").write_text(f"{_NICENESS}\n")
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
