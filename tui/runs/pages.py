"""What there is to read of a run beside its curves: details, the machine, its report and its log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from state.machine import Machine
from state.run_events import open_regular
from state.run_folder import REPORT, Result
from state.run_view import HELDOUT, RunView, Threshold
from state.safe_text import safe_lines
from tui.amounts import gigabytes
from tui.lines import Line
from tui.look import Look
from tui.page import Page
from tui.runs.chart import figure
from tui.runs.grid import ordered
from tui.runs.head import held_out, moment
from tui.runs.listing import Row
from tui.runs.own import Own
from tui.times import age

_MOST = 1 << 20  # bytes of a report that are shown
_ASKED = 40  # lines of what was asked


def details(
    page: Page,
    row: Row,
    view: RunView,
    wanted: Mapping[str, Threshold],
    ended: Result | None,
    asked: Mapping[str, object],
    now: int,
) -> Page:
    """Write the facts of a run: its goal, its measures, checkpoints, alerts, files, and what was asked."""
    look = page.look
    _acceptance(page, view, wanted, ended)
    page.head("Latest values")
    for name in ordered(view.names(), wanted):
        parts = []
        for split, word in ((HELDOUT, "held-out"), ("train", "train")):
            found = view.series.get((name, split))
            if found is not None and found.last is not None:
                parts.append(f"{figure(found.last[1])} {word} at {found.last[0]:,.0f}")
        page.item(look.g.dot, "muted", name, ", ".join(parts) or "no number yet")
    if not view.series:
        page.text("None yet.", "muted")
    _breaker(page, view)
    page.head("Checkpoints")
    for made in reversed(view.checkpoints.values()):
        at = moment(made.at)
        facts = [f"step {made.step:,.0f}"] if made.step is not None else []
        facts += [gigabytes(made.bytes)] if made.bytes else []
        facts += [f"{age(at, now)} ago"] if at is not None else []
        facts += [value] if (value := held_out(view, made)) else []
        word = f"{made.kind} {made.says}".strip() or made.path
        page.item(look.g.tick, "landed", word, ", ".join(facts))
    if not view.checkpoints:
        page.text("None yet: a kill now would cost all that was done.", "muted")
    if view.alerts:
        page.head("Alerts")
        for alert in list(view.alerts)[:-20:-1]:
            at = moment(alert.at)
            when = f"{age(at, now)} ago" if at is not None else ""
            page.item(look.g.warn, "waiting", f"{alert.level}: {alert.message}", when)
    if view.made:
        page.head("Artifacts")
        for each in view.made.values():
            page.item(look.g.dot, "muted", each.title or each.path, each.path if each.title else "")
    _asked(page, asked)
    return page


def _acceptance(page: Page, view: RunView, wanted: Mapping[str, Threshold], ended: Result | None) -> None:
    look = page.look
    page.head("Accepted when")
    for name, bound in wanted.items():
        value = ended.metrics.get(name) if ended is not None and ended.ok else None
        told = "in the result" if value is not None else "as last measured"
        value = view.latest(name) if value is None else value
        word = "at least" if bound.least is not None else "at most"
        if value is None:
            page.item(look.g.unknown, "muted", f"{name} {word} {figure(bound.value)}", "not measured yet")
            continue
        met = bound.met(value)
        glyph, role = (look.g.tick, "landed") if met else (look.g.cross, "waiting")
        state = "met" if met else "not met"
        page.item(glyph, role, f"{name} {word} {figure(bound.value)}", f"{figure(value)} {told}: {state}")
    if not wanted:
        page.text("The ticket names no bound for a metric.", "muted")
    if ended is not None and ended.ok and ended.metrics:
        page.head("Result")
        for name in ordered(ended.metrics, wanted):
            page.field(name, figure(ended.metrics[name]))


def _breaker(page: Page, view: RunView) -> None:
    look, breaker = page.look, view.breaker
    page.head("Breaker")
    if breaker is None:
        page.text("It has said nothing.", "muted")
        return
    shapes = {"closed": (look.g.tick, "landed"), "open": (look.g.cross, "failed")}
    glyph, role = shapes.get(breaker.state, (look.g.warn, "waiting"))
    page.item(glyph, role, breaker.state, f"{breaker.rule} {breaker.message}".strip())
    for name, value in breaker.numbers:
        page.field(name, figure(value))


def _asked(page: Page, asked: Mapping[str, object]) -> None:
    flat = list(_flat(asked, ""))
    if flat:
        page.head("Asked")
    for name, value in flat[:_ASKED]:
        page.field(name, value[:300])
    if len(flat) > _ASKED:
        page.text(f"and {len(flat) - _ASKED} more in request.json", "muted")


def _flat(asked: Mapping[str, object], under: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in asked.items():
        if isinstance(value, Mapping) and under.count(".") < 3:
            found += _flat(value, f"{under}{name}.")
        elif name != "schema":
            found.append((f"{under}{name}", str(value)))
    return found


# The machine -----------------------------------------------------------------------------------------


def machine(page: Page, picture: Machine | None, own: Own | None, stale: str, now: int) -> Page:
    """Write what the machine is doing, and who holds its memory."""
    look = page.look
    page.head("Machine")
    if own is not None and own.total:
        if own.busy is not None:
            page.field("processor", f"{own.busy:.0%} busy, {own.cores} cores")
        page.field("memory", f"{gigabytes(own.used)} of {gigabytes(own.total)} in use")
    if picture is None or not any(device.kind == "gpu" for device in picture.devices):
        page.field("graphics", "no graphics card is known: runs use the processor", "muted")
    if picture is None:
        page.text("Who holds what is known as soon as the engine has looked.", "muted")
        return page
    if stale:
        page.item(look.g.warn, "waiting", f"What follows is {age(picture.at, now)} old: {stale}")
    from tui.models.page import memory

    memory(page, picture, now)
    return page


def in_brief(look: Look, picture: Machine | None, own: Own | None) -> str:
    """The machine in a few words, for the end of a line."""
    parts = []
    gpu = next((device for device in picture.devices if device.kind == "gpu"), None) if picture else None
    if gpu is None:
        parts.append("no GPU")
    else:
        busy = f"{gpu.load:.0%}" if gpu.load is not None else ""
        warm = f"{gpu.celsius:.0f} °C" if gpu.celsius is not None else ""
        parts.append(" ".join(["GPU", *filter(None, (busy, warm, gigabytes(gpu.total - gpu.free)))]))
    if own is not None and own.busy is not None:
        parts.append(f"CPU {own.busy:.0%}")
    if own is not None and own.total:
        parts.append(f"RAM {own.used / 1e9:.1f} of {gigabytes(own.total)}")
    return look.text(f" {look.g.dot} ".join(parts))


# Report ----------------------------------------------------------------------------------------------


def report_lines(folder: Path) -> list[str] | None:
    """The lines of a run's report, safe to show; None where there is none."""
    try:
        with open_regular(folder / REPORT) as file:
            data = file.read(_MOST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return [f"{REPORT} cannot be read: {error.strerror or error}"]
    lines = safe_lines(data[:_MOST].decode("utf-8", "replace"))
    return [*lines, f"(the first {_MOST:,} bytes)"] if len(data) > _MOST else lines


def said(look: Look, cells: int, title: str, *texts: str) -> list[Line]:
    """A page that says what is not there yet."""
    page = Page(look, cells)
    page.title(title)
    page.gap()
    for text in texts:
        page.text(text, "muted")
    return page.lines
