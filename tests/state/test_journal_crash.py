"""What was acknowledged stays, whoever is killed and however many write at once."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from state_doubles import State, about, admitted, filled, intent, leading_to, proposed, python, result

from state import words
from state.journal import Journal, JournalDamaged

WRITER = """
import os, sys
from pathlib import Path
from state.journal import Journal
from state_doubles import about, intent, leading_to, outcome, State
journal = Journal.open(Path(sys.argv[1]))
while True:
    begun = journal.append(intent())[0].seq
    os.write(1, b"%d\\n" % begun)
    note = about("ticket.note", "TICKET-001", note="x" * 6000)
    done = journal.append(outcome(begun, check="standard"), note)
    os.write(1, b"%d\\n" % done[1].seq)
"""


def test_kill_9_of_a_writer_loses_and_tears_nothing(tmp_path: Path) -> None:
    path, chance = tmp_path / "journal.db", random.Random(1)
    journal = Journal.open(path)
    journal.append(*leading_to(State.RUNNING))
    journal.close()
    acknowledged = 0
    for _ in range(30):
        process = python(WRITER, str(path))
        assert process.stdout is not None and process.stdout.readline(), process.stderr
        time.sleep(chance.random() * 0.05)
        process.kill()
        out = process.communicate()[0]
        whole = [int(line) for line in out.split("\n")[:-1] if line]
        acknowledged = max([acknowledged, *whole])
        journal = Journal.open(path)
        last = journal.head()[0]
        assert last >= acknowledged, "an acknowledged event is gone"
        events = journal.events()
        assert [event.seq for event in events] == list(range(1, last + 1))
        outcomes = [event for event in events if event.type == "action.outcome"]
        notes = [event for event in events if event.type == "ticket.note"]
        assert [event.seq + 1 for event in outcomes] == [event.seq for event in notes], "half a transaction"
        journal.close()
    journal = Journal.open(path)
    assert journal.fault() is None and journal.view_fault() is None
    assert acknowledged > 60


def test_two_processes_and_eight_threads_lose_no_event(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    code = """
import sys, threading
from pathlib import Path
from state.journal import Journal
from state_doubles import about, admitted
journal = Journal.open(Path(sys.argv[1]))
def write(thread):
    for number in range(15):
        journal.append(admitted(f"{sys.argv[2]}-{thread}"), about("ticket.note", f"{sys.argv[2]}-{thread}",
                       note=str(number)))
threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
"""
    for process in [python(code, str(path), name) for name in ("one", "two")]:
        result(process)
    journal = Journal.open(path)
    assert journal.head()[0] == 2 * 4 * 15 * 2
    for name in ("one", "two"):
        for thread in range(4):
            notes = [e.body["note"] for e in journal.events(ticket=f"{name}-{thread}") if "note" in e.body]
            assert notes == [str(number) for number in range(15)]
    assert journal.fault() is None and journal.view_fault() is None


def test_processes_that_make_the_journal_at_once_make_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.db"
    code = """
import sys, time
from pathlib import Path
from state.journal import Journal
from state_doubles import admitted
while time.time() < float(sys.argv[2]): pass
Journal.open(Path(sys.argv[1])).append(admitted(sys.argv[3]))
"""
    at = time.time() + 0.7
    for process in [python(code, str(path), str(at), f"T-{number}") for number in range(4)]:
        result(process)
    assert len(Journal.open(path).views.board()) == 4


APPROVER = """
import sys, time
from pathlib import Path
from state import words
from state.journal import Journal
journal = Journal.open(Path(sys.argv[1]))
while time.time() < float(sys.argv[4]): pass
try:
    words.approve(journal, sys.argv[2], sys.argv[3], by="me")
    print("approved")
except words.Refused as refused:
    print(type(refused).__name__, refused)
