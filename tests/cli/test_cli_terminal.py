"""On a real terminal too, nothing that a ticket, a command or a file name says is more than text."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from cli_doubles import EVIL, Place, admitted, environment, git, jetbox, proposed, started

if sys.platform == "win32":
    pytest.skip("no pseudo-terminals there", allow_module_level=True)

import pexpect
import pyte

COLOUR = re.compile(r"\x1b\[(?:\d{1,2}|0)m")
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
NAME = "e\x1b]0;owned\x07vil\x1b[2J\r\u202e.txt"


def on_terminal(*arguments: str, cwd: Path, answer: str = "", **more: str) -> tuple[int, str]:
    """The exit code, and all that the command line sends to a terminal."""
    child = pexpect.spawn(
        sys.executable,
        ["-P", "-m", "orchestrator.main", *arguments],
        cwd=str(cwd),
        env=environment(cwd, **more),
        timeout=60,
        dimensions=(40, 200),
    )
    child.setecho(False)
    seen = b""
    if answer:
        child.expect(rb"(to approve|\[y/N\])[^\n]*: ?")
        seen = (child.before or b"") + (child.after or b"")
        child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    code = child.exitstatus if child.exitstatus is not None else -1
    return code, (seen + (child.before or b"")).decode("utf-8")


def assert_only_text(sent: str) -> None:
    """What was sent is lines, and colours of Jetbox's own; the screen stays as a terminal had it."""
    plain = COLOUR.sub("", sent).replace("\r\n", "\n")
    assert not {char for char in plain if char != "\n" and unicodedata.category(char) in HIDDEN}, ascii(plain)
    screen = pyte.HistoryScreen(200, 40, history=10_000)
    pyte.Stream(screen).feed(sent)
    assert screen.title == "" and screen.icon_name == ""
    shown = [line for line in plain.split("\n") if line]
    assert len(screen.history.top) + len([row for row in screen.display if row.strip()]) >= len(shown)


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["show", "TICKET-001"], ["show", "TICKET-002"], ["log"], ["inbox"], ["doctor"]],
    ids=" ".join,
)
def test_hostile_text_is_only_text_on_a_terminal(arguments: list[str], hostile: Place) -> None:
    code, sent = on_terminal(*arguments, cwd=hostile.root)
    assert code == 0 and sent
    if arguments != ["doctor"]:
        assert "\u241b]0;owned" in sent, "what is taken out leaves its mark"
    assert_only_text(sent)


def test_what_is_approved_is_only_text_on_a_terminal(place: Place) -> None:
    diff = f"diff --git a/{EVIL} b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-{EVIL}\n+{EVIL}\n".encode(
        "utf-8", "replace"
    )
    receipt = {"check": EVIL, "side": "branch", "tree": "c" * 40, "exit": 1, "passed": False}
    more = {"changed": [EVIL], "receipts": [receipt], "isolation": EVIL, "diff": place.blob(diff)}
    more["rollback"] = {"how": EVIL, "rehearsed": EVIL}
    place.write(admitted(), *started(), proposed(summary=EVIL, **more))
    found = json.loads(jetbox("inbox", "--json", cwd=place.root).stdout)[0]["id"]
    _, sent = on_terminal("approve", found, cwd=place.root, answer="no")
    assert sent.count("\u241b]0;owned") >= 8
    assert_only_text(sent)


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
def test_an_error_about_a_hostile_name_is_only_text(debug: list[str], place: Place) -> None:
    for arguments in (
        [*debug, "show", EVIL.replace("\x00", "")],
        [*debug, "check", f"/nowhere/{NAME}"],
        [*debug, "sandbox", "write", "--worktree", ".", "a", f"/nowhere/{NAME}"],
        [*debug, "verify", "--copy", f"/nowhere/{NAME}/x.db"],
        [*debug, NAME],
        [*debug, "status", f"--{NAME}"],
    ):
        code, sent = on_terminal(*arguments, cwd=place.root)
        assert code != 0 and sent.strip()
        assert_only_text(sent)


def test_a_broken_ticket_with_a_hostile_name_is_only_text(place: Place) -> None:
    folder = place.workspace.tickets
    folder.mkdir()
    (folder / "TICKET-007.yaml").write_bytes(b"kind: \x1b[2J\ngoal: \xff\n" + EVIL.encode("utf-8", "replace"))
    (folder / NAME).with_suffix(".yaml").write_text("x")
    code, sent = on_terminal("check", cwd=place.root)
    assert code == 2 and sent.count("\r\n") >= 2
    assert_only_text(sent)


def test_a_run_of_hostile_commands_is_told_and_proposed_as_text(place: Place) -> None:
    """A command and a check print what steers terminals, and leave a file that is called so."""
    evil = EVIL.replace("\x00", "").encode()
    (place.root / "say.py").write_text(
        f"import os\nos.write(1, {evil!r} + b'\\n')\nopen({NAME!r}, 'wb').write({evil!r})\n"
    )
    git(place.root, "add", "say.py")
    git(place.root, "commit", "-q", "-m", evil.decode())
    place.workspace.tickets.mkdir()
    (place.workspace.tickets / "TICKET-001.yaml").write_text(
        'kind: run\ngoal: Say what steers a terminal\nwith:\n  steps: ["python3 say.py"]\n'
        'accept:\n  - run: "python3 say.py"\n'
    )
    code, sent = on_terminal("run", "TICKET-001", cwd=place.root)
    asks = json.loads(jetbox("inbox", "--json", cwd=place.root).stdout)
    if code == 3 and asks and asks[0]["kind"] != "merge":
        pytest.skip("no sandbox holds here, so no command runs")
    assert code == 3 and "asks you" in sent
    assert_only_text(sent)
    for arguments in (["show", "TICKET-001"], ["log"], ["inbox"], ["status"]):
        assert_only_text(on_terminal(*arguments, cwd=place.root)[1])
    _, sent = on_terminal("approve", asks[0]["id"], cwd=place.root, answer="no")
    assert "changes  e\u241b]0;owned\u2407vil" in sent
    assert_only_text(sent)
    blobs = [path.read_bytes() for path in place.workspace.blobs.rglob("*") if path.is_file()]
    assert any(evil in blob for blob in blobs), "what is kept is kept as it came"


def test_the_output_of_a_sandboxed_command_is_only_text_on_a_terminal(place: Place) -> None:
    said = f"import os; os.write(1, {EVIL.encode()!r})"
    code, sent = on_terminal("sandbox", "run", "--", "python3", "-c", said, cwd=place.root)
    if "no sandbox holds" in sent or "would run as you" in sent:
        pytest.skip("no sandbox holds here, so no command runs")
    assert code == 0 and "a\u241b]0;owned" in sent
    assert_only_text(sent)


def test_the_engine_s_log_is_safe_to_read(place: Place) -> None:
    """A fault in a thread, a warning of a library, a ticket that breaks the engine's own code."""
    code = (
        "import logging, sys, threading\n"
        "from orchestrator import faults\n"
        "faults.guard()\n"
        f"evil = {EVIL!r}\n"
        "def fail(): raise ValueError(evil)\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join()\n"
        "logging.getLogger('x').warning('%s', evil)\n"
        "try: fail()\n"
        "except ValueError as error: logging.getLogger('x').exception(evil); faults.tell(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stderr.count("ValueError: a\u241b]0;owned") == 3
    assert_only_text(done.stderr.replace("\n", "\r\n"))
