"""The core: which version of it is in force, and what a version is. See `docs/mind.md`.

Two things have to hold before a byte of a version is used. A person's sealed word in the journal names the
version (`standing`), and the folder is, file by file, what that name is the digest of (`read`). What fails
either is passed over with its reason. Nothing is written here, and nothing that lies in a folder is trusted.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from state.canonical import canonical
from state.contract import ContractNotAccepted, Matter, Sealer, accept
from state.core_parse import CoreRefused as CoreRefused
from state.core_parse import Part as Part
from state.core_parse import parsed
from state.events import Event
from state.journal import Journal
from state.run_events import open_regular
from state.words import folder_of
from state.workspace import Workspace
from tickets.lifecycle import PROPOSALS, Answer

CORE_JSON = "core.json"
META, WEIGHTS = "checkpoint.json", "model.safetensors"
MAX_CORE = 1024 * 1024  # bytes of core.json
MAX_META = 4 * 1024 * 1024  # bytes of a part's checkpoint.json, as for who reads it
MAX_WEIGHTS = 4 << 30  # bytes of a part's weights
WHY = ("adopt", "update", "revert")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Version:
    """A version of the core whose files were what its name says when it was read."""

    digest: str
    folder: Path
    parent: str | None
    made: Mapping[str, Any]
    parts: Mapping[str, Part]
    bytes: int = 0


class Setting(NamedTuple):
    """A `core.set` of the journal."""

    seq: int
    at: int  # ms of wall clock
    core: str
    before: str | None
    why: str  # adopt, update, revert
    proposal: str
    by: str
    refused: str  # why it counts for nothing; '' where a person's seal stands behind it


class Refusal(NamedTuple):
    """A `core.refused` of the journal: somebody tried, and nothing came of it."""

    seq: int
    at: int
    what: str
    why: str
    by: str


@dataclass(frozen=True)
class Standing:
    """What the journal says of the core, its seals checked, no file looked at."""

    settings: tuple[Setting, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    nonces: frozenset[str] = frozenset()

    @property
    def accepted(self) -> tuple[Setting, ...]:
        """Those that count, oldest first."""
        return tuple(each for each in self.settings if not each.refused)

    @property
    def head(self) -> str | None:
        """The version that was said last: what the next word stands on."""
        said = self.accepted
        return said[-1].core if said else None

    @property
    def since(self) -> int:
        """When it was said, ms of wall clock; 0 where there is none."""
        said = self.accepted
        return said[-1].at if said else 0


@dataclass(frozen=True)
class Current:
    """The version that answers, or why there is none."""

    version: Version | None
    standing: Standing
    passed: tuple[tuple[str, str], ...] = field(default=())
    """Later versions that a person said and whose folders are not what they were: digest, and why."""

    @property
    def why(self) -> str:
        """One line where no version can be used; '' where one can."""
        if self.version is not None:
            return ""
        if self.passed:
            return f"the core was refused: {self.passed[0][1]}"
        wrong = [each for each in self.standing.settings if each.refused]
        if wrong:
            return f"the core was refused: {wrong[-1].refused}"
        return "no core yet: `jetbox core adopt NAME=RUN` takes a trained model as its first version"


# Versions --------------------------------------------------------------------------------------------


def versions(workspace: Workspace) -> Path:
    """Where the versions lie."""
    return workspace.home / "core" / "versions"


def is_digest(value: object) -> bool:
    """Whether a value is the name of a version."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def read(folder: Path, digest: str, named: bool = True) -> Version:
    """A version, every file of it held against `core.json`, and that against the digest.

    Args:
        folder: the version's.
        digest: its name.
        named: whether the folder bears the digest as its name; a candidate's does not.

    Raises:
        CoreRefused: it is not what the digest names, or nothing that this Jetbox reads.
    """
    if not is_digest(digest):
        raise CoreRefused(f"{digest!s:.80} is no name of a version: 64 hex digits are")
    if named and folder.name != digest:
        raise CoreRefused(f"the folder {folder.name:.80} is not named after {digest[:12]}")
    _folder(folder)
    data = _bounded(folder / CORE_JSON, MAX_CORE)
    if hashlib.sha256(data).hexdigest() != digest:
        raise CoreRefused(f"{CORE_JSON} of {digest[:12]} was altered: it has not its digest")
    body = parsed(data)
    size = len(data)
    for name, part in body.parts.items():
        _folder(folder / "parts")
        _folder(folder / "parts" / name)
        for file, most in ((META, MAX_META), (WEIGHTS, MAX_WEIGHTS)):
            path = folder / "parts" / name / file
            found, length = hashed(path, most)
            size += length
            if found != part.files[file]:
                raise CoreRefused(
                    f"parts/{name}/{file} of {digest[:12]} was altered: it has not its checksum"
                )
    return Version(digest, folder, body.parent, body.made, body.parts, size)


