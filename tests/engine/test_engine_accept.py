"""What is accepted is proven: each way in which evidence can be missing or wrong keeps a change out."""

from __future__ import annotations

import pytest
from lab import Lab

from state import words
from state.views import Card


def ended(lab: Lab, id_: str) -> Card:
    card = lab.card(id_)
    assert card.state == "failed", card
    assert not lab.proposals(id_), "offered although its evidence is bad"
    assert lab.merges(id_) == 0
    lab.intact()
    return card


def test_a_change_lands_only_with_its_approval_and_then_exactly_once(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo new > new.txt", accept=[{"run": "test -f new.txt", "red": True}])
    before = lab.tip()
    lab.run()
    assert (lab.state("TICKET-1"), lab.tip()) == ("review", before)
    shown = lab.approve("TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "landed"
    assert lab.git("rev-parse", "main^{tree}") == shown.subject["tree"]
    assert (lab.root / "new.txt").read_text() == "new\n"
    tip = lab.tip()
    lab.run()
    assert (lab.tip(), lab.merges("TICKET-1")) == (tip, 1)
    lab.intact()


def test_a_red_check_that_passes_on_the_base_fails_the_ticket(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo new > new.txt", accept=[{"run": "true", "red": True}])
    lab.run()
    assert "proves nothing" in ended(lab, "TICKET-1").note
    assert lab.receipts("TICKET-1") == {("true", "branch"): True, ("true", "base"): False}


def test_all_red_checks_are_told_at_once(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo new > new.txt", accept=[{"run": "exit 3"}, {"run": "exit 4"}])
    lab.run()
    note = ended(lab, "TICKET-1").note
    assert "exit 3 on the branch" in note
    assert "exit 4 on the branch" in note


def test_a_change_that_is_good_alone_but_bad_on_the_moved_base_is_not_offered(lab: Lab) -> None:
    lab.ticket(
        "TICKET-1", "echo new > new.txt", accept=[{"run": "! { test -f new.txt && test -f other.txt; }"}]
    )
    lab.run()
    assert lab.state("TICKET-1") == "review"
    lab.commit({"other.txt": "by hand\n"})
    lab.run()
    assert "on the merged" in lab.card("TICKET-1").note
    assert lab.state("TICKET-1") == "failed"
    assert lab.inbox() == []
    lab.intact()


def test_files_outside_the_tickets_paths_fail_it_and_are_named(lab: Lab) -> None:
    lab.ticket("TICKET-1", "mkdir in out; echo 1 > in/a; echo 1 > out/b", paths=["in/**"])
    lab.run()
    assert ended(lab, "TICKET-1").note == "changed outside its paths: out/b"


def test_a_ticket_that_changes_nothing_lands_without_a_merge(lab: Lab) -> None:
    before = lab.tip()
    lab.ticket("TICKET-1", "true")
    lab.run()
    assert lab.state("TICKET-1") == "landed"
    assert "changed no file" in lab.note("TICKET-1")
    assert lab.tip() == before
    lab.intact()


def test_a_step_that_fails_ends_the_ticket_and_its_work_is_in_the_trash(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo half > half.txt", "exit 7", "echo never > never.txt")
    lab.run()
    assert "ended with 7" in ended(lab, "TICKET-1").note
    assert lab.show("half.txt", "refs/jetbox/trash/TICKET-1/1") == "half\n"
    assert lab.show("never.txt", "refs/jetbox/trash/TICKET-1/1") is None


def test_an_exit_code_that_the_step_allows_is_no_failure(lab: Lab) -> None:
    lab.ticket("TICKET-1", {"run": "echo 1 > a.txt; exit 3", "ok": [0, 3]})
    lab.run()
    assert lab.state("TICKET-1") == "review"


@pytest.mark.parametrize("content, state", [("hello", "review"), ("goodbye", "failed")])
def test_a_file_check_reads_what_is_committed(lab: Lab, content: str, state: str) -> None:
    lab.ticket("TICKET-1", f"echo {content} > a.txt", accept=[{"file": "a.txt", "contains": "hello"}])
    lab.run()
    assert lab.state("TICKET-1") == state


def test_a_check_sees_no_file_that_is_not_in_the_change(lab: Lab) -> None:
    lab.commit({".gitignore": "ignored.txt\n"})
    lab.write({"untracked.txt": "in the user's checkout\n"})
    steps = "echo 1 > a.txt; echo 1 > ignored.txt"
    lab.ticket("TICKET-1", steps, accept=[{"run": "test ! -e ignored.txt && test ! -e untracked.txt"}])
    lab.run()
    assert lab.state("TICKET-1") == "review"


def test_a_check_cannot_change_what_lands(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt", accept=[{"run": "echo 2 > a.txt; echo 2 > b.txt; git add -A"}])
    lab.run()
    lab.approve("TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "landed"
    assert (lab.show("a.txt"), lab.show("b.txt")) == ("1\n", None)
    lab.intact()


def test_a_persons_yes_is_evidence_and_a_no_fails_with_its_reason(lab: Lab) -> None:
    for id_ in ("TICKET-1", "TICKET-2"):
        accept = [{"run": "true"}, {"human": "Does it read well?"}]
        lab.ticket(id_, f"echo {id_} > {id_}.txt", accept=accept)
    lab.run()
    assert lab.state("TICKET-1") == "waiting"
    lab.approve("TICKET-1", "question")
    lab.deny("TICKET-2", "too long", "question")
    lab.run()
    assert lab.state("TICKET-1") == "review"
    assert lab.receipts("TICKET-1")["human: Does it read well?", "branch"]
    assert (lab.state("TICKET-2"), lab.note("TICKET-2")) == ("failed", "denied: too long")


def test_a_check_that_nobody_can_answer_waits_and_says_so(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt", accept=[{"run": "true"}, {"judge": "Is it kind?", "min": 0.5}])
    lab.run()
    assert lab.state("TICKET-1") == "waiting"
    assert "needs a model to judge" in lab.note("TICKET-1")
    assert lab.inbox() == []


def test_a_rollback_that_fails_in_rehearsal_keeps_the_change_out(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt", rollback="sh: exit 5")
    lab.run()
    assert "its rollback does not work: exit 5" in ended(lab, "TICKET-1").note


def test_a_denied_merge_fails_with_the_reason_and_the_next_attempt_is_told(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    lab.run()
    lab.deny("TICKET-1", "use b.txt")
    lab.run()
    assert (lab.state("TICKET-1"), lab.note("TICKET-1")) == ("failed", "denied: use b.txt")
    lab.say(words.retry, "TICKET-1", "and be brief")
    lab.run()
    assert lab.state("TICKET-1") == "review"
    comment = lab.events("TICKET-1", "attempt.started")[-1].body["comment"]
    assert comment.splitlines() == ["denied: use b.txt", "and be brief"]
    assert lab.attempts("TICKET-1")[-1].number == 2


def test_one_approval_serves_once(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    lab.run()
    shown = lab.approve("TICKET-1")
    with pytest.raises(words.Refused, match="approved already"):
        lab.say(words.approve, shown.id, shown.digest)
    lab.run()
    with pytest.raises(words.Refused):
        lab.say(words.approve, shown.id, shown.digest)
    assert lab.merges("TICKET-1") == 1
