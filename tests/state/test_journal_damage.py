"""Damaged files: a clear error or the same events, never an unhandled exception, never silently others."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from state_doubles import about, admitted, filled, python, result

from state import connect, schema
from state.events import Event
from state.journal import Journal, JournalDamaged, JournalError, JournalMissing, JournalNewer

Files = dict[str, bytes]

KILLED = """
import os, signal, sys
from pathlib import Path
from state_doubles import about, filled
journal = filled(Path(sys.argv[1]), tickets=3, actions=12)
if sys.argv[2] == "folded":
    journal.close()
else:
    journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number in range(12):
        journal.append(about("ticket.note", "TICKET-001", note=f"{number} " * 200))
    os.write(1, b"ok")
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(scope="module", params=["folded", "with-log"])
def sound(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Files, list[Event]]:
    """The files of a journal (closed, or as a kill leaves them), and its events."""
    folder = tmp_path_factory.mktemp("sound")
    process = python(KILLED, str(folder / "journal.db"), request.param)
    process.communicate()
    files = {f.name: f.read_bytes() for f in folder.glob("journal.db*") if not f.name.endswith("-shm")}
    assert ("journal.db-wal" in files) == (request.param == "with-log")
    with contextlib.closing(Journal.read(folder / "journal.db")) as journal:
        return files, journal.events()


def put(folder: Path, files: Files) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder / "journal.db"


def state_of(path: Path) -> Files:
    """The bytes that say something: a reader may leave an index and an empty log."""
    found = {f.name: f.read_bytes() for f in path.parent.iterdir() if not f.name.endswith("-shm")}
    return {name: data for name, data in found.items() if data or not name.endswith("-wal")}


def try_everything(path: Path, wanted: list[Event]) -> str:
    """Read, verify, copy and open; returns who found it. Nothing but a `JournalError` may be raised."""
    before, found = state_of(path), ""
    try:
        with contextlib.closing(Journal.read(path)) as journal:
            verified = journal.fault() or journal.view_fault()
            try:
                events = journal.events()
                for card in journal.views.board():
                    journal.views.ticket(card.id)
                    journal.views.nodes(card.id, 1)
                    journal.views.receipts(card.id, 1)
                    journal.views.proposals(card.id, 1)
                    assert journal.events(ticket=card.id, limit=5) or verified
                journal.views.inbox(), journal.views.counts(), journal.views.engine()
            except JournalError as error:
                found = f"read: {error}"
            else:
                if events != wanted:
                    assert verified, "other events, and nobody says so"
                    found = f"verify: {verified}"
            if verified and not found:
                found = f"verify: {verified}"
            copied = journal.copy_sound(path.parent / "copy" / "journal.db") if "read" in found else -1
            assert copied <= len(wanted)
    except JournalError as error:
        assert str(path) in str(error) or "copy" in str(error)
        found = f"{type(error).__name__}: {error}"
    shutil.rmtree(path.parent / "copy", ignore_errors=True)
    try:
        with contextlib.closing(Journal.open(path)) as journal:
            assert journal.head()[0] == len(wanted) or found, "opening lost events silently"
    except JournalError as error:
        assert state_of(path) == before, f"refused, yet changed: {error}"
        found = found or f"{type(error).__name__}: {error}"
    return found


def test_a_database_cut_at_any_size_is_refused_and_left_as_it_is(
    tmp_path: Path, sound: tuple[Files, list[Event]]
) -> None:
    files, events = sound
    whole, chance = files["journal.db"], random.Random(2)
    sizes = [0, 1, 50, 99, 100, 512, 4095, 4096, 4097, len(whole) - 1, len(whole) - 4096]
    for size in sizes + [chance.randrange(len(whole)) for _ in range(40)]:
        path = put(tmp_path / "cut", files | {"journal.db": whole[:size]})
        found = try_everything(path, events)  # a page that the log holds as well may be missing
        assert found or "journal.db-wal" in files, f"cut at {size}, nobody found it"


