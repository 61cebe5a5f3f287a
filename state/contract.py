"""The human contract of an action: the record of a person's yes, sealed, bound to exact bytes, used once.

It is drawn up by a front from what was shown, goes into the journal with the person's word, and is checked
again by the engine whenever it would act on that word. It is never read from a ticket. The hash chain alone
(level 0) can be rewritten as a whole by whoever can write the file; the seal cannot be made without its key.
A record counts for one content (`digest`), one workspace, and one time (`nonce`).
"""

from __future__ import annotations

import secrets
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, NamedTuple, Protocol

from state.canonical import canonical
from state.canonical import digest as digest_of

VERSION = 1
"""Of the record. One of another version is not accepted, and what it was about is asked again."""

Reason = Literal["missing", "version", "level", "forged", "stale", "used", "key"]

_SCOPE = (
    "ticket", "attempt", "revision", "base_ref", "base", "tree", "question", "grants", "hosts", "purpose",
    "bytes", "new", "commit", "session", "isolation", "policy",
)  # fmt: skip


class ContractNotAccepted(Exception):
    """Nothing is done on this approval; the message says why and what to do."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SealError(Exception):
    """A seal cannot be made or checked: the message says why and what to do."""


class Sealer(Protocol):
    """Makes and checks seals with a person's key."""

    @property
    def level(self) -> int:
        """1: a key of Jetbox's own, outside all that commands see. 2: the person's SSH key."""

    @property
    def asks(self) -> bool:
        """Whether sealing may ask for a passphrase on the terminal."""

    def seal(self, data: bytes) -> str:
        """Seal some bytes.

        Raises:
            SealError: the key cannot be used, or the person gave no passphrase.
        """

    def check(self, data: bytes, seal: str) -> bool:
        """Whether a seal was made for exactly these bytes by this key.

        Raises:
            SealError: the key cannot be used.
        """


class Asked(Protocol):
    """What is approved: a proposal, or anything else with a subject and its digest."""

    @property
    def kind(self) -> str:
        """merge, start, question, ..."""

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the subject's canonical form."""

    @property
    def subject(self) -> Mapping[str, Any]:
        """All that the approval is bound to."""


class Matter(NamedTuple):
    """Something that a person's word is about without a proposal: a rollback, a consent."""

    kind: str
    subject: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The name of its content."""
        return digest_of(self.subject)


@dataclass(frozen=True)
class Contract:
    """An approval as it was given."""

    contract_version: int
    level: int
    """How strong its seal is; see `Sealer.level`."""
    authorized_by: str
    approved_at: str
    """ISO 8601, UTC."""
    session_id: str
    """Of the front that took the word: random for each process."""
    scope: dict[str, Any]
    """What exactly is allowed, and in which workspace."""
    rollback_plan: dict[str, Any]
    """How it is undone, and what the rehearsal of that gave."""
    signoff: str
    """What the person pressed or typed."""
    digest: str
    nonce: str


_NAMES = frozenset(field.name for field in fields(Contract))
_TYPES: dict[str, type] = {"contract_version": int, "level": int, "scope": dict, "rollback_plan": dict}


@cache
def session_id() -> str:
    """The name of this process as a taker of words: drawn once, never passed in."""
    return secrets.token_hex(16)


def draw_up(
    asked: Asked,
    by: str,
    session: str,
    signoff: str,
    sealer: Sealer,
    *,
    workspace: str,
    rollback: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The sealed record of a person's yes.

    Args:
        asked: what was shown.
        by: who approves, as the system knows them.
        session: of the front; see `session_id`.
        signoff: what was pressed or typed.
        sealer: the person's.
        workspace: the folder that it is about, absolute.
        rollback: how it is undone, where the subject does not say.

    Raises:
        ContractNotAccepted: the subject is not what its digest names. SealError: the key cannot be used.
    """
    if digest_of(asked.subject) != asked.digest:
        raise ContractNotAccepted("stale", "what was shown is not what its digest names: `jetbox verify`")
    plan = asked.subject.get("rollback")
    contract = Contract(
        contract_version=VERSION,
        level=sealer.level,
        authorized_by=by,
        approved_at=datetime.now(UTC).isoformat(timespec="seconds"),
        session_id=session,
        scope=scope_of(asked, workspace),
        rollback_plan=dict(plan if isinstance(plan, Mapping) else rollback or {}),
        signoff=signoff,
        digest=asked.digest,
        nonce=secrets.token_hex(16),
    )
    record = asdict(contract)
    return {**record, "seal": sealer.seal(_bytes(record))}


def scope_of(asked: Asked, workspace: str) -> dict[str, Any]:
    """What an approval allows, read from the subject: the kind, the workspace, and the facts that matter."""
    subject = asked.subject
    scope = {"kind": asked.kind, "workspace": workspace, **{k: subject[k] for k in _SCOPE if k in subject}}
    if isinstance(changed := subject.get("changed"), list):
        scope["files"] = len(changed)
    return scope


def accept(
    record: object, asked: Asked, sealer: Sealer, *, workspace: str, used: Container[str] = ()
) -> Contract:
    """The contract that this record is, if something may be done on it.

    Args:
        record: as it stands in the journal; anything at all.
        asked: what would be done.
        sealer: as the person's settings ask for it now.
        workspace: the folder that one is in, absolute.
        used: nonces of earlier approvals.

    Raises:
        ContractNotAccepted: and why.
    """
    if not isinstance(record, Mapping) or not record:
        raise _not("missing", "it has no contract: it was given by an older Jetbox, or not by a person")
    if record.get("contract_version") != VERSION:
        raise _not(
            "version", f"its contract is of version {record.get('contract_version')!s:.20}, not {VERSION}"
        )
    body = {name: value for name, value in record.items() if name != "seal"}
    seal = record.get("seal")
    if body.keys() != _NAMES or not isinstance(seal, str):
        raise _not("forged", "its contract is not whole")
    if any(type(value) is not _TYPES.get(name, str) for name, value in body.items()):
        raise _not("forged", "its contract is not whole")
    contract = Contract(**body)
    if contract.level != sealer.level:
        raise _not(
            "level", f"its seal is of level {contract.level}, your settings ask for level {sealer.level}"
        )
    try:
        genuine = sealer.check(_bytes(body), seal)
    except SealError as error:
        raise _not("key", f"its seal cannot be checked: {error}") from error
    except (ValueError, RecursionError):  # no value that Jetbox would have written
        genuine = False
    if not genuine:
        raise _not("forged", "its seal was not made with your key for what it says")
    if contract.digest != asked.digest or digest_of(asked.subject) != asked.digest:
        raise _not("stale", "it was given for other content")
    if contract.scope != scope_of(asked, workspace):
        raise _not("stale", "it was given for another scope or workspace")
    if contract.nonce in used:
        raise _not("used", "it was given once and has been used or voided")
    return contract


def _not(reason: Reason, message: str) -> ContractNotAccepted:
    return ContractNotAccepted(reason, f"{message}; look at it and approve it again")


def _bytes(record: Mapping[str, Any]) -> bytes:
    """What is sealed: told apart from any other use of the key, one spelling for each value."""
    return b"jetbox approval\n" + canonical(dict(record)).encode()
