"""Whatever is read, nothing crashes, nothing hangs, nothing is written outside: a slice, the same each time.

`benchmarks/hostile.py` runs thousands.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hostile_trials import TRIALS, attempt
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

EXAMPLES = 25


@pytest.mark.parametrize("name", TRIALS)
def test_hostile_input_is_taken_or_refused_and_harms_nothing(name: str, tmp_path: Path) -> None:
    trial, said = TRIALS[name], set[str]()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(st.data())
    def every(data: st.DataObject) -> None:
        value = data.draw(trial.make)
        with tempfile.TemporaryDirectory(dir=tmp_path) as root:
            said.add(attempt(trial, value, Path(root)))

    every()
    assert said <= {"taken", "refused"}
