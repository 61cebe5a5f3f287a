"""Thousands of hostile inputs, by class: how many are taken, refused, or break something; and the slowest.

    python benchmarks/hostile.py [--count 5000] [--seed 0] [--only CLASS]

The classes and what each must hold stand in `tests/hostile`: only the documented errors, nothing written
outside, nothing that steers a terminal, nothing that works for more than ten seconds. Prints JSON; exit 1 if
an input broke a promise, with the error of the first one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "hostile")]

from hostile_trials import TRIALS, Hung, Trial, attempt  # noqa: E402
from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402


def measure(trial: Trial, count: int, number: int, root: Path) -> dict[str, Any]:
    """So many inputs of one class; what became of them."""
    said = {"taken": 0, "refused": 0}
    slowest, runs, broken = (0.0, ""), 0, ""

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(st.data())
    def every(data: st.DataObject) -> None:
        nonlocal slowest, runs
        value = data.draw(trial.make)
        with tempfile.TemporaryDirectory(dir=root) as folder:
            began = time.perf_counter()
            try:
                said[attempt(trial, value, Path(folder))] += 1
            finally:
                took = time.perf_counter() - began
                runs += 1
                if took > slowest[0]:
                    slowest = took, repr(value)[:120]

    try:
        every()
    except Hung as error:
        broken = str(error)
    except Exception:
        broken = traceback.format_exc()[-2000:]
    return {
        "inputs": runs,
        **said,
        "broken": broken,
        "slowest_ms": round(1000 * slowest[0], 1),
        "slowest": ascii(slowest[1]),
    }


def main() -> int:
    """Run every class and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=5000, help="inputs, of all classes together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(TRIALS))
    asked = parser.parse_args()
    chosen = [asked.only] if asked.only else list(TRIALS)
    each, began, found = -(-asked.count // len(chosen)), time.perf_counter(), {}
    with tempfile.TemporaryDirectory() as root:
        for name in chosen:
            found[name] = measure(TRIALS[name], each, asked.seed, Path(root))
    total = {
        "inputs": sum(part["inputs"] for part in found.values()),
        "broken": sorted(name for name, part in found.items() if part["broken"]),
        "seconds": round(time.perf_counter() - began, 1),
    }
    print(json.dumps({"total": total, "classes": found}, indent=2))
    return 1 if total["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
