"""Whoever tries to change the core without a person's sealed word: nothing comes of it, and it is on record.

One table, each an attempt through a real door: the files, the journal as whoever can write it, the words, the
engine, tickets, settings, a sandboxed command. After each, the version in force is the one before, byte for
byte, or, where its own files were damaged, an earlier one that a person had sealed; never anything else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import scripted_core
from core_lab import CoreLab

from orchestrator import config
from orchestrator.core.adopt import adopt
from orchestrator.sandbox.choose import Choice, choose
from state import core, core_words, words
from state.approval_key import KeySealer
from state.contract import Matter, SealError, draw_up
from state.core import CoreRefused
from state.events import New
from state.journal import Journal
from state.views import Proposal
from state.words import Refused, Stale
from tickets.problems import TicketError

REFUSALS = (Refused, CoreRefused, TicketError, SealError)


class Base(NamedTuple):
    """What each attempt begins with: two versions that a person sealed, the second in force."""

    first: str
    second: str
    ticket: str
    asked: Proposal
    """An open question to change the core to a third one."""


@dataclass
class Field:
    """A lab in that state."""

    lab: CoreLab
    base: Base
    tmp: Path

    def write(self, *events: New) -> None:
        """Events as whoever can write the journal writes them: the chain fits."""
        with self.lab.journal() as journal:
            journal.append(*events)

    def seal(self, matter: Matter, *, by: KeySealer | None = None, workspace: str = "") -> dict[str, Any]:
        """A record that a person's key, or another one, really sealed."""
        where = workspace or str(self.lab.root)
        return draw_up(matter, "mallory", "s" * 32, "y", by or self.lab.sealer, workspace=where)

    def foreign(self) -> str:
        """A well-formed version among the others that nobody ever said."""
        folder = self.tmp / "foreign"
        shutil.copytree(self.lab.version(self.base.first), folder)
        path = folder / "parts/sudoku/model.safetensors"
        path.write_bytes(b"poison")
        body = json.loads((folder / "core.json").read_text())
        sha256 = hashlib.sha256(b"poison").hexdigest()
        body["parts"]["sudoku"]["files"]["model.safetensors"] = sha256
        data = core.core_json(body)
        (folder / "core.json").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        shutil.move(folder, self.lab.version(digest))
        return digest

    def set(self, digest: str, before: str | None, why: str = "adopt", **more: Any) -> New:
        body = {"core": digest, "before": before, "why": why, "proposal": "", "by": "mallory", "contract": {}}
        return New("core.set", {**body, **more})

    @contextlib.contextmanager
    def refuses(self, *kinds: type[Exception]) -> Iterator[None]:
        with pytest.raises(kinds or REFUSALS):
            yield

    def candidate(self) -> Path:
        return self.lab.workspace.run(self.base.ticket, 1) / "candidate"

    def approve(self) -> None:
        self.lab.say(words.approve, self.base.asked.id, self.base.asked.digest)

    def ends(self, ticket: str, said: str) -> None:
        self.lab.run()
        assert self.lab.state(ticket) in ("failed", "cancelled", "broken"), self.lab.card(ticket)
        assert said in self.lab.note(ticket), self.lab.note(ticket)
        assert not [p for p in self.lab.inbox() if p.ticket == ticket]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CoreLab, Base, Path, Path]]:
    """The base, made once: a contract is bound to its workspace's path, so each test gets it there."""
    tmp = tmp_path_factory.mktemp("attacked")
    home = tmp / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            patch.setenv(name, str(home))
        scripted_core.scripted(patch.setattr)
        lab = CoreLab(tmp / "lab")
        first = lab.adopt(sudoku=b"first", mazes=b"other")
        second = lab.adopt(sudoku=b"second")
        lab.teach()
        ticket, asked = lab.asked()
        shutil.copytree(lab.root, tmp / "kept", symlinks=True)
        yield lab, Base(first, second, ticket, asked), home, tmp / "kept"
        lab.close()


@pytest.fixture
def field(
    kept: tuple[CoreLab, Base, Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Field]:
    lab, base, home, copy = kept
    shutil.rmtree(lab.root)
    shutil.copytree(copy, lab.root, symlinks=True)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home))
    scripted_core.scripted(monkeypatch.setattr)
    yield Field(lab, base, tmp_path)


# Files ------------------------------------------------------------------------------------------------


def weights_edited(at: Field) -> None:
    path = at.lab.version(at.base.second) / "parts/sudoku/model.safetensors"
    path.write_bytes(b"secOnd")


