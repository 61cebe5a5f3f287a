"""How fast the cockpit is, beside the smallest Textual app, measured in one run on a real terminal.

    python benchmarks/cockpit.py [--tickets 10000] [--rounds 5] [--keys 240]
    python benchmarks/cockpit.py --runs [--seconds 20]     # four charts at 10 Hz

Both programs run in a pseudo-terminal of 120 by 40. `ready` is the time from starting the process to the
first paint that holds the content; a key's latency is the time from writing the key to the first byte of
the repaint that follows; both are medians over rounds that alternate. Prints JSON.

`--runs` writes four metrics at 10 Hz into a run folder that holds 2,000 steps already, and measures what part
of a core the runs' screen takes with four charts of them: beside the same screen while nothing is written,
and beside four charts of textual-plotext, where that is installed. On a busy machine it paints less often
than it would: the pictures a second stand beside the figure.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import json
import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tui"), str(ROOT / "tests" / "doubles")]

COLUMNS, ROWS = 120, 40

SMALLEST = """
from textual.app import App
from textual.widgets import Footer, Header, OptionList

class Smallest(App):
    BINDINGS = [("q", "quit", "Quit")]
    def compose(self):
        yield Header()
        yield OptionList(*[f"Item number {n}" for n in range(200)])
        yield Footer()

Smallest().run()
"""

COCKPIT = """
import sys
from pathlib import Path
from tui.app import run
sys.exit(run(Path(sys.argv[1])))
"""


PLOTEXT = """
import math
from textual.app import App
from textual.containers import Grid
from textual_plotext import PlotextPlot

class Plots(App):
    CSS = "Grid { grid-size: 2 2; }"
    def compose(self):
        yield Grid(*[PlotextPlot(id=f"p{n}") for n in range(4)])
    def on_mount(self):
        self.count = 2000
        self.set_interval(0.1, self.draw)
    def draw(self):
        self.count += 1
        for plot in self.query(PlotextPlot):
            plot.plt.clear_data()
            plot.plt.title("loss")
            plot.plt.plot([math.exp(-n / 420) for n in range(self.count)])
            plot.refresh()

Plots().run()
"""


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(self, command: list[str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):  # the last two would outrank the terminal's own size
            env.pop(name, None)
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True, close_fds=True
        )
        os.close(slave)
        self.seen = b""

    def read(self, timeout: float) -> bytes:
        """What the program writes within so many seconds; returns at the first bytes."""
        if not select.select([self.master], [], [], timeout)[0]:
            return b""
        try:
            data = os.read(self.master, 1 << 20)
        except OSError:
            return b""
        self.seen += data
        return data

    def quiet(self, still: float, most: float = 10.0) -> None:
        """Read until nothing has come for a while."""
        end = time.perf_counter() + most
        while time.perf_counter() < end and self.read(still):
            pass

    def until(self, text: bytes, most: float = 30.0) -> float:
        """Seconds from the start until the text was written."""
        end = time.perf_counter() + most
        while text not in self.seen:
            if time.perf_counter() > end or (not self.read(1.0) and self.process.poll() is not None):
                raise RuntimeError(f"{text!r} never came; last bytes: {self.seen[-500:]!r}")
        return time.perf_counter() - self.started

    def key(self, key: bytes) -> float:
        """Seconds from writing a key to the first byte of what it changed."""
        while self.read(0):
            pass
        begun = time.perf_counter()
        os.write(self.master, key)
        data = self.read(2.0)
        took = time.perf_counter() - begun
        if not data:
            raise RuntimeError(f"{key!r} changed nothing")
        self.quiet(0.03)
        return took

    def memory(self) -> dict[str, float]:
        """Resident and proportional memory in MB."""
        try:
            text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        except OSError:
            return {}
        found = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.M))
        return {name.lower(): round(int(kb) / 1024, 1) for name, kb in found.items()}

    def cpu(self) -> float:
        """Seconds of processor used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the program."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.master)


def ready(command: list[str], text: bytes) -> float:
    """One start."""
    terminal = Terminal(command)
    try:
        return terminal.until(text)
    finally:
        terminal.close()


