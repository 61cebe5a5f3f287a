"""A base that moves, a checkout that is in use, things removed by hand: nothing of the user's is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from lab import Lab, until

from orchestrator import engine as engine_module
from state import words


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the world is looked at more often than every two seconds."""
    monkeypatch.setattr(engine_module, "PARKED", 0.1)


def test_a_base_that_moves_voids_the_proposal_and_an_approval_of_the_old_one_lands_nothing(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo new > new.txt", accept=[{"run": "test -f new.txt", "red": True}])
    lab.run()
    first = lab.asks("TICKET-1")
    by_hand = lab.commit({"other.txt": "by hand\n"})
    lab.approve("TICKET-1")  # nobody has noticed yet that it is stale
    lab.run()
    assert lab.tip() == by_hand, "the old approval landed"
    second = lab.asks("TICKET-1")
    assert second.digest != first.digest
    assert second.subject["base"] == by_hand
    assert lab.receipts("TICKET-1")["test -f new.txt", "merged"]
    with pytest.raises(words.Stale):
        lab.say(words.approve, first.id, second.digest)
    lab.approve("TICKET-1")
    lab.run()
    assert (lab.state("TICKET-1"), lab.merges("TICKET-1")) == ("landed", 1)
    assert lab.show("other.txt") == "by hand\n"
    lab.intact()


def test_a_base_that_moves_while_the_engine_works_is_noticed_by_itself(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo new > new.txt")
    with lab.engine():
        first = lab.asks("TICKET-1")
        lab.commit({"other.txt": "by hand\n"})
        until(lambda: lab.inbox() and lab.inbox()[0].id != first.id, "a new proposal")
        assert [p.state for p in lab.proposals("TICKET-1")] == ["stale", "open"]
        with pytest.raises(words.Stale):
            lab.say(words.approve, first.id, first.digest)


def test_a_base_that_comes_back_brings_the_same_proposal_back(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo new > new.txt")
    lab.run()
    first, before = lab.asks("TICKET-1"), lab.tip()
    lab.commit({"other.txt": "by hand\n"})
    lab.run()
    assert lab.asks("TICKET-1").id != first.id
    lab.git("reset", "-q", "--hard", before)
    lab.run()
    assert lab.asks("TICKET-1").digest == first.digest
    lab.approve("TICKET-1")
    lab.run()
    assert (lab.state("TICKET-1"), lab.merges("TICKET-1")) == ("landed", 1)
    lab.intact()


def test_two_tickets_on_one_base_land_after_each_other_and_both_are_there(lab: Lab) -> None:
    for id_ in ("TICKET-1", "TICKET-2"):
        lab.ticket(id_, f"echo {id_} > {id_}.txt", accept=[{"run": f"test -f {id_}.txt", "red": True}])
    lab.run()
    lab.approve("TICKET-1")
    lab.approve("TICKET-2")
    lab.run()
    done = [id_ for id_ in ("TICKET-1", "TICKET-2") if lab.state(id_) == "landed"]
    assert len(done) == 1, "both landed on the base of which each was checked alone"
    (other,) = {"TICKET-1", "TICKET-2"} - set(done)
    lab.approve(other)
    lab.run()
    assert [lab.merges(id_) for id_ in ("TICKET-1", "TICKET-2")] == [1, 1]
    assert lab.git("status", "--porcelain", "--", ":!tickets") == ""
    lab.intact()


def test_a_conflict_is_a_readable_end_and_touches_no_checkout(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo theirs > shared.txt")
    lab.run()
    tip = lab.commit({"shared.txt": "by hand\n"})
    lab.run()
    assert lab.state("TICKET-1") == "failed"
    assert "conflicts with its base in shared.txt" in lab.note("TICKET-1")
    assert (lab.tip(), (lab.root / "shared.txt").read_text()) == (tip, "by hand\n")
    assert lab.git("status", "--porcelain", "--", ":!tickets") == ""
    lab.intact()
    lab.say(words.retry, "TICKET-1")
    lab.run()
    lab.approve("TICKET-1")
    lab.run()
    assert (lab.state("TICKET-1"), lab.show("shared.txt")) == ("landed", "theirs\n")


def test_unfinished_work_in_the_way_waits_with_a_line_and_lands_by_itself_once_clean(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo theirs > shared.txt; echo theirs > new.txt")
    before = lab.tip()
    with lab.engine():
        lab.asks("TICKET-1")
        lab.write({"shared.txt": "my unfinished change\n", "new.txt": "mine, untracked\n"})
        lab.approve("TICKET-1")
        lab.wait_note("TICKET-1", "shared.txt")
        assert "new.txt" in lab.note("TICKET-1")
        assert lab.tip() == before
        assert (lab.root / "shared.txt").read_text() == "my unfinished change\n"
        assert (lab.root / "new.txt").read_text() == "mine, untracked\n"
        lab.git("checkout", "-q", "--", "shared.txt")
        (lab.root / "new.txt").unlink()
        lab.wait("TICKET-1", "landed")
    assert (lab.root / "shared.txt").read_text() == "theirs\n"
    lab.intact()


def test_other_unfinished_work_stays_as_it_is_to_the_byte(lab: Lab) -> None:
    lab.write({"mine.txt": "mine\nunfinished\n", "notes/ü n.txt": "untracked\n", "staged.txt": "staged\n"})
    lab.git("add", "staged.txt")
    before = lab.git("status", "--porcelain", "-uall", "--", ":!tickets")
    lab.ticket("TICKET-1", "echo theirs > shared.txt")
    lab.run()
    lab.approve("TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "landed"
    assert lab.git("status", "--porcelain", "-uall", "--", ":!tickets") == before
    assert (lab.root / "mine.txt").read_text() == "mine\nunfinished\n"
    assert (lab.root / "notes/ü n.txt").read_text() == "untracked\n"
    assert (lab.root / "shared.txt").read_text() == "theirs\n"


def test_a_detached_head_says_what_to_do_and_starts_once_a_branch_is_there(lab: Lab) -> None:
    lab.git("checkout", "-q", "--detach")
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    with lab.engine():
        lab.wait_note("TICKET-1", "no branch is checked out")
        lab.git("checkout", "-q", "main")
        lab.asks("TICKET-1")


def test_a_repository_without_commits_says_so_and_starts_with_the_first(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(commit=False)
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    with lab.engine():
        lab.wait_note("TICKET-1", "no commit yet")
        lab.commit({"first.txt": "1\n"})
        lab.asks("TICKET-1")


def test_landing_leaves_a_checkout_of_another_branch_alone(lab: Lab) -> None:
    lab.write({"jetbox.yaml": "base: main\n"})
    lab.git("checkout", "-q", "-b", "elsewhere")
    lab.ticket("TICKET-1", "echo theirs > shared.txt")
    lab.run()
    lab.approve("TICKET-1")
    lab.run()
    assert (lab.state("TICKET-1"), lab.show("shared.txt")) == ("landed", "theirs\n")
    assert (lab.root / "shared.txt").read_text() == "first\n"
    lab.intact()


def test_a_base_branch_deleted_by_hand_is_waited_for(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    with lab.engine():
        lab.asks("TICKET-1")
        before = lab.tip()
        lab.git("update-ref", "-d", "refs/heads/main")
        lab.wait_note("TICKET-1", "the branch main is gone")
        lab.git("update-ref", "refs/heads/main", before)
        lab.approve("TICKET-1")
        lab.wait("TICKET-1", "landed")
    assert lab.merges("TICKET-1") == 1
    lab.intact()


@pytest.mark.parametrize("what", ["worktree", "branch", "refs", "worktree and branch"])
def test_what_is_removed_by_hand_while_it_waits_is_made_again_or_not_needed(lab: Lab, what: str) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt", "echo 2 > b.txt")
    lab.run()
    if "worktree" in what:
        shutil.rmtree(lab.workspace.worktree("TICKET-1", 1))
    for ref in lab.git("for-each-ref", "--format=%(refname)").split():
        private = ref.startswith("refs/jetbox/") and what == "refs"
        if private or (ref.startswith("refs/heads/ticket/") and "branch" in what):
            lab.git("update-ref", "-d", ref)
    lab.approve("TICKET-1")
    lab.run()
    assert (lab.state("TICKET-1"), lab.merges("TICKET-1")) == ("landed", 1)
    assert (lab.show("a.txt"), lab.show("b.txt")) == ("1\n", "2\n")
    lab.intact()


def test_a_worktree_removed_while_a_command_runs_is_made_again_at_the_last_checkpoint(lab: Lab) -> None:
    gate = lab.root / ".git" / "gate"
    lab.ticket("TICKET-1", "echo 1 > a.txt", f"while ! test -e {gate}; do sleep 0.02; done; echo 2 > b.txt")
    with lab.engine():
        until(lambda: any(e.body["key"] == "step:1" for e in lab.events("TICKET-1", "action.intent")))
        shutil.rmtree(lab.workspace.worktree("TICKET-1", 1))
        gate.touch()
        lab.asks("TICKET-1")
        lab.approve("TICKET-1")
        lab.wait("TICKET-1", "landed")
    assert (lab.show("a.txt"), lab.show("b.txt")) == ("1\n", "2\n")
    lab.intact()


def test_a_command_that_takes_its_own_worktree_away_ends_the_ticket_with_a_line(lab: Lab) -> None:
    lab.ticket("TICKET-1", 'rm -rf "$PWD"')
    lab.run()
    assert lab.state("TICKET-1") == "failed"
    assert "was removed while" in lab.note("TICKET-1")
    assert len(lab.events("TICKET-1", "action.intent")) < 20
    lab.intact()


def test_a_file_in_the_place_of_the_worktree_is_not_deleted_and_the_line_says_so(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt")
    with lab.engine():
        lab.asks("TICKET-1")
        path = lab.workspace.worktree("TICKET-1", 1)
        shutil.rmtree(path)
        path.write_text("mine\n")
        lab.say(words.cancel, "TICKET-1")
        lab.wait_note("TICKET-1", "move it away")
        assert path.read_text() == "mine\n"
        path.unlink()
        lab.wait("TICKET-1", "cancelled")
    lab.intact()


def test_the_trash_removed_by_hand_is_told_when_it_is_asked_for(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo 1 > a.txt", "false")
    lab.run()
    lab.git("update-ref", "-d", "refs/jetbox/trash/TICKET-1/1")
    lab.say(words.restore, "TICKET-1")
    lab.run()
    assert lab.note("TICKET-1") == "nothing of attempt 1 is in the trash"
    lab.intact()


def test_the_users_index_held_by_their_git_holds_nothing_else_up_for_good(lab: Lab) -> None:
    lab.ticket("TICKET-1", "echo theirs > shared.txt")
    with lab.engine():
        lab.asks("TICKET-1")
        lock = lab.root / ".git" / "index.lock"
        lock.touch()
        lab.approve("TICKET-1")
        lab.wait_note("TICKET-1", "index.lock")
        assert lock.exists(), "the user's lock was taken away"
        lock.unlink()
        lab.wait("TICKET-1", "landed")
    assert lab.git("status", "--porcelain", "--", ":!tickets") == ""
    assert (lab.root / "shared.txt").read_text() == "theirs\n"
    lab.intact()