def checkpoint_edited(at: Field) -> None:
    path = at.lab.version(at.base.second) / "parts/mazes/checkpoint.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))


def core_json_edited(at: Field) -> None:
    path = at.lab.version(at.base.second) / "core.json"
    body = json.loads(path.read_text())
    body["parts"]["sudoku"]["files"]["model.safetensors"] = hashlib.sha256(b"poison").hexdigest()
    (path.parent / "parts/sudoku/model.safetensors").write_bytes(b"poison")
    path.write_bytes(core.core_json(body))


def folder_exchanged_for_a_foreign_one(at: Field) -> None:
    foreign = at.lab.version(at.foreign())
    shutil.rmtree(at.lab.version(at.base.second))
    foreign.rename(at.lab.version(at.base.second))


def folder_is_a_link(at: Field) -> None:
    place = at.lab.version(at.base.second)
    place.rename(at.tmp / "elsewhere")
    place.symlink_to(at.tmp / "elsewhere")


def part_is_a_link(at: Field) -> None:
    place = at.lab.version(at.base.second) / "parts/sudoku"
    place.rename(at.tmp / "part")
    place.symlink_to(at.tmp / "part")


def weights_are_a_pipe(at: Field) -> None:
    path = at.lab.version(at.base.second) / "parts/sudoku/model.safetensors"
    path.unlink()
    os.mkfifo(path)


def folder_removed(at: Field) -> None:
    shutil.rmtree(at.lab.version(at.base.second))


# The journal ------------------------------------------------------------------------------------------


def word_without_a_contract(at: Field) -> None:
    at.write(at.set(at.foreign(), at.base.second))


def word_with_a_seal_of_another_key(at: Field) -> None:
    digest = at.foreign()
    record = at.seal(core.adoption(digest, at.base.second), by=KeySealer(at.tmp / "other.key"))
    at.write(at.set(digest, at.base.second, contract=record))


def word_with_an_edited_contract(at: Field) -> None:
    digest = at.foreign()
    genuine = at.lab.events(type_="core.set")[-1].body["contract"]
    name = core.adoption(digest, at.base.second).digest
    at.write(at.set(digest, at.base.second, contract={**genuine, "digest": name}))


def word_sealed_for_another_workspace(at: Field) -> None:
    digest = at.foreign()
    record = at.seal(core.adoption(digest, at.base.second), workspace="/somewhere/else")
    at.write(at.set(digest, at.base.second, contract=record))


def old_word_said_again(at: Field) -> None:
    at.write(*(New("core.set", each.body) for each in at.lab.events(type_="core.set")))


def old_word_said_again_when_it_would_fit(at: Field) -> None:
    at.lab.revert(at.base.first)
    at.write(New("core.set", at.lab.events(type_="core.set")[1].body))  # from the first to the second
    assert at.lab.now() == at.base.first, "a word counts a second time"
    at.lab.revert(at.base.second)


def old_word_about_a_new_before(at: Field) -> None:
    body = at.lab.events(type_="core.set")[0].body
    at.write(New("core.set", {**body, "before": at.base.second}))


def sealed_word_that_comes_too_late(at: Field) -> None:
    digest = at.foreign()
    at.write(at.set(digest, at.base.first, contract=at.seal(core.adoption(digest, at.base.first))))


def word_to_revert_under_the_seal_of_another(at: Field) -> None:
    record = at.seal(core.adoption(at.base.first, at.base.second))
    at.write(at.set(at.base.first, at.base.second, "revert", contract=record))


def word_to_revert_to_what_never_was(at: Field) -> None:
    digest = at.foreign()
    record = at.seal(core.reversion(digest, at.base.second))
    at.write(at.set(digest, at.base.second, "revert", contract=record))


def word_of_no_known_form(at: Field) -> None:
    for odd in ({"core": "../../x"}, {"core": None}, {"why": "because"}, {"before": 7}, {"contract": [1]}):
        at.write(New("core.set", {**at.set(at.base.first, at.base.second).body, **odd}))


def update(at: Field, contract: Any, digest: str = "", proposal: str = "") -> New:
    subject = at.base.asked.subject
    body = {"core": digest or subject["core"], "before": at.base.second, "why": "update", "by": "mallory"}
    body |= {"proposal": proposal or at.base.asked.id, "contract": contract}
    return New("core.set", body, at.base.ticket, 1)


