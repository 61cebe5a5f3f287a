"""What becomes of hostile input: each class of it, and the trial that it has to pass.

A trial takes one input and an empty folder. It returns `taken` or `refused`; anything that breaks a promise
(another error than the documented one, a file outside, text that steers a terminal) is raised.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hostile_inputs as inputs
from hypothesis import strategies as st

from datagen import manifest, request
from datagen.errors import DataError
from datagen.verify import verify
from orchestrator import checks, config, edits, process, runs, user
from orchestrator.kinds.base import installed
from state import canonical, contract
from state.run_events import CHUNK, Tail, progress
from state.safe_text import HIDDEN, safe, safe_lines
from state.workspace import Workspace
from tickets import folder as ticket_folder
from tickets import graph
from tickets.load import load_text, load_ticket
from tickets.problems import MOST_PROBLEMS, TicketError
from tui.diff import DiffDoc, parse
from tui.look import DARK, UNICODE, Look
from tui.safe_text import chop, clip, fit, width, wrap
from tui.ticket.output import OutputDoc
from tui.ticket.output import Tail as OutputTail

OUTSIDE = "outside"
"""A folder beside the trial's own: nothing in it may change."""


@dataclass(frozen=True)
class Trial:
    """A class of hostile input."""

    make: st.SearchStrategy[Any]
    run: Callable[[Any, Path], str]


def printable(text: str) -> None:
    """One line that a terminal can only print, of a length that a person can read."""
    assert "\n" not in text and len(text) < 2500, len(text)
    assert not {char for char in text if unicodedata.category(char) in HIDDEN and char != "\ufffd"}, ascii(
        text
    )


def problems(error: TicketError) -> str:
    """Problems are for people: at their place, readable, not too many."""
    assert 0 < len(error.problems) <= 2 * MOST_PROBLEMS + 3
    for problem in error.problems:
        assert problem.line >= 1 and problem.column >= 1
        printable(safe(str(problem)))
        assert "\n" not in str(problem) and len(str(problem)) < 2500
    return "refused"


# Tickets and settings --------------------------------------------------------------------------------


def a_ticket(data: bytes, place: Path) -> str:
    """Through the loader, and all that looks at a ticket before it runs."""
    try:
        loaded = load_text(
            data, "tickets/TICKET-007.yaml", installed(), frozenset(checks.BUILT_IN) | {"standard"}
        )
    except TicketError as error:
        return problems(error)
    assert json.loads(canonical.canonical(loaded.spec)) == loaded.spec
    for check in checks.resolve(loaded.spec["accept"], {"standard": {"run": "true"}}):
        assert not check.file.startswith("/") and ".." not in check.file.split("/")
    graph.problems([loaded], {"TICKET-001"})
    printable(safe(loaded.ticket.goal))
    return "taken"


def a_ticket_file(given: tuple[str, bytes, str], place: Path) -> str:
    """A file of any name and sort in `tickets/`."""
    name, data, sort = given
    tickets = place / "tickets"
    tickets.mkdir()
    try:
        plant(tickets / f"{name}.yaml", data, sort)
    except (OSError, ValueError):
        return "refused"  # the file system would not have it
    known = ticket_folder.scan(place)
    ticket_folder.next_id(place)
    for found in known.values():
        try:
            load_ticket(found.path, place, installed())
        except TicketError as error:
            return problems(error)
        return "taken"
    return "refused"


def settings(data: bytes, place: Path) -> str:
    """One file as the project's settings, as its checks, and as the person's own."""
    workspace, said = Workspace(place), "taken"
    for path in (workspace.config, workspace.checks, place / "config.yaml"):
        path.write_bytes(data)
        try:
            user.load(path) if path.name == "config.yaml" else config.load(workspace)
        except TicketError as error:
            said = problems(error)
        path.unlink()
    return said


# What runs leave -------------------------------------------------------------------------------------


def plant(path: Path, data: bytes, sort: str) -> None:
    """Put something of a sort where a file is expected."""
    match sort:
        case "file":
            path.write_bytes(data)
        case "long":
            path.write_bytes(data)
            os.truncate(path, max(len(data), 40 << 20))
        case "link":
            path.symlink_to(path.parents[1] / OUTSIDE / "victim" if path.parents[1].name else path)
        case "dangling":
            path.symlink_to(path.parent / "nowhere")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()