"""


@pytest.mark.parametrize("other", [False, True], ids=["same-digest", "another-digest"])
def test_of_two_processes_that_approve_one_is_taken(tmp_path: Path, other: bool) -> None:
    path, proposal = tmp_path / "journal.db", proposed().body
    journal = Journal.open(path)
    journal.append(*leading_to(State.REVIEW))
    digests, at = [proposal["digest"], "f" * 64 if other else proposal["digest"]], str(time.time() + 0.7)
    said = [result(p) for p in [python(APPROVER, str(path), proposal["id"], d, at) for d in digests]]
    approvals = [event for event in journal.events() if event.type == "proposal.approved"]
    assert len(approvals) == 1 and approvals[0].body["digest"] == proposal["digest"]
    assert sorted(line.split()[0] for line in said) == ["Stale" if other else "Refused", "approved"]


def test_a_clock_set_back_changes_neither_order_nor_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [2_000_000_000.0]
    monkeypatch.setattr("state.journal.time.time", lambda: now[0])
    journal = Journal.open(tmp_path / "journal.db")
    journal.append(*leading_to(State.RUNNING))
    for about_what in ("first", "second", "third"):
        journal.append(proposed(kind="question", about=about_what))
        now[0] -= 86_400 * 365
    journal.append(admitted("TICKET-002"), about("ticket.ready", "TICKET-002"))
    assert [found.subject["about"] for found in journal.views.inbox()] == ["first", "second", "third"]
    proposals = journal.views.proposals("TICKET-001", 1)
    assert [found.subject["about"] for found in proposals] == ["first", "second", "third"]
    assert [event.seq for event in journal.events()] == list(range(1, journal.head()[0] + 1))
    assert [card.id for card in journal.views.changed_since(journal.head()[0] - 1)[0]] == ["TICKET-002"]
    assert journal.fault() is None and journal.view_fault() is None


def test_changed_since_tells_every_ticket_that_an_event_was_about(tmp_path: Path) -> None:
    journal = filled(tmp_path / "journal.db", tickets=4, actions=1)
    before = journal.head()[0]
    journal.append(about("ticket.note", "TICKET-003", note="hello"), about("ticket.removed", "TICKET-009"))
    shown, gone = journal.views.changed_since(before)
    assert [(card.id, card.note, card.changed) for card in shown] == [("TICKET-003", "hello", before + 1)]
    journal.append(intent("TICKET-003"))
    shown, _ = journal.views.changed_since(before + 2)
    assert [(card.id, card.changed) for card in shown] == [("TICKET-003", before + 3)], "its tree has news"
    journal.append(admitted("TICKET-010"), about("ticket.removed", "TICKET-010"))
    assert journal.views.changed_since(before + 3) == ([], ["TICKET-010"])
    assert gone == []


def test_what_decide_raises_leaves_nothing_and_the_journal_usable(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")

    def decide(_: object) -> list[object]:
        journal.views.board()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        journal.transact(decide)  # type: ignore[arg-type]
    journal.append(admitted())
    assert journal.head()[0] == 1


def test_text_that_is_no_unicode_is_kept_in_the_journal_and_shown_replaced(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    journal.append(admitted(), about("ticket.note", "TICKET-001", note="name \udcff\ud83d\0 \\ud800 😀"))
    assert journal.views.board()[0].note == "name \ufffd\ufffd\0 \\ud800 😀"
    assert journal.events()[-1].body["note"] == journal.views.board()[0].note
    assert journal.fault() is None and journal.view_fault() is None


def test_a_writer_that_waits_reads_nothing_half_done(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    writer, reader = filled(path), Journal.read(path)
    stop, wrong = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            counts, cards = reader.views.counts(), reader.views.board()
            if sum(counts.values()) > len(cards):
                wrong.append((counts, cards))

    watcher = threading.Thread(target=look)
    watcher.start()
    for number in range(40):
        writer.append(admitted(f"TICKET-9{number:02}"), about("ticket.ready", f"TICKET-9{number:02}"))
    stop.set()
    watcher.join()
    assert not wrong
    assert reader.views.counts()["ready"] == 40


def test_a_checking_thread_hinders_no_append_and_can_be_stopped(tmp_path: Path) -> None:
    journal = filled(tmp_path / "journal.db")
    stop, found = threading.Event(), []
    checker = threading.Thread(
        target=lambda: [found.append((journal.fault(stop=stop), journal.view_fault())) for _ in range(5)]
    )
    checker.start()
    for _ in range(60):
        journal.append(about("ticket.note", "TICKET-001", note="x"))
    checker.join()
    assert found == [(None, None)] * 5
    stop.set()
    assert journal.fault(stop=stop) is None


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 there")
def test_the_last_acknowledged_event_is_missed_when_it_is_gone(tmp_path: Path) -> None:
    """The log's end cut off, with every sign of it having been shorter: nothing in it shows that."""
    path = tmp_path / "journal.db"
    code = """
import sys, os, signal
from pathlib import Path
from state.journal import Journal
from state_doubles import admitted
journal = Journal.open(Path(sys.argv[1]))
journal.append(admitted("TICKET-001")); print(Path(sys.argv[1] + "-wal").stat().st_size, flush=True)
journal.append(admitted("TICKET-002")); os.kill(os.getpid(), signal.SIGKILL)
"""
    process = python(code, str(path))
    size = int(process.communicate()[0])
    log = tmp_path / "journal.db-wal"
    with log.open("r+b") as file:
        file.truncate(size)
    (tmp_path / "journal.db-shm").unlink(missing_ok=True)
    before = {file.name: file.read_bytes() for file in tmp_path.glob("journal.db*")}
    with pytest.raises(JournalDamaged, match="event 2 was written and is gone"):
        Journal.open(path)
    with contextlib.closing(Journal.read(path)) as journal:
        assert "event 2" in str(journal.fault())
        assert journal.copy_sound(tmp_path / "copy.db") == 1
    after = {file.name: file.read_bytes() for file in tmp_path.glob("journal.db*")}
    after.pop("journal.db-shm", None)
    assert before == after, "it was to be left as it is"


def test_an_approval_of_stale_content_is_refused(tmp_path: Path) -> None:
    journal, body = Journal.open(tmp_path / "journal.db"), proposed().body
    journal.append(*leading_to(State.REVIEW))
    journal.append(about("proposal.stale", "TICKET-001", 1, id=body["id"], why="the base has moved"))
    with pytest.raises(words.Stale, match="the base has moved"):
        words.approve(journal, body["id"], body["digest"])
