"""Attempts on the core by work: of the engine, of tickets and settings, of several at once, from inside."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
from typing import Any

import pytest
from attack_field import Field

from orchestrator import config
from orchestrator.sandbox.choose import Choice, choose
from state import core, words
from state.contract import Matter
from state.core import CoreRefused
from state.events import New
from state.words import Refused
from tickets.problems import TicketError

# The engine -------------------------------------------------------------------------------------------


def approval_written_by_hand(at: Field) -> None:
    said = {"id": at.base.asked.id, "digest": at.base.asked.digest, "by": "mallory"}
    at.write(New("proposal.approved", said, at.base.ticket, 1))
    at.lab.run()


def approval_under_another_kind(at: Field) -> None:
    record = at.seal(Matter("question", at.base.asked.subject))
    said = {"id": at.base.asked.id, "digest": at.base.asked.digest, "by": "mallory", "contract": record}
    at.write(New("proposal.approved", said, at.base.ticket, 1))
    at.lab.run()


def candidate_altered_after_the_approval(at: Field) -> None:
    at.approve()
    (at.candidate() / "parts/sudoku/model.safetensors").write_bytes(b"poison")
    at.ends(at.base.ticket, "altered")


def candidate_exchanged_after_the_approval(at: Field) -> None:
    at.approve()
    foreign = at.lab.version(at.foreign())
    shutil.rmtree(at.candidate())
    foreign.rename(at.candidate())
    at.ends(at.base.ticket, "altered")


def approved_over_a_core_that_has_changed(at: Field) -> None:
    at.approve()
    at.lab.revert(at.base.first)
    at.lab.run()
    assert at.lab.now() == at.base.first, "a version that was measured on another one is in force"
    assert "was made over another version" in at.lab.note(at.base.ticket)
    at.lab.revert(at.base.second)


# Tickets and settings ---------------------------------------------------------------------------------


def by_hand(at: Field, id_: str = "TICKET-090", **more: Any) -> str:
    spec = {"with": {"memory": "rules"}, "accept": ["keeps"], **more}
    at.lab.ticket(id_, kind="core", **spec)
    return id_


def ticket_with_its_check_loosened(at: Field) -> None:
    at.lab.teach(lessons=9, old_after=0.90)
    at.ends(by_hand(at, accept=[{"metric": "old_after", "min": 0.0}]), "lose more than")


def ticket_whose_check_the_project_redefines(at: Field) -> None:
    at.lab.teach(lessons=9, old_after=0.90)
    at.lab.write({"checks.yaml": "keeps: {run: 'true'}\n"})
    at.ends(by_hand(at), "lose more than")


def ticket_that_hides_one_lost_task_behind_the_mean(at: Field) -> None:
    at.lab.teach(lessons=9, task_lost=0.05)
    at.ends(by_hand(at, accept=[{"metric": "old_after", "min": 0.0}]), "mazes")


def candidate_that_changes_another_part(at: Field) -> None:
    at.lab.teach(lessons=9, also=["mazes"])
    at.ends(by_hand(at), "mazes")


def candidate_of_another_parent(at: Field) -> None:
    at.lab.teach(lessons=9, parent=at.base.first)
    at.ends(by_hand(at), "not made from this core")


def memory_over_another_core(at: Field) -> None:
    at.lab.teach("other", core=at.base.first)
    with at.refuses(CoreRefused):
        at.lab.propose("other")
    at.ends(by_hand(at, **{"with": {"memory": "other"}}), "another version")


def memory_of_another_part_than_the_ticket_says(at: Field) -> None:
    at.ends(by_hand(at, **{"with": {"memory": "rules", "part": "mazes"}}), "not about mazes")


def ticket_that_names_a_core(at: Field) -> None:
    id_ = by_hand(at, **{"with": {"memory": "rules", "core": at.base.first}})
    at.lab.run()
    assert at.lab.state(id_) == "broken"


def memory_that_leads_out_of_its_folder(at: Field) -> None:
    for odd in ("../../x", "/etc", ".."):
        with at.refuses(CoreRefused):
            at.lab.propose(odd)


def denied(at: Field) -> None:
    at.lab.say(words.deny, at.base.asked.id, at.base.asked.digest, "not this")
    at.lab.run()
    assert at.lab.state(at.base.ticket) == "failed"


def proposed_again_after_a_denial(at: Field) -> None:
    denied(at)
    with at.refuses(CoreRefused):
        at.lab.propose()


def retried_after_a_denial(at: Field) -> None:
    denied(at)
    at.lab.say(words.retry, at.base.ticket)
    at.ends(at.base.ticket, "not this")


def new_ticket_after_a_denial(at: Field) -> None:
    denied(at)
    at.ends(by_hand(at), "not this")


def settings_of_a_project_that_name_a_core(at: Field) -> None:
    at.lab.write({"jetbox.yaml": f"base: main\ncore: {at.base.first}\n"})
    with at.refuses(TicketError):
        at.lab.run()
    (at.lab.root / "jetbox.yaml").unlink()


def models_of_a_project_that_name_a_core(at: Field) -> None:
    at.lab.write({"models.yaml": f"core: {at.base.first}\nroles: {{core: [{{core: {at.base.first}}}]}}\n"})
    with contextlib.suppress(TicketError):
        at.lab.run()


# Several at once, and from inside ---------------------------------------------------------------------


def two_updates_at_once(at: Field) -> None:
    """The second was measured on a core that is no more when its turn comes."""
    at.lab.teach("more", lessons=7)
    other = at.lab.propose("more")
    at.lab.run()
    asked = next(p for p in at.lab.inbox() if p.ticket == other)
    at.lab.say(words.approve, asked.id, asked.digest)
    at.approve()
    at.lab.run()
    set_ = [each.core for each in at.lab.current().standing.accepted]
    assert len(set_) == 3 and set_[-1] in (asked.subject["core"], at.base.asked.subject["core"])
    at.lab.revert(at.base.second)


def two_words_at_once(at: Field) -> None:
    third = at.lab.adopt(sudoku=b"third")
    at.lab.revert(at.base.second)
    said: list[object] = []

    def speak(digest: str) -> None:
        try:
            said.append(at.lab.revert(digest))
        except Refused as refused:
            said.append(refused)

    threads = [threading.Thread(target=speak, args=(each,)) for each in (third, third)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(each, Refused) for each in said) == 1
    at.lab.revert(at.base.second)


def sandboxed_command(at: Field) -> None:
    """A ticket's command writes the versions, the journal, the memory, and speaks a person's word."""
    found = choose(at.lab.workspace, config.load(at.lab.workspace).policy)
    if found.sandbox.isolation == "none":
        pytest.skip("no sandbox holds on this machine")
    at.lab.sandbox = lambda workspace: lambda: Choice(found.sandbox, found.tried)
    versions, home = core.versions(at.lab.workspace), at.lab.workspace.home
    path = versions / at.base.second / "parts/sudoku/model.safetensors"
    jetbox = f"{sys.executable} -P -m orchestrator.main"
    command = "; ".join(
        (
            f"echo poison > {path}",
            f"rm -rf {versions}",
            f"echo junk >> {home / 'journal.db'}",
            f"rm -rf {home / 'memories'}",
            f"cd {at.lab.root}; {jetbox} core revert {at.base.first}",
            f"{jetbox} approve {at.base.asked.id} --digest {at.base.asked.digest}",
        )
    )
    at.lab.ticket("TICKET-091", f"({command}) 2>&1 | head -c 2000; true", accept=[{"run": "true"}])
    at.lab.run()
    start = next(p for p in at.lab.inbox() if p.ticket == "TICKET-091")  # it names programs that are new
    at.lab.say(words.approve, start.id, start.digest)
    at.lab.run()
    assert at.lab.state("TICKET-091") == "landed", at.lab.card("TICKET-091")  # it changed nothing at all
    assert [p.id for p in at.lab.inbox() if p.ticket == at.base.ticket] == [at.base.asked.id]


ATTEMPTS = (
    approval_written_by_hand, approval_under_another_kind, candidate_altered_after_the_approval,
    candidate_exchanged_after_the_approval, approved_over_a_core_that_has_changed,
    ticket_with_its_check_loosened, ticket_whose_check_the_project_redefines,
    ticket_that_hides_one_lost_task_behind_the_mean, candidate_that_changes_another_part,
    candidate_of_another_parent, memory_over_another_core, memory_of_another_part_than_the_ticket_says,
    memory_that_leads_out_of_its_folder, proposed_again_after_a_denial, retried_after_a_denial,
    new_ticket_after_a_denial, two_updates_at_once, two_words_at_once,
)  # fmt: skip
"""What is refused with a record of it."""
ELSEWHERE = (
    ticket_that_names_a_core, settings_of_a_project_that_name_a_core,
    models_of_a_project_that_name_a_core, sandboxed_command,
)  # fmt: skip
"""What never comes near the core: the ticket, the settings or the sandbox refuse it."""