def hashed(path: Path, most: int) -> tuple[str, int]:
    """The SHA-256 and the length of a plain file; CoreRefused where it is none, or too long."""
    whole, length = hashlib.sha256(), 0
    with _opened(path) as file:
        try:
            while block := file.read(_BLOCK):
                whole.update(block)
                length += len(block)
                if length > most:
                    raise CoreRefused(f"{path.name} is longer than {most} bytes")
        except OSError as error:
            raise CoreRefused(f"{path} can't be read: {error.strerror or error}") from None
    return whole.hexdigest(), length


def _bounded(path: Path, most: int) -> bytes:
    with _opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise CoreRefused(f"{path.name} is longer than {most} bytes")
    return data


def _opened(path: Path) -> BinaryIO:
    try:
        return open_regular(path)
    except OSError as error:
        raise CoreRefused(f"{path} can't be read: {error.strerror or error}") from None


def _folder(path: Path) -> None:
    """Refuse what is no folder of its own: a link could lead anywhere, and elsewhere tomorrow."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise CoreRefused(f"{path} can't be read: {error.strerror or error}") from None
    if not stat.S_ISDIR(mode):
        raise CoreRefused(f"{path} is no folder" + (" but a link" if stat.S_ISLNK(mode) else ""))


# Words -----------------------------------------------------------------------------------------------


def adoption(core: str, before: str | None) -> Matter:
    """What a word to adopt is about."""
    return Matter("core-adopt", {"core": core, "before": before})


def reversion(core: str, before: str | None) -> Matter:
    """What a word to revert is about."""
    return Matter("core-revert", {"core": core, "before": before})


def standing(journal: Journal, sealer: Sealer) -> Standing:
    """Fold the journal's words on the core; whatever is not a person's own is in it with the reason."""
    workspace = folder_of(journal)
    settings: list[Setting] = []
    refusals: list[Refusal] = []
    known: set[str] = set()
    nonces: set[str] = set()
    head: str | None = None
    for event in journal.events(types=("core.set", "core.refused")):
        body = event.body
        if event.type == "core.refused":
            said = (str(body.get(name, ""))[:500] for name in ("what", "why", "by"))
            refusals.append(Refusal(event.seq, event.at, *said))
            continue
        refused = ""
        try:
            nonces.add(_accepted(event, head, known, nonces, journal, sealer, workspace))
        except (ContractNotAccepted, CoreRefused) as error:
            refused = str(error)
        core, before = body.get("core"), body.get("before")
        settings.append(
            Setting(
                event.seq,
                event.at,
                str(core)[:64],
                before if is_digest(before) else None,
                str(body.get("why", ""))[:16],
                str(body.get("proposal", ""))[:64],
                str(body.get("by", ""))[:120],
                refused,
            )
        )
        if not refused:
            head = str(core)
            known.add(head)
    return Standing(tuple(settings), tuple(refusals), frozenset(nonces))


def _accepted(
    event: Event,
    head: str | None,
    known: Collection[str],
    nonces: Collection[str],
    journal: Journal,
    sealer: Sealer,
    workspace: str,
) -> str:
    """The nonce of the contract by which this event counts.

    Raises:
        ContractNotAccepted, CoreRefused: it does not count.
    """
    body = event.body
    core, before, why = body.get("core"), body.get("before"), body.get("why")
    if not is_digest(core) or why not in WHY or not (before is None or is_digest(before)):
        raise CoreRefused("it is not whole: no Jetbox wrote it so")
    record = body.get("contract")
    if why == "update":
        asked = _proposed(event, journal, record)
        if (asked.subject.get("core"), asked.subject.get("before")) != (core, before):
            raise CoreRefused("the proposal that it names is about another version")
    else:
        asked = adoption(str(core), before) if why == "adopt" else reversion(str(core), before)
    contract = accept(record, asked, sealer, workspace=workspace, used=nonces)
    if before != head:
        raise CoreRefused(f"it stands on {_short(before)}, and {_short(head)} was in force: it came too late")
    if why == "revert" and core not in known:
        raise CoreRefused(f"{_short(str(core))} was never in force: there is nothing to go back to")
    return contract.nonce


def _proposed(event: Event, journal: Journal, record: object) -> Matter:
    """The proposal that an update stands on: of kind core, and approved by this very contract then."""
    id_ = event.body.get("proposal")
    subject: Mapping[str, Any] | None = None
    state: Answer | None = None
    contract: object = None
    types = ("proposal.opened", "proposal.approved", "proposal.denied", "proposal.stale", "proposal.used")
    for each in journal.events(ticket=event.ticket or "-", attempt=event.attempt, types=types):
        if each.seq > event.seq or each.body.get("id") != id_:
            continue
        if each.type == "proposal.opened":
            kind = each.body.get("kind")
            subject = each.body.get("subject") if kind == "core" else None
            state, contract = Answer.OPEN, None
            continue
        step = PROPOSALS.get((state, each.type)) if state is not None else None
        if step is not None:
            state = step
            contract = each.body.get("contract") if step is Answer.APPROVED else contract
    if not isinstance(subject, Mapping):
        raise CoreRefused("there is no proposal to change the core behind it")
    if (subject.get("ticket"), subject.get("attempt")) != (event.ticket, event.attempt):
        raise CoreRefused("its proposal is of another attempt")
    if state is not Answer.APPROVED:
        raise CoreRefused(f"its proposal was {state} and not approved")
    if not isinstance(record, Mapping) or contract != record:
        raise CoreRefused("its contract is not the one that its proposal was approved by")
    return Matter("core", subject)


def verified(journal: Journal, workspace: Workspace, sealer: Sealer) -> Current:
    """The version in force: the last that a person said and whose folder is what it was.

    Reads and hashes the files of the version; a later one that does not hold is in `passed`.

    Raises:
        JournalError: the journal cannot be read.
    """
    said = standing(journal, sealer)
    passed: list[tuple[str, str]] = []
    seen: set[str] = set()
    for setting in reversed(said.accepted):
        if setting.core in seen:
            continue
        seen.add(setting.core)
        try:
            version = read(versions(workspace) / setting.core, setting.core)
        except CoreRefused as error:
            passed.append((setting.core, str(error)))
            continue
        return Current(version, said, tuple(passed))
    return Current(None, said, tuple(passed))


def denials(journal: Journal) -> dict[tuple[str, str], str]:
    """What a person said no to: (digest of the memory, version it was measured on) -> the reason."""
    found: dict[tuple[str, str], str] = {}
    for event in journal.events(types=("proposal.denied",)):
        proposal = journal.views.proposal(str(event.body.get("id")))
        if proposal is None or proposal.kind != "core":
            continue
        evidence = proposal.subject.get("evidence")
        memory = evidence.get("memory") if isinstance(evidence, Mapping) else None
        digest = memory.get("digest") if isinstance(memory, Mapping) else None
        found[str(digest), str(proposal.subject.get("before"))] = str(event.body.get("reason", ""))
    return found


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "no version"


def core_json(body: Mapping[str, Any]) -> bytes:
    """The one spelling of a `core.json`."""
    return canonical(json.loads(json.dumps(body, allow_nan=False))).encode()
