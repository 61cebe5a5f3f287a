"""The core is not changed through the API without a person's key, whatever is sent; each try is on record."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path += [str(Path(__file__).resolve().parents[1] / room) for room in ("core", "engine")]

import scripted_core
from core_lab import CoreLab
from web_doubles import Served, scripted, served

from orchestrator import config
from orchestrator.sandbox.choose import Choice, choose
from orchestrator.web import updates
from state import words
from state.events import New
from state.lock import Lock, held
from state.views import Proposal


@contextlib.contextmanager
def taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CoreLab]:
    """A repository with a core of two parts and a memory that has learned."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home))
    scripted_core.scripted(monkeypatch.setattr)
    made = CoreLab(tmp_path / "lab")
    made.adopt(sudoku=b"first", mazes=b"other")
    made.teach()
    yield made
    made.close()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CoreLab]:
    with taught(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def api(lab: CoreLab) -> Iterator[Served]:
    with served(lab.workspace, scripted(lab.workspace)) as found:
        yield found


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CoreLab, Served, Proposal]]:
    """One that is served and has an open proposal, for attacks that would leave it as it was."""
    with (
        pytest.MonkeyPatch.context() as patch,
        taught(tmp_path_factory.mktemp("waiting"), patch) as lab,
        served(lab.workspace, scripted(lab.workspace)) as api,
    ):
        yield lab, api, lab.asked()[1]


Said = tuple[int, str]
Attack = Callable[[CoreLab, Served], Said]
Try = Callable[[Served, Proposal], Said]


def sent(api: Served, proposal: str, digest: str, **more: Any) -> Said:
    status, _, said = api.ask("POST", "/apply_update", {"proposal": proposal, "digest": digest, **more})
    return status, said.get("reason", "")


def open_one(api: Served, asked: Proposal) -> Said:
    return sent(api, asked.id, asked.digest)


def stale_digest(lab: CoreLab, api: Served) -> Said:
    _, asked = lab.asked()
    lab.say(words.approve, asked.id, asked.digest)
    return sent(api, asked.id, "0" * 64)


def denied_one(lab: CoreLab, api: Served) -> Said:
    _, asked = lab.asked()
    lab.say(words.deny, asked.id, asked.digest, "not on this data")
    return sent(api, asked.id, asked.digest)


def nobodys(api: Served, asked: Proposal) -> Said:
    return sent(api, "5c" * 6, "5c" * 32)


def beginning_of_an_id(api: Served, asked: Proposal) -> Said:
    return sent(api, asked.id[:6], asked.digest)


def shouted_digest(api: Served, asked: Proposal) -> Said:
    return sent(api, asked.id, asked.digest.upper())


def approved_and_no_engine(lab: CoreLab, api: Served) -> Said:
    _, asked = lab.asked()
    lab.say(words.approve, asked.id, asked.digest)
    return sent(api, asked.id, asked.digest)


def yes_of_its_own(api: Served, asked: Proposal) -> Said:
    return sent(api, asked.id, asked.digest, approve=True)


def contract_of_its_own(api: Served, asked: Proposal) -> Said:
    return sent(api, asked.id, asked.digest, contract={"authorized_by": "tester", "digest": asked.digest})


def another_kind(lab: CoreLab, api: Served) -> Said:
    subject = {"ticket": "TICKET-050", "attempt": 1, "core": lab.now(), "options": ["yes"]}
    body = {"id": "ab" * 6, "digest": "cd" * 32, "kind": "question", "summary": "?", "subject": subject}
    with lab.journal() as journal:
        journal.append(New("proposal.opened", body, "TICKET-050", 1))
    return sent(api, "ab" * 6, "cd" * 32)


def forged_use(lab: CoreLab, api: Served) -> Said:
    ticket, asked = lab.asked()
    with lab.journal() as journal:
        said = {"id": asked.id, "digest": asked.digest, "by": "x", "nonce": "n", "contract": {}}
        journal.append(
            New("proposal.approved", said, ticket, asked.attempt),
            New("proposal.used", {"id": asked.id}, ticket, asked.attempt),
        )
    return sent(api, asked.id, asked.digest)


