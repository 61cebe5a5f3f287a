"""The runs' screen shows what run folders say, believes nothing in them, and never touches a run."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import seeds
from keeping import kept
from scripted_run import ScriptedRun

from state.lock import Lock
from state.workspace import Workspace
from tui.lines import Lines, Text
from tui.look import ASCII, SIXTEEN, Look
from tui.runs import follow
from tui.runs.own import Own

BEGUN = (seeds.NOW + 150_000) / 1000 - 300  # five minutes before the cockpit's wall clock
EVIL = "\x1b[2J\x1b]0;owned\x07\u202eesrever\u2066\u0301\u0301\u0301\u0301\u5bbd"
BRAILLE = frozenset(map(chr, range(0x2801, 0x2900)))


@pytest.fixture(autouse=True)
def still_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processors and memory that always stand the same."""
    own = Own(0.25, 2, 4_000_000_000, 16_000_000_000)
    monkeypatch.setattr(follow.Follower.__init__, "__defaults__", (lambda: own,))


def aged(folder: Path, seconds: float = 60.0) -> None:
    """The events were written so long before the cockpit's now."""
    at = (seeds.NOW + 150_000) / 1000 - seconds
    os.utime(folder / "events.jsonl", (at, at))


def training(root: Path, number: int = 103, steps: int = 1240, **spec: Any) -> ScriptedRun:
    """A ticket that trains, and its run at some step."""
    story = seeds.Story(root)
    wants = [{"metric": "exact", "min": 0.9}, {"metric": "loss", "max": 0.4}, "resumes"]
    story.admit(f"TICKET-{number}", "Fit a small reasoner on Sudoku", "train", **{"accept": wants, **spec})
    story.start(f"TICKET-{number}")
    story.close()
    run = ScriptedRun(Workspace(root).run(f"TICKET-{number}", 1), begun=BEGUN)
    run.begin()
    run.learn(0, steps, every=20)
    return run


def test_a_pane_that_is_not_on_the_screen_paints_nothing_of_what_it_is_given() -> None:
    pane = Lines(SimpleNamespace(look=Look(), clock=lambda: 0.0))  # type: ignore[arg-type]
    pane.count = 5  # of a document that was on the screen
    pane.show(Text(lambda cells: []))
    pane.render_line(0)
    assert pane.count == 0


async def open_runs(driver: Any, until: Callable[[], bool] | None = None) -> None:
    """Press 3 and wait for the follower, on a machine however busy."""
    await driver.press("3")
    await shown(driver, until)


async def shown(driver: Any, until: Callable[[], bool] | None = None) -> None:
    """Wait until all that was written is on the screen."""
    follower = driver.screen.follower

    def done() -> bool:
        read = follower.listed and follower.share == 1.0
        return bool(read and driver.screen._seen == follower.version and (until is None or until()))

    for _ in range(20):
        try:
            await driver.settle(done)
            break
        except AssertionError:
            continue
    await driver.settle(done)


# How it looks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "keys"),
    [
        ("narrow-runs", (80, 24), ""),
        ("runs", (120, 36), ""),
        ("runs-wide", (180, 44), ""),
        ("narrow-runs-details", (80, 24), "tab"),
        ("runs-zoom", (80, 24), "m z"),
    ],
)
async def test_a_run_at_work_looks_as_kept(
    cockpit: Any, tmp_path: Path, name: str, size: tuple[int, int], keys: str
) -> None:
    root = tmp_path / "calc"
    run = training(root)
    run.breaker("closed")
    aged(run.folder)
    with Lock(run.folder / "run.lock"):
        async with cockpit(root, size=size) as driver:
            await open_runs(driver)
            await driver.press(*keys.split())
            await shown(driver)
            text = driver.text() + "\n"
    assert len(text.splitlines()) == size[1]
    assert text == kept(name, text)


async def test_an_ascii_terminal_gets_ascii_curves(cockpit: Any, tmp_path: Path) -> None:
    run = training(tmp_path)
    aged(run.folder)
    async with cockpit(tmp_path, size=(80, 24)) as driver:
        driver.app.context.look = Look(SIXTEEN, ASCII)
        await open_runs(driver)
        driver.screen.look_changed()
        text = driver.text()
    assert text.isascii() and "***" in text and "goal <= 0.4" in text and "----" in text


