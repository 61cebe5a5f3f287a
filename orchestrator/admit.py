"""From ticket files to the journal: what loads is admitted, what does not is shown as broken.

A file is read only when its signature changed. A fault of one ticket never stops another. What must be
written is computed against the views, so a scan may be repeated at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator import personas
from orchestrator.checks import BUILT_IN
from orchestrator.config import Config
from orchestrator.kinds.base import Kind
from state.canonical import canonical
from state.events import New
from state.journal import Journal
from state.workspace import Workspace
from tickets import folder, graph
from tickets.load import Loaded, load_ticket
from tickets.problems import Problem, TicketError
from tickets.values import is_ticket_id

BATCH = 500  # tickets written in one transaction


@dataclass(frozen=True)
class _Known:
    """What the last reading of one file said."""

    signature: folder.Signature | None  # None: read it again, whatever its signature
    path: str
    loaded: Loaded | None = None
    problems: tuple[Problem, ...] = ()


class Admission:
    """Reads the ticket folder again and again, remembering what it has read."""

    def __init__(self, workspace: Workspace, kinds: Mapping[str, Kind], config: Config) -> None:
        self._workspace = workspace
        self._kinds = kinds
        self._checks = frozenset(BUILT_IN) | frozenset(config.checks)
        self._personas: frozenset[str] = frozenset()
        self._known: dict[str, _Known] = {}

    def scan(self, journal: Journal) -> int:
        """Bring the journal up to the files; returns how many events that took."""
        found = folder.scan(self._workspace.root)
        who = personas.working(self._workspace.personas)
        if who != self._personas:  # a ticket may be right now that was wrong, or the other way round
            self._personas, self._known = who, {}
        for id_ in self._known.keys() - found.keys():
            del self._known[id_]
        for id_, file in found.items():
            known = self._known.get(id_)
            if known is None or known.signature != file.signature:
                self._known[id_] = self._read(file)
        loaded = [known.loaded for known in self._known.values() if known.loaded is not None]
        unmet = graph.problems(loaded, [id_ for id_ in self._known if is_ticket_id(id_)])
        views = journal.views.files()
        events = [
            event
            for id_, known in self._known.items()
            if (event := _event(id_, known, unmet.get(id_, ()), views.get(id_))) is not None
        ]
        events += [
            New("ticket.removed", {}, id_)
            for id_, (_, _, _, gone) in views.items()
            if not gone and id_ not in found
        ]
        for start in range(0, len(events), BATCH):
            journal.append(*events[start : start + BATCH])
        return len(events)

    def _read(self, file: folder.TicketFile) -> _Known:
        shown = file.path.relative_to(self._workspace.root).as_posix()
        try:
            loaded = load_ticket(file.path, self._workspace.root, self._kinds, self._checks, self._personas)
        except TicketError as error:
            return _Known(file.signature, shown, problems=tuple(error.problems))
        except OSError as error:  # gone or changed while it was read: the next scan sees it
            problem = Problem(shown, 1, 1, "file", f"cannot be read: {error.strerror or error}")
            return _Known(None, shown, problems=(problem,))
        return _Known(file.signature, shown, loaded)


def _event(
    id_: str, known: _Known, circle: Sequence[Problem], view: tuple[str, str, str, bool] | None
) -> New | None:
    """What has to be written so that the view of a ticket is what its file says; None when it is."""
    problems = [str(problem) for problem in (*known.problems, *circle)]
    if problems or known.loaded is None:
        if view is not None and (view[0], view[2:]) == (known.path, (canonical(problems), False)):
            return None
        return New("ticket.broken", {"path": known.path, "problems": problems}, id_)
    loaded = known.loaded
    if view == (known.path, canonical(loaded.spec), "[]", False):
        return None
    body = {
        "path": known.path,
        "revision": loaded.revision,
        "spec": loaded.spec,
        "needs": list(loaded.needs),
    }
    return New("ticket.admitted", body, id_)
