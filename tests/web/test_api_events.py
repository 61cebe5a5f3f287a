"""Who follows gets every event once, in order, from where they left off."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from web_doubles import Served, served, workspace, write

from orchestrator.web import events, guard
from state.events import New


class Follower:
    """A client that follows; what it does not read waits in its socket."""

    def __init__(self, api: Served, last: str | None = None) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", api.port, timeout=10)
        said = {"Authorization": f"Bearer {api.serving.token}"}
        if last is not None:
            said["Last-Event-ID"] = last
        self._line.request("GET", "/events", headers=said)
        self.reply = self._line.getresponse()
        if self.reply.status == 200:
            assert self.reply.readline() == b"retry: 1000\n" and self.reply.readline() == b"\n"

    def read(self) -> dict[str, str]:
        """One event or comment."""
        found: dict[str, str] = {}
        while line := self.reply.readline().rstrip(b"\n"):
            name, _, value = line.decode().partition(": ")
            found[name or "comment"] = value
        return found

    def seqs(self, count: int) -> list[int]:
        """The ids of so many events."""
        return [int(self.read()["id"]) for _ in range(count)]

    def close(self) -> None:
        self.reply.close()
        self._line.close()


def note(text: str) -> New:
    return New("ticket.note", {"note": text}, "TICKET-001")


def until(true: Any) -> None:
    late = time.monotonic() + 10
    while not true():
        assert time.monotonic() < late
        time.sleep(0.01)


def feed(api: Served) -> events.Feed:
    return api.run._feed


def test_it_resumes_exactly_after_the_last_event_that_was_had(api: Served) -> None:
    write(api.place, *(note(f"number {number}") for number in range(250)))
    head = api.desk.head()
    first = Follower(api, "0")
    assert first.seqs(40) == list(range(1, 41))
    first.close()
    again = Follower(api, "40")
    assert again.seqs(head - 40) == list(range(41, head + 1))
    write(api.place, note("new\nline \u2028 \x1b[2J"))
    event = again.read()
    body = json.loads(event["data"])
    assert event["event"] == body["type"] == "ticket.note" and int(event["id"]) == body["seq"] == head + 1
    assert body["body"] == {"note": "new\nline \u2028 \x1b[2J"} and body["ticket"] == "TICKET-001"
    again.close()


def test_without_a_last_event_it_begins_now(api: Served) -> None:
    head = api.desk.head()
    follower = Follower(api)
    time.sleep(0.2)
    write(api.place, note("now"))
    assert follower.seqs(1) == [head + 1]
    follower.close()


@pytest.mark.parametrize("last", ["-1", "x", "1.5", "", " ", "9" * 20, "\u0661", "1;2"])
def test_what_is_no_seq_is_refused(api: Served, last: str) -> None:
    status, _, said = api.ask("GET", "/events", Last_Event_ID=last.encode().decode("latin-1"))
    assert (status, said["reason"]) == (400, "id")


def test_a_seq_that_is_not_there_yet_is_of_another_journal(api: Served) -> None:
    assert api.ask("GET", "/events", Last_Event_ID="999999")[::2][0] == 409
    assert api.ask("GET", "/events", Last_Event_ID="x" * 100)[0] == 422


def test_silence_has_a_heartbeat(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.2)
    follower = Follower(api)
    assert follower.read() == {"comment": "still here"} and follower.read() == {"comment": "still here"}
    follower.close()


def test_a_client_that_leaves_is_forgotten(api: Served) -> None:
    until(lambda: feed(api).clients == 0)
    followers = [Follower(api) for _ in range(5)]
    assert feed(api).clients == 5
    for each in followers:
        each.close()
    until(lambda: feed(api).clients == 0)


def test_more_than_can_follow_are_told_so(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    until(lambda: feed(api).clients == 0)
    monkeypatch.setattr(events, "CLIENTS", 3)
    followers = [Follower(api) for _ in range(3)]
    assert api.ask("GET", "/events")[::2][0] == 503
    assert api.ask("GET", "/health")[0] == 200
    for each in followers:
        each.close()
    until(lambda: feed(api).clients == 0)
    Follower(api).close()


def test_a_client_that_reads_nothing_costs_one_portion_and_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "SLOWEST", 0.5)
    place = workspace(tmp_path / "p")
    big = "x" * 60_000
    for _ in range(6):
        write(place, *(note(big) for _ in range(40)))
    with served(place) as found:
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", found.port))
        line.sendall((found.head("GET /events") + "Last-Event-ID: 0\r\n\r\n").encode())
        until(lambda: feed(found).clients == 1)
        until(lambda: feed(found).clients == 0)
        line.close()
        assert found.ask("GET", "/health")[0] == 200


def test_there_may_be_no_journal_yet(tmp_path: Path) -> None:
    place = workspace(tmp_path / "p")
    for each in place.home.glob("journal.db*"):
        each.unlink()
    with served(place) as found:
        follower = Follower(found)
        write(place, New("ticket.removed", {}, "TICKET-001"))
        assert follower.seqs(1) == [1]
        follower.close()


def test_the_end_of_the_server_ends_every_stream_soon(tmp_path: Path) -> None:
    with served(workspace(tmp_path / "p")) as found:
        followers = [Follower(found) for _ in range(4)]
        ended: list[bytes] = []
        threads = [
            threading.Thread(target=lambda each=each: ended.append(each.reply.read())) for each in followers
        ]
        for thread in threads:
            thread.start()
        begun = time.monotonic()
        found.run.should_exit = True
        for thread in threads:
            thread.join(10)
        assert len(ended) == 4 and time.monotonic() - begun < 2.5
        for each in followers:
            each.close()