async def test_nothing_yet_says_what_makes_a_run(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    async with cockpit(tmp_path, size=(80, 24)) as driver:
        await open_runs(driver)
        assert "No run yet: tickets of kind train, eval and datagen" in driver.text()
        await driver.press("m")
        assert "There is no run" in driver.text()


# What it says ----------------------------------------------------------------------------------------


async def test_curves_stand_beside_what_the_ticket_wants(cockpit: Any, tmp_path: Path) -> None:
    training(tmp_path)
    async with cockpit(tmp_path, size=(80, 24)) as driver:
        await open_runs(driver)
        text = driver.text()
        assert "loss" in text and "goal ≤ 0.4 ✗ not yet" in text and BRAILLE & set(text)
        assert any("0.4│" in row and "╌" in row for row in text.splitlines()), text
        await driver.press("m")
        assert "exact" in driver.text() and "goal ≥ 0.9 ✗ not yet" in driver.text()
        await driver.press("M", "z")
        assert "992" in driver.text()  # the last fifth of 1,240 steps
        await driver.press("z", "y")
        assert "loss log" in driver.text()


async def test_a_goal_that_is_met_is_called_met(cockpit: Any, tmp_path: Path) -> None:
    training(tmp_path, steps=2000)
    async with cockpit(tmp_path, size=(120, 36)) as driver:
        await open_runs(driver)
        assert "goal ≥ 0.9 ✓ met" in driver.text() and "goal ≤ 0.4 ✓" in driver.text()


async def test_a_living_run_is_followed_as_it_grows(cockpit: Any, tmp_path: Path) -> None:
    run = training(tmp_path, steps=400)
    with Lock(run.folder / "run.lock"):
        async with cockpit(tmp_path, size=(80, 24)) as driver:
            await open_runs(driver)
            assert "step 400 of 2,000" in driver.text() and "running" in driver.text()
            assert "no engine runs: it works on alone" in driver.text()
            run.learn(400, 800, every=20)
            await shown(driver, lambda: "step 800 of 2,000" in driver.text())
            run.breaker("open", "spike", "the loss is 3.1 times its median", loss=9.5, limit=3.0)
            await shown(driver, lambda: "the loss is 3.1 times its median" in driver.text())
            await driver.press("tab")
            await driver.press("pagedown")
            await shown(driver, lambda: "spike" in driver.text())
    assert not (run.folder / "result.json").exists()


async def test_a_run_that_was_taken_up_again_shows_one_curve(cockpit: Any, tmp_path: Path) -> None:
    run = training(tmp_path, steps=900)
    run.begin(resumed=True)
    run.learn(800, 1000, every=20)
    async with cockpit(tmp_path, size=(80, 24)) as driver:
        await open_runs(driver)
        assert "taken up again once, at step 820" in driver.text()
        assert "interrupted" in driver.text() and "s starts it" in driver.text()
        points = driver.screen.follower.view.series["loss", "train"].points()
        assert [step for step, _ in points] == list(range(20, 1001, 20))


async def test_a_failed_run_says_why_and_counts_what_was_no_number(cockpit: Any, tmp_path: Path) -> None:
    run = training(tmp_path, steps=300)
    run.metric("loss", "NaN", 320)
    run.breaker("open", "finite", "the loss was no number")
    run.end(ok=False, error="the breaker opened at step 320")
    async with cockpit(tmp_path, size=(80, 24)) as driver:
        await open_runs(driver)
        assert "✗ the breaker opened at step 320" in driver.text() and "! 1 no number" in driver.text()


async def test_a_start_that_waits_for_a_person_is_a_row_without_a_folder(
    cockpit: Any, tmp_path: Path
) -> None:
    story = seeds.Story(tmp_path)
    story.admit("TICKET-5", "Big", "train")
    story.start("TICKET-5")
    story.ask("TICKET-5", "start", "train hrm for some 40 min in 3.1 GB")
    story.close()
    async with cockpit(tmp_path, size=(80, 24)) as driver:
        await open_runs(driver)
        assert "asks you" in driver.text() and "4 shows what it asks" in driver.text()
        await driver.press("o")
        assert "has no folder yet" in driver.text()
        await driver.press("enter")
        assert driver.screen.NAME == "ticket" and driver.screen.ticket_id == "TICKET-5"


async def test_an_evaluation_shows_its_report_where_curves_would_be(cockpit: Any, tmp_path: Path) -> None:
    seeds.Story(tmp_path).close()
    run = ScriptedRun(Workspace(tmp_path).run("TICKET-9", 1), request={"suite": "sudoku"})
    run.emit("phase", name="evaluate")
    run.metric("exact", 0.97, 0, "heldout")
    run.end(exact=0.97)
    async with cockpit(tmp_path, size=(80, 24)) as driver:
        await open_runs(driver, lambda: "Result" in driver.text())
        assert "0.97" in driver.text()
        (run.folder / "report").mkdir()
        text = "\n".join(["Sudoku 6x6", "⡇⠈⠢⡀", f"{EVIL}", *[f"line {n}" for n in range(60)], "the end"])
        (run.folder / "report" / "report.txt").write_text(text)
        await driver.press("r")
        assert "Sudoku 6x6" in driver.text() and "⡇⠈⠢⡀" in driver.text() and "\x1b" not in driver.text()
        await driver.press("end")
        assert "the end" in driver.text() and "Sudoku 6x6" not in driver.text()
        await driver.press("q", "home", "q")
        assert driver.screen.NAME == "board"


async def test_the_log_is_followed_at_its_end(cockpit: Any, tmp_path: Path) -> None:
    run = training(tmp_path, steps=100)
    (run.folder / "output.log").write_text("".join(f"line {n}\n" for n in range(300)) + EVIL + "\n")
    async with cockpit(tmp_path, size=(80, 24)) as driver:
        await open_runs(driver)
        await driver.press("l")
        await shown(driver, lambda: "line 299" in driver.text())
        assert not {"\x1b", "\u202e", "\x07"} & set(driver.text())
        with (run.folder / "output.log").open("a") as file:
            file.write("one more\n")
        await shown(driver, lambda: "one more" in driver.text())
        await driver.press("l")
        assert "one more" not in driver.text() and "loss" in driver.text()


async def test_a_tickets_page_says_in_a_line_how_its_run_stands(cockpit: Any, tmp_path: Path) -> None:
    run = training(tmp_path, steps=400)
    with Lock(run.folder / "run.lock"):
        async with cockpit(tmp_path, size=(120, 36)) as driver:
            await driver.press("2")
            assert "train, 400 of 2k steps, loss 1.519" in driver.text(), driver.text()
            assert "3 shows" in driver.text()


async def test_the_folder_is_told(cockpit: Any, tmp_path: Path) -> None:
    run = training(tmp_path, steps=100)
    async with cockpit(tmp_path, size=(200, 30)) as driver:
        await open_runs(driver)
        await driver.press("o")
        assert str(run.folder) in driver.text()


# What it withstands ----------------------------------------------------------------------------------


async def test_hostile_events_and_names_steer_nothing_and_break_no_line(cockpit: Any, tmp_path: Path) -> None:
    root = tmp_path / "calc"
    run = training(root, steps=60)
    for n in range(80):
        run.metric(f"{EVIL}{n}", (-1) ** n * 1e299, n)
    run.metric("huge", 1e299, 1)
    run.metric("huge", -1e299, 2)
    run.emit("phase", name=EVIL * 9)
    run.breaker("open", EVIL, EVIL * 30, **{EVIL: 1e299})
    run.emit("alert", level=EVIL, message=EVIL * 50)
    run.emit("artifact", path=EVIL, sha256="x", title=EVIL)
    run.emit("checkpoint", path=EVIL, sha256="", step=1e299, kind=EVIL, bytes=1e299, at=EVIL)
    with (run.folder / "events.jsonl").open("ab") as file:
        file.write(b"\xff\xfe\n" + b"[" * 9000 + b"\n{}\n" + b'{"v":1,"t":0,"at":"","type":"metric"')
    (run.folder / "request.json").write_text(
        json.dumps({"learner": EVIL, "config": {EVIL: {EVIL: EVIL * 99}}})
    )
    for size in ((30, 10), (80, 24), (180, 50)):
        async with cockpit(root, size=size) as driver:
            await open_runs(driver)
            for key in ("", "m", "y", "z", "tab", "tab", "tab", "tab", "end", "tab"):
                await driver.press(*key.split())
                text = driver.text()
                assert not {"\x1b", "\u202e", "\x07", "\u2066"} & set(text)
                assert len(text.splitlines()) == size[1]


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")
@pytest.mark.parametrize("what", ["events.jsonl", "output.log", "report", "result.json", "run.lock"])
async def test_a_folder_with_odd_things_in_it_is_shown_and_never_blocks(
    cockpit: Any, tmp_path: Path, what: str
) -> None:
    run = training(tmp_path, steps=40)
    (run.folder / what).unlink(missing_ok=True)
    os.mkfifo(run.folder / what)
    async with cockpit(tmp_path, size=(80, 24)) as driver:
        await open_runs(driver)
        await driver.press("l", "r", "tab", "q", "m")
        assert "TICKET-103" in driver.text()


async def test_a_folder_that_goes_away_leaves_the_screen_standing(cockpit: Any, tmp_path: Path) -> None:
    import shutil

    run = training(tmp_path, steps=40)
    async with cockpit(tmp_path, size=(80, 24)) as driver:
        await open_runs(driver)
        shutil.rmtree(run.folder)
        await driver.press("l", "r", "m", "o")
        await shown(driver, lambda: "has not begun" in driver.text())


async def test_looking_changes_nothing_in_the_folder_and_ends_with_the_screen(
    cockpit: Any, tmp_path: Path
) -> None:
    run = training(tmp_path, steps=200)
    before = {path: path.stat().st_mtime_ns for path in sorted(tmp_path.joinpath("runs").rglob("*"))}
    async with cockpit(tmp_path, size=(80, 24)) as driver:
        await open_runs(driver)
        await driver.press("tab", "tab", "tab", "tab", "tab", "m")
        follower = driver.screen.follower
        await driver.press("1")
        seen = follower.version
        run.learn(200, 240)
        await driver.settle()
        assert follower._stop is None and follower.version == seen, "it reads for nobody"
        await driver.press("3")
        await shown(driver, lambda: "step 240" in driver.text())
    del before[run.folder / "events.jsonl"]
    assert before == {path: path.stat().st_mtime_ns for path in before}