def copied(at: Field) -> None:
    shutil.copytree(at.candidate(), at.lab.version(at.base.asked.subject["core"]))


def update_of_a_proposal_that_nobody_approved(at: Field) -> None:
    copied(at)
    at.write(update(at, {}))


def update_sealed_outside_of_its_proposal(at: Field) -> None:
    copied(at)
    at.write(update(at, at.seal(Matter("core", at.base.asked.subject))))


def update_by_the_approval_of_a_start(at: Field) -> None:
    copied(at)
    record = at.seal(Matter("start", at.base.asked.subject))
    said = {"id": at.base.asked.id, "digest": at.base.asked.digest, "by": "mallory", "contract": record}
    at.write(New("proposal.approved", said, at.base.ticket, 1), update(at, record))


def update_to_another_version_than_was_approved(at: Field) -> None:
    at.approve()
    record = at.lab.events(type_="proposal.approved")[-1].body["contract"]
    at.write(update(at, record, digest=at.foreign()))
    at.write(New("proposal.stale", {"id": at.base.asked.id, "why": "withdrawn"}, at.base.ticket, 1))


def update_by_an_approval_that_was_withdrawn(at: Field) -> None:
    copied(at)
    at.approve()
    record = at.lab.events(type_="proposal.approved")[-1].body["contract"]
    at.write(New("proposal.stale", {"id": at.base.asked.id, "why": "withdrawn"}, at.base.ticket, 1))
    at.write(update(at, record))


def update_of_a_proposal_that_is_not_there(at: Field) -> None:
    copied(at)
    at.write(update(at, at.seal(Matter("core", at.base.asked.subject)), proposal="0123456789ab"))


# Words ------------------------------------------------------------------------------------------------


def approved_by_the_wrong_digest(at: Field) -> None:
    with at.refuses(Stale):
        at.lab.say(words.approve, at.base.asked.id, "0" * 64)


def answered_as_if_it_were_a_question(at: Field) -> None:
    with at.refuses(Refused):
        at.lab.say(words.answer, at.base.asked.id, at.base.asked.digest, "yes")


def revert_to_a_foreign_folder(at: Field) -> None:
    with at.refuses(Refused):
        at.lab.revert(at.foreign())


def revert_along_a_path(at: Field) -> None:
    for odd in (
        "../../../x",
        f"../versions/{at.base.first}",
        str(at.lab.version(at.base.first)),
        "?",
        "ff" * 33,
    ):
        with at.refuses(Refused):
            at.lab.revert(odd)


def revert_to_a_link(at: Field) -> None:
    place = at.lab.version(at.base.first)
    place.rename(at.tmp / "elsewhere")
    place.symlink_to(at.tmp / "elsewhere")
    with at.refuses(Refused):
        at.lab.revert(at.base.first)


def revert_to_an_altered_version(at: Field) -> None:
    (at.lab.version(at.base.first) / "parts/mazes/model.safetensors").write_bytes(b"poison")
    with at.refuses(Refused):
        at.lab.revert(at.base.first)


def taken(at: Field, path: Path) -> None:
    with at.lab.journal() as journal:
        adopt(at.lab.workspace, journal, at.lab.sealer, {"sudoku": path}, by="mallory")


def adopting_a_flipped_byte(at: Field) -> None:
    folder = scripted_core.checkpoint(at.tmp / "trained", b"weights")
    (folder / "model.safetensors").write_bytes(b"weightz")
    with at.refuses(CoreRefused):
        taken(at, folder)


def adopting_an_edited_checkpoint(at: Field) -> None:
    folder = scripted_core.checkpoint(at.tmp / "trained", b"weights")
    path = folder / "checkpoint.json"
    path.write_text(
        path.read_text().replace(hashlib.sha256(b"weights").hexdigest(), hashlib.sha256(b"x").hexdigest())
    )
    (folder / "model.safetensors").write_bytes(b"x")
    with at.refuses(CoreRefused):
        taken(at, folder)


def adopting_what_is_no_training(at: Field) -> None:
    with at.refuses(CoreRefused):
        taken(at, Path(at.base.ticket))


