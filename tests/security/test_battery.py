"""Every attack of the battery, on every backend of this machine: stopped, or a hole that is written down."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path

import pytest
from attack import Attack, Verdict, run_attack
from attacks import ATTACKS, known, lucky, name

from orchestrator.sandbox.backend import Backend
from orchestrator.sandbox.bubblewrap import Bubblewrap
from orchestrator.sandbox.landlock import Landlock
from orchestrator.sandbox.policy import Narrowing, merge
from orchestrator.sandbox.sandbox import Sandbox
from orchestrator.user import SandboxSettings, shipped
from state.workspace import Workspace

BACKENDS: tuple[Backend, ...] = (Bubblewrap(), Landlock())
QUICK = [attack for attack in ATTACKS if not attack.slow]


@functools.cache
def sandbox(backend: str) -> Sandbox:
    """A backend with what is shipped; the person's own settings play no part."""
    found = next(each for each in BACKENDS if each.name == backend)
    if why := found.obstacle():
        pytest.skip(why)
    return Sandbox(found, merge(shipped(), SandboxSettings(), Narrowing()), Workspace(Path("/nonexistent")))


_TRIES = 6


@functools.cache
def control(attack: Attack) -> Verdict:
    """The same program without a sandbox. Some are a race, run as often as one likes."""
    for _ in range(_TRIES):
        verdict = run_attack(attack, None)
        if verdict.through is not False:
            break
    return verdict


@pytest.mark.parametrize("attack", QUICK, ids=name)
def test_without_a_sandbox_the_attack_succeeds(attack: Attack) -> None:
    verdict = control(attack)
    if verdict.through is None:
        pytest.skip(verdict.said)
    assert verdict.through, verdict.said


@pytest.mark.parametrize("backend", [each.name for each in BACKENDS])
@pytest.mark.parametrize("attack", QUICK, ids=name)
def test_the_sandbox_stops_it_or_the_hole_is_known(attack: Attack, backend: str) -> None:
    holder = sandbox(backend)
    if name(attack) in lucky():
        pytest.skip(lucky()[name(attack)])
    verdict = run_attack(attack, holder)
    if verdict.through is None and not verdict.ran:
        pytest.skip(verdict.said)
    hole = known(backend).get(name(attack))
    assert verdict.through is not None, f"the attack did not even start: {verdict.said}"
    if hole is None:
        assert not verdict.through, f"it got through: {attack.tries}\n{verdict.said}"
    else:
        assert verdict.through, f"this is no longer a hole, so strike it from the list: {hole}"


@pytest.mark.parametrize("backend", [each.name for each in BACKENDS])
def test_every_known_hole_names_an_attack(backend: str) -> None:
    assert known(backend).keys() | lucky().keys() <= {name(attack) for attack in ATTACKS}


def test_the_battery_is_as_wide_as_it_says() -> None:
    assert len(ATTACKS) >= 150
    assert not [each for each, times in Counter(map(name, ATTACKS)).items() if times > 1]
