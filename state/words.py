"""A person's words: approve, deny, cancel, retry, roll back, restore, comment.

Each is one transaction that looks and writes with no other writer in between, so two fronts that speak
at once get one truth: the first word counts, the second is told so. No engine need be alive.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from state.approval_key import KeySealer
from state.contract import ContractNotAccepted, Matter, Sealer, SealError, draw_up, session_id
from state.events import Event, New
from state.journal import Journal
from state.views import Attempt, Card, Proposal, Session, Ticket, Views
from tickets.lifecycle import ENDED, LIVE, State

if sys.platform != "win32":
    import pwd


TAKES = "I take it over"
"""The answer to a stuck agent's question by which a person takes the worktree: as `take_over` does."""
_LONGEST_ANSWER = 8_000  # characters: it goes into a prompt


class Refused(Exception):
    """The word was not taken; the message says why and what to do."""


class Stale(Refused):
    """The digest named is not the one that waits: what was shown is not what would be approved."""


def approve(
    journal: Journal,
    proposal: str,
    digest: str,
    by: str | None = None,
    *,
    sealer: Sealer | None = None,
    signoff: str = "",
) -> Event:
    """Approve exactly the content that `digest` names: the contract is drawn up, sealed and written.

    Args:
        journal: of the workspace.
        proposal: its id, or how it begins.
        digest: of what was shown.
        by: who says so; the system's user where it is left out.
        sealer: the person's; Jetbox's own key where it is left out. It may ask for a passphrase.
        signoff: what the person pressed or typed.

    Raises:
        Stale: the content has changed or the proposal is void.
        Refused: there is no such proposal, it has been decided already, it is a question that wants an
            answer, or it cannot be sealed.
    """
    with _on_record(journal, "approve", proposal, digest, by):
        found = _open(journal.views, proposal, digest)
        if found.subject.get("options"):
            raise Refused(f"{found.id} is a question with options: choose one, a yes would say nothing")
        return _approve(journal, found, by, sealer, signoff)


def answer(
    journal: Journal,
    proposal: str,
    digest: str,
    text: str,
    by: str | None = None,
    *,
    sealer: Sealer | None = None,
) -> Event:
    """Answer a question that has options: with one of them, word for word, or in own words.

    The answer is the contract's `signoff`, so that it is sealed with it.

    Raises:
        Stale: the question has changed or is void.
        Refused: no answer, no such question, it has been decided already, or it cannot be sealed.
    """
    with _on_record(journal, "answer", proposal, digest, by):
        found = _open(journal.views, proposal, digest)
        if not found.subject.get("options"):
            raise Refused(f"{found.id} is no question with options: approve or deny it")
        if not text.strip():
            raise Refused("an empty answer says nothing: choose an option, or write what is to be done")
        return _approve(journal, found, by, sealer, text.strip()[:_LONGEST_ANSWER])


@contextlib.contextmanager
def _on_record(journal: Journal, word: str, proposal: str, digest: str, by: str | None) -> Iterator[None]:
    """A word on a change of the core that is refused is put on record."""
    try:
        yield
    except Refused as refused:
        found = journal.views.proposal(proposal)
        if found is not None and found.kind == "core":
            what = f"{word} {found.id} as {digest[:12]}"
            said = {"what": what, "why": str(refused)[:500], "by": by or person()}
            journal.append(New("core.refused", said, found.ticket, found.attempt))
        raise


def _approve(journal: Journal, found: Proposal, by: str | None, sealer: Sealer | None, signoff: str) -> Event:
    who, digest = by or person(), found.digest
    ticket = journal.views.ticket(found.ticket)
    back = str((ticket.spec if ticket else {}).get("rollback") or "revert")
    record = _contract(journal, found, who, sealer, signoff, {"how": back, "rehearsed": ""})

    def decide(views: Views) -> list[New]:  # sealing may have taken the time of a passphrase
        again = _open(views, found.id, digest)
        body = {"id": again.id, "digest": digest, "by": who, "nonce": record["nonce"], "contract": record}
        said = [New("proposal.approved", body, again.ticket, again.attempt)]
        if signoff == TAKES and TAKES in (again.subject.get("options") or ()):
            said.append(New("asked.take-over", {"by": who}, again.ticket, again.attempt))
        return said

    return journal.transact(decide)[0]


def _contract(
    journal: Journal,
    asked: Proposal | Matter,
    by: str,
    sealer: Sealer | None,
    signoff: str,
    rollback: dict[str, str],
) -> dict[str, object]:
    try:
        return draw_up(
            asked,
            by,
            session_id(),
            signoff,
            sealer or KeySealer(),
            workspace=folder_of(journal),
            rollback=rollback,
        )
    except ContractNotAccepted as refused:
        raise Stale(str(refused)) from refused
    except SealError as error:
        raise Refused(str(error)) from error


def folder_of(journal: Journal) -> str:
    """The workspace that a journal belongs to: what a contract is bound to, beside the content."""
    return str(journal.path.resolve().parent.parent)


