"""Verbs about soundness: verify (is everything what was written?) and doctor (can it work here?)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import output
from orchestrator.cli.look import Json
from orchestrator.cli.output import Exit, line

if TYPE_CHECKING:
    from state.journal import Journal
    from state.workspace import Workspace


def verify(
    copy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the sound part into a new journal.")
    ] = None,
    json: Json = False,
) -> int:
    """Check that everything is what was written.

    The journal's chain, its views, every blob, and the core in force; names the first fault.

    Example:
      jetbox verify
      jetbox verify --copy sound.db
    """
    from orchestrator.cli.models import VerifyReport
    from orchestrator.cli.reading import here

    workspace = here()
    journal = _unchecked(workspace)
    try:
        report = VerifyReport(ok=True, events=0, blobs=0, fault=journal.fault() or journal.view_fault())
        if report.fault is None:
            report.events = journal.head()[0]
            for name, fault in _blobs(workspace, journal):
                report.blobs += 1
                if fault:
                    report.fault = f"{name}: {fault}"
                    break
        if report.fault is None:
            report.core, report.fault = _core(workspace, journal)
        report.ok = report.fault is None
        saved = journal.copy_sound(copy.absolute()) if copy else None
    finally:
        journal.close()
    if json:
        output.json_object(report)
    elif report.ok:
        more = f", core {report.core[:12]}" if report.core else ""
        line(f"Sound: {report.events} events in one chain, {report.blobs} blobs{more}", "ok")
    else:
        line(f"Not sound: {report.fault}", "problem")
    if saved is not None and not json:
        line(f"Saved {saved} events to {copy}")
    return Exit.DONE if report.ok else Exit.FAILED


def _core(workspace: Workspace, journal: Journal) -> tuple[str | None, str | None]:
    """The core in force, and what is wrong with the version that was said last."""
    from orchestrator import seals
    from state.core import verified

    found = verified(journal, workspace, seals.yours())
    fault = f"core {found.passed[0][0][:12]}: {found.passed[0][1]}" if found.passed else None
    return (found.version.digest if found.version else None), fault


def _unchecked(workspace: Workspace) -> Journal:
    """The journal as it is, damaged or not, read-only."""
    import sqlite3

    from state import connect
    from state.errors import JournalDamaged, damaged, translate
    from state.journal import Journal, JournalMissing

    path = workspace.journal
    try:
        if not path.is_file():
            raise JournalMissing(f"no journal at {path}: `jetbox run` or `jetbox` makes one")
        return Journal(connect.for_reading(path), path, writable=False)
    except sqlite3.Error as error:
        known = translate(error, path)
        raise known if isinstance(known, JournalDamaged) else damaged(path, str(error)) from error


def _blobs(workspace: Workspace, journal: Journal) -> Iterator[tuple[str, str | None]]:
    """Every blob that an event names, once, and what is wrong with it."""
    from state.blobs import Blobs

    blobs, seen, after = Blobs(workspace.blobs), set[str](), 0
    while events := journal.events(after=after, limit=1_000):
        after = events[-1].seq
        for event in events:
            for name in _named(event.body):
                if name not in seen:
                    seen.add(name)
                    yield f"event {event.seq} ({event.type})", blobs.fault(name)


def _named(value: Any) -> Iterator[str]:
    from state.events import BLOB

    if isinstance(value, str):
        if value.startswith(BLOB):
            yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)


def doctor(json: Json = False) -> int:
    """Look at what Jetbox needs here, with each cure.

    Example:
      jetbox doctor
    """
    from orchestrator.cli.findings import examine
    from orchestrator.cli.models import DoctorReport

    findings = examine(Path.cwd())
    report = DoctorReport(ok=all(f.state != "problem" for f in findings), findings=findings)
    if json:
        output.json_object(report)
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            mark = output.state(finding.state)
            line(f"{mark:<9} {finding.name:<{width}}  {finding.said}", finding.state)
            if finding.cure:
                line(f"{'':<9} {'':<{width}}  -> {finding.cure}")
    return Exit.DONE if report.ok else Exit.FAILED
