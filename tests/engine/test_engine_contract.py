"""Nothing is done on a yes that no person gave: written by hand, replayed, edited, or for another sandbox."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lab import Lab, until
from play import WORLD, Play
from unheld import Unheld

from orchestrator import config
from orchestrator import engine as engine_module
from orchestrator.actions import Close, Command, Land, Propose, Void, Wait
from orchestrator.decide import UNSANDBOXED
from orchestrator.sandbox.bare import Bare
from orchestrator.sandbox.choose import Choice
from orchestrator.sandbox.sandbox import Sandbox
from orchestrator.world import weakest
from state import chain, waterline, words
from state.approval_key import KeySealer
from state.canonical import canonical, digest, loads
from state.contract import draw_up, session_id
from state.events import New
from state.journal import Journal
from state.views import Proposal
from state.workspace import Workspace

T = "TICKET-1"
PHRASE = "run unsandboxed in lab-0"


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is looked at more often than every two seconds."""
    monkeypatch.setattr(engine_module, "PARKED", 0.1)


def held_by(name: str) -> Callable[[Workspace], Callable[[], Choice]]:
    """A sandbox of this name that holds nothing."""

    def make(workspace: Workspace) -> Callable[[], Choice]:
        backend = Bare() if name == "none" else Unheld()
        backend.name = name
        return lambda: Choice(Sandbox(backend, config.load(workspace).policy, workspace))

    return make


def genuine(lab: Lab, shown: Any, sealer: KeySealer | None = None) -> dict[str, Any]:
    """What a front would write."""
    return draw_up(shown, "me", session_id(), "a", sealer or KeySealer(), workspace=str(lab.root.resolve()))


def forge(lab: Lab, shown: Proposal, **more: Any) -> None:
    """Write an approval straight into the journal, properly chained."""
    body = {"id": shown.id, "digest": shown.digest, "by": "me", "nonce": "n", **more}
    with contextlib.closing(Journal.open(lab.workspace.journal)) as journal:
        journal.append(New("proposal.approved", body, shown.ticket, shown.attempt))


