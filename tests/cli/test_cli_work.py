"""Running tickets in the foreground: what is told, how it ends, and the exit code that says so."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_doubles import Place, environment, git, jetbox

from state.errors import JournalError


def inbox(place: Place) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(jetbox("inbox", "--json", cwd=place.root).stdout)
    return found


def test_a_ticket_goes_from_its_file_to_the_branch_by_one_s_word(place: Place) -> None:
    place.ticket()
    first = jetbox("run", "TICKET-001", cwd=place.root)
    assert first.returncode == 3, first.stderr
    assert "asks you: merge 1 file" in first.stdout
    waiting = inbox(place)
    assert [entry["ticket"] for entry in waiting] == ["TICKET-001"]
    assert not (place.root / "greeting.txt").exists()

    done = jetbox("approve", waiting[0]["id"], "--digest", waiting[0]["digest"], cwd=place.root)
    assert done.returncode == 0
    second = jetbox("run", "TICKET-001", cwd=place.root)
    assert second.returncode == 0, second.stderr
    assert "landed" in second.stdout
    assert (place.root / "greeting.txt").read_text() == "hello"
    assert git(place.root, "show", "main:greeting.txt") == "hello"
    assert jetbox("run", "TICKET-001", cwd=place.root).returncode == 0
    assert jetbox("verify", cwd=place.root).returncode == 0


def test_a_red_check_is_code_1_and_told(place: Place) -> None:
    place.ticket(contains="goodbye")
    done = jetbox("run", "--until", "idle", cwd=place.root)
    assert done.returncode == 1
    assert "red on the branch: file greeting.txt" in done.stdout
    # An old failure is not this run's, unless it is asked about.
    assert jetbox("run", "--until", "idle", cwd=place.root).returncode == 0
    assert jetbox("run", "TICKET-001", cwd=place.root).returncode == 1


def test_only_what_is_named_is_started(place: Place) -> None:
    place.ticket("TICKET-001")
    place.ticket("TICKET-002")
    assert jetbox("run", "TICKET-002", cwd=place.root).returncode == 3
    states = {
        t["id"]: t["state"] for t in json.loads(jetbox("status", "--json", cwd=place.root).stdout)["tickets"]
    }
    assert states == {"TICKET-001": "ready", "TICKET-002": "review"}


def test_a_broken_and_an_unknown_ticket_are_code_2(place: Place) -> None:
    place.ticket()
    (place.workspace.tickets / "TICKET-002.yaml").write_text("kind: run\n")
    unknown = jetbox("run", "TICKET-404", cwd=place.root)
    assert unknown.returncode == 2 and "no ticket TICKET-404" in unknown.stderr
    assert not place.workspace.journal.exists()
    broken = jetbox("run", "TICKET-002", cwd=place.root)
    assert broken.returncode == 2 and "TICKET-002 did not start" in broken.stderr
    (place.root / "jetbox.yaml").write_text("parallel: many\n")
    settings = jetbox("run", cwd=place.root)
    assert settings.returncode == 2 and "jetbox.yaml:1:" in settings.stderr


def test_a_ticket_whose_needs_have_not_landed_says_so(place: Place) -> None:
    place.ticket("TICKET-001")
    place.ticket("TICKET-002")
    path = place.workspace.tickets / "TICKET-002.yaml"
    path.write_text(path.read_text() + "needs: [TICKET-001]\n")
    done = jetbox("run", "TICKET-002", cwd=place.root)
    assert done.returncode == 1
    assert "TICKET-002 did not start: needs TICKET-001" in done.stderr


def engine(place: Place, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "orchestrator.main", *arguments],
        cwd=place.root,
        env=environment(place.root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_engine(place: Place) -> None:
    """Until an engine has said that it works: from then on it heeds signals."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with contextlib.suppress(JournalError):
            if "engine.started" in place.types():
                return
        time.sleep(0.05)
    raise AssertionError("no engine came")


def test_a_second_engine_is_refused_and_stop_ends_the_first(place: Place) -> None:
    child = engine(place, "engine", str(place.root))
    try:
        wait_for_engine(place)
        second = jetbox("run", "--until", "idle", cwd=place.root)
        assert second.returncode == 1 and f"process {child.pid}" in second.stderr
        assert second.stderr.count("\n") == 1
        assert jetbox("stop", cwd=place.root).stdout == "The engine has left\n"
        assert child.wait(30) == 0
        assert jetbox("stop", cwd=place.root).stdout == "No engine runs\n"
    finally:
        child.kill()
        child.communicate()


@pytest.mark.skipif(os.name != "posix", reason="no SIGINT for another process there")
def test_ctrl_c_ends_a_run_in_order(place: Place) -> None:
    child = engine(place, "run")
    try:
        wait_for_engine(place)
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130
        assert "Traceback" not in child.communicate()[1]
        assert place.types()[-1] == "engine.stopped"
    finally:
        child.kill()
        child.communicate()


