"""`docs/SECURITY.md` says what the code does: what each backend cannot stop, the limits, what is shown."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from orchestrator import user
from orchestrator.sandbox.backend import Backend
from orchestrator.sandbox.bare import Bare
from orchestrator.sandbox.box import Limits
from orchestrator.sandbox.bubblewrap import Bubblewrap
from orchestrator.sandbox.choose import ATTEMPTS
from orchestrator.sandbox.landlock import Landlock, weaker
from orchestrator.sandbox.lend import uid_for
from orchestrator.sandbox.seatbelt import Seatbelt
from orchestrator.sandbox.windows import Job
from orchestrator.user import LimitSettings, shipped

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8")


def landlock() -> set[str]:
    """All that is said in any of its strengths."""
    strengths = [(abi, kind) for abi in range(1, 8) for kind in ("root", "user", "")]
    return {line for abi, kind in strengths for root in (True, False) for line in weaker(abi, kind, root)}


def listed(backend: str) -> set[str]:
    found = re.search(rf"^`{backend}`:\n\n((?:- .*\n(?:  .*\n)*)+)", PAGE, re.MULTILINE)
    assert found, f"nothing is said of {backend}"
    return {" ".join(each.split()) for each in found[1].removeprefix("- ").split("\n- ")}


@pytest.mark.parametrize("backend", [Seatbelt(), Job(), Bare()], ids=lambda each: str(each.name))
def test_what_a_backend_cannot_stop_is_on_the_page_word_for_word(backend: Backend) -> None:
    assert listed(backend.name) == set(backend.weaker)


def test_what_landlock_cannot_stop_in_any_of_its_strengths_is_on_the_page() -> None:
    assert listed(Landlock.name) == landlock()


def test_of_bubblewrap_nothing_is_said_as_long_as_nothing_is_known() -> None:
    said = "nothing of its own that is known; what all backends on Linux share stands below"
    assert Bubblewrap.weaker == () and listed(Bubblewrap.name) == {said}


def test_every_limit_stands_there_with_its_default_and_can_be_set() -> None:
    table = {
        name: int(value.replace(",", "")) * (1024**2 if unit else 1)
        for name, value, unit in re.findall(r"^\| `(\w+)` \| ([\d,]+)( MiB)? \|", PAGE, re.MULTILINE)
    }
    assert table == {each.name: getattr(Limits(), each.name) for each in fields(Limits)}
    assert set(LimitSettings.model_fields) == set(table)


def test_the_settings_that_are_shown_load(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "config.yaml").write_text(text)
    found = user.load(tmp_path / "config.yaml").sandbox
    assert found.limits.processes == 2048 and found.beside == (".tox",)


def test_what_is_tried_before_a_backend_is_taken_is_told() -> None:
    told = " ".join(PAGE[PAGE.index("Each holds only if") :].split("\n\n")[0].split())
    words = {
        "read": "read", "environment": "another process's environment", "write": "write a file outside",
        "loopback": "a server on the loopback", "socket": "a local socket", "signal": "kill it",
        "stay": "stay behind",
    }  # fmt: skip
    assert words.keys() == ATTEMPTS.keys()
    assert not [word for word in words.values() if word not in told]


def test_the_folders_beside_that_commands_see_are_named() -> None:
    assert not [name for name in shipped().beside if f"`{name}`" not in PAGE]


def test_the_users_that_commands_run_under_as_root_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0, raising=False)
    first, last = map(int, re.findall(r"\((\d{5}) to (\d{5})\)", PAGE)[0])
    uids = [uid_for(Path(f"/x/{number}")) for number in range(500)]
    assert all(uid is None or first <= uid <= last for uid in uids)


def test_every_page_that_a_page_names_is_there() -> None:
    for page in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md"):
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"\]\(([\w./-]+\.md)\)", text):
            assert (page.parent / name).is_file(), f"{page.name} names {name}"
