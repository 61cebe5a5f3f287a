"""`verify` finds whatever is not what was written; `doctor` names what is missing, with the cure."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
from cli_doubles import Place, admitted, git, jetbox, proposed, started

from state.journal import Journal


@pytest.fixture
def written(place: Place) -> Place:
    """A journal with a blob that an event names."""
    place.write(admitted(), *started(), proposed(diff=place.blob(b"the diff")))
    return place


def change(place: Place, statement: str) -> None:
    db = sqlite3.connect(place.workspace.journal)
    db.execute(statement)
    db.commit()
    db.close()


def the_blob(place: Place) -> Path:
    return next(path for path in place.workspace.blobs.rglob("*") if path.is_file())


def test_what_was_written_is_sound(written: Place) -> None:
    done = jetbox("verify", "--json", cwd=written.root)
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"ok": True, "events": 4, "blobs": 1, "fault": None, "core": None}


def test_a_changed_event_is_named_and_the_sound_part_saved(written: Place) -> None:
    change(written, "UPDATE events SET body = replace(body, 'Something', 'Anything') WHERE seq = 1")
    assert "event 1 (ticket.admitted) is not what was written" in jetbox("verify", cwd=written.root).stdout
    change(written, "UPDATE events SET body = replace(body, 'Anything', 'Something') WHERE seq = 1")
    assert jetbox("verify", cwd=written.root).returncode == 0
    change(written, "UPDATE events SET attempt = 2 WHERE seq = 3")
    done = jetbox("verify", "--copy", "sound.db", cwd=written.root)
    assert done.returncode == 1
    assert "event 3" in done.stdout and "Saved 2 events to sound.db" in done.stdout
    saved = Journal.read(written.root / "sound.db")
    try:
        assert saved.head()[0] == 2 and saved.fault() is None
    finally:
        saved.close()
    again = jetbox("verify", "--copy", "sound.db", cwd=written.root)
    assert again.returncode == 1 and "is there already" in again.stderr


def test_a_view_that_says_something_else_is_named(written: Place) -> None:
    change(written, "UPDATE tickets SET state = 'landed'")
    done = jetbox("verify", cwd=written.root)
    assert done.returncode == 1 and "the view tickets is not what the events say" in done.stdout


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_a_blob_that_is_not_what_its_name_says_is_named(written: Place, harm: str) -> None:
    blob = the_blob(written)
    if harm == "gone":
        blob.unlink()
    else:
        blob.write_bytes(b"another diff")
    done = jetbox("verify", cwd=written.root)
    assert done.returncode == 1
    assert "event 4 (merge.proposed)" in done.stdout and blob.name in done.stdout


def test_a_file_that_is_no_journal_is_refused_untouched(place: Place) -> None:
    place.workspace.home.mkdir()
    place.workspace.journal.write_bytes(b"this is no database at all, whatever it is called\n" * 100)
    before = place.workspace.journal.read_bytes()
    for arguments in (["verify"], ["status"], ["inbox"], ["log"], ["cancel", "TICKET-001"], ["run"]):
        done = jetbox(*arguments, cwd=place.root)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, (arguments, done)
    assert place.workspace.journal.read_bytes() == before


def findings(place: Place, **more: str) -> dict[str, dict[str, str]]:
    done = jetbox("doctor", "--json", cwd=place.root, **more)
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["ok"] else 1)
    return {finding["name"]: finding for finding in report["findings"]}


def test_a_sound_place_has_no_problem_and_says_what_is_not_there(written: Place) -> None:
    found = findings(written, OLLAMA_HOST="127.0.0.1:9")
    held = {"sandbox"}  # whether one holds is a fact of this machine
    assert not [name for name, finding in found.items() if finding["state"] == "problem" and name not in held]
    assert found["sandbox"]["said"]
    assert "no model server answers at 127.0.0.1:9" in found["models"]["said"] and found["models"]["cure"]
    assert found["journal"]["said"] == "sound, 4 events"
    assert "on main" in found["repository"]["said"]


def test_no_gpu_is_a_state_and_not_a_problem(place: Place, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    git_here = next(Path(p, "git") for p in os.environ["PATH"].split(os.pathsep) if Path(p, "git").exists())
    (tools / "git").symlink_to(git_here)
    found = findings(place, PATH=str(tools))
    assert (found["gpu"]["state"], found["gpu"]["said"]) == ("note", "no GPU")
    (tools / "nvidia-smi").write_text("#!/bin/sh\n")
    (tools / "nvidia-smi").chmod(0o755)
    assert findings(place, PATH=str(tools))["gpu"]["state"] == "ok"


def test_every_problem_comes_with_its_cure(written: Place, tmp_path: Path) -> None:
    change(written, "UPDATE events SET attempt = 2 WHERE seq = 3")
    written.workspace.config.write_text("parallel: many\n")
    found = findings(written)
    for name, cure in (("journal", "jetbox verify --copy"), ("settings", "jetbox check")):
        assert found[name]["state"] == "problem" and cure in found[name]["cure"], found[name]
    empty = tmp_path / "empty"
    empty.mkdir()
    without_git = findings(written, PATH=str(empty))
    assert without_git["git"]["state"] == "problem" and "install git" in without_git["git"]["cure"]


def test_a_worktree_of_no_open_attempt_is_told(written: Place) -> None:
    (written.workspace.worktrees / "TICKET-001-1").mkdir(parents=True)
    assert findings(written)["worktrees"]["state"] == "ok"
    (written.workspace.worktrees / "TICKET-099-3").mkdir()
    found = findings(written)["worktrees"]
    assert found["state"] == "note" and "TICKET-099-3" in found["said"]


def test_what_seals_an_approval_is_told_and_no_key_is_made_by_looking(place: Place, tmp_path: Path) -> None:
    homes = {name: str(tmp_path / name) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    homes |= {"APPDATA": homes["XDG_CONFIG_HOME"], "LOCALAPPDATA": homes["XDG_DATA_HOME"]}
    assert "level 1" in findings(place, **homes)["approvals"]["said"]
    assert not (tmp_path / "XDG_DATA_HOME").exists()
    config = tmp_path / "XDG_CONFIG_HOME" / "jetbox" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(f"approval: {{ssh_key: '{tmp_path / 'gone'}'}}\n")
    found = findings(place, **homes)["approvals"]
    assert found["state"] == "problem" and "gone" in found["said"] and str(config) in found["cure"]
    config.write_text("approval: {ssh_key: 7}\n")
    assert f"{config}:1:" in findings(place, **homes)["settings"]["said"]


def test_the_doctor_changes_nothing(written: Place) -> None:
    (written.root / "README").write_text("changed\n")
    index = (written.root / ".git" / "index").read_bytes()
    findings(written)
    assert (written.root / ".git" / "index").read_bytes() == index
    assert git(written.root, "status", "--porcelain").startswith(" M README")
