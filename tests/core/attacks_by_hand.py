"""Attempts on the core by hand: at the files, at the journal as whoever can write it, by a person's words."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import scripted_core
from attack_field import Field

from orchestrator.core.adopt import adopt
from state import core, words
from state.approval_key import KeySealer
from state.contract import Matter
from state.core import CoreRefused
from state.events import New
from state.words import Refused, Stale

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


DAMAGE = (
    weights_edited, checkpoint_edited, core_json_edited, folder_exchanged_for_a_foreign_one,
    folder_is_a_link, part_is_a_link, weights_are_a_pipe, folder_removed,
)  # fmt: skip
"""What makes the version in force unusable: the one before it answers then, and it is said why."""
ATTEMPTS = (
    word_without_a_contract, word_with_a_seal_of_another_key, word_with_an_edited_contract,
    word_sealed_for_another_workspace, old_word_said_again, old_word_said_again_when_it_would_fit,
    old_word_about_a_new_before, sealed_word_that_comes_too_late,
    word_to_revert_under_the_seal_of_another, word_to_revert_to_what_never_was, word_of_no_known_form,
    update_of_a_proposal_that_nobody_approved, update_sealed_outside_of_its_proposal,
    update_by_the_approval_of_a_start, update_to_another_version_than_was_approved,
    update_by_an_approval_that_was_withdrawn, update_of_a_proposal_that_is_not_there,
    approved_by_the_wrong_digest, answered_as_if_it_were_a_question, revert_to_a_foreign_folder,
    revert_along_a_path, revert_to_a_link, revert_to_an_altered_version, adopting_a_flipped_byte,
    adopting_an_edited_checkpoint, adopting_what_is_no_training, adopting_what_did_not_land,
)  # fmt: skip
"""What is refused with a record of it."""
