"""Reaching Jetbox itself: its journal, its keys, its lock, its tickets, its command line."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from attack import Attack
from attacked_host import Host, NotHere, Ran, written

from state.journal import Journal

KIND = "the product"


def at(place: str, text: str | None = None) -> Callable[[Host], None]:
    """A file of Jetbox's."""

    def prepare(host: Host) -> None:
        path = Path(place.format(home=host.home, repo=host.repo, jetbox=host.jetbox))
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            host.plant(path, text)
        host.params["target"] = str(path)

    return prepare


def plants(id_: str, tries: str, place: str, text: str | None = None) -> Attack:
    """A file of Jetbox's carries the token."""
    return Attack(id_, KIND, tries, 'put(P["target"], mode="a")', written("target"), at(place, text))


def _journal(host: Host) -> None:
    """A real one, with a ticket in it."""
    path = host.jetbox / "journal.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    Journal.open(path).close()
    host.params["target"] = str(path)
    host.planted["journal"] = _content(host)


def _content(host: Host) -> str:
    """What the journal holds, whatever its files look like."""
    try:
        with sqlite3.connect(f"file:{host.params['target']}?mode=ro", uri=True) as db:
            tables = [row[0] for row in db.execute("select name from sqlite_master order by name")]
            lines = list(db.iterdump())
        return hashlib.sha256(repr((tables, lines)).encode()).hexdigest()
    except sqlite3.Error as error:
        return repr(error)


def _journal_changed(host: Host, ran: Ran) -> bool:
    return not Path(host.params["target"]).exists() or _content(host) != host.planted["journal"]


def _engine_lock(host: Host) -> None:
    at("{jetbox}/engine.lock", "")(host)

    def look(pids: list[int]) -> None:
        with Path(host.params["target"]).open("r+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                host.peak("held", 1)

    host.look(look)


def _command_line(host: Host) -> None:
    """The same program as the person's, called from inside for the person's workspace."""
    _journal(host)
    Path(host.params["target"]).chmod(0o666)
    if not os.access(sys.executable, os.X_OK):
        raise NotHere("no interpreter")
    host.params["path"] = [entry for entry in sys.path if entry and Path(entry).is_dir()]


INSERT = """
import sqlite3
def write():
    db = sqlite3.connect(P["target"], timeout=1)
    db.execute("create table forged (token text)")
    db.execute("insert into forged values (?)", (TOKEN,))
    db.commit()
attempt(write)
"""

WORDS = """
code = f'''
import sys
sys.path[:0] = {P["path"]!r}
from pathlib import Path
from state.journal import Journal
from state.events import New
journal = Journal.open(Path({P["target"]!r}))
print(journal.append(New("engine.started", dict(forged=sys.argv[1]))))
'''
for python in (P["python"], sys.executable):
    attempt(lambda: print(subprocess.run([python, "-c", code, TOKEN], capture_output=True)))
"""

PRODUCT = [
    Attack("journal-insert", KIND, "a row written to the journal", INSERT, _journal_changed, _journal),
    Attack(
        "journal-replace",
        KIND,
        "another journal in its place",
        'put("j")\nattempt(os.rename, "j", P["target"])',
        _journal_changed,
        _journal,
    ),
    Attack(
        "journal-delete",
        KIND,
        "the journal deleted",
        'attempt(os.unlink, P["target"])',
        _journal_changed,
        _journal,
    ),
    Attack(
        "journal-truncate",
        KIND,
        "the journal emptied",
        'attempt(os.truncate, P["target"], 0)',
        _journal_changed,
        _journal,
    ),
    Attack(
        "own-code",
        KIND,
        "an event written by Jetbox's own code, called from inside",
        WORDS,
        _journal_changed,
        _command_line,
        "caller",
    ),
    plants("journal-log", "a write-ahead log beside the journal", "{jetbox}/journal.db-wal"),
    plants("ticket", "a ticket written to the user's checkout", "{repo}/tickets/evil.yaml"),
    plants("project-settings", "the project's settings in the user's checkout", "{repo}/jetbox.yaml"),
    plants("named-checks", "what a check runs, in the user's checkout", "{repo}/checks.yaml"),
    plants("user-settings", "what the sandbox lets commands see", "{home}/.config/jetbox/config.yaml"),
    plants(
        "sealing-key",
        "the key that approvals are sealed with",
        "{home}/.local/share/jetbox/approval.key",
        "key\n",
    ),
    plants("run-events", "an event in another run's folder", "{repo}/runs/T-2/1/events.jsonl", "{}\n"),
    plants("run-metrics", "figures in another run's folder", "{repo}/runs/T-2/1/metrics.jsonl", "{}\n"),
    plants("blobs", "an output among the blobs", "{jetbox}/blobs/ab/cdef", "what was said\n"),
    plants("status-file", "the status file that other programs read", "{jetbox}/status.jsonl", "{}\n"),
    plants("engine-log", "the engine's log", "{jetbox}/engine.log", "started\n"),
    Attack(
        "engine-lock",
        KIND,
        "the engine's lock, so that no engine starts",
        """
def hold():
    file = open(P["target"], "r+")
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    time.sleep(0.3)
attempt(hold)
""",
        lambda host, ran: bool(host.seen.get("held")),
        _engine_lock,
    ),
    Attack(
        "engine-lock-removed",
        KIND,
        "the engine's lock deleted, so that two engines start",
        'attempt(os.unlink, P["target"])',
        lambda host, ran: not Path(host.params["target"]).exists(),
        at("{jetbox}/engine.lock", ""),
    ),
    Attack(
        "ballast",
        KIND,
        "the bytes kept back for a full disk",
        'attempt(os.unlink, P["target"])',
        lambda host, ran: not Path(host.params["target"]).exists(),
        at("{jetbox}/ballast", "0" * 4096),
    ),
]
