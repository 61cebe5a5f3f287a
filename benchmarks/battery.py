"""Run every attack of the battery without a sandbox and in each one, and tell which got through.

    python benchmarks/battery.py                # JSON
    python benchmarks/battery.py --markdown     # the table of docs/SECURITY.md

The figures differ for root and for an ordinary user, so run it as both. An attack counts only where it worked
without a sandbox, or could not be tried there for want of root's rights; the others are named as not shown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "security"))

from attack import Attack, Verdict, run_attack
from attacks import ATTACKS, known, lucky, name

from orchestrator.sandbox.backend import Backend
from orchestrator.sandbox.bubblewrap import Bubblewrap
from orchestrator.sandbox.landlock import Landlock
from orchestrator.sandbox.policy import Narrowing, merge
from orchestrator.sandbox.sandbox import Sandbox
from orchestrator.user import SandboxSettings, shipped
from state.workspace import Workspace

PLAIN = "plain subprocess"


def boxes() -> dict[str, Sandbox | None]:
    """What is compared: nothing, and each backend that can be tried here."""
    policy = merge(shipped(), SandboxSettings(), Narrowing())
    found: dict[str, Sandbox | None] = {PLAIN: None}
    backends: tuple[Backend, ...] = (Landlock(), Bubblewrap())
    for backend in backends:
        if why := backend.obstacle():
            print(f"{backend.name}: {why}", file=sys.stderr)
        else:
            found[backend.name] = Sandbox(backend, policy, Workspace(Path("/nonexistent")))
    return found


def measure(attacks: Iterable[Attack], told: Callable[[str], None]) -> dict[str, Any]:
    """All verdicts, and what they come to."""
    compared = boxes()
    rows = []
    for attack in attacks:
        verdicts = {box: run_attack(attack, sandbox) for box, sandbox in compared.items()}
        rows.append(
            {
                "name": name(attack),
                "class": attack.kind,
                "tries": attack.tries,
                "through": {box: verdict.through for box, verdict in verdicts.items()},
                "seconds": {box: round(verdict.seconds, 2) for box, verdict in verdicts.items()},
                "unshown": _unshown(verdicts[PLAIN]),
                "not started": {b: v.said for b, v in verdicts.items() if v.through is None and v.ran},
            }
        )
        told(f"{name(attack)}: {rows[-1]['through']}")
    return {
        "who": "root" if os.geteuid() == 0 else "an ordinary user",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "attacks": len(rows),
        "summary": summary(rows, list(compared)),
        "rows": rows,
        "known": {box: {**known(box), **lucky()} for box in compared if box != PLAIN},
    }


def _unshown(control: Verdict) -> str:
    if control.through:
        return ""
    return control.said if control.through is None else "it did not work without a sandbox either"


def summary(rows: list[dict[str, Any]], compared: list[str]) -> list[dict[str, Any]]:
    """For each class: attacks, those shown to work here, and how many each lets through."""
    kinds = list(dict.fromkeys(row["class"] for row in rows))
    out = []
    for kind in [*kinds, "all"]:
        mine = [row for row in rows if kind in (row["class"], "all")]
        out.append(
            {
                "class": kind,
                "attacks": len(mine),
                "shown": sum(not row["unshown"] for row in mine),
                **{box: sum(bool(row["through"][box]) for row in mine) for box in compared},
            }
        )
    return out


def markdown(found: dict[str, Any]) -> str:
    """The table, the holes by name, and what could not be shown."""
    columns = list(found["summary"][0])
    lines = [f"As {found['who']}, on {found['system']}; how many attacks each lets through:", ""]
    lines += ["| " + " | ".join(columns) + " |", "|--" * len(columns) + "|"]
    lines += ["| " + " | ".join(str(row[column]) for column in columns) + " |" for row in found["summary"]]
    for box, reasons in found["known"].items():
        through = [row for row in found["rows"] if row["through"][box]]
        lines += ["", f"Let through by {box}:" if through else f"{box} lets none through."]
        lines += [
            f"- `{row['name']}` ({row['tries']}): {reasons.get(row['name'], '**not known**')}"
            for row in through
        ]
    unshown = [row for row in found["rows"] if row["unshown"]]
    if unshown:
        lines += ["", "Not shown here:"]
        lines += [f"- `{row['name']}`: {row['unshown']}" for row in unshown]
    return "\n".join(lines)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", action="store_true", help="a table instead of JSON")
    parser.add_argument("--only", default="", help="attacks whose name holds this word")
    chosen = parser.parse_args()
    attacks = [attack for attack in ATTACKS if chosen.only in name(attack)]
    found = measure(attacks, lambda line: print(line, file=sys.stderr, flush=True))
    print(markdown(found) if chosen.markdown else json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