def deny(journal: Journal, proposal: str, digest: str, reason: str, by: str | None = None) -> Event:
    """Deny a proposal with a reason, which the next attempt is told.

    Raises:
        Refused: no reason, no such proposal, or it has been decided already.
    """
    if not reason.strip():
        raise Refused("a deny needs a reason: it goes to whoever tries next")

    def decide(views: Views) -> list[New]:
        found = _open(views, proposal, digest)
        body = {"id": found.id, "digest": digest, "by": by or person(), "reason": reason.strip()}
        return [New("proposal.denied", body, found.ticket, found.attempt)]

    return journal.transact(decide)[0]


def comment(journal: Journal, ticket: str, text: str, by: str | None = None) -> Event:
    """Say something to whoever works on a ticket now; an agent reads it before its next turn.

    Raises:
        Refused: nothing is said, or nobody works on it.
    """

    def decide(views: Views) -> list[New]:
        card = _live(views, ticket, "retry it with a comment")
        if not text.strip():
            raise Refused("an empty comment says nothing")
        body = {"by": by or person(), "text": text.strip()[:_LONGEST_ANSWER]}
        return [New("said.comment", body, ticket, card.attempt)]

    return journal.transact(decide)[0]


def take_over(journal: Journal, ticket: str, by: str | None = None) -> Event:
    """Take the worktree over: nothing is done in it until it is handed back.

    Raises:
        Refused: nobody works on the ticket, or it makes data and no change, so there is no worktree.
    """

    def decide(views: Views) -> list[New]:
        card = _live(views, ticket, "retry it first")
        if not any(each.number == card.attempt and each.base for each in views.attempts(ticket)):
            raise Refused(f"{ticket} changes no files of the repository: there is no worktree to take over")
        return [New("asked.take-over", {"by": by or person()}, ticket, card.attempt)]

    return journal.transact(decide)[0]


def hand_back(journal: Journal, ticket: str, by: str | None = None) -> Event:
    """Hand the worktree back: what stands in it becomes a checkpoint, and the checks run.

    Raises:
        Refused: nobody works on the ticket, or nobody has taken it over.
    """

    def decide(views: Views) -> list[New]:
        card = _live(views, ticket, "there is nothing to hand back")
        if not views.taken(ticket, card.attempt):
            raise Refused(f"{ticket} has not been taken over: there is nothing to hand back")
        return [New("asked.hand-back", {"by": by or person()}, ticket, card.attempt)]

    return journal.transact(decide)[0]


def _live(views: Views, ticket: str, hint: str) -> Card:
    card = _card(views, ticket)
    if card.state not in LIVE:
        raise Refused(f"{ticket} is {card.state}, nobody works on it: {hint}")
    return card


def cancel(journal: Journal, ticket: str, by: str | None = None) -> Event:
    """Stop a ticket; what its attempt made goes to the trash, not away."""

    def decide(views: Views) -> list[New]:
        card = _card(views, ticket)
        if card.state in ENDED:
            raise Refused(f"{ticket} is {card.state}: there is nothing to cancel")
        if card.state == State.BROKEN:
            raise Refused(f"{ticket} does not load: mend or remove its file")
        return [New("asked.cancel", {"by": by or person()}, ticket)]

    return journal.transact(decide)[0]


def retry(
    journal: Journal, ticket: str, comment: str = "", by: str | None = None, *, stage: int = 0
) -> Event:
    """Ask for a new attempt, with a comment for whoever tries; a live attempt is ended first.

    Args:
        journal: of the workspace.
        ticket: its id.
        comment: what whoever tries is told.
        by: who says so; the system's user where it is left out.
        stage: of the ticket's stages the first that is done again, from 1; those before it are kept as the
            last attempt left them. 0: all of it.

    Raises:
        Refused: it cannot be tried again now, or has no such stage.
    """

    def decide(views: Views) -> list[New]:
        found = _ticket(views, ticket)
        card = found.card
        if hint := _NO_RETRY.get(card.state):
            raise Refused(f"{ticket} is {card.state}: {hint}")
        if found.removed:
            raise Refused(f"{ticket} has no file any more: bring {found.path} back first")
        if found.problems:
            raise Refused(f"{ticket} does not load: mend {found.path} first")
        body: dict[str, object] = {"by": by or person(), "comment": comment.strip()}
        if stage:
            stages = len((found.spec.get("with") or {}).get("stages") or ())
            if not 0 < stage <= stages:
                raise Refused(f"{ticket} has {stages or 'no'} stages: there is no stage {stage}")
            body["stage"] = stage
        return [New("asked.retry", body, ticket)]

    return journal.transact(decide)[0]


