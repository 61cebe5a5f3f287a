"""The models' screen shows the engine's picture, says when it is old, and believes nothing in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import agents
import pytest
import seeds
from keeping import kept

from state.lock import Lock
from state.machine import Candidate, Device, Finding, Holder, Role
from state.workspace import Workspace
from tui.machine import STALE

HERE_NOW = seeds.NOW + 150_000  # what the cockpit's wall clock says
EVIL = "\x1b[2J\x1b]0;owned\x07\u202eesrever\u2066"


@contextlib.contextmanager
def engine(root: Path) -> Iterator[None]:
    """An engine lives here, as far as anybody can see."""
    with Lock(Workspace(root).lock):
        yield


def shown(driver: Any) -> str:
    return str(driver.text()).replace(f"engine {os.getpid()}", "engine PID")


@pytest.mark.parametrize(
    ("name", "size"), [("models", (140, 36)), ("narrow-models", (80, 24)), ("models-hot", (100, 30))]
)
async def test_a_busy_machine_looks_as_kept(
    cockpit: Any, tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    root = tmp_path / "calc"
    seeds.Story(root).close()
    more: dict[str, Any] = {}
    if name == "models-hot":
        card = Device(name="NVIDIA RTX 4090", kind="gpu", total=24 << 30, free=1 << 30, celsius=91.0)
        more = {
            "paused": "the graphics card is at 91 °C, until it is below 80",
            "devices": (card,),
            "roles": (),
        }
    agents.picture(root, HERE_NOW - 3000, **more)
    with engine(root):
        async with cockpit(root, size=size) as driver:
            await driver.press("5")
            text = shown(driver) + "\n"
    assert len(text.splitlines()) == size[1]
    assert text == kept(name, text)


async def test_an_empty_screen_says_what_to_do(cockpit: Any, tmp_path: Path) -> None:
    root = tmp_path / "calc"
    seeds.Story(root).close()
    async with cockpit(root, size=(100, 24)) as driver:
        await driver.press("5")
        text = shown(driver) + "\n"
        assert "no engine runs: s starts it" in text
    assert text == kept("models-empty", text)


async def test_an_old_picture_is_called_old_and_the_bar_says_nothing_of_it(
    cockpit: Any, tmp_path: Path
) -> None:
    seeds.Story(tmp_path).close()
    agents.picture(tmp_path, HERE_NOW - STALE - 2000)
    with engine(tmp_path):
        async with cockpit(tmp_path) as driver:
            await driver.press("5")
            assert "This is how things were" in driver.text() and "has not looked since" in driver.text()
            assert "qwen3:14b" not in driver.text().splitlines()[-2]
            agents.picture(tmp_path, HERE_NOW)
            await driver.settle(lambda: "qwen3:14b" in driver.text().splitlines()[-2])
            assert "This is how things were" not in driver.text()


async def test_a_picture_without_an_engine_is_called_old_however_young_it_is(
    cockpit: Any, tmp_path: Path
) -> None:
    seeds.Story(tmp_path).close()
    agents.picture(tmp_path, HERE_NOW)
    async with cockpit(tmp_path) as driver:
        await driver.press("5")
        assert "This is how things were" in driver.text() and "no engine runs" in driver.text()
        assert "qwen3:14b" not in driver.text().splitlines()[-2]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "qwen3:14b, TICKET-9 holds memory"),
        ({"holders": ()}, "no model loaded"),
        ({"paused": "hot"}, "models paused: hot"),
        ({"holders": tuple(Holder(who=w, what="model", bytes=1, since=0) for w in "ab")}, "2 models"),
    ],
)
async def test_the_status_bar_says_in_a_word_how_the_models_stand(
    cockpit: Any, tmp_path: Path, more: dict[str, Any], told: str
) -> None:
    seeds.Story(tmp_path).close()
    agents.picture(tmp_path, HERE_NOW - 1000, **more)
    with engine(tmp_path):
        async with cockpit(tmp_path) as driver:
            await driver.settle(lambda: told in driver.text().splitlines()[-2])


async def test_names_of_models_and_machines_steer_no_terminal(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    candidate = Candidate(model=EVIL, provider=EVIL, used=True, why=EVIL * 20, label=EVIL)
    agents.picture(
        tmp_path, HERE_NOW, paused=EVIL, policy=EVIL,
        roles=(Role(role=EVIL, candidates=(candidate, candidate)), Role(role="", candidates=())),
        devices=(Device(name=EVIL * 9, kind=EVIL, total=0, free=-5, celsius=-1e9, load=1e9, watts=-3.0),),
        holders=(Holder(who=EVIL, what=EVIL, bytes=-1, since=HERE_NOW * 2, until=-1),),
        findings=(Finding(model=EVIL, digest=EVIL, says=(EVIL, "")),),
    )  # fmt: skip
    with engine(tmp_path):
        for size in ((80, 24), (160, 40), (30, 10)):
            async with cockpit(tmp_path, size=size) as driver:
                await driver.press("5", "G", "t", "g")
                assert not {"\x1b", "\u202e", "\x07", "\u2066"} & set(driver.text())
                assert len(driver.text().splitlines()) == size[1]


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"v": 9, "at": 1}', b"\xff" * 99, b'{"at": "x"}', b"0" * 5_000_000]
)
async def test_a_damaged_picture_is_no_picture(cockpit: Any, tmp_path: Path, damage: bytes) -> None:
    seeds.Story(tmp_path).close()
    Workspace(tmp_path).machine.write_bytes(damage)
    async with cockpit(tmp_path) as driver:
        await driver.press("5")
        assert "No model has been looked at yet" in driver.text()


@pytest.mark.parametrize("cells", [40, 60, 80, 90, 100, 120, 160])
async def test_the_status_bar_holds_whole_items_only(cockpit: Any, tmp_path: Path, cells: int) -> None:
    seeds.busy(tmp_path).close()
    async with cockpit(tmp_path, size=(cells, 24)) as driver:
        bar = driver.text().splitlines()[-2]
    whole = (
        " ○ engine not running  ! 2 need you  ◑ 2 running  ‖ 2 waiting  ◕ 1 review  ◔ 2 ready  ○ 1 backlog"
    )
    whole += "  ✗ 1 failed  ▲ 1 broken  ● 1 landed"
    rest = whole.removeprefix(bar)
    assert whole.startswith(bar) and (not rest or rest.startswith("  ")), bar
    following = rest.lstrip().split("  ")[0]
    assert not rest or len(bar) + 2 + len(following) > cells, "there was room for one more"
