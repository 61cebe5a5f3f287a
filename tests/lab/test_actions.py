"""How far attempts at one ticket took the same actions: normalised, from 0 to 1, out of the journal alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.lab import actions
from state import reflections
from state.events import Event


def acts(attempt: int, *done: tuple[str, str]) -> list[Event]:
    return [
        Event(
            number,
            0,
            "TICKET-001",
            attempt,
            "action.intent",
            {"action": "Act", "key": f"act:{number}", "args": {"number": number, "verb": verb, "what": what}},
        )
        for number, (verb, what) in enumerate(done, 1)
    ]


ONE = (("read", "a.py:1-20"), ("edit", "a.py"), ("run", "pytest tests/test_a.py -q"))


@pytest.mark.parametrize(
    ("verb", "what", "said"),
    [
        ("read", "src/a.py:3-9", "read src/a.py"),
        ("run", "pytest -x tests/a --cov", "run pytest tests/a"),
        ("run", "echo 'unclosed", "run echo 'unclosed"),
        ("search", "def main", "search"),
        ("edit", "a.py", "edit a.py"),
    ],
)
def test_what_changes_from_try_to_try_is_left_out(verb: str, what: str, said: str) -> None:
    assert actions.normalised(verb, what) == said


def test_the_same_actions_agree_wholly_and_others_not_at_all() -> None:
    again = (("read", "a.py:5-9"), ("edit", "a.py"), ("run", "pytest -v tests/test_a.py"))
    other = (("search", "x"), ("edit", "b.py"))
    same = actions.reflected("TICKET-001", [*acts(1, *ONE), *acts(2, *again)])
    none = actions.reflected("TICKET-001", [*acts(1, *ONE), *acts(2, *other)])
    assert same and same.consistency.variants == 1.0
    assert none and none.consistency.variants == 0.0
    assert same.kind == "actions" and same.part == "TICKET-001"


def test_some_in_common_is_a_share(tmp_path: Path) -> None:
    half = actions.reflected("TICKET-001", [*acts(1, *ONE), *acts(2, ONE[0], ("edit", "b.py"))])
    assert half and half.consistency.variants == pytest.approx(2 / 5)


def test_one_attempt_has_nothing_to_agree_with() -> None:
    assert actions.reflected("TICKET-001", acts(1, *ONE)) is None


def test_it_is_written_once_and_again_only_when_it_changed(tmp_path: Path) -> None:
    events = [*acts(1, *ONE), *acts(2, *ONE)]
    actions.keep(tmp_path, "TICKET-001", events)
    actions.keep(tmp_path, "TICKET-001", events)
    assert len(reflections.read(tmp_path)) == 1
    actions.keep(tmp_path, "TICKET-001", [*events, *acts(3, ONE[0])])
    found = reflections.of_ticket(tmp_path, "TICKET-001")
    assert len(reflections.read(tmp_path)) == 2 and found and found.consistency.variants != 1.0