def keys(terminal: Terminal, count: int) -> list[float]:
    """Latencies of moving down and up."""
    down, up = b"\x1b[B", b"\x1b[A"
    return [terminal.key(down if n % 20 < 10 else up) for n in range(count)]


def percentile(values: list[float], part: float) -> float:
    """A percentile by rank."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def lost_keys(command: list[str], ready_text: bytes, count: int) -> int:
    """How many of so many keys at 30 a second did not move the cursor, counted on the screen."""
    import pyte

    terminal = Terminal(command)
    try:
        terminal.until(ready_text)
        terminal.quiet(0.5)
        first = _selected(terminal.seen, pyte)
        for n in range(count):
            due = time.perf_counter() + 1 / 30
            os.write(terminal.master, b"j")
            while (left := due - time.perf_counter()) > 0:
                terminal.read(left)
            del n
        terminal.quiet(0.5)
        return count - (_selected(terminal.seen, pyte) - first) // 10
    finally:
        terminal.close()


def _selected(seen: bytes, pyte: object) -> int:
    """The number of the ticket that the top bar names."""
    screen = pyte.Screen(COLUMNS, ROWS)  # type: ignore[attr-defined]
    pyte.ByteStream(screen).feed(seen)  # type: ignore[attr-defined]
    found = re.search(r"2 TICKET-(\d+)", screen.display[0])
    assert found, screen.display[0]
    return int(found[1])


def change_to_screen(root: Path, terminal: Terminal, count: int) -> list[float]:
    """Seconds from the return of an append to the first byte that shows it."""
    from state.events import New
    from state.journal import Journal
    from state.workspace import Workspace

    journal = Journal.open(Workspace(root).journal)
    selected = _selected(terminal.seen, __import__("pyte"))
    took: list[float] = []
    try:
        for n in range(count):
            time.sleep(0.02 + 0.013 * (n % 7))
            while terminal.read(0):
                pass
            body = {"key": "k", "fraction": (n % 50) / 50, "eta": [60, 120 + n], "text": ""}
            journal.append(New("action.progress", body, f"TICKET-{selected}", 1))
            begun = time.perf_counter()
            if not terminal.read(2.0):
                raise RuntimeError("a change never came to the screen")
            took.append(time.perf_counter() - begun)
            terminal.quiet(0.03)
    finally:
        journal.close()
    return took


def share(terminal: Terminal, seconds: float) -> float:
    """The share of a core that the program takes, in percent."""
    before, begun = terminal.cpu(), time.perf_counter()
    end = begun + seconds
    while (left := end - time.perf_counter()) > 0:
        terminal.read(left)
    return round((terminal.cpu() - before) / (time.perf_counter() - begun) * 100, 2)


def runs(seconds: float) -> dict[str, object]:
    """What the runs' screen costs while a run writes four metrics at 10 Hz, and while it writes nothing."""
    import seeds
    from scripted_run import ScriptedRun

    from state.lock import Lock

    writing, ended = threading.Event(), threading.Event()

    def write(run: ScriptedRun) -> None:
        step, due = 2000, time.monotonic()
        while not ended.is_set():
            due += 0.1
            ended.wait(max(0.0, due - time.monotonic()))
            if writing.is_set():
                step += 1
                run.t = step / 10
                run.step(step, 0.1)

    with tempfile.TemporaryDirectory(prefix="jetbox-bench-") as folder:
        root = Path(folder) / "workspace"
        story = seeds.Story(root)
        story.admit("TICKET-1", "Train", "train", accept=[{"metric": "loss", "max": 0.3}])
        story.start("TICKET-1")
        story.close()
        run = ScriptedRun(story.workspace.run("TICKET-1", 1), 100_000, time.time() - 200)
        run.begin()
        for step in range(1, 2001):
            run.t = step / 10
            for name in ("loss", "lr", "grad_norm", "steps_per_second"):
                run.metric(name, 3 / step, step)
        terminal = Terminal([sys.executable, "-c", COCKPIT, str(root)])
        writer = threading.Thread(target=write, args=(run,))
        try:
            with Lock(run.folder / "run.lock"):
                writer.start()
                terminal.until(b"help")
                os.write(terminal.master, b"3")
                terminal.until(b"grad_norm")
                terminal.quiet(0.5, 3.0)
                still = share(terminal, seconds)
                writing.set()
                terminal.quiet(0.01, 2.0)
                terminal.seen = b""
                live = share(terminal, seconds)
                shown = len(set(re.findall(rb"step (\d+,\d+)", terminal.seen))) / seconds
        finally:
            ended.set()
            writer.join()
            terminal.close()
    found: dict[str, object] = {"runs_live_cpu_percent": live, "runs_still_cpu_percent": still}
    found["pictures_per_second"] = round(shown, 1)
    if importlib.util.find_spec("textual_plotext"):
        terminal = Terminal([sys.executable, "-c", PLOTEXT])
        try:
            terminal.until(b"loss")
            found["plotext_cpu_percent"] = share(terminal, seconds)
        finally:
            terminal.close()
    return {"charts": 4, "hertz": 10, "figures": found, "targets": {"runs_live_cpu_percent": 10}}