def run_events(given: tuple[list[bytes], str], place: Path) -> str:
    """`events.jsonl` as it grows, in pieces."""
    pieces, sort = given
    file = place / "events.jsonl"
    tail, seen = Tail(place), []
    plant(file, b"".join(pieces[:1]), sort)
    for piece in [b"", *pieces[1:], b"\n"]:
        if sort == "file":
            with file.open("ab") as out:
                out.write(piece)
        before = tail.offset
        for _ in range(100):
            if not (events := tail.read()):
                break
            seen += events
            assert tail.offset >= before
            if sort not in ("file", "long"):
                break
        else:
            raise AssertionError("reading does not come to an end")
    for event in seen:
        assert event["type"] in ("progress", "metric", "phase", "checkpoint", "alert", "artifact")
        for text in texts(event):
            assert text.isprintable(), ascii(text)
        assert len(canonical.canonical(event)) < CHUNK
    found = progress(seen)
    assert 0 <= found.fraction <= 1
    return "taken" if any(event["type"] != "alert" for event in seen) else "refused"


def run_result(given: tuple[bytes, str], place: Path) -> str:
    """`result.json`, `process.json` and `request.json`."""
    data, sort = given
    for name in (runs.RESULT, runs.PROCESS, runs.REQUEST):
        plant(place / name, data, sort)
    assert not runs.alive(place)
    assert runs.stop(place, 0.0)
    runs._own_process(place)
    try:
        runs._keep_request(place / runs.REQUEST, {"asked": "for"}, write=False)
    except runs.RunError as error:
        printable(safe(str(error).replace(str(place), "")))
    found = runs.result(place)
    if found is None:
        return "refused"
    if found.error is not None:
        assert found.error.isprintable() and len(found.error) < 1000
    if found.artifact is not None:
        assert (place / found.artifact.path).resolve().is_relative_to(place.resolve())
    assert all(isinstance(value, (int, float)) and abs(value) < 1e301 for value in found.metrics.values())
    canonical.canonical(dict(found.metrics))
    return "taken" if found.ok else "refused"


GOOD_ROW = {
    "id": "a", "seed": 1, "task": "t", "family": "f", "difficulty": 1, "split": "train", "input": "i",
    "target": "t",
    "cot": "c",
}  # fmt: skip
GOOD_SHARD = {"path": "shard-00000.jsonl", "rows": 1, "bytes": 1, "sha256": "0" * 64}
GOOD_MANIFEST: dict[str, Any] = {
    "schema": 1, "provenance": "synthetic", "recipe": "x", "recipe_version": "1", "seed": 1, "count": 1,
    "parameters": {}, "splits": {"train": 1}, "row_schema": {}, "content_sha256": "0" * 64,
    "shards": [GOOD_SHARD],
}  # fmt: skip
GOOD_REQUEST: dict[str, Any] = {"schema": 1, "recipe": "x", "seed": 1, "count": 2, "shards": 1, "options": {}}


def a_data_set(given: tuple[bytes, str, bytes, str, bytes], place: Path) -> str:
    """A manifest, its rows, and a request for some."""
    said, sort, rows, rows_sort, asked = given
    plant(place / "manifest.json", said, sort)
    plant(place / "shard-00000.jsonl", rows, rows_sort)
    (place / "request.json").write_bytes(asked)
    try:
        found = request.read(place)
        assert 1 <= found.shards <= found.count and len(found.ranges()) == found.shards
        found.key("1")
    except DataError as error:
        printable(safe(str(error).replace(str(place), ""))[:2000])
    lines = verify(place)
    assert lines, "nothing that is made up here can be sound"
    for line in lines:
        printable(safe(line.replace(str(place), ""))[:2000])
    try:
        manifest.read(place)
    except (DataError, OSError):
        return "refused"
    return "taken"


# Paths, text, diffs, records -------------------------------------------------------------------------


