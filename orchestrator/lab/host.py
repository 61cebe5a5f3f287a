"""The host of the mind: `python -P -m orchestrator.lab.host HOME DIGEST`, spoken to over stdin and stdout.

It guarantees, whatever the models do: no network (`sandbox/nonet.py`); stdout is the protocol's alone, so
that what a library prints goes to stderr; two minds never change one memory at a time. It keeps its
priority: a person waits for its answers.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestrator.sandbox.nonet import deny_network
from state.lock import Lock

SERVE = "model.mind.serve"
_WAIT = 60.0  # seconds for another mind that is learning


def main(argv: list[str]) -> int:
    """Serve one version of the core; the exit status."""
    if len(argv) != 2:
        print("usage: python -P -m orchestrator.lab.host HOME DIGEST", file=sys.stderr)
        return 2
    home, digest = Path(argv[0]).resolve(), argv[1]
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    deny_network()
    locks = home / "memories" / ".locks"

    @contextlib.contextmanager
    def alone(name: str) -> Iterator[bool]:
        lock = Lock(locks / f"{name}.lock")
        ours = lock.acquire(_WAIT)
        try:
            yield ours
        finally:
            lock.release()

    status: int = importlib.import_module(SERVE).main(sys.stdin.buffer, sink, home, digest, alone)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