def test_the_engine_started_behind_the_cockpit_outlives_its_starter(place: Place) -> None:
    starter = (
        "import sys; from pathlib import Path; from orchestrator.background import spawn;"
        "from orchestrator.workspaces import find, set_up; w = find(Path.cwd()); set_up(w); spawn(w)"
    )
    subprocess.run(
        [sys.executable, "-P", "-c", starter], cwd=place.root, env=environment(place.root), check=True
    )
    try:
        wait_for_engine(place)
        engine = json.loads(jetbox("status", "--json", cwd=place.root).stdout)["engine"]
        assert engine["state"] == "running" and engine["pid"]
    finally:
        stopped = jetbox("stop", cwd=place.root)
    assert stopped.returncode == 0
    assert (place.workspace.home / "engine.log").read_text() == ""


# Tickets by the command line ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["run", "datagen", "code"])
def test_a_new_ticket_loads_and_never_takes_a_number_twice(place: Place, kind: str) -> None:
    first = jetbox("new", kind, 'Say "hello": to all # of them', cwd=place.root)
    assert first.stdout == "tickets/TICKET-001.yaml\n"
    assert jetbox("new", kind, "Another goal for it", cwd=place.root).stdout == "tickets/TICKET-002.yaml\n"
    assert json.loads(jetbox("check", "--json", cwd=place.root).stdout) == {
        "ok": True,
        "files": 2,
        "problems": [],
    }
    wrong = jetbox("new", "rnu", "Another goal for it", cwd=place.root)
    assert wrong.returncode == 2 and "did you mean 'run'?" in wrong.stderr
    assert jetbox("new", kind, "short", cwd=place.root).returncode == 2
    assert len(list(place.workspace.tickets.iterdir())) == 2


def test_check_tells_every_fault_of_every_file_at_its_place(place: Place) -> None:
    place.ticket("TICKET-001")
    tickets = place.workspace.tickets
    (tickets / "TICKET-002.yaml").write_text("kind: rnu\ngoal: short\naccept: []\n")
    path = tickets / "TICKET-003.yaml"
    path.write_text((tickets / "TICKET-001.yaml").read_text() + "needs: [TICKET-404]\n")
    done = jetbox("check", cwd=place.root)
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    for wanted in (
        "tickets/TICKET-002.yaml:1:7: kind: ", "tickets/TICKET-002.yaml:2:7: goal: ",
        "tickets/TICKET-002.yaml:3:9: accept: ", "tickets/TICKET-003.yaml:8:9: needs: ",
    ):  # fmt: skip
        assert any(line.startswith(wanted) for line in lines), (wanted, lines)
    only = jetbox("check", "TICKET-003.yaml", "--json", cwd=tickets)
    assert only.returncode == 2
    assert [p["file"] for p in json.loads(only.stdout)["problems"]] == ["tickets/TICKET-003.yaml"]
    assert jetbox("check", "tickets/TICKET-001.yaml", cwd=place.root).returncode == 0
    assert jetbox("check", "tickets/TICKET-009.yaml", cwd=place.root).returncode == 2


# Data without a ticket ----------------------------------------------------------------------------------


def test_tickets_of_a_data_set_a_model_and_its_measurement_fit_together_as_they_are_made(
    place: Place,
) -> None:
    for kind in ("datagen", "train", "eval"):
        assert jetbox("new", kind, "A goal for this ticket", cwd=place.root).returncode == 0
    checked = json.loads(jetbox("check", "--json", cwd=place.root).stdout)
    assert checked == {"ok": True, "files": 3, "problems": []}


def data(out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return jetbox("data", "text/worked-steps", "--out", str(out), "--count", "200", *more, cwd=out.parent)


def test_data_is_made_without_a_ticket_and_the_same_again(tmp_path: Path) -> None:
    first = data(tmp_path / "a", "--seed", "3", "--shards", "2", "--json")
    assert first.returncode == 0, first.stderr
    lines = [json.loads(line) for line in first.stdout.splitlines()]
    assert {"progress", "artifact", "result"} <= {line["type"] for line in lines}
    result = lines[-1]
    assert result["type"] == "result" and result["ok"] and result["metrics"]["rows"] == 200
    assert json.loads(Path(result["manifest"]).read_text())["count"] == 200
    again = json.loads(data(tmp_path / "b", "--seed", "3", "--shards", "2", "--json").stdout.splitlines()[-1])
    assert again["sha256"] == result["sha256"]
    assert data(tmp_path / "a", "--seed", "3", "--shards", "2").returncode == 0
    other = data(tmp_path / "a", "--seed", "4", "--shards", "2")
    assert other.returncode == 1 and "another request" in other.stderr


def test_an_unknown_recipe_makes_nothing(tmp_path: Path) -> None:
    done = jetbox("data", "text/worked-step", "--out", "x", cwd=tmp_path)
    assert done.returncode == 2 and "did you mean 'text/worked-steps'?" in done.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.skipif(os.name != "posix", reason="no SIGINT for another process there")
def test_a_data_run_that_is_stopped_leaves_nothing_running(tmp_path: Path) -> None:
    from orchestrator import runs

    out = tmp_path / "out"
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "orchestrator.main", "data", "text/worked-steps", "--out", str(out),
         "--count", "500000"],
        env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert "rows" in child.stdout.readline()
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 130 and "goes on" in said and "Traceback" not in said
    assert not runs.alive(out)
