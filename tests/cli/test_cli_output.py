"""What is written can be read by programs, and steers no terminal whatever tickets and commands say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import unicodedata
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cli_doubles import EVIL, Place, admitted, environment, jetbox, proposed, started
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from orchestrator.cli import models
from orchestrator.cli.output import safe
from state.events import New


def controls(text: str) -> set[str]:
    return {c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["show", "TICKET-001"], ["show", "TICKET-002"], ["log"], ["inbox"]],
    ids=" ".join,
)
def test_hostile_text_steers_no_terminal(arguments: list[str], hostile: Place) -> None:
    done = jetbox(*arguments, cwd=hostile.root)
    assert done.returncode == 0 and done.stdout
    assert not controls(done.stdout)
    as_json = jetbox(*arguments, "--json", cwd=hostile.root).stdout
    assert as_json.isascii() and not controls(as_json)


def test_hostile_text_steers_no_terminal_by_an_error(place: Place) -> None:
    for arguments in (["show", EVIL.replace("\x00", "")], ["run", "TICKET-\x1b[2J"], ["\x1b[2J"]):
        done = jetbox(*arguments, cwd=place.root)
        assert done.returncode != 0
        assert not controls(done.stderr) and done.stderr.count("\n") == 1


@given(st.text())
def test_safe_text_is_one_line_without_controls(text: str) -> None:
    shown = safe(text)
    assert not controls(shown) and "\n" not in shown


VISIBLE = st.characters(
    whitelist_categories=("L", "N", "P", "S", "Zs"), blacklist_characters="\u115f\u1160\u3164\uffa0"
)


@given(st.text(VISIBLE.filter(lambda char: cell_len(char) > 0)))
def test_harmless_text_is_shown_as_it_is(text: str) -> None:
    assert safe(text) == text


def test_piped_output_is_plain_and_whole(place: Place) -> None:
    goal = "a very long goal " * 12
    place.write(admitted(goal=goal.strip()))
    assert goal.strip() in jetbox("status", cwd=place.root, COLUMNS="40").stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_is_for_terminals_that_want_it(
    place: Place, variables: dict[str, str], coloured: bool
) -> None:
    import pexpect

    place.write(admitted(), *started())
    shown = pexpect.run(
        f"{sys.executable} -P -m orchestrator.main status",
        cwd=str(place.root),
        env=environment(place.root, **variables),
        timeout=30,
    ).decode()
    assert "running" in shown
    assert ("\x1b[" in shown) is coloured


def test_a_terminal_without_unicode_gets_what_it_can_show(place: Place) -> None:
    place.write(admitted(goal="naïve 漢字 ⇒ ok"))
    done = jetbox("status", cwd=place.root, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0 and "ve" in done.stdout


# JSON ------------------------------------------------------------------------------------------------


def schema_of(name: str, cwd: Path) -> dict[str, Any]:
    done = jetbox("schema", name, cwd=cwd)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    jsonschema.Draft202012Validator.check_schema(found)
    return found


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["status"], "status"),
        (["inbox"], "inbox"),
        (["show", "TICKET-001"], "show"),
        (["verify"], "verify"),
        (["doctor"], "doctor"),
        (["check"], "check"),
    ],
)
def test_json_is_one_value_that_fits_its_schema(arguments: list[str], name: str, hostile: Place) -> None:
    hostile.ticket()
    done = jetbox(*arguments, "--json", cwd=hostile.root)
    value = json.loads(done.stdout)
    found = schema_of(name, hostile.root)
    jsonschema.validate(value, found, cls=jsonschema.Draft202012Validator)
    assert value, "an empty value would fit anything"


def test_the_log_is_one_event_a_line(hostile: Place) -> None:
    event = schema_of("log", hostile.root)
    lines = jetbox("log", "--json", cwd=hostile.root).stdout.splitlines()
    assert len(lines) == len(hostile.types())
    for at, line in enumerate(lines, 1):
        value = json.loads(line)
        jsonschema.validate(value, event, cls=jsonschema.Draft202012Validator)
        assert value["seq"] == at
    of_one = jetbox("log", "TICKET-002", "--json", cwd=hostile.root).stdout.splitlines()
    assert {json.loads(line)["ticket"] for line in of_one} == {"TICKET-002"}


def test_status_has_the_documented_keys(place: Place) -> None:
    place.write(admitted(), *started(), proposed())
    value = json.loads(jetbox("status", "--json", cwd=place.root).stdout)
    ticket = value["tickets"][0]
    assert {"id", "kind", "state", "progress", "checks", "waiting"} <= ticket.keys()
    assert ticket["checks"].keys() == {"green", "red", "unknown"}
    assert (ticket["state"], ticket["waiting"]) == ("review", "a person: merge")
    assert value["engine"]["state"] == "off"
    proposal = json.loads(jetbox("inbox", "--json", cwd=place.root).stdout)[0]
    assert {"id", "kind", "ticket", "digest", "summary", "since"} == proposal.keys()


def test_every_schema_there_is_can_be_printed(place: Place) -> None:
    for name in models.names():
        schema_of(name, place.root)
    assert {"ticket", "persona", "event", "proposal", "status", "inbox", "log"} <= set(models.names())
    assert "did you mean 'status'?" in jetbox("schema", "statsu", cwd=place.root).stderr


def test_before_the_first_run_there_is_an_empty_board(place: Place) -> None:
    assert json.loads(jetbox("status", "--json", cwd=place.root).stdout)["tickets"] == []
    assert jetbox("inbox", "--json", cwd=place.root).stdout == "[]\n"
    assert "jetbox run" in jetbox("status", cwd=place.root).stdout
    assert not place.workspace.home.exists()


# Streams ---------------------------------------------------------------------------------------------


def started_log(place: Place, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "orchestrator.main", "log", *arguments],
        cwd=place.root,
        env=environment(place.root),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_reader_who_has_enough_is_no_error(place: Place) -> None:
    place.write(*(admitted(f"TICKET-{n}") for n in range(1, 1500)))
    child = started_log(place)
    assert child.stdout is not None and child.stderr is not None
    assert child.stdout.readline()
    child.stdout.close()
    said = child.stderr.read()
    child.wait(30)
    child.stderr.close()
    assert said == ""


def test_following_shows_what_is_written_meanwhile(place: Place) -> None:
    place.write(admitted())
    child = started_log(place, "-f", "--json")
    assert child.stdout is not None and child.stderr is not None
    try:
        assert json.loads(child.stdout.readline())["type"] == "ticket.admitted"
        place.write(New("ticket.note", {"note": "meanwhile"}, "TICKET-001"))
        assert json.loads(child.stdout.readline())["body"] == {"note": "meanwhile"}
        if os.name == "posix":
            time.sleep(0.1)
            child.send_signal(2)
            assert child.wait(30) == 130
            assert "Traceback" not in child.stderr.read()
    finally:
        child.kill()
        child.communicate()
