"""Promises of landing: the base is old or new, the checkout is not touched, and "landed" is what is."""

from __future__ import annotations

from pathlib import Path

import pytest
from git_project import WHEN, WHO, Project

from orchestrator import landing
from orchestrator.git import Repo
from orchestrator.landing import Landing, NotLanded

MAIN = "refs/heads/main"


def test_a_landing_is_one_commit_with_its_trailers_however_often_it_is_made(project: Project) -> None:
    head = project.change({"a.txt": "new\n"})
    plan = project.landing(head)
    plan = Landing(**{**vars(plan), "trailers": (("Jetbox-Chain", "ab\ncd"),)})
    commit = plan.commit(project.repo)
    assert Landing(**vars(plan)).commit(Repo.open(project.root)) == commit
    assert landing.land(project.repo, plan) == "landed"
    assert project.git("rev-parse", "main") == commit
    assert project.git("log", "-1", "--format=%P", commit).split() == [plan.base, head]
    trailers = project.git("log", "-1", "--format=%(trailers)", commit).splitlines()
    assert trailers == ["Jetbox-Ticket: J-1", "Jetbox-Attempt: 1", "Jetbox-Chain: ab cd"]
    assert (
        project.git("log", "-1", "--format=%an %ae %cn %ct", commit) == "Ada ada@example.org Ada 1700000000"
    )


def test_landing_twice_lands_once(project: Project) -> None:
    plan = project.landing(project.change({"a.txt": "new\n"}))
    assert landing.state(project.repo, plan) == "not-landed"
    assert landing.land(project.repo, plan) == landing.land(project.repo, plan) == "landed"
    assert project.git("rev-list", "--count", "--first-parent", "main") == "2"


def test_a_base_that_moved_is_not_touched(project: Project) -> None:
    plan = project.landing(project.change({"a.txt": "new\n"}))
    moved = project.commit({"b.txt": "meanwhile\n"})
    assert landing.land(project.repo, plan) == "base-moved"
    assert project.git("rev-parse", "main") == moved


def test_a_commit_that_changes_nothing_lands_and_leaves_the_checkout_as_it_is(project: Project) -> None:
    project.write({"a.txt": "dirty\n"})
    plan, before = project.landing(project.change({})), project.everything()
    assert landing.obstacles(project.repo, plan) == []
    assert landing.land(project.repo, plan) == "landed"
    old = project.repo.tree_of(plan.base)
    assert landing.follow_up(project.repo, project.root, old, plan.tree).done == ()
    assert project.everything() == before


def test_a_landing_under_newer_commits_is_still_landed(project: Project) -> None:
    plan = project.landing(project.change({"a.txt": "new\n"}))
    landing.land(project.repo, plan)
    project.git("reset", "-q", "--hard")
    project.commit({"b.txt": "later\n"})
    assert landing.state(project.repo, plan) == landing.land(project.repo, plan) == "landed"


def test_a_base_removed_by_hand_is_said_and_not_made_again(project: Project) -> None:
    plan = project.landing(project.change({"a.txt": "new\n"}))
    project.git("checkout", "-q", "--detach")
    project.git("branch", "-q", "-D", "main")
    assert landing.land(project.repo, plan) == "base-moved"
    assert project.repo.resolve(MAIN) is None


def test_landing_leaves_the_checkout_and_the_index_to_the_user(project: Project) -> None:
    project.write({"a.txt": "dirty\n", "mine.txt": "mine"})
    project.git("add", "a.txt")
    files, index = project.everything(), (project.root / ".git/index").read_bytes()
    landing.land(project.repo, project.landing(project.change({"b.txt": "new\n"})))
    assert project.everything() == files
    assert (project.root / ".git/index").read_bytes() == index


def test_a_merge_without_conflict_has_both_sides_and_touches_no_checkout(project: Project) -> None:
    before = project.everything()
    head = project.change({"a.txt": "from the ticket\n", "new/file": "x"})
    base = project.change({"b.txt": "meanwhile\n"})
    merged = landing.merge(project.repo, base, head)
    assert merged.conflicts == ()
    assert merged.tree is not None
    assert project.repo.show_file(merged.tree, "a.txt") == b"from the ticket\n"
    assert project.repo.show_file(merged.tree, "b.txt") == b"meanwhile\n"
    assert landing.merge(project.repo, base, head) == merged
    assert project.everything() == before


