"""What the page shows of proposals, reflections and memories: rows and lines of plain text. All pure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.web.written import number, share, short

HOW = "Nothing is approved here: approve in the cockpit or with `jetbox approve`."
TRACES = ["when", "kind", "part", "answer", "by", "probability", "cycles", "variants", "corrected"]
MEMORIES = ["name", "part", "on", "lessons", "of them right", "method", "stale"]
_SHOWN = 20


def proposal(found: Mapping[str, Any]) -> str:
    """A proposal in lines: what waits, what it would do, and where it is answered."""
    id_, subject = short(found.get("id"), 64), found.get("subject")
    lines = [
        f"{short(found.get('kind'), 20)}  {short(found.get('ticket'), 64)}  {short(found.get('summary'))}"
    ]
    if isinstance(subject, Mapping):
        lines += _effects(subject.get("expected_effects"))
        lines += _layers(subject.get("difference"))
        rationale = subject.get("rationale")
        if isinstance(rationale, str) and rationale:
            lines.append(f"  why: {short(rationale)}")
    lines.append(f"  digest {short(found.get('digest'), 64)}")
    lines.append(f"  approve in the cockpit or with `jetbox approve {id_}`")
    return "\n".join(lines)


def proposals(found: Sequence[Mapping[str, Any]]) -> str:
    """All that waits, the core's first."""
    if not found:
        return "Nothing waits for a person."
    ordered = sorted(found, key=lambda each: each.get("kind") != "core")
    more = f"\n\n{len(found) - _SHOWN} more wait: `jetbox inbox`" if len(found) > _SHOWN else ""
    return "\n\n".join(map(proposal, ordered[:_SHOWN])) + more


def _effects(rows: object) -> list[str]:
    """Rows `{task, measure, before, after, rows}`."""
    found = [each for each in rows[:_SHOWN] if isinstance(each, Mapping)] if isinstance(rows, list) else []
    return ["  expected effects, measured:"] * bool(found) + [
        f"    {short(each.get('task'), 60)}, {short(each.get('measure'), 40)}: {_figure(each.get('before'))}"
        f" -> {_figure(each.get('after'))} on {short(each.get('rows'), 12)} rows"
        for each in found
    ]


def _layers(rows: object) -> list[str]:
    """Rows `{layer, shape, before, change, share, largest}`."""
    found = [each for each in rows[:_SHOWN] if isinstance(each, Mapping)] if isinstance(rows, list) else []
    return ["  difference by layer, as a share of its length:"] * bool(found) + [
        f"    {short(each.get('layer'), 80)}  {share(each.get('share'))}"
        f"  largest {_figure(each.get('largest'))}"
        for each in found
    ]


def _figure(said: object) -> str:
    found = number(said, -1e9, 1e9)
    return "?" if found is None else f"{found:.4g}"


def trace(found: Mapping[str, Any]) -> list[str]:
    """A reflection as a row of `TRACES`."""
    at, consistency = number(found.get("at"), 0, 4e12), found.get("consistency")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at / 1000)) if at else ""
    over = consistency if isinstance(consistency, Mapping) else {}
    answer = found.get("answer")
    said = f"a board of {len(answer)} cells" if isinstance(answer, list) else short(answer, 60)
    sure = share(found.get("probability")) + (" (no answer)" if found.get("abstained") else "")
    cells = [when, *(short(found.get(name, ""), 40) for name in ("kind", "part")), said]
    cells += [short(found.get("by", ""), 40), sure]
    cells += [share(over[name]) if over.get(name) is not None else "" for name in ("cycles", "variants")]
    corrected = found.get("corrected")
    return [*cells, "" if corrected is None else short(corrected, 60)]


def memory(found: Mapping[str, Any]) -> list[str]:
    """A memory as a row of `MEMORIES`."""
    names = ("name", "part", "on", "lessons", "right", "method", "stale")
    said = [found.get(name, "") for name in names]
    return [("yes" if each else "no") if isinstance(each, bool) else short(each, 64) for each in said]