def edit_path(path: str, place: Path) -> str:
    """A path of an agent's, in a worktree with everything in it that could lead out."""
    outside = place.parent / OUTSIDE
    tree = place / "tree"
    (tree / "src").mkdir(parents=True)
    (tree / ".git").write_text("gitdir: elsewhere\n")
    (tree / "a.txt").write_text("a")
    (tree / "link").symlink_to(outside)
    (tree / "linked").symlink_to(outside / "victim")
    (tree / "hard").hardlink_to(outside / "victim")
    os.mkfifo(tree / "pipe")
    said = "refused"
    for edit in (
        lambda: edits.write(tree, path, b"new"),
        lambda: edits.read(tree, path),
        lambda: edits.remove(tree, path),
    ):
        try:
            edit()
            said = "taken"
        except edits.EditRefused as error:
            printable(safe(str(error)))
    assert (tree / ".git").read_text() == "gitdir: elsewhere\n"
    assert (outside / "victim").read_bytes() == b"outside"
    assert sorted(p.name for p in place.iterdir()) == ["tree"]
    for found in tree.rglob("*"):
        assert found.resolve().is_relative_to(place.parent)
        assert not edits_leftover(found.name)
    return said


def edits_leftover(name: str) -> bool:
    """Whether a file is one that an edit should have put in place or taken away."""
    return name.startswith(".jetbox-edit-")


def an_output(pieces: list[bytes], place: Path) -> str:
    """What a command prints: kept, followed, cut into cells."""
    live = place / "live.log"
    keeper, tail = process.Keeper(live), OutputTail(live)
    for piece in pieces:
        keeper.add(piece)
        tail.read()
    keeper.close()
    tail.read()
    assert keeper.bytes() == b"".join(pieces)
    for line in tail.all_lines():
        printable_cells(line)
    look = Look(DARK, UNICODE)
    doc = OutputDoc(tail.all_lines(), look, "note")
    for at in range(min(doc.lay(40), 50)):
        doc.line(at, False)
    text = b"".join(pieces).decode("utf-8", "replace")
    for line in safe_lines(text):
        printable_cells(line)
    return "taken"


def some_text(text: str, place: Path) -> str:
    """A text in every way that it is laid out."""
    line = safe(text)
    printable_cells(line)
    for cells in (1, 2, 7, 40):
        assert width(clip(line, cells)) <= cells
        assert width(fit(line, cells)) == cells
        if cells > 1:
            assert all(width(part) <= cells for part in (*wrap(line, cells), *chop(line, cells)))
    return "taken" if line == text else "refused"


def printable_cells(line: str) -> None:
    """As `printable`, of any length."""
    assert not {char for char in line if unicodedata.category(char) in HIDDEN and char != "\ufffd"}, ascii(
        line
    )


def a_diff(data: bytes, place: Path) -> str:
    """A diff, parsed and laid out; nothing of it is left out."""
    diff = parse(data)
    assert len(diff.lines) == len(diff.kinds)
    assert "".join(diff.lines) == "".join(safe_lines(data.decode("utf-8", "replace")))
    doc = DiffDoc(diff, Look(DARK, UNICODE))
    for cells in (20, 80):
        for at in range(min(doc.lay(cells), 100)):
            doc.line(at, False)
    return "taken"


def a_value(value: Any, place: Path) -> str:
    """A value as a record holds it: one spelling, which reads back as the same."""
    try:
        text = canonical.canonical(value)
    except ValueError:
        return "refused"  # a number that JSON does not have
    text.encode()
    try:
        back = canonical.loads(text)
    except ValueError:
        assert "9" * 4000 in text or "0" * 3900 in text, "only a number too long to read may not come back"
        return "refused"
    assert canonical.canonical(back) == canonical.canonical(canonical.loads(canonical.canonical(back)))
    canonical.digest(value)
    return "taken"


@dataclass(frozen=True)
class _Seal:
    """A sealer whose seals are known to the forger."""

    level: int = 1
    asks: bool = False

    def seal(self, data: bytes) -> str:
        return "seal"

    def check(self, data: bytes, seal: str) -> bool:
        return seal == "seal"


