"""Kills, full disks, damage, clocks and broken drivers: each ends in a state that can be gone on from."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from lab import Lab, until

from orchestrator import engine as engine_module
from orchestrator import perform as perform_module
from orchestrator import service
from orchestrator.actions import Command
from orchestrator.decide import PATIENCE
from state import words
from state.blobs import Blobs
from state.errors import DiskFull
from state.events import New
from state.journal import Journal, JournalDamaged

RED = [{"run": "test -f a.txt", "red": True}]


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the world is looked at more often than every two seconds."""
    monkeypatch.setattr(engine_module, "PARKED", 0.1)


# Processes -------------------------------------------------------------------------------------------


def test_what_a_killed_engine_left_running_ends_at_the_next_start_and_is_done_again(lab: Lab) -> None:
    free = lab.root / ".git" / "free"
    orphan = f"test -e {free} || {{ setsid sleep 1000 & sleep 1000; }}; echo x >> a.txt"
    lab.ticket("TICKET-1", orphan, accept=RED)
    engine = lab.spawn()
    until(lambda: len(lab.processes()) >= 3, "the command and what it starts")
    left = lab.processes()
    lab.kill(engine)
    assert all(process.is_running() for process in left)
    free.touch()
    lab.run()
    assert not [process for process in left if process.is_running()]
    lab.approve("TICKET-1")
    lab.run()
    assert (lab.state("TICKET-1"), lab.show("a.txt")) == ("landed", "x\n")
    lab.intact()


def test_two_engines_at_once_the_second_is_refused_and_takes_up_when_the_first_is_killed(lab: Lab) -> None:
    lab.ticket("TICKET-1", "test -e go || sleep 1000; echo 1 > a.txt")
    first = lab.spawn()
    until(lambda: lab.processes(), "the command")
    with pytest.raises(service.EngineRunning, match=str(first.pid)):
        lab.run()
    lab.kill(first)
    began = time.monotonic()
    with lab.engine():
        until(lambda: len(lab.events("TICKET-1", "action.intent")) > 2, "new work")
        assert time.monotonic() - began < 10  # at once; the rest is for a machine that is busy