def test_a_conflict_comes_back_as_paths_and_lines(project: Project) -> None:
    name = "spaced\nbroken ü.txt"
    start = project.commit({name: "1\n", "b": "1\n"})
    merged = landing.merge(
        project.repo,
        project.change({name: "2\n", "b": None}, start),
        project.change({name: "3\n", "b": "2\n", "a.txt": "fine\n"}, start),
    )
    assert merged.tree is None
    assert sorted(merged.conflicts) == ["b", name]
    assert any("CONFLICT (content)" in m for m in merged.messages)
    assert any("modify/delete" in m for m in merged.messages)


def test_branches_without_a_common_commit_are_a_readable_conflict(project: Project) -> None:
    tree = project.git("rev-parse", "HEAD^{tree}")
    alone = project.repo.commit_tree(tree, [], "alone", WHO, WHEN)
    merged = landing.merge(project.repo, project.git("rev-parse", "HEAD"), alone)
    assert merged.tree is None
    assert merged.messages == ("the two branches have no commit in common",)


def test_a_merge_follows_the_attributes_of_the_base(project: Project) -> None:
    start = project.commit(
        {".gitattributes": "CHANGES merge=union\n*.lock -merge\n", "CHANGES": "", "x.lock": "0\n"}
    )
    ours = project.change({"CHANGES": "ours\n", "x.lock": "0\nours\n"}, start)
    theirs = project.change({"CHANGES": "theirs\n", "x.lock": "theirs\n0\n"}, start)
    assert landing.merge(project.repo, ours, theirs).conflicts == ("x.lock",)
    union = landing.merge(project.repo, ours, project.change({"CHANGES": "theirs\n"}, start))
    assert union.tree is not None
    assert sorted((project.repo.show_file(union.tree, "CHANGES") or b"").split()) == [b"ours", b"theirs"]


def test_what_is_held_outlives_a_collection_of_garbage(project: Project) -> None:
    head = project.change({"a.txt": "ticket\n"})
    project.git("update-ref", "refs/heads/ticket/J-1", head)
    base = project.commit({"b.txt": "meanwhile\n"})
    merged = landing.merge(project.repo, base, head)
    plan = project.landing(head, merged.tree)
    commit = landing.hold(project.repo, plan)
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "-q", "--prune=now")
    assert landing.land(project.repo, plan) == "landed"
    landing.release(project.repo, plan)
    assert project.git("rev-parse", "main") == commit
    assert project.repo.refs("refs/jetbox/") == {}


def test_undoing_a_landing_takes_out_what_it_brought_and_keeps_what_came_later(project: Project) -> None:
    plan = project.landing(project.change({"a.txt": "landed\n", "added": "x"}))
    landing.land(project.repo, plan)
    landed = plan.commit(project.repo)
    project.git("reset", "-q", "--hard")
    onto = project.commit({"b.txt": "later\n"})
    undone = landing.revert(project.repo, landed, onto)
    assert undone.tree is not None
    assert undone == landing.revert(project.repo, landed, onto)
    assert project.repo.show_file(undone.tree, "a.txt") == b"one\n"
    assert project.repo.show_file(undone.tree, "added") is None
    assert project.repo.show_file(undone.tree, "b.txt") == b"later\n"
    assert landing.land(project.repo, project.landing(undone.head, undone.tree)) == "landed"
    assert project.repo.is_ancestor(landed, "main")


def test_undoing_what_later_work_rests_on_is_a_readable_conflict(project: Project) -> None:
    plan = project.landing(project.change({"a.txt": "landed\n"}))
    landing.land(project.repo, plan)
    project.git("reset", "-q", "--hard")
    onto = project.commit({"a.txt": "built on it\n"})
    assert landing.revert(project.repo, plan.commit(project.repo), onto).conflicts == ("a.txt",)


