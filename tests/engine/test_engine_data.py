"""Data runs outlive engines, are taken up by the next one, and are accepted by what they are."""

from __future__ import annotations

import json
import signal

import psutil
import pytest
from lab import Lab, until

from orchestrator import engine as engine_module
from state import words

BIG = 40_000  # rows: some seconds of work


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the world is looked at more often than every two seconds."""
    monkeypatch.setattr(engine_module, "PARKED", 0.1)


def child(lab: Lab) -> psutil.Process:
    """The child run at work."""
    file = lab.workspace.run("TICKET-1", 1) / "process.json"

    def there() -> psutil.Process | None:
        try:
            return psutil.Process(json.loads(file.read_bytes())["pid"])
        except (OSError, ValueError, psutil.Error):
            return None

    found: psutil.Process = until(there, "the child run")
    return found


def test_a_data_set_is_accepted_by_every_check_that_is_built_in(lab: Lab) -> None:
    before = lab.tip()
    lab.data("TICKET-1", accept=["schema", "deterministic", "provenance", {"metric": "rows", "min": 40}])
    lab.run()
    assert lab.state("TICKET-1") == "landed", lab.note("TICKET-1")
    assert set(lab.receipts("TICKET-1").values()) == {True}
    assert len(lab.receipts("TICKET-1")) == 4
    assert lab.tip() == before
    assert [p.name for p in lab.workspace.runs.glob("TICKET-1/*")] == ["1"]
    lab.intact()


def test_a_metric_out_of_bounds_and_one_that_is_not_there_fail_and_are_told(lab: Lab) -> None:
    lab.data("TICKET-1", accept=[{"metric": "rows", "min": 41}, {"metric": "beauty", "min": 1}])
    lab.run()
    assert lab.state("TICKET-1") == "failed"
    assert "rows is 40" in lab.note("TICKET-1")
    assert "beauty" in lab.note("TICKET-1")


def test_a_data_set_that_was_changed_afterwards_has_no_provenance(lab: Lab) -> None:
    lab.data("TICKET-1", accept=[{"metric": "rows", "min": 40}, {"human": "Well?"}, "provenance"])
    lab.run()
    shard = next(p for p in lab.workspace.run("TICKET-1", 1).rglob("*.jsonl*") if "events" not in p.name)
    shard.write_bytes(shard.read_bytes()[:-10])
    lab.approve("TICKET-1", "question")
    lab.run()
    assert lab.state("TICKET-1") == "failed"
    assert "provenance" in lab.note("TICKET-1")


def test_the_artifact_is_given_to_the_ticket_that_names_it(lab: Lab) -> None:
    lab.data("TICKET-1")
    steps = ['test -f "$JETBOX_INPUT_ROWS" && cp "$JETBOX_INPUT_ROWS" given.json']
    lab.ticket("TICKET-2", **{"with": {"steps": steps, "inputs": {"rows": "TICKET-1"}}})
    lab.run()
    assert lab.state("TICKET-2") == "review", lab.note("TICKET-2")
    artifact = lab.attempts("TICKET-1")[-1].artifact
    lab.approve("TICKET-2")
    lab.run()
    given = json.loads(lab.show("given.json") or "")
    assert given == json.loads((lab.root / artifact["path"]).read_bytes())


def test_a_data_run_outlives_a_killed_engine_and_is_adopted_by_the_next(lab: Lab) -> None:
    lab.data("TICKET-1", count=BIG, shards=20)
    engine = lab.spawn()
    run = child(lab)
    lab.kill(engine)
    assert run.is_running()
    assert run.status() != psutil.STATUS_ZOMBIE
    lab.run()
    assert lab.state("TICKET-1") == "landed", lab.note("TICKET-1")
    assert len([e for e in lab.events("TICKET-1", "action.intent") if e.body["key"] == "run"]) == 1
    assert child_pids(lab) == {run.pid}
    lab.intact()


def child_pids(lab: Lab) -> set[int]:
    """Every process that has worked on the run, as far as its folder still tells."""
    return {json.loads((lab.workspace.run("TICKET-1", 1) / "process.json").read_bytes())["pid"]}


def test_a_killed_child_is_taken_up_again_with_what_it_had(lab: Lab) -> None:
    lab.data("TICKET-1", count=BIG, shards=20)
    with lab.engine():
        run = child(lab)
        folder = lab.workspace.run("TICKET-1", 1)
        until(lambda: any(folder.rglob("*shard*")), "a finished shard")
        run.send_signal(signal.SIGKILL)
        lab.wait("TICKET-1", "landed", "failed")
        again = child_pids(lab)
    assert lab.state("TICKET-1") == "landed", lab.note("TICKET-1")
    assert again != {run.pid}
    lab.intact()


def test_a_stopped_engine_leaves_the_run_at_work(lab: Lab) -> None:
    lab.data("TICKET-1", count=BIG, shards=20)
    with lab.engine():
        run = child(lab)
    assert run.is_running()
    lab.run()
    assert lab.state("TICKET-1") == "landed"
    lab.intact()


def test_cancel_ends_a_data_run(lab: Lab) -> None:
    lab.data("TICKET-1", count=BIG * 50, shards=200)
    with lab.engine():
        run = child(lab)
        lab.say(words.cancel, "TICKET-1")
        lab.wait("TICKET-1", "cancelled")
    assert not run.is_running() or run.status() == psutil.STATUS_ZOMBIE
    lab.intact()


def test_cancel_after_a_kill_ends_the_run_that_a_check_was_repeating(lab: Lab) -> None:
    lab.data("TICKET-1", count=BIG, shards=20, accept=["deterministic"])
    engine = lab.spawn()
    again = lab.workspace.run("TICKET-1", 1).with_name("1-again")
    until((again / "process.json").exists, "the second making")
    lab.kill(engine)
    lab.say(words.cancel, "TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "cancelled"
    assert not again.exists()
    lab.intact()


def test_a_run_folder_of_another_request_fails_the_ticket_with_a_line(lab: Lab) -> None:
    folder = lab.workspace.run("TICKET-1", 1)
    folder.mkdir(parents=True)
    (folder / "request.json").write_text("{}\n")
    lab.data("TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "failed"
    assert "another request" in lab.note("TICKET-1")
    lab.say(words.retry, "TICKET-1")
    lab.run()
    assert lab.state("TICKET-1") == "landed"
