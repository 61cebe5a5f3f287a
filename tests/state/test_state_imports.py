"""State is what every front waits for: it imports little, and it imports on every system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from state_doubles import ROOT, python, result

MODULES = sorted(f"state.{path.stem}" for path in (ROOT / "state").glob("[a-z]*.py"))


def test_state_imports_no_heavy_package_and_no_other_room() -> None:
    code = f"""
import sys
before = set(sys.modules)
for name in {MODULES}:
    __import__(name)
print("\\n".join(sorted({{name.split(".")[0] for name in set(sys.modules) - before}})))
"""
    loaded = set(result(python(code)).split())
    heavy = {"pydantic", "yaml", "git", "textual", "rich", "typer", "psutil", "watchdog", "torch", "asyncio"}
    assert not loaded & (heavy | {"orchestrator", "tui", "model", "datagen"})
    assert {"state", "tickets"} <= loaded
    third_party = {name for name in loaded - sys.stdlib_module_names if not name.startswith("_")}
    assert third_party == {"state", "tickets"}


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_state_type_checks_for_other_systems(platform: str, tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--platform", platform, "--cache-dir", str(tmp_path), "state"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout
