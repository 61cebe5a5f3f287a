"""A person's own folders for the whole run: no test reads or makes a key or a setting of this machine's."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Each worker of a run is one thread: with one for each core besides, they wait for each other, spinning.
# Before torch is loaded, and for the children of tests that say nothing else.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_collection_finish() -> None:
    """What the imports made stays: to look through it for garbage again and again is slow, and is timed."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.mktemp("person")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "LOCALAPPDATA", "APPDATA"):
            patch.setenv(name, str(home / name.lower()))
        yield


@pytest.fixture(scope="session")
def toy_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `toy.gguf`, which has memorised `toy_transcripts`; made once for all workers of a run."""
    pytest.importorskip("numpy")
    pytest.importorskip("xllamacpp")
    from toy_made import toy

    base = tmp_path_factory.getbasetemp()
    return toy(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
