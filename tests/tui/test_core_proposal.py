"""A proposal to change the core: read before it is offered, two keys, and never over what does not hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cores
import pytest
import seeds
from keeping import kept

from state.journal import Journal
from state.workspace import Workspace

EVIL = "\x1b[2J\x1b]0;owned\x07\u202eesrever\u2066" + "e" + "\u0301" * 50 + "\u5bbd"
STEER = {"\x1b", "\x07", "\u202e", "\u2066"}
SMALL, WIDE = (80, 24), (140, 40)


def proposal(root: Path, **more: Any) -> seeds.Story:
    story = seeds.Story(root)
    cores.proposed(story, **more)
    return story


def approved(root: Path) -> list[Any]:
    journal = Journal.read(Workspace(root).journal)
    try:
        return [event for event in journal.events() if event.type == "proposal.approved"]
    finally:
        journal.close()


async def read(driver: Any) -> None:
    """The proposal, its candidate verified, its effects read."""
    await driver.press("4")
    await driver.settle(lambda: "being verified" not in driver.screen._refusal(driver.screen.item))
    await driver.press("tab")


async def test_it_opens_to_why_what_on_what_grounds_and_the_way_back(cockpit: Any, tmp_path: Path) -> None:
    proposal(tmp_path).close()
    async with cockpit(tmp_path, size=(120, 60)) as driver:
        await driver.press("4")
        await driver.settle(lambda: "effects were not opened" in driver.text())
        text = driver.text()
        for word in (
            "Why, as it was measured", "12 lessons in the memory default", "1 of 3 lose something",
            "Way back", "jetbox core revert", "verifies: 2 parts", "Evidence", "b2" * 24, "keeps",
        ):  # fmt: skip
            assert word in text, word
        await driver.press("tab")
        lines = driver.text().splitlines()
        (lost,) = [line for line in lines if "sudoku4, exact" in line]
        assert lost.split()[-4:] == ["98.6%", "98.1%", "-0.5", "512"]
        (bar,) = [at for at, line in enumerate(lines) if "mix.0.up.weight  128x64" in line]
        assert "1.20%" in lines[bar + 1] and "━" in lines[bar + 1]


async def test_what_is_lost_is_red_and_what_is_gained_is_not(cockpit: Any, tmp_path: Path) -> None:
    proposal(tmp_path).close()
    async with cockpit(tmp_path, size=WIDE) as driver:
        await read(driver)
        colours = driver.app.context.look.colours
        found: dict[str, set[str]] = {}
        for strip in driver.app.screen._compositor.render_strips():
            for name in ("sudoku4, exact", "scenes, ece", "scenes: grelk"):
                if name in strip.text:
                    found[name] = {
                        str(s.style.color.name) for s in strip if s.style and re.search("[+-]", s.text)
                    }
        assert colours["failed"] in found["sudoku4, exact"]
        for name in ("scenes, ece", "scenes: grelk"):
            assert colours["landed"] in found[name] and colours["failed"] not in found[name]


async def test_it_is_approved_by_a_key_and_its_number_and_by_nothing_less(
    cockpit: Any, tmp_path: Path
) -> None:
    proposal(tmp_path).close()
    async with cockpit(tmp_path, size=WIDE) as driver:
        await driver.press("4")
        await driver.settle(lambda: "effects were not opened" in driver.text())
        await driver.press("a")
        assert driver.screen.sheet is None, "its effects were not read"
        await driver.press("tab", "a")
        assert "Type 7 to go on" in driver.text() and "becomes" in driver.text()
        await driver.press("enter")
        await driver.press("a", "8", "enter")
        assert not approved(tmp_path)
        await driver.press("a", "7", "enter")
        await driver.settle(lambda: "TICKET-7: approved" in driver.text())
    assert len(approved(tmp_path)) == 1


@pytest.mark.parametrize("harm", ["altered", "gone", "swapped"])
async def test_a_candidate_that_does_not_verify_is_not_offered(
    cockpit: Any, tmp_path: Path, harm: str
) -> None:
    proposal(tmp_path).close()
    folder = Workspace(tmp_path).run("TICKET-7", 1) / "candidate"
    if harm == "altered":
        (folder / "parts/scenes/model.safetensors").write_bytes(b"other")
    elif harm == "gone":
        folder.rename(folder.with_name("away"))
    else:
        folder.rename(folder.with_name("away"))
        cores.folder_of(folder, None, b"third")
    async with cockpit(tmp_path, size=WIDE) as driver:
        await read(driver)
        await driver.press("a")
        assert "Its candidate does not verify" in driver.text() and driver.screen.sheet is None
    assert not approved(tmp_path)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"receipts": [{"check": "keeps", "passed": False, "exit": 1}]}, "a check is red: keeps"),
        ({"receipts": []}, "nothing is verified"),
        ({"receipts": [{"check": "keeps", "skipped": "no data"}]}, "nothing is verified"),
        ({"core": "f" * 64}, "does not verify"),
        ({"core": None}, "does not verify"),
    ],
)
async def test_what_is_red_or_unknown_is_not_offered(
    cockpit: Any, tmp_path: Path, more: dict[str, Any], says: str
) -> None:
    proposal(tmp_path, **more).close()
    async with cockpit(tmp_path, size=WIDE) as driver:
        await read(driver)
        await driver.press("a")
        assert says in driver.text().lower() and driver.screen.sheet is None
    assert not approved(tmp_path)


async def test_words_of_a_proposal_steer_no_terminal_and_break_no_table(cockpit: Any, tmp_path: Path) -> None:
    row = {"task": EVIL, "measure": EVIL, "before": "x", "after": 1e300, "rows": -5}
    layer = {"layer": EVIL, "shape": [EVIL] * 50, "share": -1, "largest": 10**400}
    proposal(
        tmp_path, rationale=EVIL * 50, layer=[EVIL] * 99, figures={EVIL: EVIL}, part=EVIL, change_id=[EVIL],
        evidence={EVIL: {EVIL: EVIL, "digest": EVIL}, "x": EVIL}, expected_effects=[row, 3, EVIL] * 99,
        difference=[layer, {}, None, {"layer": {}, "share": 3}] * 99, revert_plan=EVIL,
    ).close()  # fmt: skip
    for size in (SMALL, (30, 10), WIDE):
        async with cockpit(tmp_path, size=size) as driver:
            await read(driver)
            for key in ("G", "tab", "G", "t", "a"):
                await driver.press(key)
                assert not STEER & set(driver.text())
                assert len(driver.text().splitlines()) == size[1]


@pytest.mark.parametrize(("name", "size"), [("core-proposal", WIDE), ("narrow-core-effects", SMALL)])
async def test_the_proposal_looks_as_kept(
    cockpit: Any, tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    root = tmp_path / "calc"
    proposal(root).close()
    async with cockpit(root, size=size) as driver:
        await read(driver)
        if name == "core-proposal":
            await driver.press("tab")
        shown = driver.text() + "\n"
    assert shown == kept(name, shown)
