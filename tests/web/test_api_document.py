"""What docs/api.md shows holds: its commands are run as they stand, against the real API."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from web_doubles import served, workspace

sys.path.append(str(Path(__file__).resolve().parents[1] / "documents"))

from transcript import Session, steps

from orchestrator.web import desk, events, guard, server, updates

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"


@pytest.mark.skipif(sys.platform == "win32", reason="the page's commands are a POSIX shell's")
def test_every_command_of_the_page_does_what_is_shown(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    found = steps(PAGE)
    assert len(found) >= 9
    place = workspace(tmp_path / "project")
    with served(place) as api:
        session = Session(tmp_path, place.root)
        for each in found:
            command = each.command.replace("127.0.0.1:8721", f"127.0.0.1:{api.port}")
            session.run(replace(each, command=command))


def test_the_page_names_every_route_and_every_reason_of_a_refused_update() -> None:
    from orchestrator.web.app import described

    text = PAGE.read_text(encoding="utf-8")
    for path in described()["paths"]:
        assert f"{path.removesuffix('/{id}')}" in text, path
    source = Path(updates.__file__).read_text(encoding="utf-8")
    for reason in set(re.findall(r'Sorry\(409, "([a-z]+)"', source)) - {"core"}:
        assert f"`{reason}`" in text, reason


def test_the_bounds_on_the_page_are_those_of_the_program() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"127.0.0.1:{server.PORT}" in text and "serve.token" in text
    assert f"A head of {guard.LONGEST >> 10} KiB, a body of {guard.LARGEST >> 20} MiB" in text
    assert f"{guard.SLOWEST:.0f} s to send it, {server.CONNECTIONS} connections" in text
    assert f"{desk.AT_ONCE} questions that wait" in text
    assert f"after {events.HEARTBEAT:.0f} s of silence. At most {events.CLIENTS}\nfollow" in text
