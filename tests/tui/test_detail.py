"""What goes beyond a ticket's own files stands in front of a person, safe to look at, whatever its name."""

from __future__ import annotations

from typing import Any

import pytest

from state.canonical import digest
from state.views import Proposal
from tui.diff import Diff
from tui.inbox.detail import detail
from tui.look import DARK, UNICODE, Look
from tui.page import Page

HOSTILE = "\x1b[2Jnmap\u202e"


def shown(kind: str, **subject: Any) -> str:
    proposal = Proposal(
        id="p", kind=kind, ticket="TICKET-1", attempt=1, digest=digest(subject), summary="asks",
        subject=subject, diff="", state="open", reason="", by="", since=0, decided=None, changed=0,
    )  # fmt: skip
    page = detail(Page(Look(DARK, UNICODE), 100), proposal, None, Diff(), "", 0)
    return "\n".join("".join(text for text, _ in line) for line in page.lines)


def test_new_programs_are_named_one_by_one() -> None:
    text = shown("start", new={"programs": ["nmap", "zz-tool"]})
    assert "New programs" in text and "nmap" in text and "zz-tool" in text


def test_hosts_and_the_exact_commands_are_shown_with_what_a_yes_opens() -> None:
    text = shown("network", hosts=["a.example"], commands=["curl a.example"], bytes=None, inside="none")
    for part in ("a.example", "curl a.example", "inside", "none", "not known"):
        assert part in text


def test_files_that_steer_others_come_before_the_change() -> None:
    text = shown("merge", notable=[".github/ci.yml"], rollback={"how": "revert", "rehearsed": "yes"})
    assert 0 < text.index(".github/ci.yml") < text.index("Way back")
    assert "steer" not in shown("merge", notable=[])


@pytest.mark.parametrize("value", [None, 3, "text", {}, [None, {"a": 1}], HOSTILE, [HOSTILE]])
@pytest.mark.parametrize("key", ["new", "hosts", "commands", "notable", "bytes", "inside"])
def test_a_subject_of_any_shape_is_shown_safely(key: str, value: Any) -> None:
    for text in (shown("start", **{key: value}), shown("start", new={"programs": value})):
        assert "\x1b" not in text and "\u202e" not in text
        assert ("nmap" in str(value)) == ("nmap" in text), "a part that is approved is not shown"