def forgeries(lab: Lab, shown: Proposal, other: Proposal, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Bodies of approvals that nobody gave, by what the ticket has to say of them."""
    real = genuine(lab, shown)
    elsewhere = draw_up(shown, "me", "s", "a", KeySealer(), workspace="/elsewhere")
    return {
        "no contract": {},
        "no contract ": {"contract": None},
        "not whole": {"contract": {"contract_version": 1, "approved": True}},
        "of version 2": {"contract": {**real, "contract_version": 2}},
        "not made with your key": {"contract": {**real, "seal": "0" * 64}},
        "not made with your key ": {"contract": genuine(lab, shown, KeySealer(tmp_path / "theirs"))},
        "not made with your key  ": {"contract": {**real, "authorized_by": "the boss"}},
        "level 0": {"contract": {**real, "level": 0}},
        "other content": {"contract": genuine(lab, other)},
        "another scope or workspace": {"contract": elsewhere},
    }


def test_an_approval_written_into_the_journal_lands_nothing_and_the_ticket_says_why(
    lab: Lab, tmp_path: Path
) -> None:
    for id_ in (T, "TICKET-2"):
        lab.ticket(id_, f"echo {id_} > {id_}.txt")
    lab.run()
    shown, other, before = lab.asks(T), lab.asks("TICKET-2"), lab.tip()
    with lab.engine():
        for why, body in forgeries(lab, shown, other, tmp_path).items():
            stale = len(lab.events(T, "proposal.stale"))
            forge(lab, shown, **body)
            voided = until(lambda n=stale: lab.events(T, "proposal.stale")[n:], why)
            assert "approval not accepted" in voided[0].body["why"] and why.strip() in voided[0].body["why"]
            again = lab.asks(T)
            assert (again.id, again.digest) == (shown.id, shown.digest)
            assert why.strip() in again.summary, "whoever looks is not told"
            assert why.strip() in lab.note(T)
            assert lab.state(T) == "review" and lab.tip() == before
        lab.approve(T)
        lab.wait(T, "landed")
    assert lab.show(f"{T}.txt") == f"{T}\n"
    lab.intact()


def test_an_approval_that_was_voided_serves_no_second_time_when_its_base_comes_back(lab: Lab) -> None:
    lab.ticket(T, "echo new > new.txt")
    lab.run()
    first, before = lab.approve(T), lab.tip()
    record = lab.events(T, "proposal.approved")[0].body
    lab.commit({"other.txt": "by hand\n"})
    lab.run()
    lab.git("reset", "-q", "--hard", before)
    lab.run()
    shown = lab.asks(T)
    assert shown.digest == first.digest
    forge(lab, shown, **record)
    lab.run()
    assert lab.tip() == before and "used or voided" in lab.asks(T).summary
    lab.approve(T)
    lab.run()
    assert lab.state(T) == "landed"


def rewrite(lab: Lab, change: Callable[[list[list[Any]]], None]) -> None:
    """Edit the database as a whole: rows, chain, views and head, so that nothing of it looks odd."""
    path = lab.workspace.journal
    with contextlib.closing(sqlite3.connect(path)) as db:
        rows = [list(row) for row in db.execute("SELECT * FROM events ORDER BY seq")]
        change(rows)
        db.execute("DELETE FROM events")
        last = chain.GENESIS
        for seq, row in enumerate(rows, 1):
            row[0], row[6] = seq, (last := chain.link(last, seq, *row[1:6]))
            db.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?)", row)
        db.execute("UPDATE meta SET value='0' WHERE key='views'")
        db.commit()
    waterline.beside(path).unlink(missing_ok=True)
    with contextlib.closing(Journal.open(path)) as journal:
        assert journal.fault() is None and journal.view_fault() is None, "the edit shows"


def body_of(row: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = loads(row[5])
    return found


def test_a_database_edited_as_a_whole_lands_nothing(lab: Lab) -> None:
    lab.ticket(T, "echo good > a.txt")
    lab.run()
    shown, before = lab.asks(T), lab.tip()

    def approve(rows: list[list[Any]]) -> None:
        body = {"id": shown.id, "digest": shown.digest, "by": "me", "nonce": "n"}
        rows.append([0, 0, T, 1, "proposal.approved", canonical(body), b""])

    rewrite(lab, approve)
    lab.run()
    assert lab.tip() == before and "no contract" in lab.asks(T).summary


def test_what_was_approved_cannot_be_exchanged_in_the_database_for_something_else(lab: Lab) -> None:
    lab.ticket(T, "echo good > a.txt")
    lab.run()
    lab.approve(T)
    before = lab.tip()
    evil = lab.git("commit-tree", "-m", "evil", "-p", before, f"{before}^{{tree}}")

    def exchange(rows: list[list[Any]]) -> None:
        (row,) = [row for row in rows if row[4] == "merge.proposed"]
        body = body_of(row)
        body["subject"]["landing"]["head"] = evil
        row[5] = canonical(body)

    rewrite(lab, exchange)
    lab.run()
    assert lab.tip() == before
    assert "other content" in lab.events(T, "proposal.stale")[0].body["why"]
    assert digest(lab.asks(T).subject) == lab.asks(T).digest


def test_a_harmless_diff_shown_for_another_tree_lands_nothing(lab: Lab) -> None:
    lab.ticket(T, "echo good > a.txt")
    lab.run()
    first, before = lab.asks(T), lab.tip()
    lab.write({"evil.txt": "evil\n"})
    lab.git("add", "evil.txt")
    evil = lab.git("write-tree")
    lab.git("reset", "-q")

    def exchange(rows: list[list[Any]]) -> None:
        for row in rows:
            body = body_of(row)
            if row[4] == "action.outcome" and body["key"].startswith("merge:"):
                result = body["result"]
                body["result"] = {**result, "tree": evil, "head_tree": evil}
                body["result"]["landing"] = {**result["landing"], "tree": evil}
                row[5] = canonical(body)

    rewrite(lab, exchange)
    lab.run()
    shown = lab.asks(T)
    assert (shown.subject["tree"], shown.diff) == (evil, first.diff)
    lab.approve(T)
    lab.run()
    assert lab.tip() == before and lab.show("evil.txt") is None
    assert "not what would land" in lab.asks(T).summary


def test_what_the_journal_alone_calls_landed_touches_no_checkout_and_fails(lab: Lab) -> None:
    lab.ticket(T, "echo theirs > shared.txt")
    lab.run()
    shown, before = lab.asks(T), lab.tip()
    merge = next(e for e in lab.events(T, "action.outcome") if e.body["key"].startswith("merge:"))
    trees = {"tree": merge.body["result"]["tree"], "old_tree": merge.body["result"]["base_tree"]}
    done = {"key": f"land:{shown.id}", "task": "Land", "title": "land", "intent": 0, "status": "done"}
    with contextlib.closing(Journal.open(lab.workspace.journal)) as journal:
        approved = {"id": shown.id, "digest": shown.digest, "by": "me", "nonce": "n"}
        journal.append(
            New("proposal.approved", approved, T, 1),
            New("action.outcome", {**done, "result": {"commit": "c" * 40, **trees}}, T, 1),
            New("proposal.used", {"id": shown.id}, T, 1),
        )
    lab.run()
    assert lab.tip() == before and (lab.root / "shared.txt").read_text() == "first\n"
    assert lab.state(T) == "failed" and "git does not" in lab.note(T)


@pytest.mark.parametrize("kind", ["start", "budget", "human"])
def test_a_forged_yes_starts_nothing_grants_nothing_and_says_nothing_for_a_person(
    lab: Lab, kind: str
) -> None:
    marker = lab.root / ".git" / "marker"
    keys: dict[str, dict[str, Any]] = {
        "start": {"approve": ["start"]},
        "budget": {"budget": {"time": "1s"}},
        "human": {"accept": [{"human": "does it look right?"}]},
    }
    first = "sleep 30" if kind == "budget" else "echo 1 > a.txt"
    lab.ticket(T, first, f"touch {marker}" if kind != "human" else "true", **keys[kind])
    lab.run()
    shown = lab.asks(T, "start" if kind == "start" else "question")
    forge(lab, shown)
    lab.run()
    again = lab.asks(T, shown.kind)
    assert again.digest == shown.digest and "no contract" in again.summary
    assert not marker.exists() and not [p for p in lab.inbox() if p.kind == "merge"]


def test_an_approval_from_before_contracts_is_asked_again_and_history_stays(lab: Lab) -> None:
    for id_ in (T, "TICKET-2"):
        lab.ticket(id_, f"echo {id_} > {id_}.txt")
    lab.run()
    lab.approve(T)
    lab.run()
    landed = lab.tip()
    lab.approve("TICKET-2")

    def older(rows: list[list[Any]]) -> None:
        for row in rows:
            if row[4] == "proposal.approved":
                body = body_of(row)
                row[5] = canonical({k: v for k, v in body.items() if k != "contract"})

    rewrite(lab, older)
    lab.run()
    assert lab.state(T) == "landed" and lab.tip() == landed
    assert lab.state("TICKET-2") == "review" and lab.asks("TICKET-2")


# Rolling back ----------------------------------------------------------------------------------------


def test_a_forged_word_rolls_nothing_back(lab: Lab) -> None:
    lab.ticket(T, "echo new > new.txt")
    lab.run()
    lab.approve(T)
    lab.run()
    landed, others = lab.tip(), lab.events(T, "proposal.approved")[0].body["contract"]
    for contract in (None, {}, others):
        with contextlib.closing(Journal.open(lab.workspace.journal)) as journal:
            journal.append(New("asked.rollback", {"by": "me", "contract": contract}, T))
        lab.run()
        assert lab.tip() == landed and lab.state(T) == "landed"
        assert "roll back not accepted" in lab.note(T)
    lab.say(words.rollback, T)
    lab.run()
    assert lab.state(T) == "cancelled" and lab.show("new.txt") is None


def test_a_forged_plan_of_a_rollback_is_not_landed(lab: Lab) -> None:
    lab.ticket(T, "echo new > new.txt")
    lab.run()
    lab.approve(T)
    lab.run()
    subject = lab.proposals(T)[-1].subject
    lab.write({"evil.txt": "evil\n"})
    lab.git("add", "evil.txt")
    evil = {"tree": lab.git("write-tree"), "base": lab.tip(), "head": lab.tip(), "trailers": []}
    lab.git("reset", "-q")
    lab.say(words.rollback, T)
    with contextlib.closing(Journal.open(lab.workspace.journal)) as journal:
        body = {"key": "rollback", "task": "Roll back", "title": "undo", "action": "RollBack"}
        args = {"landing": {**subject["landing"], **evil}}
        journal.append(New("action.intent", {**body, "args": args}, T, 1))
    lab.run()
    assert lab.state(T) == "cancelled" and lab.show("evil.txt") is None and lab.show("new.txt") is None


# Sandbox and consent ---------------------------------------------------------------------------------


def test_a_proposal_says_what_held_its_commands_and_a_weaker_sandbox_voids_it(lab: Lab) -> None:
    lab.sandbox = held_by("bubblewrap")
    lab.ticket(T, "echo new > new.txt")
    lab.run()
    first, before = lab.approve(T), lab.tip()
    assert first.subject["isolation"] == "bubblewrap"
    assert first.subject["policy"] == config.load(lab.workspace).policy.digest
    lab.sandbox = held_by("landlock")
    lab.run()
    assert lab.tip() == before
    second = lab.asks(T)
    assert second.subject["isolation"] == "landlock" and second.digest != first.digest
    assert "isolation was bubblewrap and is landlock now" in lab.events(T, "proposal.stale")[0].body["why"]
    lab.sandbox = held_by("bubblewrap")
    lab.approve(T)
    lab.run()
    assert lab.state(T) == "review", "the approval of another sandbox landed"
    assert lab.asks(T).subject["isolation"] == "bubblewrap"


def test_another_policy_voids_a_proposal(lab: Lab) -> None:
    lab.ticket(T, "echo new > new.txt")
    lab.run()
    first = lab.asks(T)
    lab.write({"jetbox.yaml": "sandbox:\n  limits:\n    processes: 64\n"})
    lab.run()
    assert lab.asks(T).subject["policy"] != first.subject["policy"]
    assert [p.state for p in lab.proposals(T)] == ["stale", "open"]


def test_without_a_sandbox_nothing_runs_before_a_person_consents_and_consent_ends_with_the_engine(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab()
    lab.sandbox = held_by("none")
    marker = lab.root / ".git" / "marker"
    lab.ticket(T, f"touch {marker}", "echo 1 > a.txt")
    with lab.engine():
        lab.wait_note(T, "no sandbox holds")
        assert lab.note(T) == UNSANDBOXED and not marker.exists()
        with contextlib.closing(Journal.open(lab.workspace.journal)) as journal:
            found = journal.views.session()
            assert found is not None and found.isolation == "none"
            journal.append(New("consent.given", {"by": "me", "phrase": PHRASE, "session": found.seq}))
        lab.ticket("TICKET-2", f"touch {marker}")
        lab.wait_note("TICKET-2", "no sandbox holds")
        assert not marker.exists(), "a consent that nobody gave"
        lab.say(words.consent, PHRASE)
        until(marker.exists, "the command")
        assert lab.asks(T).subject["isolation"] == "none"
    lab.ticket("TICKET-3", "echo 3 > c.txt")
    with lab.engine():
        lab.wait_note("TICKET-3", "no sandbox holds")
        assert lab.asks(T)


def test_what_needs_no_command_needs_no_consent(lab: Lab) -> None:
    lab.sandbox = held_by("none")
    lab.data(T)
    lab.run()
    assert lab.state(T) == "landed"


def test_a_rollback_by_command_waits_for_consent(lab: Lab) -> None:
    marker = lab.root / ".git" / "marker"
    lab.ticket(T, "echo 1 > a.txt", rollback={"sh": f"rm -f a.txt; echo x >> {marker}"})
    lab.run()
    lab.approve(T)
    lab.run()
    landed, rehearsed = lab.tip(), marker.read_text()
    lab.sandbox = held_by("none")
    lab.say(words.rollback, T)
    with lab.engine():
        lab.wait_note(T, "no sandbox holds")
        assert lab.tip() == landed and marker.read_text() == rehearsed
        lab.say(words.consent, PHRASE)
        lab.wait(T, "cancelled")
    assert lab.show("a.txt") is None


# What decides, alone -----------------------------------------------------------------------------------


def test_the_weakest_isolation_counts() -> None:
    order = ["none", "job", "landlock", "bubblewrap"]
    for at, name in enumerate(order):
        assert weakest(reversed(order[at:])) == name
    assert weakest(["sandbox-exec", "bubblewrap"]) == "sandbox-exec"
    assert weakest(["landlock", "heard-of-nowhere"]) == "heard-of-nowhere"
    assert weakest(["none", "heard-of-nowhere"]) == "none"


@pytest.mark.parametrize("what", ["step:", "check:", "rehearse:"])
@pytest.mark.parametrize("said", ["landlock", "none", None])
def test_evidence_made_under_less_stands_in_the_proposal(what: str, said: str | None) -> None:
    play = Play()
    merge = play.until(Propose)
    assert merge.subject["isolation"] == "bubblewrap"
    attempt = play.now
    key = next(key for key in attempt.done if key.startswith(what))
    result = {k: v for k, v in attempt.done[key].result.items() if k != "isolation"}
    weaker = replace(attempt.done[key], result=result if said is None else {**result, "isolation": said})
    play.attempt = replace(attempt, done={**attempt.done, key: weaker})
    assert play.next().subject["isolation"] == (said or "none")  # type: ignore[union-attr]


@pytest.mark.parametrize("spec", [{}, {"approve": []}, {"approve": ["network"]}])
def test_a_ticket_cannot_do_with_fewer_approvals_than_its_kind(spec: dict[str, Any]) -> None:
    play = Play(**spec)
    play.carry_out(play.until(Propose))
    assert play.next() == Wait(None)
    play.answer("used")
    assert not isinstance(play.next(), Land)


def test_a_refused_approval_is_voided_before_anything_else_is_done_on_it() -> None:
    play = Play(approve=["start"])
    ask = play.next()
    play.carry_out(ask)
    play.answer()
    word = play.now.words[0]
    for obstacle in (None, "no server"):
        decision = play.next(replace(WORLD, refused={word.id: "forged"}, obstacle=obstacle))
        assert decision == Void(word.id, "approval not accepted: forged")
    play.carry_out(decision)
    again = play.next()
    assert isinstance(again, Propose)
    assert again.subject == ask.subject and "forged" in again.summary  # type: ignore[union-attr]


def test_an_approval_marked_as_used_without_a_landing_lands_nothing() -> None:
    play = Play()
    play.until(Land)
    word = play.now.words[-1]
    play.tell("proposal.used", id=word.id)
    decision = play.next()
    assert isinstance(decision, Wait) and "nothing landed" in (decision.why or "")


@pytest.mark.parametrize("state", ["open", "approved"])
def test_a_new_isolation_or_policy_voids_what_is_open_or_approved(state: str) -> None:
    for change in ({"policy": "p2"}, {"isolation": "landlock"}, {"isolation": "none", "consent": True}):
        play = Play()
        play.carry_out(play.until(Propose))
        if state == "approved":
            play.answer()
        world = replace(WORLD, **change)
        decision = play.next(world)
        assert isinstance(decision, Void), change
        play.carry_out(decision)
        fresh = play.next(world)
        assert isinstance(fresh, Propose)
        assert {k: fresh.subject[k] for k in change if k != "consent"} == {
            k: v for k, v in change.items() if k != "consent"
        }


def test_no_decision_runs_a_command_without_sandbox_or_consent() -> None:
    bare = replace(WORLD, isolation="none")
    play = Play(rollback={"sh": "undo it"})
    for _ in range(40):
        decision = play.next(replace(bare, consent=True))
        without = play.next(bare)
        runs = type(decision).__name__ in ("Command", "Verify", "Rehearse")
        assert without == (Wait(UNSANDBOXED) if runs else decision)
        if isinstance(decision, Land):
            break
        play.answer() if isinstance(decision, Wait) else play.carry_out(decision)
    assert isinstance(decision, Land)
    assert isinstance(Play().until(Command), Command)
    assert isinstance(play.next(replace(bare, asked="cancel")), Close)
