"""`python -P -m model.toy REQUEST.json OUT.gguf`: makes a toy and says on stdout how far it is.

REQUEST: {"transcripts": [{"messages": [{"role", "content"}, ...], "reply": str}, ...], "name": str,
"seed": int, "steps": int}, the last three optional. OUT appears whole or not at all. The exit status is 0; 1
where the replies could not be learnt; 2 where the request cannot be read or numpy is missing.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

MOST_BYTES = 4_000_000  # of a request: some hundred times a ticket's transcripts
STEPS = 160
"""Steps of a round where the request does not say: 10 seconds of a core for ten transcripts."""
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def main(argv: list[str]) -> int:
    """Make one; see the module."""
    if len(argv) != 2:
        print("usage: python -P -m model.toy REQUEST.json OUT.gguf", file=sys.stderr)
        return 2
    for name in _ONE_THREAD:  # read when numpy is loaded: sums in another order would be other bytes
        os.environ[name] = "1"
    from model.toy.practice import transcripts
    from model.toy.train import NotLearnt

    request, out = Path(argv[0]), Path(argv[1])
    try:
        raw = request.read_bytes()
        if len(raw) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes")
        body = json.loads(raw)
        wanted = transcripts(body.get("transcripts") if isinstance(body, dict) else None)
        name, seed, steps = str(body.get("name", "")), int(body.get("seed", 1)), int(body.get("steps", STEPS))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        print(f"{request}: {error}", file=sys.stderr)
        return 2
    try:
        from model.toy.train import learn
        from model.toy.written import written

        learnt = learn(wanted, seed, steps, _say)
        made = written(learnt, name)
    except ImportError:
        print("numpy is missing: pip install 'jetbox[embedded]'", file=sys.stderr)
        return 2
    except NotLearnt as error:
        print(error, file=sys.stderr)
        return 1
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(made)
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)
    print(
        f"made {out.name}: {len(made)} bytes after {learnt.steps} steps, margin {learnt.margin:.1f}",
        flush=True,
    )
    return 0


def _say(line: str) -> None:
    """Tell whoever still listens."""
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