def forged_core(lab: CoreLab, api: Served) -> Said:
    ticket, asked = lab.asked()
    with lab.journal() as journal:
        said = {"id": asked.id, "digest": asked.digest, "by": "x", "nonce": "n", "contract": {}}
        body = {"core": asked.subject["core"], "before": asked.subject["before"], "why": "update"}
        journal.append(
            New("proposal.approved", said, ticket, asked.attempt),
            New(
                "core.set",
                {**body, "proposal": asked.id, "by": "x", "contract": {}},
                ticket,
                asked.attempt,
            ),
            New("proposal.used", {"id": asked.id}, ticket, asked.attempt),
        )
    return sent(api, asked.id, asked.digest)


def without_the_token(api: Served, asked: Proposal) -> Said:
    body = {"proposal": asked.id, "digest": asked.digest}
    status, _, said = api.ask("POST", "/apply_update", body, token=None)
    return status, said["reason"]


def token_in_the_address(api: Served, asked: Proposal) -> Said:
    body = {"proposal": asked.id, "digest": asked.digest}
    path = f"/apply_update?token={api.serving.token}"
    status, _, said = api.ask("POST", path, body, token=None, Cookie=f"jetbox-{api.port}={api.serving.token}")
    return status, said["reason"]


def from_another_site(api: Served, asked: Proposal) -> Said:
    body = {"proposal": asked.id, "digest": asked.digest}
    status, _, said = api.ask("POST", "/apply_update", body, Origin="http://evil.example")
    return status, said["reason"]


def by_a_rebound_name(api: Served, asked: Proposal) -> Said:
    body = {"proposal": asked.id, "digest": asked.digest}
    status, _, said = api.ask("POST", "/apply_update", body, Host=f"evil.example:{api.port}")
    return status, said["reason"]


def as_a_form(api: Served, asked: Proposal) -> Said:
    body = json.dumps({"proposal": asked.id, "digest": asked.digest}).encode()
    status, _, said = api.ask("POST", "/apply_update", body, Content_Type="text/plain")
    return status, said["reason"]


def update_from_elsewhere(lab: CoreLab, api: Served) -> Said:
    status, _, said = api.ask("POST", "/propose_update", {"memory": "../core"})
    return status, said["reason"]


def update_from_a_memory_over_another_core(lab: CoreLab, api: Served) -> Said:
    lab.teach("old", core="ab" * 32)
    status, _, said = api.ask("POST", "/propose_update", {"memory": "old"})
    return status, said["reason"]


def update_that_was_denied(lab: CoreLab, api: Served) -> Said:
    denied_one(lab, api)
    lab.run()
    status, _, said = api.ask("POST", "/propose_update", {"memory": "rules"})
    return status, said["reason"]


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (open_one, (409, "open")),
        (nobodys, (404, "proposal")),
        (beginning_of_an_id, (422, "request")),
        (shouted_digest, (422, "request")),
        (yes_of_its_own, (422, "request")),
        (contract_of_its_own, (422, "request")),
        (without_the_token, (401, "token")),
        (token_in_the_address, (401, "token")),
        (from_another_site, (403, "origin")),
        (by_a_rebound_name, (403, "host")),
        (as_a_form, (422, "request")),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_what_nobody_approved_is_not_applied_however_it_is_asked_for(
    waiting: tuple[CoreLab, Served, Proposal], attempt: Try, said: Said
) -> None:
    lab, api, asked = waiting
    first = lab.now()
    before, told = lab.bytes_of(first), len(lab.refused())
    assert attempt(api, asked) == said
    assert lab.now() == first and lab.bytes_of(first) == before
    assert [each.state for each in lab.inbox()] == ["open"] and len(lab.refused()) == told + 1


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (stale_digest, (409, "stale")),
        (denied_one, (409, "denied")),
        (approved_and_no_engine, (409, "waiting")),
        (another_kind, (409, "kind")),
        (forged_use, (409, "void")),
        (forged_core, (409, "void")),
        (update_from_a_memory_over_another_core, (409, "core")),
        (update_that_was_denied, (409, "core")),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_no_way_through_the_api_changes_the_core_and_each_is_on_record(
    lab: CoreLab, api: Served, attack: Attack, said: Said
) -> None:
    first = lab.now()
    before, told = lab.bytes_of(first), len(lab.refused())
    assert attack(lab, api) == said
    assert lab.now() == first and lab.bytes_of(first) == before
    assert len(lab.refused()) > told
    assert api.ask("GET", "/core")[2]["core"] == first
    assert api.ask("GET", "/core")[2]["refused"]