@dataclass(frozen=True)
class _Asked:
    kind: str = "merge"
    subject: Mapping[str, Any] = field(
        default_factory=lambda: {"ticket": "TICKET-001", "base": "b", "tree": "t"}
    )

    @property
    def digest(self) -> str:
        return canonical.digest(self.subject)


GOOD_CONTRACT = contract.draw_up(_Asked(), "ada", "s", "1", _Seal(), workspace="/w")


def a_contract(record: Any, place: Path) -> str:
    """A record that somebody made up: accepted only if it says exactly what was asked."""
    try:
        found = contract.accept(record, _Asked(), _Seal(), workspace="/w", used={"spent"})
    except contract.ContractNotAccepted as refused:
        printable(safe(str(refused)))
        return "refused"
    assert found.digest == _Asked().digest and found.scope == GOOD_CONTRACT["scope"]
    assert found.nonce != "spent"
    return "taken"


def texts(value: Any) -> list[str]:
    """Every text in a value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts(part)]
    return [text for part in value for text in texts(part)] if isinstance(value, list) else []


TRIALS: dict[str, Trial] = {
    "tickets": Trial(inputs.TICKETS, a_ticket),
    "ticket files": Trial(st.tuples(inputs.FILE_NAMES, inputs.TICKETS, inputs.ON_DISK), a_ticket_file),
    "settings": Trial(inputs.SETTINGS, settings),
    "run events": Trial(
        st.tuples(st.lists(inputs.EVENTS, min_size=1, max_size=3), inputs.ON_DISK), run_events
    ),
    "run results": Trial(st.tuples(inputs.RESULTS, inputs.ON_DISK), run_result),
    "data sets": Trial(
        st.tuples(
            inputs.json_lines(GOOD_MANIFEST),
            inputs.ON_DISK,
            st.lists(inputs.json_lines(GOOD_ROW), max_size=4).map(b"\n".join),
            inputs.ON_DISK,
            inputs.json_lines(GOOD_REQUEST),
        ),
        a_data_set,
    ),
    "edit paths": Trial(inputs.PATHS, edit_path),
    "outputs": Trial(inputs.OUTPUTS, an_output),
    "texts": Trial(inputs.TEXT, some_text),
    "diffs": Trial(inputs.DIFFS, a_diff),
    "records": Trial(inputs.json_values(), a_value),
    "contracts": Trial(inputs.replaced(GOOD_CONTRACT), a_contract),
}


class Hung(Exception):
    """An input was not done with in time."""


@contextlib.contextmanager
def watched(work: float = 10.0, wait: float = 60.0) -> Iterator[None]:
    """Raise `Hung` where the work stands after so many seconds of computing, or of waiting.

    They are told apart, since on a machine with much else to do little work can take long.
    """

    def hang(*_: object) -> None:
        raise Hung(f"not done after {work:g} s of work or {wait:g} s of waiting")

    if sys.platform == "win32":
        yield
        return
    clocks = ((signal.SIGPROF, signal.ITIMER_PROF, work), (signal.SIGALRM, signal.ITIMER_REAL, wait))
    before = [signal.signal(number, hang) for number, _, _ in clocks]
    left = [signal.setitimer(timer, seconds)[0] for _, timer, seconds in clocks]
    try:
        yield
    finally:  # whoever watches the test as a whole has its own
        for (number, timer, _), handler, rest in zip(clocks, before, left, strict=True):
            signal.setitimer(timer, rest)
            signal.signal(number, handler)


def attempt(trial: Trial, value: Any, root: Path) -> str:
    """Run one trial in a folder of its own, and hold that nothing beside it has changed."""
    outside, place = root / OUTSIDE, root / "place"
    outside.mkdir(exist_ok=True)
    victim = outside / "victim"
    if not victim.exists():
        victim.write_bytes(b"outside")
    place.mkdir()
    try:
        with watched():
            said = trial.run(value, place)
    finally:
        shutil.rmtree(place)
    assert [path.name for path in outside.iterdir()] == ["victim"] and victim.read_bytes() == b"outside"
    assert sorted(path.name for path in root.iterdir()) == [OUTSIDE]
    return said