def test_what_has_not_landed_cannot_be_undone(project: Project) -> None:
    other = project.change({"a.txt": "x"})
    with pytest.raises(NotLanded):
        landing.revert(project.repo, other, project.git("rev-parse", "main"))


def obstacles(project: Project, files: dict[str, str | bytes | None]) -> list[str]:
    return landing.obstacles(project.repo, project.landing(project.change(files)))


def test_changes_elsewhere_are_no_obstacle(project: Project) -> None:
    files: dict[str, str | bytes | None] = {"a.txt": "new\n"}
    assert obstacles(project, files) == []
    project.write({"b.txt": "dirty\n", "untracked": "x", "staged": "y"})
    project.git("add", "staged")
    assert obstacles(project, files) == []


def test_changed_staged_deleted_and_untracked_files_in_the_way_are_obstacles_by_name(
    project: Project,
) -> None:
    project.commit({"gone.txt": "x\n", "staged then restored": "x\n"})
    change = dict.fromkeys(
        ("a.txt", "b.txt", "gone.txt", "staged then restored", "new\nfile", "dir/c.txt"), "n\n"
    )
    head = project.change({**change, "b.txt": None})
    project.write(
        {"a.txt": "dirty\n", "b.txt": "dirty\n", "new\nfile": "mine", "staged then restored": "s\n"}
    )
    project.git("add", "staged then restored")
    project.write({"staged then restored": "x\n"})
    (project.root / "gone.txt").unlink()
    before = project.everything()
    lines = landing.obstacles(project.repo, project.landing(head))
    found = {line.split(": ", 2)[1]: line.split(": ", 2)[2] for line in lines}
    assert found == {
        "a.txt": "it has changes of yours",
        "b.txt": "it has changes of yours",
        "gone.txt": "you have deleted it",
        "staged then restored": "you have staged changes to it",
        '"new\\012file"': "a file of yours that git does not track stands there",
    }
    assert project.everything() == before


def test_a_file_that_already_holds_the_new_content_is_no_obstacle(project: Project) -> None:
    project.write({"a.txt": "new\n", "added": "same"})
    assert obstacles(project, {"a.txt": "new\n", "added": "same"}) == []


@pytest.mark.parametrize("what", ["merge", "cherry-pick", "revert", "bisect", "rebase"])
def test_an_operation_under_way_in_the_checkout_of_the_base_is_an_obstacle(
    project: Project, what: str
) -> None:
    start = project.git("rev-parse", "HEAD")
    project.git("branch", "side", project.change({"a.txt": "side\n"}))
    project.commit({"a.txt": "main\n"})
    if what == "bisect":
        project.git("bisect", "start")
    elif what == "revert":
        project.commit({"a.txt": "later\n"})
        project.git("revert", "HEAD~1", check=False)
    else:
        project.git(what, "side", check=False)
    lines = landing.obstacles(project.repo, project.landing(project.change({"b.txt": "n\n"}, "main")))
    assert any(what in line or "rebased" in line for line in lines), (lines, start)


def test_another_worktree_with_the_base_is_looked_at_and_a_detached_one_is_not(
    project: Project, tmp_path: Path
) -> None:
    project.git("checkout", "-q", "--detach")
    project.git("worktree", "add", "-q", tmp_path / "other", "main")
    project.write({"a.txt": "dirty, but not on the base\n"})
    assert landing.checked_out(project.repo, MAIN) == [tmp_path / "other"]
    assert obstacles(project, {"a.txt": "new\n"}) == []
    project.write({"a.txt": "dirty\n"}, at=tmp_path / "other")
    (line,) = obstacles(project, {"a.txt": "new\n"})
    assert line == f"In {tmp_path / 'other'}: a.txt: it has changes of yours"


def test_a_checkout_that_cannot_be_read_is_an_obstacle(project: Project) -> None:
    (project.root / ".git/index").write_bytes(b"DIRC torn")
    (line,) = obstacles(project, {"a.txt": "new\n"})
    assert "cannot be read" in line