def rollback(
    journal: Journal,
    ticket: str,
    by: str | None = None,
    *,
    sealer: Sealer | None = None,
    signoff: str = "",
) -> Event:
    """Ask to undo what landed. It moves the base branch, so it is sealed as an approval is.

    Raises:
        Refused: nothing of the ticket has landed, or it cannot be sealed.
    """
    if _card(journal.views, ticket).kind == "core":
        raise Refused(f"{ticket} changed the core: `jetbox core revert` goes back, bit for bit")
    who = by or person()
    matter = rollback_matter(_landed(journal.views, ticket))
    plan = {"how": f"retry {ticket}", "rehearsed": ""}
    record = _contract(journal, matter, who, sealer, signoff, plan)

    def decide(views: Views) -> list[New]:
        if rollback_matter(_landed(views, ticket)) != matter:
            raise Stale(f"{ticket} has changed meanwhile: look at it again")
        return [New("asked.rollback", {"by": who, "contract": record}, ticket)]

    return journal.transact(decide)[0]


def rollback_matter(landed: Attempt) -> Matter:
    """What a word to roll back is about: one landed commit."""
    return Matter("rollback", {"ticket": landed.ticket, "attempt": landed.number, "commit": landed.commit})


def _landed(views: Views, ticket: str) -> Attempt:
    card = _card(views, ticket)
    if card.state != State.LANDED:
        raise Refused(f"{ticket} is {card.state}: only what landed can be rolled back")
    return next(a for a in views.attempts(ticket) if a.number == card.attempt)


def restore(journal: Journal, ticket: str, by: str | None = None) -> Event:
    """Ask to bring back, on a branch, what the last ended attempt left in the trash."""

    def decide(views: Views) -> list[New]:
        card = _card(views, ticket)
        if card.attempt == 0:
            raise Refused(f"{ticket} has not been tried: nothing of it is in the trash")
        if card.state in LIVE:
            raise Refused(f"{ticket} is {card.state}: cancel it first")
        return [New("asked.restore", {"by": by or person()}, ticket)]

    return journal.transact(decide)[0]


def phrase_of(folder: str) -> str:
    """What has to be typed before commands run without a sandbox in this workspace."""
    return f"run unsandboxed in {Path(folder).name}"


def consent(journal: Journal, phrase: str, by: str | None = None, *, sealer: Sealer | None = None) -> Event:
    """Let commands run without a sandbox, in this workspace, for as long as its engine runs.

    Raises:
        Refused: the phrase is another, no engine runs, a sandbox holds, or it cannot be sealed.
    """
    who, folder = by or person(), folder_of(journal)
    if phrase != phrase_of(folder):
        raise Refused(f"not what has to be typed: {phrase_of(folder)}")
    session = _unsandboxed(journal.views)
    matter = consent_matter(session)
    record = _contract(journal, matter, who, sealer, phrase, {"how": "stop the engine", "rehearsed": ""})

    def decide(views: Views) -> list[New]:
        if consent_matter(_unsandboxed(views)) != matter:
            raise Stale("another engine has started meanwhile: look at it again")
        body = {"by": who, "phrase": phrase, "session": session.seq, "contract": record}
        return [New("consent.given", body)]

    return journal.transact(decide)[0]


def may_consent(journal: Journal) -> None:
    """Nothing, where a consent would be taken.

    Raises:
        Refused: it would not; the message says why.
    """
    _unsandboxed(journal.views)


def consent_matter(session: Session) -> Matter:
    """What a consent is about: one run of the engine."""
    subject = {"session": session.seq, "started": session.at, "isolation": session.isolation}
    return Matter("consent", subject)


def _unsandboxed(views: Views) -> Session:
    session = views.session()
    if session is None or not session.open:
        raise Refused("no engine runs here: `jetbox` starts one, and consent counts until it stops")
    if session.isolation != "none":
        held = session.isolation or "not chosen yet"
        raise Refused(f"commands run in a sandbox here ({held}): there is nothing to consent to")
    return session


def person() -> str:
    """Who sits here, as the system knows them, whatever the environment says."""
    try:
        if sys.platform != "win32":
            return pwd.getpwuid(os.getuid()).pw_name
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user; Windows without a user name
        return "unknown"


_NO_RETRY: dict[str, str] = {
    State.LANDED: "roll it back first",
    State.BROKEN: "mend its file, it starts then by itself",
    State.BACKLOG: "it starts by itself when what it needs has landed",
    State.READY: "it starts by itself as soon as there is room",
}


def _card(views: Views, ticket: str) -> Card:
    return _ticket(views, ticket).card


def _ticket(views: Views, ticket: str) -> Ticket:
    found = views.ticket(ticket)
    if found is None:
        raise Refused(f"no ticket {ticket}: `jetbox status` lists them")
    return found


def _open(views: Views, id_: str, digest: str) -> Proposal:
    found = views.proposal(id_)
    if found is None:
        raise Refused(f"no proposal {id_}: `jetbox inbox` lists what waits")
    if found.digest != digest:
        raise Stale(f"{found.id} has changed since it was shown: look at it again")
    if found.state == "stale":
        raise Stale(f"{found.id} is void: {found.reason}")
    if found.state != "open":
        raise Refused(f"{found.id} was {found.state} already, by {found.by}")
    return found