def test_what_is_no_name_of_a_memory_is_not_looked_for(lab: CoreLab, api: Served) -> None:
    assert update_from_elsewhere(lab, api) == (422, "request")
    assert api.ask("POST", "/propose_update", {"memory": "nobody"})[::2][0] == 404
    assert not list(lab.workspace.tickets.glob("*.yaml"))


def test_an_update_is_proposed_by_a_program_approved_by_a_person_and_then_found_installed(
    lab: CoreLab, api: Served
) -> None:
    first = lab.now()
    status, _, made = api.ask("POST", "/propose_update", {"memory": "rules", "why": "three corrections"})
    assert status == 200
    assert api.ask("POST", "/propose_update", {"memory": "rules"})[2] == made, "it waits already"
    lab.run()
    (asked,) = api.ask("GET", "/inbox")[2]
    assert (asked["kind"], asked["ticket"]) == ("core", made["ticket"])
    assert asked["subject"]["expected_effects"] and asked["subject"]["before"] == first
    assert sent(api, asked["id"], asked["digest"]) == (409, "open")
    lab.say(words.approve, asked["id"], asked["digest"])
    assert lab.now() == first
    lab.run()
    body = {"proposal": asked["id"], "digest": asked["digest"]}
    status, _, said = api.ask("POST", "/apply_update", body)
    assert status == 200 and said == {"core": lab.now(), "proposal": asked["id"]} and lab.now() != first
    history = api.ask("GET", "/core")[2]["history"]
    assert [each["why"] for each in history] == ["adopt", "update"] and history[1]["proposal"] == asked["id"]
    lab.revert(first)
    assert sent(api, asked["id"], asked["digest"]) == (409, "passed") and lab.now() == first


def test_many_at_once_are_all_told_the_same_and_change_nothing(lab: CoreLab, api: Served) -> None:
    _, asked = lab.asked()
    first, told = lab.now(), len(lab.refused())
    found: list[Said] = []
    threads = [
        threading.Thread(target=lambda: found.append(sent(api, asked.id, asked.digest))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [(409, "open")] * 8 and lab.now() == first and len(lab.refused()) == told + 8


def test_a_sandboxed_command_reaches_neither_the_token_nor_the_port(lab: CoreLab, api: Served) -> None:
    found = choose(lab.workspace, config.load(lab.workspace).policy)
    if found.sandbox.isolation == "none":
        pytest.skip("no sandbox holds on this machine")
    lab.sandbox = lambda workspace: lambda: Choice(found.sandbox, found.tried)
    held = api.serving.token_file
    assert held.read_text().strip() == api.serving.token
    reach = f"import socket; socket.create_connection(('127.0.0.1', {api.port}), 3)"
    read = f"! cat {held} && ! cat {lab.workspace.home}/serve.lock"
    runs = f'{sys.executable} -c "import socket"'
    step = f'{runs} && {read} && ! {sys.executable} -c "{reach}"'
    lab.ticket("TICKET-091", step, accept=[{"run": "true"}])
    lab.run()
    start = next(p for p in lab.inbox() if p.ticket == "TICKET-091")  # it names programs that are new
    lab.say(words.approve, start.id, start.digest)
    lab.run()
    assert lab.state("TICKET-091") == "landed", lab.card("TICKET-091")
    assert api.ask("GET", "/health")[0] == 200, "outside the sandbox it is reached"


def test_an_engine_that_lives_is_given_a_moment_and_none_is_started(
    lab: CoreLab, api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updates, "WAITS", 0.4)
    _, asked = lab.asked()
    lab.say(words.approve, asked.id, asked.digest)
    body = {"proposal": asked.id, "digest": asked.digest}
    _, _, off = api.ask("POST", "/apply_update", body)
    assert "no engine works" in off["error"] and not held(lab.workspace.lock)
    with Lock(lab.workspace.lock):  # as an engine holds it
        began = time.monotonic()
        _, _, on = api.ask("POST", "/apply_update", body)
        assert "the engine is at it" in on["error"] and time.monotonic() - began >= 0.4
    assert len(lab.refused()) == 2
