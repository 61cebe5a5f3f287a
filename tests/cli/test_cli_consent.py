"""Consent by the command line: typed on a terminal by a person, or not at all."""

from __future__ import annotations

import sys

import pytest
from cli_doubles import Place, environment, jetbox

from state.events import New

PHRASE = "run unsandboxed in project"
needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")


@pytest.fixture
def bare(place: Place) -> Place:
    """A workspace whose engine found nothing that holds."""
    held = New("engine.isolation", {"isolation": "none", "tried": [["bubblewrap", False, "not there"]]})
    place.write(New("engine.started", {"pid": 1}), held)
    return place


def test_nothing_but_a_terminal_is_asked(bare: Place) -> None:
    done = jetbox("consent", cwd=bare.root)
    assert done.returncode == 2 and "on a terminal" in done.stderr
    for more in ("--yes", "--phrase", PHRASE):
        assert jetbox("consent", more, cwd=bare.root).returncode == 2
    assert "consent.given" not in bare.types()


def answered(place: Place, answer: str) -> tuple[int, str]:
    import pexpect

    child = pexpect.spawn(
        sys.executable,
        ["-P", "-m", "orchestrator.main", "consent"],
        cwd=str(place.root),
        env=environment(place.root),
        dimensions=(40, 120),
        encoding="utf-8",
        timeout=30,
    )
    if child.expect([r"to let them: ", pexpect.EOF]) == 0:
        child.sendline(answer)
        child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus or 0, child.before


@needs_pty
def test_the_phrase_is_asked_for_and_nothing_else_will_do(bare: Place) -> None:
    for answer in ("", "y", "run unsandboxed"):
        code, said = answered(bare, answer)
        assert code == 1 and PHRASE in said
    assert "consent.given" not in bare.types()
    code, said = answered(bare, PHRASE)
    assert code == 0 and "until the engine stops" in said
    assert bare.types().count("consent.given") == 1


@needs_pty
def test_it_is_not_even_asked_for_where_it_would_mean_nothing(place: Place) -> None:
    place.write(New("engine.started", {"pid": 1}), New("engine.isolation", {"isolation": "landlock"}))
    code, said = answered(place, PHRASE)
    assert code == 1 and "landlock" in said
    place.write(New("engine.stopped", {}))
    code, said = answered(place, PHRASE)
    assert code == 1 and "no engine runs" in said
    assert "consent.given" not in place.types()