def test_a_flipped_bit_anywhere_is_found_or_harmless(
    tmp_path: Path, sound: tuple[Files, list[Event]]
) -> None:
    files, events = sound
    chance, found = random.Random(3), []
    for name in ("journal.db", "journal.db-wal"):
        if name not in files:
            continue
        spots = [chance.randrange(len(files[name]) * 8) for _ in range(130)]
        spots += [chance.randrange(100 * 8) for _ in range(40)]  # the header, where each bit has a meaning
        for spot in spots:
            data = bytearray(files[name])
            data[spot // 8] ^= 1 << spot % 8
            path = put(tmp_path / "flip", files | {name: bytes(data)})
            found.append(try_everything(path, events))
    assert sum(map(bool, found)) > len(found) // 4


def test_a_log_cut_at_any_size_is_missed(tmp_path: Path, sound: tuple[Files, list[Event]]) -> None:
    files, events = sound
    if "journal.db-wal" not in files:
        pytest.skip("this one has no log")
    log = files["journal.db-wal"]
    for size in [0, 31, 32, 56, 4152, len(log) // 2, len(log) - 4120, len(log) - 1]:
        path = put(tmp_path / "cut", files | {"journal.db-wal": log[:size]})
        assert "is gone" in try_everything(path, events), f"cut at {size}"
    without = {name: data for name, data in files.items() if name != "journal.db-wal"}
    assert "is gone" in try_everything(put(tmp_path / "cut", without), events)


def test_a_damaged_waterline_alone_refuses_nothing(tmp_path: Path, sound: tuple[Files, list[Event]]) -> None:
    files, events = sound
    for data in (b"", b"\0" * 95, b"x" * 95, files["journal.db-head"][:-2], b"9" * 1000):
        assert try_everything(put(tmp_path / "line", files | {"journal.db-head": data}), events) == ""


@pytest.mark.parametrize("change", [
    "UPDATE events SET body = replace(body, 'standard', 'Standard') WHERE seq = 1",
    "UPDATE events SET at = at + 1 WHERE seq = 20",
    "UPDATE events SET attempt = 2 WHERE seq = 21",
    "DELETE FROM events WHERE seq = 9",
    "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)",
    "UPDATE events SET hash = zeroblob(32) WHERE seq = (SELECT max(seq) FROM events)",
])  # fmt: skip
def test_an_event_changed_by_hand_is_named(tmp_path: Path, change: str) -> None:
    path = tmp_path / "journal.db"
    filled(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(change)
    before = state_of(path)
    with pytest.raises(JournalDamaged, match=r"event \d+"):
        Journal.open(path)
    assert state_of(path) == before
    with contextlib.closing(Journal.read(path)) as journal:
        assert "event" in str(journal.fault())


@pytest.mark.parametrize("change", [
    "UPDATE tickets SET state = 'landed' WHERE id = 'TICKET-001'",
    "UPDATE tickets SET note = note || '.'",
    "UPDATE proposals SET state = 'approved'",
    "UPDATE receipts SET passed = 0 WHERE name = 'check1'",
    "UPDATE nodes SET state = 'failed'",
    "UPDATE attempts SET base = 'other'",
    "UPDATE specs SET problems = '[1]'",
    "DELETE FROM specs",
    "INSERT INTO meta VALUES ('engine', '{}')",
])  # fmt: skip
def test_a_view_changed_by_hand_is_named(tmp_path: Path, change: str) -> None:
    path = tmp_path / "journal.db"
    filled(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(change)
    with contextlib.closing(Journal.read(path)) as journal:
        assert journal.fault() is None
        words = change.replace("INTO ", "").replace("FROM ", "").split()
        assert journal.view_fault() == f"the view {words[1]} is not what the events say"


def test_an_index_that_hides_an_event_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    filled(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema=ON")
        sql = "CREATE INDEX events_of_ticket ON events(ticket, attempt, seq) WHERE seq < 5"
        db.execute("UPDATE sqlite_master SET sql=? WHERE name='events_of_ticket'", (sql,))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("REINDEX events_of_ticket")
        db.execute("PRAGMA writable_schema=ON")
        sql = sql.replace("seq < 5", "ticket != ''")
        db.execute("UPDATE sqlite_master SET sql=? WHERE name='events_of_ticket'", (sql,))
    with contextlib.closing(Journal.read(path)) as journal:
        assert len(journal.events(ticket="TICKET-001")) < 5
        assert "events_of_ticket" in str(journal.fault())


def test_a_copy_holds_everything_up_to_the_fault_with_the_right_views(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = filled(path, tickets=3, actions=12)
    events = journal.events()
    journal.close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE events SET body='{}' WHERE seq=41")
    with contextlib.closing(Journal.read(path)) as journal:
        assert "event 41" in str(journal.fault())
        assert journal.copy_sound(tmp_path / "copy.db") == 40
        with pytest.raises(JournalError, match="is there already"):
            journal.copy_sound(tmp_path / "copy.db")
        with pytest.raises(JournalError):
            journal.copy_sound(tmp_path / "no" / "such" / "folder.db")
    with contextlib.closing(Journal.open(tmp_path / "copy.db")) as copy:
        assert copy.events() == events[:40]
        assert copy.fault() is None and copy.view_fault() is None
        copy.append(about("ticket.note", "TICKET-001", note="it goes on"))
        assert copy.fault() is None


def test_a_page_that_cannot_be_read_costs_only_what_stands_on_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = filled(path, tickets=3, actions=60)
    total = journal.head()[0]
    journal.close()
    data = bytearray(path.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as db:
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name='events'").fetchone()[0]
    assert data[(root - 1) * 4096] == 5, "an interior page of a table"
    cells = int.from_bytes(data[(root - 1) * 4096 + 3 : (root - 1) * 4096 + 5], "big")
    at = (root - 1) * 4096 + 12 + 2 * (cells // 2)
    cell = (root - 1) * 4096 + int.from_bytes(data[at : at + 2], "big")
    leaf = int.from_bytes(data[cell : cell + 4], "big")
    data[(leaf - 1) * 4096 : leaf * 4096] = b"\xff" * 4096
    path.write_bytes(data)
    with contextlib.closing(Journal.read(path)) as journal:
        assert journal.fault() and journal.view_fault()
        copied = journal.copy_sound(tmp_path / "copy.db")
    assert total // 4 < copied < total * 3 // 4, "all that stands before the page"
    with contextlib.closing(Journal.open(tmp_path / "copy.db")) as copy:
        assert copy.fault() is None and copy.view_fault() is None


@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
def test_a_newer_format_is_refused_untouched(tmp_path: Path, killed: bool) -> None:
    path = tmp_path / "journal.db"
    code = """
import os, sys
from pathlib import Path
from state_doubles import filled
journal = filled(Path(sys.argv[1]))
journal._db.execute("PRAGMA user_version=99")
os.kill(os.getpid(), 9) if sys.argv[2] == "True" else journal.close()
"""
    python(code, str(path), str(killed)).communicate()
    assert (tmp_path / "journal.db-wal").exists() == killed
    before = state_of(path)
    for way in (Journal.open, Journal.read):
        with pytest.raises(JournalNewer, match="update Jetbox"):
            way(path)
    assert state_of(path) == before


def test_views_of_another_version_are_folded_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = filled(path)
    board, tree = journal.views.board(), journal.views.nodes("TICKET-002", 1)
    journal._db.execute("UPDATE meta SET value='0' WHERE key='views'")
    journal._db.execute("DROP TABLE nodes")
    journal._db.execute("ALTER TABLE tickets DROP COLUMN note")
    journal.close()
    with pytest.raises(JournalError, match="another version"):
        Journal.read(path)
    with contextlib.closing(Journal.open(path)) as journal:
        assert (journal.views.board(), journal.views.nodes("TICKET-002", 1)) == (board, tree)
        assert journal.view_fault() is None
        assert connect.has_current_views(journal._db)


def test_a_chain_that_is_broken_is_not_folded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    filled(path).close()
    monkeypatch.setattr(connect, "_TAIL", 3)
    monkeypatch.setattr(schema, "VIEWS", schema.VIEWS + 1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE events SET body='[]' WHERE seq=2")
        before = db.execute("SELECT * FROM tickets").fetchall()
    with pytest.raises(JournalDamaged, match="event 2"):
        Journal.open(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM tickets").fetchall() == before


def test_what_is_no_journal_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_text("This is no database, but it may be dear to somebody. " * 100)
    refused(path)
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE somebodys (thing)")
        db.commit()
    assert "not a journal" in refused(path)
    path.unlink()
    path.mkdir()
    (path / "file").write_text("kept")
    with pytest.raises(JournalError):
        Journal.open(path)
    with pytest.raises(JournalMissing):
        Journal.read(path)
    assert (path / "file").read_text() == "kept"


def refused(path: Path) -> str:
    before, said = path.read_bytes(), ""
    for way in (Journal.open, Journal.read):
        with pytest.raises(JournalError) as error:
            way(path)
        said = str(error.value)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return said


def test_an_empty_or_missing_file_becomes_a_journal(tmp_path: Path) -> None:
    for path in (tmp_path / "empty.db", tmp_path / "deep" / "er" / "journal.db"):
        if path.name == "empty.db":
            path.touch()
        with pytest.raises(JournalMissing, match="jetbox"):
            Journal.read(path)
        with contextlib.closing(Journal.open(path)) as journal:
            journal.append(admitted())
            assert journal.fault() is None


def test_a_journal_emptied_by_accident_is_not_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    filled(path).close()
    path.write_bytes(b"")
    with pytest.raises(JournalDamaged, match="empty"):
        Journal.open(path)
    path.unlink()  # that is no accident
    with contextlib.closing(Journal.open(path)) as journal:
        journal.append(admitted())
    Journal.open(path).close()


def test_a_file_that_changes_under_an_open_journal_raises_nothing_strange(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    filled(path, actions=40).close()
    code = """
import sys
from pathlib import Path
from state.journal import Journal, JournalError
journal = Journal.read(Path(sys.argv[1]))
data = bytearray(Path(sys.argv[1]).read_bytes())
data[8192:] = bytes(255 for _ in data[8192:])
Path(sys.argv[1]).write_bytes(data)
views = journal.views
for look in (journal.events, views.board, views.inbox, lambda: views.nodes("TICKET-001", 1), views.files):
    try:
        look()
    except JournalError as error:
        assert "damaged" in str(error)
assert journal.fault()
"""
    result(python(code, str(path)))