def test_locks_that_a_killed_git_left_in_our_own_places_hold_nothing_up(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt", accept=RED)
    lab.run()
    for git_dir in (lab.root / ".git" / "worktrees").iterdir():
        (git_dir / "index.lock").write_text("")
        (git_dir / "HEAD.lock").write_text("")
    for ref in lab.git("for-each-ref", "--format=%(refname)", "refs/jetbox", "refs/heads/ticket").split():
        (lab.root / ".git" / f"{ref}.lock").write_text("")
    lab.approve("TICKET-1")
    lab.run()
    assert (lab.state("TICKET-1"), lab.merges("TICKET-1")) == ("landed", 1)
    lab.intact()


@pytest.mark.parametrize("seed", [1, 2])
def test_git_killed_under_the_engine_costs_no_ticket_its_end(lab: Lab, seed: int) -> None:
    chance = random.Random(seed)
    ids = [f"TICKET-{n}" for n in range(3)]
    for id_ in ids:
        lab.ticket(id_, f"echo {id_} > {id_}.txt", accept=[{"run": f"test -f {id_}.txt", "red": True}])
    engine = lab.spawn()
    until(lambda: lab.events(type_="engine.started"), "the engine")
    kills = 0
    while kills < PATIENCE - 1 and not all(lab.state(id_) in ("landed", "failed") for id_ in ids):
        for child in psutil.Process(engine.pid).children():
            with contextlib.suppress(psutil.Error):
                if child.name() == "git" and kills < PATIENCE - 1:
                    child.kill()
                    kills += 1
                    time.sleep(chance.uniform(0.0, 0.3))
        for proposal in lab.inbox() if chance.random() < 0.2 else []:
            with contextlib.suppress(words.Refused):
                lab.say(words.approve, proposal.id, proposal.digest)
        assert engine.poll() is None, lab.said()
    for id_ in ids:
        while lab.state(id_) not in ("landed", "failed"):
            for proposal in lab.inbox():
                with contextlib.suppress(words.Refused):  # the base has moved meanwhile
                    lab.say(words.approve, proposal.id, proposal.digest)
            time.sleep(0.05)
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(30) == 0
    assert {lab.state(id_): lab.note(id_) for id_ in ids} == {"landed": ""}
    assert [lab.merges(id_) for id_ in ids] == [1, 1, 1]
    assert lab.git("status", "--porcelain", "--", ":!tickets") == ""
    lab.intact()


# A full disk -----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 96 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(place)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while out.write(bytes(size)) == size:
                    pass


def test_a_full_disk_pauses_the_engine_which_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path, make_lab: Callable[..., Lab]
) -> None:
    lab = make_lab(small_disk / "project")
    gate = tmp_path / "gate"  # on another disk: the command itself needs no room after it
    wait = f"while ! test -e {gate}; do sleep 0.02; done"
    lab.ticket("TICKET-1", f"head -c 300000 /dev/urandom > a.txt; {wait}")
    lab.ticket("TICKET-2", "echo 2 > two.txt", needs=["TICKET-1"])
    with lab.engine():
        made = lab.workspace.worktree("TICKET-1", 1) / "a.txt"
        until(lambda: made.exists() and made.stat().st_size == 300_000, "the command's file")
        fill(small_disk / "filler")
        gate.touch()
        until(lambda: lab.events(type_="engine.paused"), "the pause")
        assert "disk full" in lab.events(type_="engine.paused")[0].body["why"]
        (small_disk / "filler").unlink()
        until(lambda: lab.events(type_="engine.resumed"), "the end of the pause")
        lab.wait("TICKET-1", "review")
        lab.approve("TICKET-1")
        lab.wait("TICKET-1", "landed")
        lab.approve("TICKET-2")
        lab.wait("TICKET-2", "landed")
    assert [lab.merges("TICKET-1"), lab.merges("TICKET-2")] == [1, 1]
    lab.intact()


def driven(lab: Lab) -> None:
    """Two tickets to their ends, whatever pauses there are."""
    lab.ticket("TICKET-1", "echo 1 > a.txt", accept=RED)
    lab.ticket("TICKET-2", "echo out; exit 3")
    with lab.engine():
        lab.approve("TICKET-1")
        lab.wait("TICKET-1", "landed")
        lab.wait("TICKET-2", "failed")
    assert (lab.merges("TICKET-1"), lab.show("a.txt")) == (1, "1\n")
    assert "ended with 3" in lab.note("TICKET-2")
    lab.intact()


@pytest.mark.parametrize("nth", [1, 2, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31])
def test_no_room_for_any_one_event_loses_and_doubles_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    real, count = Journal.append, itertools.count(1)

    def append(self: Journal, *events: New) -> Any:
        if next(count) == nth:
            raise DiskFull("no room")
        return real(self, *events)

    monkeypatch.setattr(Journal, "append", append)
    driven(lab)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_no_room_for_any_one_blob_loses_and_doubles_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    real, count = Blobs.put, itertools.count(1)

    def put(self: Blobs, data: bytes) -> str:
        if next(count) == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Blobs, "put", put)
    driven(lab)
    assert lab.events(type_="engine.paused") or next(count) <= nth


