"""What tests of training share: the tiny learner at hand, and a process left as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tiny learner by its name, in this process; files are not synced, as no machine crashes here."""
    import torch

    from model import learners

    threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fills, states = torch.utils.deterministic.fill_uninitialized_memory, torch.get_rng_state()
    monkeypatch.setitem(learners.BUILT_IN, "tiny", "tiny_learner:build")
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    for name in (
        "OMP_NUM_THREADS",
        "OMP_WAIT_POLICY",
        "CUBLAS_WORKSPACE_CONFIG",
        "PYTORCH_ENABLE_MPS_FALLBACK",
    ):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # put back at the end, whatever a run sets
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(exact)
    torch.utils.deterministic.fill_uninitialized_memory = fills
    torch.set_rng_state(states)


@pytest.fixture(scope="session")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set for the tiny learner."""
    import tiny_runs

    return tiny_runs.data_set(tmp_path_factory.mktemp("sums") / "data")
