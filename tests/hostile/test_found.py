"""What hostile input has broken once, each by itself."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from hostile_trials import GOOD_MANIFEST, GOOD_ROW, watched

from datagen import request
from datagen.errors import RequestError
from datagen.verify import verify
from orchestrator import config, runs
from state.workspace import Workspace
from tickets.problems import MOST_PROBLEMS, TicketError

pipes = pytest.mark.skipif(sys.platform == "win32", reason="no pipes in folders there")


@pipes
@pytest.mark.parametrize("name", [runs.REQUEST, runs.PROCESS, runs.RESULT, "events.jsonl"])
def test_a_pipe_in_a_run_folder_stops_nobody(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with watched():
        assert not runs.alive(tmp_path)
        assert runs._own_process(tmp_path) is None
        assert [event["type"] for event in runs.Tail(tmp_path).read()] in ([], ["alert"])
        found = runs.result(tmp_path)
        assert found is None or not found.ok
        if name == runs.REQUEST:
            with pytest.raises(runs.RunError, match="not a regular file"):
                runs.start(tmp_path, "nothing", {"a": 1})


@pipes
def test_a_pipe_in_a_data_set_is_a_fault_of_the_set(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    os.mkfifo(tmp_path / "request.json")
    with watched():
        assert "not a regular file" in verify(tmp_path)[0]
        with pytest.raises(RequestError, match="not a regular file"):
            request.read(tmp_path)


def test_a_row_of_half_a_character_is_a_row_like_any_other(tmp_path: Path) -> None:
    """JSON can spell a lone surrogate, which no file of text can hold."""
    (tmp_path / "manifest.json").write_text(json.dumps(GOOD_MANIFEST))
    (tmp_path / "shard-00000.jsonl").write_text(json.dumps({**GOOD_ROW, "input": "\ud800"}) + "\n")
    assert any("content_sha256" in line for line in verify(tmp_path))


@pytest.mark.parametrize("name", ["jetbox.yaml", "checks.yaml"])
def test_of_twenty_thousand_faults_the_first_hundred_are_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("".join(f"k{number}: 1\n" for number in range(20_000)))
    with pytest.raises(TicketError) as refused:
        config.load(Workspace(tmp_path))
    assert MOST_PROBLEMS <= len(refused.value.problems) <= MOST_PROBLEMS + 1
