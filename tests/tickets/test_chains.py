"""Chains that are shipped load as they are, name only what stands before them, and get ids of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.checks import BUILT_IN
from orchestrator.kinds.base import installed
from tickets import chains, graph
from tickets.load import load_ticket
from tickets.values import TICKET_ID


def test_there_is_one_for_a_laptop_and_one_for_a_large_card() -> None:
    assert chains.names() == ["rtx3090", "small"]


@pytest.mark.parametrize("name", chains.names())
def test_a_chain_is_taken_behind_the_tickets_that_are_there_and_has_no_fault(
    name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "tickets"
    folder.mkdir()
    mine = "kind: run\ngoal: A ticket of my own\naccept: []\nwith: {steps: [true]}\n"
    (folder / "TICKET-003.yaml").write_text(mine)
    made = chains.take(tmp_path, name, taken=["TICKET-007"])
    assert (folder / "TICKET-003.yaml").read_text() == mine
    assert [path.stem for path in made] == [f"TICKET-{8 + i:03}" for i in range(len(chains.read(name)))]
    loaded = [load_ticket(path, tmp_path, installed(), frozenset(BUILT_IN)) for path in made]
    assert not graph.problems(loaded, {ticket.id for ticket in loaded})


@pytest.mark.parametrize("name", chains.names())
def test_a_ticket_of_a_chain_names_only_what_stands_before_it(name: str) -> None:
    seen: set[str] = set()
    for id_, text in chains.read(name).items():
        assert set(re.findall(rf"\b{TICKET_ID}\b", text)) <= seen
        seen.add(id_)
    assert len(seen) >= 5


def test_taken_twice_it_is_there_twice(tmp_path: Path) -> None:
    first, second = chains.take(tmp_path, "small"), chains.take(tmp_path, "small")
    assert not {path.name for path in first} & {path.name for path in second}
    named = set(re.findall(rf"\b{TICKET_ID}\b", "".join(path.read_text() for path in second)))
    assert named <= {path.stem for path in second}