def main() -> None:
    """Measure both and print the figures and what they are held against."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tickets", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--keys", type=int, default=240)
    options.add_argument("--runs", action="store_true", help="the charts of the runs' screen alone")
    options.add_argument("--seconds", type=float, default=20.0, help="of each measurement of --runs")
    asked = options.parse_args()
    if asked.runs:
        print(json.dumps(runs(asked.seconds), indent=2))
        return
    import seeds

    with tempfile.TemporaryDirectory(prefix="jetbox-bench-") as folder:
        root = Path(folder) / "workspace"
        seeds.many(root, asked.tickets).close()
        smallest = [sys.executable, "-c", SMALLEST]
        cockpit = [sys.executable, "-c", COCKPIT, str(root)]
        marks = {"smallest": b"Item number 9", "cockpit": b"help"}
        commands = {"smallest": smallest, "cockpit": cockpit}
        starts: dict[str, list[float]] = {"smallest": [], "cockpit": []}
        for name in commands:
            ready(commands[name], marks[name])  # warm: bytecode and file cache
        for _ in range(asked.rounds):
            for name in commands:
                starts[name].append(ready(commands[name], marks[name]))
        result: dict[str, object] = {"tickets": asked.tickets, "size": [COLUMNS, ROWS]}
        figures: dict[str, dict[str, float]] = {}
        for name, command in commands.items():
            terminal = Terminal(command)
            try:
                terminal.until(marks[name])
                terminal.quiet(0.5)
                latencies = keys(terminal, asked.keys)
                memory = terminal.memory()
                terminal.quiet(0.5)
                before, begun = terminal.cpu(), time.perf_counter()
                end = begun + 10
                while (left := end - time.perf_counter()) > 0:
                    terminal.read(left)
                idle = (terminal.cpu() - before) / (time.perf_counter() - begun)
                figures[name] = {
                    "ready_ms": round(statistics.median(starts[name]) * 1000, 1),
                    "key_median_ms": round(statistics.median(latencies) * 1000, 2),
                    "key_p95_ms": round(percentile(latencies, 0.95) * 1000, 2),
                    **{f"{kind}_mb": value for kind, value in memory.items()},
                    "idle_cpu_percent": round(idle * 100, 2),
                }
                if name == "cockpit":
                    changes = change_to_screen(root, terminal, 30)
                    figures[name]["change_to_screen_median_ms"] = round(statistics.median(changes) * 1000, 1)
            finally:
                terminal.close()
        figures["cockpit"]["keys_lost_at_30_per_s"] = lost_keys(cockpit, marks["cockpit"], 90)
        base, ours = figures["smallest"], figures["cockpit"]
        result["figures"] = figures
        result["ratios"] = {
            key: round(ours[key] / base[key], 2)
            for key in ("ready_ms", "key_median_ms", "key_p95_ms", "rss_mb", "pss_mb")
            if base.get(key)
        }
        result["targets"] = {
            "ready_ms": 1.5, "key_median_ms": 2.0, "key_p95_ms": 2.0, "rss_mb": 2.2, "idle_cpu_percent": 1.0,
            "change_to_screen_median_ms": 100, "keys_lost_at_30_per_s": 0,
        }  # fmt: skip
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
