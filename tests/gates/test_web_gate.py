"""Pages in a real browser, in the sandbox there is: a fault is found, and what works is left in peace."""

from __future__ import annotations

import shutil
import struct
import sys
import zlib
from pathlib import Path

import pytest

from orchestrator import config
from orchestrator.gates import gate
from orchestrator.gates.picture import plain
from orchestrator.sandbox.choose import choose
from orchestrator.sandbox.sandbox import Sandbox
from state.workspace import Workspace

browser = pytest.mark.skipif(
    not any(map(shutil.which, gate.CHROMIUM)), reason="no Chromium is installed, which this is tried with"
)
GAME = """<!doctype html><title>game</title><canvas id="board" width="300" height="200"></canvas>
<script>
const pen = document.getElementById("board").getContext("2d");
let ball = 0;
function loop() {
  ball += 1;
  pen.clearRect(0, 0, 300, 200);
  pen.fillRect(ball % 290, 90, 10, 10);
  requestAnimationFrame(loop);
}
requestAnimationFrame(loop);
</script>
"""
WEBGL = """<canvas width="300" height="200"></canvas><script>
const gl = document.querySelector("canvas").getContext("webgl");
let at = 0;
function loop() {
  at += 1;
  gl.enable(gl.SCISSOR_TEST);
  for (const [x, w, red] of [[0, 300, 0], [at % 250, 50, 1]]) {
    gl.scissor(x, 0, w, 200);
    gl.clearColor(red, 0, 0, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
  }
  requestAnimationFrame(loop);
}
requestAnimationFrame(loop);
</script>
"""


def look(tmp_path: Path, pages: dict[str, str], *changed: str) -> tuple[int | None, list[str]]:
    """Take the gate over these files: its exit code and its lines."""
    checkout = tmp_path / "checkout"
    for path, text in pages.items():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text(text)
    workspace = Workspace(tmp_path)
    sandbox = choose(workspace, config.load(workspace).policy).sandbox
    done = sandbox.run(gate.command("web-smoke", changed), checkout, timeout=200)
    assert done.reason == "exited", done
    if done.exit == gate.SKIPPED:
        pytest.skip(done.output.decode())
    return done.exit, done.output.decode().splitlines()


def of(page: str, lines: list[str]) -> list[str]:
    return [line.removeprefix(f"{page}: ") for line in lines if line.startswith(f"{page}: ")]


@browser
def test_the_faults_of_generated_pages_are_found_and_a_good_one_holds(tmp_path: Path) -> None:
    pages = {
        "good/index.html": GAME,
        "typo/index.html": GAME.replace("pen.fillRect(ball", "pen.fillRect(bal"),
        "never/index.html": GAME.replace("requestAnimationFrame(loop);\n</script>", "</script>"),
        "files/index.html": '<script src="gone.js"></script><img src="https://example.org/a.png">',
        "says/index.html": '<script>console.error("bad", 7); Promise.reject(new Error("nobody"))</script>',
        "other.html": "<script>nobodyOpensThis()</script>",
    }
    code, lines = look(tmp_path, pages)
    assert code == 1
    assert not of("good/index.html", lines)
    assert of("typo/index.html", lines) == ["uncaught ReferenceError: bal is not defined (typo/index.html:8)"]
    (never,) = of("never/index.html", lines)
    assert "canvas #board stays empty" in never and "requestAnimationFrame is never called" in never
    missing = of("files/index.html", lines)
    assert any("cannot load files/gone.js" in line for line in missing)
    assert any("example.org" in line and "there is no network" in line for line in missing)
    assert [line.partition(" (")[0] for line in of("says/index.html", lines)] == [
        "console.error: bad 7",
        "uncaught Error: nobody",
    ]
    assert not of("other.html", lines)


@browser
def test_what_waits_for_a_person_or_asks_one_is_no_fault_and_a_changed_page_is_opened(tmp_path: Path) -> None:
    start = "addEventListener('keydown', (e) => { if (e.code === 'Space') requestAnimationFrame(loop); });"
    pages = {
        "press.html": GAME.replace("requestAnimationFrame(loop);\n</script>", f"{start}\n</script>"),
        "webgl.html": WEBGL,
        "dialog.html": "<script>alert('hello'); document.title = prompt('name?')</script>",
    }
    assert look(tmp_path, pages, *pages, "gone.html") == (0, [])


@browser
def test_an_animation_that_stands_still_and_a_page_that_never_answers_are_told(tmp_path: Path) -> None:
    pages = {
        "a.html": GAME.replace("ball += 1", "ball += 0"),
        "b.html": "<script>setTimeout(() => { for (;;) {} }, 20)</script>",
        "c.html": "<p>and the next one is looked at all the same</p><script>x</script>",
    }
    code, lines = look(tmp_path, pages)
    assert code == 1
    assert "the animation stands still" in of("a.html", lines)[0]
    assert "endless loop" in of("b.html", lines)[0]
    assert of("c.html", lines)[0].startswith("uncaught ReferenceError: x")


@browser
@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_a_browser_that_the_sandbox_lets_not_start_is_no_fault_of_the_page(tmp_path: Path) -> None:
    from orchestrator.sandbox.landlock import Landlock

    (tmp_path / "index.html").write_text(GAME)
    backend, workspace = Landlock(), Workspace(tmp_path)
    if backend.obstacle():
        pytest.skip(str(backend.obstacle()))
    sandbox = Sandbox(backend, config.load(workspace).policy, workspace)
    done = sandbox.run(gate.command("web-smoke", ()), tmp_path, timeout=100)
    assert done.exit == gate.SKIPPED and b"does not start here: " in done.output, done


def png(rows: list[bytes], channels: int, kind: int = 0) -> bytes:
    """A picture as a browser writes it; each row is filtered as told."""
    data, before = b"", bytes(len(rows[0]))
    for row in rows:
        packed = bytearray(row)
        for index in range(len(row)):
            left = row[index - channels] if index >= channels else 0
            corner = before[index - channels] if index >= channels else 0
            up, guess = before[index], left + before[index] - corner
            paeth = min((left, up, corner), key=lambda each, g=guess: abs(g - each))  # type: ignore[misc]
            packed[index] = (row[index] - (0, left, up, (left + up) // 2, paeth)[kind]) & 0xFF
        data, before = data + bytes([kind]) + bytes(packed), row

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    colour = {3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", len(rows[0]) // channels, len(rows), 8, colour, 0, 0, 0)
    end = chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + end


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("channels", [3, 4])
def test_a_picture_of_one_colour_is_told_from_one_with_a_single_other_pixel(kind: int, channels: int) -> None:
    row = bytes([200, 30, 7, 255][:channels]) * 9
    assert plain(png([row] * 6, channels, kind))
    other = bytearray(row)
    other[4 * channels + 1] ^= 1
    for at in (0, 3, 5):
        rows = [row] * 6
        rows[at] = bytes(other)
        assert not plain(png(rows, channels, kind))


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"x" * 100, png([bytes(9)] * 3, 3)[:-30]])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, zlib.error, struct.error)):
        plain(data)