def adopting_what_did_not_land(at: Field) -> None:
    """A whole model, of a ticket that a person's checks had failed."""
    spec = {"kind": "train", "goal": "a trained model", "accept": ["resumes"]}
    started = {"revision": "r", "spec": spec, "base_ref": "", "base": "", "branch": ""}
    at.write(
        New("ticket.admitted", {"path": "t", "spec": spec, "needs": [], "revision": "r"}, "TICKET-080"),
        New("ticket.ready", {}, "TICKET-080"),
        New("attempt.started", started, "TICKET-080", 1),
        New("attempt.failed", {"why": "a check is red"}, "TICKET-080", 1),
    )
    run = at.lab.workspace.run("TICKET-080", 1)
    made = scripted_core.checkpoint(run / "checkpoints/step-00000010") / "checkpoint.json"
    sha256 = hashlib.sha256(made.read_bytes()).hexdigest()
    artifact = {"path": made.relative_to(run).as_posix(), "sha256": sha256}
    (run / "request.json").write_text("{}")
    (run / "result.json").write_text(json.dumps({"v": 1, "ok": True, "metrics": {}, "artifact": artifact}))
    with pytest.raises(CoreRefused, match="has not been accepted"):
        taken(at, Path("TICKET-080"))


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


DAMAGE = (
    weights_edited, checkpoint_edited, core_json_edited, folder_exchanged_for_a_foreign_one, folder_is_a_link,
    part_is_a_link, weights_are_a_pipe, folder_removed,
)  # fmt: skip
"""What makes the version in force unusable: the one before it answers then, and it is said why."""
ATTEMPTS = (
    word_without_a_contract, word_with_a_seal_of_another_key, word_with_an_edited_contract,
    old_word_said_again_when_it_would_fit, word_sealed_for_another_workspace,
    old_word_said_again, old_word_about_a_new_before,
    sealed_word_that_comes_too_late, word_to_revert_under_the_seal_of_another,
    word_to_revert_to_what_never_was, word_of_no_known_form, update_of_a_proposal_that_nobody_approved,
    update_sealed_outside_of_its_proposal, update_by_the_approval_of_a_start,
    update_to_another_version_than_was_approved, update_by_an_approval_that_was_withdrawn,
    update_of_a_proposal_that_is_not_there, approved_by_the_wrong_digest, answered_as_if_it_were_a_question,
    revert_to_a_foreign_folder, revert_along_a_path, revert_to_a_link, revert_to_an_altered_version,
    adopting_a_flipped_byte, adopting_an_edited_checkpoint,
    adopting_what_is_no_training, adopting_what_did_not_land,
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
    ticket_that_names_a_core, settings_of_a_project_that_name_a_core, models_of_a_project_that_name_a_core,
    sandboxed_command,
)  # fmt: skip
"""What never comes near the core: the ticket, the settings or the sandbox refuse it."""


def named(attack: Callable[[Field], None]) -> str:
    return attack.__name__.replace("_", "-")


def noticed(at: Field) -> list[str]:
    """All that is on record, after a front has looked."""
    with at.lab.journal() as journal:
        core_words.notice(journal, core.verified(journal, at.lab.workspace, at.lab.sealer), "tester")
    return at.lab.refused()


@pytest.mark.parametrize("attack", DAMAGE, ids=named)
def test_an_altered_version_is_never_used(field: Field, attack: Callable[[Field], None]) -> None:
    first = field.lab.bytes_of(field.base.first)
    attack(field)
    found = field.lab.current()
    assert found.version is not None and found.version.digest == field.base.first
    assert field.lab.bytes_of(field.base.first) == first
    assert found.passed[0][0] == field.base.second
    assert any(field.base.second[:12] in line for line in noticed(field))


@pytest.mark.parametrize("attack", [*ATTEMPTS, *ELSEWHERE], ids=named)
def test_nothing_but_a_persons_word_changes_the_core(field: Field, attack: Callable[[Field], None]) -> None:
    before, said = field.lab.bytes_of(field.base.second), len(field.lab.refused())
    attack(field)
    assert field.lab.now() == field.base.second
    assert field.lab.bytes_of(field.base.second) == before
    if attack in ATTEMPTS:
        assert len(noticed(field)) > said, "nothing of it is on record"
    with contextlib.closing(Journal.read(field.lab.workspace.journal)) as journal:
        assert journal.fault() is None


def test_the_base_of_the_table_can_be_changed_by_a_person(field: Field) -> None:
    """Without an attack the same question, approved, does change the core: the table proves something."""
    field.approve()
    field.lab.run()
    assert field.lab.now() == field.base.asked.subject["core"]


def test_there_are_as_many_attempts_as_were_promised() -> None:
    assert len({*DAMAGE, *ATTEMPTS, *ELSEWHERE}) == len((*DAMAGE, *ATTEMPTS, *ELSEWHERE)) >= 25
