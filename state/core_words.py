"""A person's words on the core: adopt a version, go back to one. Each is sealed and one transaction.

No other way changes which version is in force but the approval of a proposal (`installed`, written by the
engine under the contract that the person sealed). What is refused is put on record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from state import core
from state.approval_key import KeySealer
from state.contract import ContractNotAccepted, Matter, Sealer, SealError, accept, draw_up, session_id
from state.core import CoreRefused, Standing
from state.errors import JournalError
from state.events import Event, New
from state.journal import Journal
from state.views import Views
from state.words import Refused, Stale, folder_of, person
from state.workspace import Workspace


def adopt(
    journal: Journal,
    workspace: Workspace,
    digest: str,
    by: str | None = None,
    *,
    sealer: Sealer | None = None,
    signoff: str = "",
) -> Event:
    """Put a version into force that lies in the versions' folder.

    Args:
        journal: of the workspace.
        workspace: whose core it is.
        digest: of the version.
        by: who says so; the system's user where it is left out.
        sealer: the person's; Jetbox's own key where it is left out.
        signoff: what the person pressed or typed.

    Raises:
        Stale: another version has come into force meanwhile.
        Refused: the version does not verify, is in force already, or the word cannot be sealed.
    """
    return _say("adopt", journal, workspace, digest, by, sealer or KeySealer(), signoff)


def revert(
    journal: Journal,
    workspace: Workspace,
    digest: str,
    by: str | None = None,
    *,
    sealer: Sealer | None = None,
    signoff: str = "",
) -> Event:
    """Go back to a version that was in force before, or whose name begins so; bit for bit what it was.

    Raises:
        Stale: another version has come into force meanwhile.
        Refused: it was never in force, does not verify, is in force now, or the word cannot be sealed.
    """
    return _say("revert", journal, workspace, digest, by, sealer or KeySealer(), signoff)


def target(said: Standing, digest: str) -> str:
    """The version that a word to revert means: by its whole name, its beginning, or '' for the one before.

    Raises:
        Refused: there is no such version.
    """
    order = [each.core for each in said.accepted]
    if not digest:
        earlier = [each for each in order if each != said.head]
        if not earlier:
            raise Refused("no earlier version: there is nothing to go back to")
        return str(said.accepted[-1].before or earlier[-1])
    found = {each for each in order if each == digest or (len(digest) >= 4 and each.startswith(digest))}
    if len(found) != 1:
        raise Refused(
            f"{digest:.80} was never in force here: `jetbox core` lists what there is to go back to"
            if not found
            else f"{digest:.80} begins the names of {len(found)} versions: name more of it"
        )
    return found.pop()


def _say(
    why: str,
    journal: Journal,
    workspace: Workspace,
    wanted: str,
    by: str | None,
    sealer: Sealer,
    signoff: str,
) -> Event:
    who, what = by or person(), f"{why} {wanted:.80}".rstrip()
    try:
        said = core.standing(journal, sealer)
        digest = target(said, wanted) if why == "revert" else wanted
        if digest == said.head:
            raise Refused(f"{digest[:12]} is in force already")
        core.read(core.versions(workspace) / digest, digest)
        matter = (core.adoption if why == "adopt" else core.reversion)(digest, said.head)
        back = f"jetbox core revert {said.head[:12]}" if said.head else ""
        record = _contract(journal, matter, who, sealer, signoff or f"jetbox core {why}", back)

        def decide(views: Views) -> list[New]:  # sealing may have taken the time of a passphrase
            if (now := core.standing(journal, sealer)).head != said.head:
                raise Stale(f"the core has changed meanwhile to {str(now.head)[:12]}: look at it again")
            body = {"core": digest, "before": said.head, "why": why, "proposal": "", "by": who}
            return [New("core.set", {**body, "contract": record})]

        return journal.transact(decide)[0]
    except Refused as refused:
        _on_record(journal, what, refused, who)
    except CoreRefused as refused:
        _on_record(journal, what, Refused(str(refused)), who)


def _contract(
    journal: Journal, matter: Matter, by: str, sealer: Sealer, signoff: str, back: str
) -> dict[str, object]:
    plan = {"how": back, "rehearsed": ""}
    try:
        return draw_up(matter, by, session_id(), signoff, sealer, workspace=folder_of(journal), rollback=plan)
    except ContractNotAccepted as refused:
        raise Stale(str(refused)) from refused
    except SealError as error:
        raise Refused(str(error)) from error


def _on_record(journal: Journal, what: str, why: Refused, by: str) -> NoReturn:
    journal.append(refusal(what, str(why), by))
    raise why


# What is put on record -------------------------------------------------------------------------------


def refusal(what: str, why: str, by: str, ticket: str = "", attempt: int = 0) -> New:
    """The event that somebody tried to change the core and nothing came of it."""
    return New("core.refused", {"what": what[:200], "why": why[:500], "by": by[:120]}, ticket, attempt)


def refused(journal: Journal, what: str, why: str, by: str | None = None) -> Event:
    """Put on record that a front or the engine refused to change the core."""
    return journal.append(refusal(what, why, by or person()))[0]


def notice(journal: Journal, found: core.Current, by: str | None = None) -> list[Event]:
    """Put on record, once each, what was passed over: words that do not count, versions that were altered.

    A journal that is open for reading only is left alone.
    """
    if not journal.writable:
        return []
    told = {(each.what, each.why) for each in found.standing.refusals}
    wrong = [
        (f"event {each.seq}: {each.why} {each.core[:12]}", each.refused)
        for each in found.standing.settings
        if each.refused
    ]
    wrong += [(f"version {digest[:12]}", why) for digest, why in found.passed]
    fresh = [refusal(what, why, by or person()) for what, why in wrong if (what[:200], why[:500]) not in told]
    try:
        return journal.append(*fresh) if fresh else []
    except JournalError:  # what it says is on the screen in any case
        return []


# An approved proposal --------------------------------------------------------------------------------


def installed(
    journal: Journal,
    sealer: Sealer,
    *,
    ticket: str,
    attempt: int,
    proposal: str,
    subject: Mapping[str, Any],
    contract: Mapping[str, Any],
    more: Sequence[New] = (),
) -> list[Event]:
    """Put an approved update into force: the word, its use, and `more`, together or not at all.

    Args:
        journal: of the workspace.
        sealer: the person's.
        ticket: that proposed it, with its `attempt`.
        attempt: of the ticket.
        proposal: its id.
        subject: of the proposal.
        contract: the approval as it stands in the journal.
        more: events that are written with it.

    Raises:
        Stale: another version has come into force. Refused: the approval does not count.
    """
    by = str(contract.get("authorized_by", ""))
    body = {"core": subject.get("core"), "before": subject.get("before"), "why": "update"}
    body |= {"proposal": proposal, "by": by, "contract": dict(contract)}

    def decide(views: Views) -> list[New]:
        said = core.standing(journal, sealer)
        if said.head != subject.get("before"):
            raise Stale(f"the core has changed to {str(said.head)[:12]}: it is measured anew")
        found = views.proposal(proposal)
        if found is None or (found.id, found.kind, found.state) != (proposal, "core", "approved"):
            raise Refused(f"{proposal} is no approved proposal to change the core")
        try:
            asked = Matter("core", subject)
            accept(contract, asked, sealer, workspace=folder_of(journal), used=said.nonces)
        except ContractNotAccepted as refused:
            raise Refused(str(refused)) from refused
        return [
            New("core.set", body, ticket, attempt),
            New("proposal.used", {"id": proposal}, ticket, attempt),
            *more,
        ]

    return journal.transact(decide)