def test_tickets_written_while_the_disk_was_full_are_read_when_there_is_room(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = Journal.append, [True]

    def append(self: Journal, *events: New) -> Any:
        if full[0] and any(event.type == "ticket.admitted" for event in events):
            full[0] = False
            raise DiskFull("no room")
        return real(self, *events)

    monkeypatch.setattr(Journal, "append", append)
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    with lab.engine():
        lab.asks("TICKET-1")


# The journal -----------------------------------------------------------------------------------------


def test_a_journal_damaged_deep_inside_ends_the_engine_before_anything_lands(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt", accept=RED)
    lab.run()
    with contextlib.closing(Journal.open(lab.workspace.journal)) as journal:
        journal.append(*(New("ticket.note", {"note": "long ago"}, "TICKET-9") for _ in range(1500)))
    lab.approve("TICKET-1")
    before = lab.tip()
    with contextlib.closing(sqlite3.connect(lab.workspace.journal)) as db:
        (seq,) = db.execute("SELECT min(seq) FROM events WHERE type = 'ticket.admitted'").fetchone()
        db.execute("UPDATE events SET body = replace(body, 'a.txt', 'b.txt') WHERE seq = ?", (seq,))
        db.commit()
    with pytest.raises(JournalDamaged, match=f"event {seq}"):
        lab.run()
    assert lab.tip() == before
    assert not lab.processes()


def test_an_engine_that_stops_before_the_chain_is_checked_lands_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt", accept=RED)
    lab.run()
    lab.approve("TICKET-1")
    before = lab.tip()

    def slow(self: Journal, after: int = 0, stop: Any = None) -> None:
        stop.wait()

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "fault", slow)
        with lab.engine():
            until(lambda: lab.events("TICKET-1", "action.intent")[-1].body["action"] == "Land")
    assert lab.tip() == before
    lab.run()
    assert (lab.state("TICKET-1"), lab.merges("TICKET-1")) == ("landed", 1)
    lab.intact()


def test_a_clock_that_runs_backwards_changes_no_order_and_hangs_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks, now = itertools.count(), time.time()
    monkeypatch.setattr("state.journal.time.time", lambda: now - 3600 * next(ticks))
    lab.ticket("TICKET-1", "echo 1 > a.txt", accept=RED, budget={"time": "1h"})
    lab.ticket("TICKET-2", "echo 2 > two.txt", needs=["TICKET-1"])
    with lab.engine():
        lab.approve("TICKET-1")
        lab.wait("TICKET-1", "landed")
        lab.approve("TICKET-2")
        lab.wait("TICKET-2", "landed")
    stamps = [event.at for event in lab.events()]
    assert stamps == sorted(stamps, reverse=True)
    assert [lab.merges("TICKET-1"), lab.merges("TICKET-2")] == [1, 1]
    lab.intact()


# Broken parts ----------------------------------------------------------------------------------------


def test_a_driver_that_breaks_for_one_ticket_is_told_there_and_stops_no_other(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = perform_module._DRIVERS[Command]
    mended = [False]

    def driver(action: Command, attempt: Any, place: Any) -> Any:
        if attempt.ticket == "TICKET-1" and not mended[0]:
            raise RuntimeError("a nut came loose")
        return real(action, attempt, place)

    monkeypatch.setitem(perform_module._DRIVERS, Command, driver)
    monkeypatch.setattr(engine_module, "BROKEN", 0.3)
    lab.ticket("TICKET-1", "echo 1 > a.txt", accept=RED)
    lab.ticket("TICKET-2", "echo 2 > two.txt")
    with lab.engine():
        lab.wait_note("TICKET-1", "a nut came loose")
        lab.approve("TICKET-2")
        lab.wait("TICKET-2", "landed")
        mended[0] = True
        lab.approve("TICKET-1")
        lab.wait("TICKET-1", "landed")
    assert "a nut came loose" in capfd.readouterr().err
    lab.intact()


def test_a_ticket_that_cannot_be_taken_up_at_the_start_stops_no_other(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.ticket("TICKET-1", "test -e go || sleep 1000; echo 1 > a.txt")
    engine = lab.spawn()
    until(lambda: lab.processes(), "the command")
    lab.kill(engine)
    lab.ticket("TICKET-2", "echo 2 > two.txt")
    real, broken = engine_module.Conductor.reconcile, [True]

    def reconcile(self: Any, *args: Any) -> None:
        if self.ticket == "TICKET-1" and broken[0]:
            raise RuntimeError("a nut came loose")
        real(self, *args)

    monkeypatch.setattr(engine_module.Conductor, "reconcile", reconcile)
    with lab.engine():
        lab.asks("TICKET-2")
        lab.wait_note("TICKET-1", "a nut came loose")
    broken[0] = False
    for process in lab.processes():
        process.kill()
