"""The real process over a tiny core: many at once, no network, and killed while it learns nothing is torn."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")

import tiny_core
from mind_doubles import workspace

from model.mind import records
from orchestrator.core.adopt import adopt
from orchestrator.lab.mind import Mind, MindError
from state.approval_key import KeySealer
from state.core import CoreRefused, verified
from state.journal import Journal
from state.workspace import Workspace

HOST = Path(__file__).with_name("host_by_heart.py")
CELLS = [1, 0, 0, 0, 0, 0, 3, 0, 0, 4, 0, 0, 0, 0, 0, 2]
RIGHT = [1, 3, 2, 4, 4, 2, 3, 1, 2, 4, 1, 3, 3, 1, 4, 2]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("hosted")
    made = workspace(root / "project")
    tiny_core.core(made.home, four=tiny_core.trained(root / "run"))
    return made


@pytest.fixture(scope="module")
def mind(place: Workspace) -> Iterator[Mind]:
    with Mind.open(place, command(place)) as made:
        made.ready()
        yield made


def command(place: Workspace) -> list[str]:
    digest = next((place.home / "core" / "versions").iterdir()).name
    return [sys.executable, "-P", str(HOST), str(place.home), digest]


def test_eight_at_once_are_answered_alike_and_without_an_error(mind: Mind) -> None:
    wanted = mind.ask("reason", part="four", cells=CELLS, memory="off")["answer"]
    found: list[object] = []

    def ask() -> None:
        for _ in range(4):
            try:
                found.append(mind.ask("reason", part="four", cells=CELLS, memory="off")["answer"])
            except MindError as error:
                found.append(error)

    callers = [threading.Thread(target=ask) for _ in range(8)]
    for each in callers:
        each.start()
    for each in callers:
        each.join(120)
    assert found == [wanted] * 32


@pytest.mark.skipif(sys.platform != "linux", reason="where the network is taken shows in /proc")
def test_it_has_no_network(mind: Mind) -> None:
    pid = mind.pid
    apart = Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    filtered = "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()
    assert apart or filtered


def test_what_is_refused_is_told_and_the_process_lives_on(mind: Mind) -> None:
    pid = mind.pid
    with pytest.raises(MindError) as caught:
        mind.ask("reason", part="four", cells=[9] * 16)
    assert caught.value.reason == "request" and mind.pid == pid


def test_killed_while_it_learns_every_memory_is_whole_and_the_next_process_knows_it(
    place: Workspace, mind: Mind
) -> None:
    known = 0
    stop = threading.Event()

    def teach() -> None:
        nonlocal known
        number = 0
        while not stop.is_set():
            number += 1
            cells = [(number >> bit) & 1 for bit in range(16)]
            with contextlib.suppress(MindError):
                mind.ask("correct", part="four", cells=cells, answer=RIGHT, memory="killed")
                known = number

    teacher = threading.Thread(target=teach)
    teacher.start()
    end = time.monotonic() + 120
    while known < 5:
        assert time.monotonic() < end
        time.sleep(0.003)
    pid = mind.pid
    assert pid is not None
    os.kill(pid, 9)  # wherever it is
    stop.set()
    teacher.join(120)
    record = records.read(place.home / "memories" / "killed")
    assert len(record.lessons) >= known >= 5
    assert records.arrays(place.home / "memories" / "killed", record) is not None
    last = record.lessons[-1]["question"]["cells"]
    reply = mind.ask("reason", part="four", cells=last)
    assert reply["answer"] == RIGHT and reply["by"] == "killed"
    assert mind.pid != pid


def test_a_model_that_no_mind_can_open_is_not_adopted(tmp_path: Path) -> None:
    made = workspace(tmp_path / "project")
    made.home.mkdir(exist_ok=True)
    journal = Journal.open(made.journal)
    try:
        parts = {"four": tiny_core.trained(tmp_path / "run", of_a_later_version=1)}
        with pytest.raises(CoreRefused, match=r"does not open: .*of_a_later_version"):
            adopt(made, journal, KeySealer(), parts)
        assert verified(journal, made, KeySealer()).version is None
    finally:
        journal.close()
