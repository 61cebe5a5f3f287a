"""Control groups do not pile up: what could not be removed at once is removed later, what is in use stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.sandbox import cgroup
from orchestrator.sandbox.box import Limits

if sys.platform != "linux":
    pytest.skip("control groups are Linux's", allow_module_level=True)


def test_a_group_that_is_still_in_use_is_removed_by_the_next_command(tmp_path: Path) -> None:
    folder = tmp_path / "jetbox-1-a"
    (folder / "in-use").mkdir(parents=True)
    cgroup.Group((folder,)).remove()
    assert folder.exists()
    (folder / "cgroup.kill").unlink(missing_ok=True)  # a file of the kernel's, where the folder is real
    (folder / "in-use").rmdir()
    (made := cgroup.make(Limits())) and made.remove()
    assert not folder.exists() and folder not in cgroup._LEFT


def test_what_a_killed_engine_left_is_swept_and_what_another_one_uses_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", ""]) as ended:
        ended.wait()
    gone, used = tmp_path / f"jetbox-{ended.pid}-a", tmp_path / f"jetbox-{os.getppid()}-b"
    gone.mkdir()
    used.mkdir()
    cgroup._sweep(tmp_path)
    assert not gone.exists() and used.exists()


def test_a_real_group_bounds_and_goes() -> None:
    group = cgroup.make(Limits())
    if group is None:
        pytest.skip("no control group can be made here")
    assert all(folder.is_dir() for folder in group.folders)
    group.remove()
    assert not any(folder.exists() for folder in group.folders)
