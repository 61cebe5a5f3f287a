"""A person's words by the command line: only what was looked at is approved, by someone who means it."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest
from cli_doubles import Place, admitted, environment, jetbox, proposed, started

NUMBER = "7"
TICKET = f"TICKET-{NUMBER}"

needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")


@pytest.fixture
def asking(place: Place) -> Place:
    """A workspace in which one merge waits."""
    diff = place.blob(
        b"--- a/src/greeting.py\n+++ b/src/greeting.py\n@@ -1 +1 @@\n-hello\n+good \x1b[2Jday\n"
    )
    place.write(admitted(TICKET), *started(TICKET), proposed(TICKET, diff=diff))
    return place


def the_proposal(place: Place) -> tuple[str, str]:
    from state.journal import Journal

    journal = Journal.read(place.workspace.journal)
    try:
        found = journal.views.inbox()[0]
        return found.id, found.digest
    finally:
        journal.close()


def on_terminal(place: Place, answer: str, *arguments: str, **more: str) -> tuple[int, str]:
    """Run it on a pseudo-terminal, answer its question, and return the code and the screen."""
    import pexpect

    child = pexpect.spawn(
        sys.executable,
        ["-P", "-m", "orchestrator.main", *arguments],
        cwd=str(place.root),
        env=environment(place.root, **more),
        dimensions=(40, 120),
        encoding="utf-8",
        timeout=30,
    )
    child.expect(r"approve: |\[y/N\] ")
    shown = child.before + child.after
    child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus or 0, shown + child.before


def test_without_a_terminal_the_digest_has_to_be_named(asking: Place) -> None:
    id_, digest = the_proposal(asking)
    done = jetbox("approve", id_, cwd=asking.root)
    assert done.returncode == 2
    assert f"`jetbox approve {id_} --digest {digest}`" in done.stderr
    assert "proposal.approved" not in asking.types()


def test_the_digest_that_waits_is_approved_once(asking: Place) -> None:
    id_, digest = the_proposal(asking)
    done = jetbox("approve", id_[:6], "--digest", digest, cwd=asking.root)
    assert done.returncode == 0 and "Approved" in done.stdout
    assert "No engine runs" in done.stdout
    again = jetbox("approve", id_, "--digest", digest, cwd=asking.root)
    assert again.returncode == 1 and "approved already" in again.stderr
    assert asking.types().count("proposal.approved") == 1


def test_a_digest_of_something_else_is_refused(asking: Place) -> None:
    id_, digest = the_proposal(asking)
    for wrong in ("0" * 64, digest[:12], digest.upper()):
        done = jetbox("approve", id_, "--digest", wrong, cwd=asking.root)
        assert done.returncode == 1 and "has changed since it was shown" in done.stderr
    assert "proposal.approved" not in asking.types()


@needs_pty
def test_a_merge_is_shown_and_takes_the_ticket_s_number(asking: Place) -> None:
    id_, digest = the_proposal(asking)
    for no in ("", "y", "yes", "8", id_):
        code, shown = on_terminal(asking, no, "approve", id_)
        assert code == 1 and "Nothing was approved" in shown, no
    assert "proposal.approved" not in asking.types()
    code, shown = on_terminal(asking, NUMBER, "approve", id_)
    assert code == 0 and "Approved" in shown
    for what in (
        "merge", TICKET, "merge 1 file", "green", "unit tests", "src/greeting.py", "revert", "no sandbox",
        "+good", digest,
    ):  # fmt: skip
        assert what in shown, what
    assert "\x1b[2J" not in shown
    assert asking.types().count("proposal.approved") == 1


@needs_pty
def test_a_start_takes_a_yes_and_no_answer_is_no(place: Place) -> None:
    place.write(admitted(TICKET), *started(TICKET), proposed(TICKET, kind="start", summary="start a run"))
    id_, _ = the_proposal(place)
    assert on_terminal(place, "", "approve", id_)[0] == 1
    assert on_terminal(place, "y", "approve", id_)[0] == 0


@needs_pty
def test_what_is_shown_is_what_the_digest_names(asking: Place) -> None:
    id_, _ = the_proposal(asking)
    db = sqlite3.connect(asking.workspace.journal)
    db.execute("UPDATE proposals SET subject = replace(subject, 'greeting', 'harmless')")
    db.commit()
    db.close()
    import pexpect

    child = pexpect.spawn(
        sys.executable,
        ["-P", "-m", "orchestrator.main", "approve", id_],
        cwd=str(asking.root),
        env=environment(asking.root),
        encoding="utf-8",
        timeout=30,
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1 and "is not what its digest names" in child.before
    assert "proposal.approved" not in asking.types()


def test_a_deny_needs_its_reason_and_keeps_it(asking: Place) -> None:
    id_, _ = the_proposal(asking)
    assert jetbox("deny", id_, cwd=asking.root).returncode == 2
    assert jetbox("deny", id_, "--reason", "  ", cwd=asking.root).returncode == 1
    assert jetbox("deny", id_, "--reason", "too wide", cwd=asking.root).returncode == 0
    shown = jetbox("log", TICKET, cwd=asking.root).stdout
    assert "denied by" in shown and "too wide" in shown
    done = jetbox("approve", id_, "--digest", the_digest(asking, id_), cwd=asking.root)
    assert done.returncode == 1 and "denied already" in done.stderr


def the_digest(place: Place, id_: str) -> str:
    from state.journal import Journal

    journal = Journal.read(place.workspace.journal)
    try:
        found = journal.views.proposal(id_)
        assert found is not None
        return found.digest
    finally:
        journal.close()


def test_words_that_cannot_be_taken_say_why(asking: Place) -> None:
    for arguments, why in (
        (["approve", "ffff", "--digest", "x"], "no proposal ffff"),
        (["approve", TICKET, "--digest", "x"], "asks by"),
        (["deny", "ffff", "--reason", "x"], "no proposal ffff"),
        (["cancel", "TICKET-404"], "no ticket TICKET-404"),
        (["retry", "TICKET-404"], "no ticket TICKET-404"),
        (["rollback", TICKET], "only what landed"),
        (["restore", TICKET], "cancel it first"),
    ):
        done = jetbox(*arguments, cwd=asking.root)
        assert done.returncode == 1 and why in done.stderr, done
        assert done.stderr.count("\n") == 1


def test_a_wish_is_written_with_its_comment(asking: Place) -> None:
    asking.ticket(TICKET)
    assert jetbox("retry", TICKET, "--comment", "mind the gap", cwd=asking.root).returncode == 0
    assert jetbox("cancel", TICKET, cwd=asking.root).returncode == 0
    assert asking.types()[-2:] == ["asked.retry", "asked.cancel"]
    assert "mind the gap" in jetbox("log", cwd=asking.root).stdout


def test_speaking_makes_no_journal(place: Place) -> None:
    done = jetbox("cancel", "TICKET-001", cwd=place.root)
    assert done.returncode == 1 and "no journal" in done.stderr
    assert not Path(place.workspace.journal).exists()
