"""Who is told of what happens is told all of it, once, and the engine never waits for it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab import Lab, until

from orchestrator import user
from orchestrator.alerts import Alerts, follower, voice
from orchestrator.alerts.file import FileSink, StatusFile
from orchestrator.alerts.follower import Follower
from orchestrator.alerts.voice import Mute, Speaker, VoiceSink, mac_voice, speak, speakers, spoken
from orchestrator.sandbox.sandbox import BROKEN, SAID
from orchestrator.user import AlertSettings
from state.alerts import LIMITS, Alert, Severity, damaged
from state.events import Event, New
from state.journal import Journal, JournalDamaged
from state.workspace import Workspace
from tickets.problems import TicketError

NOTE = New("ticket.note", {"note": "still here"}, "TICKET-9")


def lines(workspace: Workspace) -> list[dict[str, Any]]:
    """The status file, the older part first; every line has to be whole."""
    older = workspace.status.with_name("status.jsonl.1")
    text = "".join(path.read_text() for path in (older, workspace.status) if path.exists())
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.splitlines()]


def seqs(workspace: Workspace) -> list[int]:
    return [line["seq"] for line in lines(workspace)]


def whole(lab: Lab) -> None:
    """Each event has its line, in order, with nothing in between."""
    head = lab.look(lambda journal: journal.head()[0])
    assert seqs(lab.workspace) == list(range(1, head + 1))


# The engine's side -----------------------------------------------------------------------------------


def test_every_event_has_its_line_over_restarts_and_words_said_in_between(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    lab.run()
    whole(lab)
    lab.approve("TICKET-1")  # while no engine is there
    lab.run()
    whole(lab)
    found = lines(lab.workspace)
    assert found[-1]["status"] == "off"
    landed = next(line for line in found if line["event"] == "attempt.landed")
    assert landed["alerts"] == [{"severity": "done", "text": "TICKET-1 landed"}]
    assert landed["humanContract"]["authorized_by"] == "tester"
    assert landed["resourceUsage"]["actions"] > 5 and landed["qualityMetrics"]["green"] == 1
    asked = next(line for line in found if line["event"] == "merge.proposed")
    assert [action["name"] for action in asked["actions"]] == ["approve", "deny", "cancel", "retry"]


def test_an_engine_that_is_killed_leaves_neither_gap_nor_double(lab: Lab) -> None:
    lab.ticket("TICKET-1", *(f"echo {n} > {n}.txt" for n in range(12)))
    for seen in (4, 8, 14, 20, 24):
        engine = lab.spawn()
        until(lambda least=seen: lab.workspace.status.exists() and len(lines_so_far(lab)) >= least)
        lab.kill(engine)
    lab.run()
    whole(lab)


def lines_so_far(lab: Lab) -> list[str]:
    return lab.workspace.status.read_text().splitlines()


def test_it_can_be_turned_off(lab: Lab) -> None:
    user.path().parent.mkdir(parents=True, exist_ok=True)
    user.path().write_text("alerts: {file: false}\n")
    lab.ticket("TICKET-1", "true")
    lab.run()
    assert not lab.workspace.status.exists()


def test_a_damaged_journal_is_told_although_it_cannot_say_so_itself(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    lab.run()
    with contextlib.closing(Journal.open(lab.workspace.journal)) as journal:
        journal.append(*(NOTE for _ in range(1500)))
        (admitted,) = (event.seq for event in journal.events() if event.type == "ticket.admitted")
    lab.approve("TICKET-1")  # landing waits until the whole chain has been walked
    with contextlib.closing(sqlite3.connect(lab.workspace.journal)) as db:
        query = "UPDATE events SET body = replace(body, 'a.txt', 'b.txt') WHERE seq = ?"
        assert db.execute(query, (admitted,)).rowcount == 1
        db.commit()
    with pytest.raises(JournalDamaged):
        lab.run()
    (told,) = [line for line in lines(lab.workspace) if line["status"] == "damaged"]
    assert told["seq"] == 0 and told["alerts"][0]["severity"] == "severe"
    assert f"event {admitted} " in told["alerts"][0]["text"]


def test_an_engine_whose_status_file_cannot_be_written_does_its_work(
    lab: Lab, capfd: pytest.CaptureFixture[str]
) -> None:
    (lab.workspace.status / "in the way").mkdir(parents=True)
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    lab.run()
    assert lab.state("TICKET-1") == "review"
    assert capfd.readouterr().err.count("status file: ") == 1, "said, and once"


def test_a_sink_that_hangs_holds_nothing_up(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, let_go = threading.Event(), threading.Event()

    def hang(*_: Any) -> None:
        stuck.set()
        let_go.wait(60)

    monkeypatch.setattr(FileSink, "take", hang)
    monkeypatch.setattr(follower, "LEAVING", 0.1)
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    try:
        lab.run()
        assert stuck.is_set() and lab.state("TICKET-1") == "review"
    finally:
        let_go.set()


def test_a_forged_approval_and_a_forged_roll_back_are_severe(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    lab.run()
    proposal = lab.asks("TICKET-1")
    forged = {"id": proposal.id, "digest": proposal.digest, "by": "me", "nonce": "00"}
    with contextlib.closing(Journal.open(lab.workspace.journal)) as journal:
        journal.append(New("proposal.approved", forged, "TICKET-1", 1))
    lab.run()
    lab.approve("TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "landed"
    with contextlib.closing(Journal.open(lab.workspace.journal)) as journal:
        journal.append(New("asked.rollback", {"by": "me"}, "TICKET-1"))
    lab.run()
    told = [(line["event"], each["severity"]) for line in lines(lab.workspace) for each in line["alerts"]]
    assert told.count(("proposal.stale", "severe")) == 1
    assert told.count(("ticket.rollback-refused", "severe")) == 1
    assert told.count(("attempt.landed", "done")) == 1


def test_a_command_that_breaks_a_limit_is_severe(lab: Lab) -> None:
    assert tuple(SAID[reason] for reason in BROKEN) == LIMITS
    user.path().parent.mkdir(parents=True, exist_ok=True)
    user.path().write_text(f"sandbox: {{limits: {{growth: {1 << 20}}}}}\n")
    grow = "head -c 3000000 /dev/zero > big; sleep 60"
    lab.ticket("TICKET-1", grow)
    lab.ticket("TICKET-2", "echo 2 > b.txt", accept=[{"run": grow}])
    lab.run()
    told = [line for line in lines(lab.workspace) for each in line["alerts"] if each["severity"] == "severe"]
    assert sorted((line["event"], line["runId"]) for line in told) == [
        ("action.outcome", "TICKET-1/1"), ("action.outcome", "TICKET-2/1"),
    ]  # fmt: skip


def test_a_change_outside_its_paths_is_severe(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt", paths=["other/**"])
    lab.run()
    (told,) = [line for line in lines(lab.workspace) if line["event"] == "attempt.failed"]
    assert told["alerts"][0]["severity"] == "severe" and "a.txt" in told["alerts"][0]["text"]


# The follower ----------------------------------------------------------------------------------------


class Recorder:
    """A sink that fails when it is told to."""

    name = "recorder"

    def __init__(self, *trouble: bool) -> None:
        self.seqs: list[int] = []
        self.alerts: list[Alert] = []
        self.begun = 0
        self._trouble = iter(trouble)

    def begin(self, journal: Journal, head: int) -> int:
        self.begun += 1
        return self.seqs[-1] if self.seqs else 0

    def take(self, events: list[Event], journal: Journal) -> None:
        if next(self._trouble, False):
            raise OSError(errno.ENOSPC, "no room")
        self.seqs += [event.seq for event in events]

    def said(self, found: Alert) -> None:
        self.alerts.append(found)

    def rest(self) -> float | None:
        return None

    def leave(self) -> None:
        pass


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with contextlib.closing(Journal.open(Workspace(tmp_path).journal)) as found:
        yield found


def test_what_a_sink_could_not_take_comes_again_and_is_said_once(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "AGAIN", 0.01)
    monkeypatch.setattr(follower, "PORTION", 7)
    complaints: list[str] = []
    sink = Recorder(True, True, True, False, True, True, True)
    follows = Follower(journal.path, 0, sink, complaints.append)
    journal.append(*(NOTE for _ in range(20)))
    follows.start()
    until(lambda: len(sink.seqs) == 20)
    journal.append(*(NOTE for _ in range(20)))
    follows.news()
    until(lambda: len(sink.seqs) == 40)
    follows.close()
    assert sink.seqs == list(range(1, 41)) and sink.begun == 7
    assert len(complaints) == 1 and "no room" in complaints[0]


def test_a_complaint_that_cannot_be_made_does_no_harm(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "AGAIN", 0.01)

    def no_log(_: str) -> None:
        raise OSError(errno.ENOSPC, "the log is on the same disk")

    sink = Recorder(True, True)
    journal.append(NOTE)
    follows = Follower(journal.path, 0, sink, no_log)
    follows.start()
    until(lambda: sink.seqs == [1])
    follows.close()


def test_an_engine_that_leaves_at_once_has_told_everything(journal: Journal) -> None:
    for _ in range(20):
        sink = Recorder()
        journal.append(NOTE)
        follows = Follower(journal.path, 0, sink)
        follows.start()
        follows.say(damaged("x"))
        follows.close()
        assert sink.seqs == list(range(1, journal.head()[0] + 1)) and len(sink.alerts) == 1
        assert not follows._thread.is_alive()


def test_news_is_free_while_the_reader_is_slow(journal: Journal) -> None:
    let_go = threading.Event()
    sink = Recorder()
    sink.take = lambda events, journal: let_go.wait(60)  # type: ignore[method-assign,assignment,return-value]
    journal.append(NOTE)
    follows = Follower(journal.path, 0, sink)
    follows.start()
    for _ in range(10_000):
        follows.news()
    for n in range(10_000):
        follows.say(damaged(f"{n}"))
    assert len(follows._said) <= 100, "nothing piles up: the journal is the queue"
    let_go.set()
    follows.close()


# The status file -------------------------------------------------------------------------------------


def line(seq: int) -> str:
    return json.dumps({"seq": seq}) + "\n"


def test_a_line_that_a_crash_cut_off_is_written_again(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "status.jsonl")
    file.append([line(1), line(2)])
    for cut in range(1, len(line(3))):
        data = line(1) + line(2) + line(3)[:cut]
        file.path.write_text(data)
        assert file.last() == 2
        file.append([line(3)])
        assert file.path.read_text() == line(1) + line(2) + line(3)


def test_a_file_of_nothing_but_a_torn_line_starts_over(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "status.jsonl")
    file.path.write_text('{"seq": 1')
    assert file.last() is None
    file.append([line(1)])
    assert file.path.read_text() == line(1)


@pytest.mark.parametrize("fits", [0, 1, 5, 17])
def test_a_full_disk_leaves_all_of_it_or_nothing(
    fits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = StatusFile(tmp_path / "status.jsonl")
    file.append([line(1)])
    write, room = os.write, [fits]

    def full(fd: int, data: Any) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(fd, bytes(data)[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr("orchestrator.alerts.file.os.write", full)
    with pytest.raises(OSError, match="No space"):
        file.append([line(2), line(3)])
    assert file.path.read_text() == line(1) and file.last() == 1


def test_the_last_room_on_the_disk_is_left_to_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = StatusFile(tmp_path / "status.jsonl")
    file.append([line(1)])
    monkeypatch.setattr("orchestrator.alerts.file.ROOM", 1 << 62)
    with pytest.raises(OSError, match="journal"):
        file.append([line(2)])
    assert file.path.read_text() == line(1)


def test_it_is_turned_over_once_and_goes_on_with_the_next_seq(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "status.jsonl", limit=10 * len(line(1)))
    for seq in range(1, 10):
        file.append([line(seq)])
    for seq in range(10, 100):
        file.append([line(seq)])
        assert StatusFile(file.path).last() == seq
        assert file.path.stat().st_size <= 11 * len(line(1))
    assert sorted(path.name for path in tmp_path.glob("status*")) == ["status.jsonl", "status.jsonl.1"]
    older = (tmp_path / "status.jsonl.1").read_text() + file.path.read_text()
    found = [json.loads(each)["seq"] for each in older.splitlines()]
    assert found == list(range(found[0], 100))


def test_killed_between_the_old_file_and_the_new_it_still_knows_how_far_it_was(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "status.jsonl")
    file.append([line(7)])
    file.put_away()
    assert file.last() == 7
    file.append([line(0)])  # an alert from outside the journal says nothing about how far it is
    assert file.last() == 7


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="this system cannot refuse to follow links")
def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "mine.txt"
    target.write_text("mine\n")
    (tmp_path / "status.jsonl").symlink_to(target)
    with pytest.raises(OSError):
        StatusFile(tmp_path / "status.jsonl").append([line(1)])
    assert target.read_text() == "mine\n"


def begin(journal: Journal, head: int) -> FileSink:
    sink = FileSink(Workspace(journal.path.parent.parent))
    seq = sink.begin(journal, head)
    if events := journal.events(after=seq):
        sink.take(events, journal)
    return sink


def test_an_older_journal_put_back_begins_a_new_file(journal: Journal, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    StatusFile(workspace.status).append([line(900)])
    journal.append(*(NOTE for _ in range(5)))
    begin(journal, 5)
    assert seqs(workspace) == [900, 1, 2, 3, 4, 5]
    assert len(workspace.status.read_text().splitlines()) == 5


def test_a_journal_older_than_the_file_is_told_from_its_last_events_on(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.alerts.file.BACKLOG", 3)
    journal.append(*(NOTE for _ in range(10)))
    begin(journal, 8)
    assert seqs(Workspace(tmp_path)) == [6, 7, 8, 9, 10]


# The voice -------------------------------------------------------------------------------------------


@pytest.fixture
def mouth(tmp_path: Path) -> Callable[..., tuple[Speaker, Path]]:
    """A program in place of a voice, which writes down what it is given, and what it wrote."""

    def make(then: str = "", language: str = "en") -> tuple[Speaker, Path]:
        said = tmp_path / "said"
        code = f"import sys,time\nopen({str(said)!r},'a').write(repr(sys.argv[1:])+sys.stdin.read())\n{then}"
        program = tmp_path / "mouth.py"
        program.write_text(code)
        return Speaker("mouth", (sys.executable, str(program), "-v", language)), said

    return make


@given(st.text(max_size=400))
def test_what_is_spoken_can_be_no_option_no_command_and_no_format(text: str) -> None:
    said = spoken(text)
    assert len(said) <= 200 and not said.startswith("-") and said.isprintable()
    assert not set(said) & set('!%$`\\<>[]{}()|&"*~#=@^_\n')
    assert " -" not in said and "!-!" not in said


def test_the_sentence_reaches_the_voice_as_data(mouth: Any, tmp_path: Path) -> None:
    speaker, said = mouth()
    evil = f"-w {tmp_path}/out $(touch {tmp_path}/x) `id` '; [[volm 0]] !-!SET x <break/> %n"
    assert speak(speaker, spoken(evil), threading.Event())
    written = said.read_text()
    assert written.startswith("['-v', 'en']w ") and not (tmp_path / "x").exists()
    assert "[[" not in written.removeprefix("['-v'") and "!-!" not in written and "%" not in written


def test_a_voice_that_does_not_end_is_ended(mouth: Any) -> None:
    speaker, _ = mouth("time.sleep(600)")
    began = time.monotonic()
    assert speak(speaker, "hello", threading.Event(), longest=1.0)
    assert time.monotonic() - began < 20
    leave = threading.Event()
    leave.set()
    assert speak(speaker, "hello", leave), "the engine leaves: what is being said is cut short"
    assert time.monotonic() - began < 20


def test_a_voice_that_is_silent_gives_way_to_the_next_and_silence_is_said(
    mouth: Any, journal: Journal
) -> None:
    speaker, said = mouth()
    dumb = Speaker("dumb", (sys.executable, "-c", "import sys; sys.exit(1)"))
    gone = Speaker("gone", ("/nowhere/voice",))
    sink = VoiceSink("en", [dumb, gone, speaker])
    sink.said(damaged("the journal is damaged"))
    assert sink.rest() is None and "the journal is damaged" in said.read_text()
    sink = VoiceSink("en", [dumb, gone])
    sink.said(damaged("again"))
    with pytest.raises(Mute, match="dumb, gone"):
        sink.rest()
    assert sink.rest() is None, "and the line is not said for ever"


def test_the_voice_says_what_is_severe_first_and_the_rest_in_one_sentence(
    mouth: Any, journal: Journal
) -> None:
    speaker, said = mouth()
    now = [100.0]
    sink = VoiceSink("en", [speaker], clock=lambda: now[0])
    journal.append(New("attempt.landed", {"commit": "before"}, "TICKET-0", 1))
    assert sink.begin(journal, 1) == 1, "what was before the engine is not spoken"
    landed = [New("attempt.landed", {"commit": "c"}, f"TICKET-{n}", 1) for n in range(1, 5)]
    asks = {"id": "p", "kind": "start", "digest": "d", "summary": "train", "subject": {}}
    sink.take(journal.append(landed[0]), journal)
    assert sink.rest() is None
    sink.take(journal.append(*landed[1:], New("proposal.opened", asks, "TICKET-9", 1)), journal)
    assert sink.rest() == 30.0
    sink.take(journal.append(New("engine.paused", {"why": "disk full"})), journal)
    assert sink.rest() == 30.0
    now[0] += 30
    assert sink.rest() is None
    written = [line.removeprefix("['-v', 'en']") for line in said.read_text().splitlines()]
    assert written == ["TICKET-1 landed", "engine paused: disk full", "1 waits for you, 3 landed"]


def test_a_flood_is_spoken_in_a_few_lines_that_count_it(mouth: Any, journal: Journal) -> None:
    speaker, said = mouth()
    sink = VoiceSink("en", [speaker])
    for n in range(500):
        sink.said(Alert(Severity.SEVERE, "severe", f"breach {n}"))
    while sink.rest() == 0.0:
        pass
    written = said.read_text().splitlines()
    assert len(written) <= 5 and "497 more, 497 of them severe" in written[-1]


def test_an_engine_that_leaves_says_what_is_severe_and_nothing_else(mouth: Any, journal: Journal) -> None:
    speaker, said = mouth()
    sink = VoiceSink("en", [speaker])
    sink.begin(journal, 0)
    for n in range(2):  # one line at once, one that waits for a digest
        sink.take(journal.append(New("attempt.landed", {"commit": "c"}, f"TICKET-{n}", 1)), journal)
    for n in range(3):
        sink.said(Alert(Severity.SEVERE, "severe", f"breach {n}"))
    sink.leave()
    assert sink.rest() is None
    (written,) = said.read_text().splitlines()
    assert "3 more, 3 of them severe" in written


def test_the_voices_of_each_system() -> None:
    def which(*there: str) -> Callable[[str], str | None]:
        return lambda name: f"/bin/{name}" if name in there else None

    linux = speakers("de-AT", "linux", which("espeak-ng", "spd-say"))
    assert [each.name for each in linux] == ["spd-say", "espeak-ng"]
    assert linux[1].argv == ("/bin/espeak-ng", "-v", "de-at", "--stdin")
    assert [each.argv for each in speakers("en", "darwin", which("say"))] == [("/bin/say",)]
    (windows,) = speakers("en-GB", "win32", which("powershell"))
    assert windows.environment == {"JETBOX_VOICE": "en-GB"} and "en-GB" not in " ".join(windows.argv)
    assert speakers("en", "linux", which()) == []


def test_a_mac_speaks_with_a_voice_of_the_language() -> None:
    listing = "Alex                en_US    # Hi\nAnna                de_DE    # Hallo\nBad News  en_US # x\n"
    assert mac_voice(listing, "de") == mac_voice(listing, "de-DE") == "Anna"
    assert mac_voice(listing, "fr") is None


@pytest.mark.parametrize("language", ["-w", "en --stdout", "../x", "", "e", "en\n", "$(id)"])
def test_a_language_that_could_be_an_option_is_refused(language: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"alerts: {{language: {json.dumps(language)}}}\n")
    with pytest.raises(TicketError, match="language"):
        user.load(file)


def test_a_voice_is_looked_for_where_the_system_has_it_and_not_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("spd-say", "espeak-ng", "espeak"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not [each for each in speakers("en", "linux") if each.argv[0].startswith(str(tmp_path))]


def test_without_a_voice_nothing_is_followed_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "speakers", lambda language: [])
    alerts = Alerts(Workspace(tmp_path), AlertSettings(file=False, voice=True), 0)
    assert not alerts._followers


def test_the_doctor_speaks_of_the_voice_only_where_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.cli.findings import examine

    def finding() -> list[str]:
        return [found.state for found in examine(tmp_path) if found.name == "voice"]

    monkeypatch.setattr(voice, "speakers", lambda language: [])
    assert finding() == []
    user.path().parent.mkdir(parents=True, exist_ok=True)
    user.path().write_text("alerts: {voice: true}\n")
    assert finding() == ["note"]
