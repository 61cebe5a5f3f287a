"""The chosen run in three lines: its phases, how far and how fast it is, and what a person should know."""

from __future__ import annotations

from datetime import datetime

from state.run_view import Checkpoint, RunView
from tui.amounts import gigabytes
from tui.draw import Piece
from tui.lines import Line
from tui.look import Look
from tui.runs.chart import figure
from tui.runs.listing import Row, speed
from tui.times import age, eta, span

_USUAL = {"train": ("load", "train", "save"), "eval": ("load", "evaluate", "report")}
"""The phases that a run of a kind goes through: those to come are shown, too."""


def head(look: Look, row: Row | None, view: RunView, share: float, now: int) -> list[tuple[Line, Line]]:
    """Three lines, each with a part at its right end; empty where no run is chosen."""
    if row is None:
        return [([], []), ([], []), ([], [])]
    right: list[Piece] = [
        ("running" if row.lives else look.text(row.word), look(row.role, "card", bold=True)),
        (" ", look("text", "card")),
    ]
    first = _phases(look, row, view)
    if share < 1:
        right.insert(0, (f"reading {share:.0%}  ", look("accent", "card")))
    return [(first, right), (_numbers(look, row, view), []), (_notice(look, row, view, now), [])]


def _phases(look: Look, row: Row, view: RunView) -> list[Piece]:
    names = [*view.phases]
    names += [name for name in _USUAL.get(row.kind, ()) if name not in view.phases] if names else []
    pieces: list[Piece] = [(" ", look("text", "card"))]
    at = names.index(view.phase) if view.phase in names else -1
    for place, name in enumerate(names):
        here = name == view.phase and row.state != "done"
        past = name in view.phases and (place < at or row.state == "done")
        glyph = look.glyph("running") if here else look.g.tick if past else look.glyph("backlog")
        role = row.role if here else "landed" if past else "faint"
        pieces.append((f"{glyph} ", look(role, "card")))
        pieces.append((look.clip(name, 20) + "  ", look("text" if here else "muted", "card", bold=here)))
    if view.resumed:
        times = "once" if view.resumed == 1 else f"{view.resumed} times"
        back = f", at step {view.went_back:,.0f}" if view.went_back is not None else ""
        pieces.append((f"taken up again {times}{back}", look("faint", "card")))
    return pieces


def _numbers(look: Look, row: Row, view: RunView) -> list[Piece]:
    pieces: list[Piece] = [(" ", look("text", "card"))]
    text, muted = look("text", "card"), look("muted", "card")
    if view.unit not in ("", "steps") and view.step:  # it goes by its time, which is not all there is
        pieces.append((f"step {view.step:,.0f}   ", text))
    timed = view.unit == "core-seconds"
    if timed:
        pieces.append((f"core time {span(view.done, look.g.dash)}", text))
        pieces.append((f" of {span(view.total, look.g.dash)}", muted))
    elif view.total:
        unit = "step" if view.unit == "steps" else look.clip(view.unit, 12)
        pieces.append((f"{unit} {view.done:,.0f}", text))
        pieces.append((f" of {view.total:,.0f}", muted))
    rate = view.latest("steps_per_second")
    if rate is not None:
        each = speed(rate)
        pieces.append(
            (f"   {each.removesuffix('/s')} steps/s" if each.endswith("/s") else f"   {each}", text)
        )
    if row.lives:
        done = view.progress()
        left = eta(done.eta_low, done.eta_high, look.g.dash)
        pieces.append((f"   left {left}", text))
    if not timed and (core := view.latest("core_seconds")) is not None:
        pieces.append((f"   core time {span(core, look.g.dash)}", muted))
    if (memory := view.latest("memory_bytes")) is not None and 0 <= memory < 1e15:
        pieces.append((f"   {gigabytes(int(memory))}", muted))
    return pieces


def _notice(look: Look, row: Row, view: RunView, now: int) -> list[Piece]:
    """What matters most: why it failed or waits, the breaker, else the best checkpoint."""
    pieces: list[Piece] = [(" ", look("text", "card"))]
    breaker = view.breaker
    if breaker is not None and breaker.state != "closed" and (row.lives or not row.why):
        role = "failed" if breaker.state == "open" else "waiting"
        told = f"{look.g.warn} breaker {breaker.state}: {breaker.message or breaker.rule}"
        numbers = "  ".join(f"{name} {figure(value)}" for name, value in breaker.numbers[:3])
        pieces.append((look.text(told), look(role, "card", bold=True)))
        pieces.append((look.text(f"  {numbers}   " if numbers else "   "), look("muted", "card")))
    if row.why:
        glyph = look.g.cross if row.state == "failed" else look.g.warn
        role = "waiting" if row.lives else row.role
        pieces.append((f"{glyph} {look.text(row.why)}   ", look(role, "card", bold=True)))
    if (not row.lives and row.why) or (breaker is not None and breaker.state != "closed"):
        return pieces
    if breaker is not None:
        pieces += [(f"{look.g.tick} ", look("landed", "card")), ("breaker closed   ", look("muted", "card"))]
    for kind in ("best", "last"):
        if (found := view.checkpoints.get(kind)) is not None:
            pieces += [(f"{kind} ", look("muted", "card"))]
            pieces += [(look.text(_told(look, found, view, now)) + "   ", look("text", "card"))]
    if view.alerts and len(pieces) < 6:
        last = view.alerts[-1]
        pieces.append((look.text(f"{look.g.warn} {last.level}: {last.message}"), look("waiting", "card")))
    return pieces


def _told(look: Look, found: Checkpoint, view: RunView, now: int) -> str:
    step = f"{found.step:,.0f}" if found.step is not None else look.g.dash
    at = moment(found.at)
    when = f" {age(at, now)} ago" if at is not None else ""
    value = held_out(view, found)
    return f"{step}{f' ({value})' if value else ''}{when}"


def held_out(view: RunView, found: Checkpoint) -> str:
    """What was measured on held-out rows where a checkpoint was made, the loss first; or ''."""
    if found.step is None:
        return ""
    pairs = [pair for pair in view.series if pair[1] == "heldout"]
    for name in sorted(pairs, key=lambda pair: pair[0] != "loss"):
        value = view.series[name].at(found.step)
        if value is not None:
            return f"{name[0]} {figure(value)}"
    return ""


def moment(at: str) -> int | None:
    """A time as runs write it, in milliseconds of wall clock."""
    try:
        return int(datetime.fromisoformat(at).timestamp() * 1000) if at else None
    except (ValueError, OverflowError, OSError):
        return None
