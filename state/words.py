"""A person's words: approve, deny, cancel, retry, roll back, restore, comment.

Each is one transaction that looks and writes with no other writer in between, so two fronts that speak
at once get one truth: the first word counts, the second is told so. No engine need be alive.
"""

from __future__ import annotations

import getpass
import secrets

from state.events import Event, New
from state.journal import Journal
from state.views import Card, Proposal, Ticket, Views
from tickets.lifecycle import ENDED, LIVE, State


class Refused(Exception):
    """The word was not taken; the message says why and what to do."""


class Stale(Refused):
    """The digest named is not the one that waits: what was shown is not what would be approved."""


def approve(journal: Journal, proposal: str, digest: str, by: str | None = None) -> Event:
    """Approve exactly the content that `digest` names.

    Raises:
        Stale: the content has changed or the proposal is void.
        Refused: there is no such proposal, or it has been decided already.
    """

    def decide(views: Views) -> list[New]:
        found = _open(views, proposal, digest)
        body = {"id": found.id, "digest": digest, "by": by or person(), "nonce": secrets.token_hex(8)}
        return [New("proposal.approved", body, found.ticket, found.attempt)]

    return journal.transact(decide)[0]


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


def retry(journal: Journal, ticket: str, comment: str = "", by: str | None = None) -> Event:
    """Ask for a new attempt, with a comment for whoever tries; a live attempt is ended first."""

    def decide(views: Views) -> list[New]:
        found = _ticket(views, ticket)
        card = found.card
        if hint := _NO_RETRY.get(card.state):
            raise Refused(f"{ticket} is {card.state}: {hint}")
        if found.removed:
            raise Refused(f"{ticket} has no file any more: bring {found.path} back first")
        if found.problems:
            raise Refused(f"{ticket} does not load: mend {found.path} first")
        return [New("asked.retry", {"by": by or person(), "comment": comment.strip()}, ticket)]

    return journal.transact(decide)[0]


def rollback(journal: Journal, ticket: str, by: str | None = None) -> Event:
    """Ask to undo what landed."""

    def decide(views: Views) -> list[New]:
        card = _card(views, ticket)
        if card.state != State.LANDED:
            raise Refused(f"{ticket} is {card.state}: only what landed can be rolled back")
        return [New("asked.rollback", {"by": by or person()}, ticket)]

    return journal.transact(decide)[0]


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


def person() -> str:
    """Who sits here, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # ImportError: Windows without a user name
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
