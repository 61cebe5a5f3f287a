"""From a ticket's file to a ticket, or to everything that is wrong with it.

Guarantees: `load_text` is pure and raises nothing but `TicketError`, which holds all problems of the text in
the order of the file. `load_ticket` reads regular files inside the repository only, at most 256 KiB of each,
and neither a link nor a swap of files or folders meanwhile makes it return what stands outside.
"""

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tickets import strict_yaml
from tickets.explain import explain
from tickets.kinds import KindSpec
from tickets.problems import (
    MOST_PROBLEMS,
    Problem,
    TicketError,
    did_you_mean,
    field_name,
    in_order,
    listed,
    quoted,
    shown,
)
from tickets.schema import Ticket, lacks_executable_check
from tickets.strict_yaml import Document, Node, Place
from tickets.values import TICKET_ID, is_name, is_ticket_id

_FILE_NAME = re.compile(rf"({TICKET_ID})\.yaml")
_UNREVISED = frozenset(("labels", "notes", "when"))
"""Keys that say nothing about the work itself, so that changing them voids no receipt."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A ticket that is right in itself; whether its `needs` exist is the graph's to say."""

    id: str
    path: str
    """Relative to the repository's root, with '/'."""
    ticket: Ticket
    options: BaseModel
    """What stands under `with`, as the kind's own model."""
    spec: dict[str, Any]
    """The document as written: plain data, fit for JSON."""
    revision: str
    """Names the work asked for: the same whatever the file's layout, labels, notes and `when`."""
    needs: tuple[str, ...]
    """Explicit ones first, then those that values inside `with` imply; each once."""
    needs_at: Mapping[str, Place]
    """Where each need stands in the file."""


def canonical(value: object) -> bytes:
    """Return plain data as the one JSON text that equal data has: sorted keys, no blanks, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def load_ticket(
    path: Path,
    root: Path,
    kinds: Mapping[str, KindSpec],
    check_names: Collection[str] | None = None,
    personas: Collection[str] | None = None,
) -> Loaded:
    """Read and check the ticket at `path` in the repository at `root`; `TicketError` holds every problem."""
    file = _relative(path, root)
    return load_text(_read(path, root, file), file, kinds, check_names, personas)


def load_text(
    text: bytes,
    file: str,
    kinds: Mapping[str, KindSpec],
    check_names: Collection[str] | None = None,
    personas: Collection[str] | None = None,
) -> Loaded:
    """Check a ticket's text; `file` is the name for messages, and its stem is the ticket's id.

    Without `check_names` any name may stand under `accept`, without `personas` any as the persona.
    """
    problems: list[Problem] = []
    name = _FILE_NAME.fullmatch(file.rpartition("/")[2])
    if name is None:
        problems.append(_misnamed(file))
    document = strict_yaml.read(text, file)
    problems += document.problems
    root = document.root
    if root is None:
        raise TicketError(in_order(problems))
    if not isinstance(root.items, dict):
        found = Problem(file, root.line, root.column, "ticket", f"is {shown(root.value)}, expected a map")
        raise TicketError(in_order([*problems, found]))
    spec: dict[str, Any] = root.value
    ticket: Ticket | None = None
    try:
        ticket = Ticket.model_validate_json(canonical(spec))
    except ValidationError as error:
        problems += explain(error.errors(include_url=False), Ticket, document, file)
    options, more = _options(document, file, kinds)
    problems += more
    problems += _cross_checks(root, file, check_names, personas)
    if problems or name is None or ticket is None or options is None:
        raise TicketError(in_order(problems))
    needs_at = dict(_needs(root))
    revised = {key: value for key, value in spec.items() if key not in _UNREVISED}
    revision = hashlib.sha256(canonical(revised)).hexdigest()
    return Loaded(name[1], file, ticket, options, spec, revision, tuple(needs_at), needs_at)


def _misnamed(file: str) -> Problem:
    base = file.rpartition("/")[2]
    stem = re.match(rf"({TICKET_ID})\.ya?ml", base, re.IGNORECASE)
    wanted = f"{stem[1].upper()}.yaml: rename it" if stem else "TICKET-<number>.yaml, such as TICKET-001.yaml"
    return Problem(file, 1, 1, "file", f"is named {quoted(base)}, expected {wanted}")


def _options(
    document: Document, file: str, kinds: Mapping[str, KindSpec]
) -> tuple[BaseModel | None, list[Problem]]:
    """Check `with` against the kind's own model. Values are taken as they stand: no text becomes a number."""
    root = document.root
    assert root is not None and isinstance(root.items, dict)
    kind = root.items.get("kind")
    if kind is None or not isinstance(kind.value, str):
        return None, []  # the ticket's own model has said so
    spec = kinds.get(kind.value)
    if spec is None:
        wrong = f"is {shown(kind.value)}, expected {listed(kinds)}{did_you_mean(kind.value, kinds)}"
        return None, [Problem(file, kind.line, kind.column, "kind", wrong)]
    given = root.items.get("with")
    if given is not None and not isinstance(given.value, dict):
        return None, []
    value = given.value if given is not None else {}
    try:
        return spec.options.model_validate_json(canonical(value), strict=True), []
    except ValidationError as error:
        return None, explain(error.errors(include_url=False), spec.options, document, file, ("with",))


def _cross_checks(
    root: Node, file: str, check_names: Collection[str] | None, personas: Collection[str] | None
) -> Iterator[Problem]:
    """Find what only more than one value, or the workspace, can tell. Speaks of well-typed values only."""
    assert isinstance(root.items, dict)
    who = root.items.get("persona")
    if who is not None and personas is not None and is_name(who.value) and who.value not in personas:
        near = did_you_mean(who.value, personas)
        wrong = f"is {shown(who.value)}, no persona that works on tickets, expected {listed(personas)}{near}"
        yield Problem(file, who.line, who.column, "persona", wrong)
    accept = root.items.get("accept")
    if accept is not None and isinstance(accept.items, list):
        for index, check in enumerate(accept.items):
            if check_names is None or not is_name(check.value) or check.value in check_names:
                continue
            near = did_you_mean(check.value, check_names) if index < MOST_PROBLEMS else ""
            wrong = f"is {shown(check.value)}, a check nobody knows, expected {listed(check_names)}{near}"
            yield Problem(file, check.line, check.column, f"accept[{index}]", wrong)
        if lacks_executable_check(root.value.get("kind"), accept.value):
            wrong = (
                "rests on opinions alone, expected a check that runs beside them: run, metric, file or a name"
            )
            yield Problem(file, accept.line, accept.column, "accept", wrong)
    for key in ("needs", "labels", "paths", "approve"):
        node = root.items.get(key)
        if node is None or not isinstance(node.items, list):
            continue
        seen: set[str] = set()
        for index, item in enumerate(node.items):
            if isinstance(item.value, str) and item.value in seen:
                wrong = f"is {shown(item.value)} for the second time, expected it once"
                yield Problem(file, item.line, item.column, field_name((key, index)), wrong)
            elif isinstance(item.value, str):
                seen.add(item.value)


def _needs(root: Node) -> Iterator[tuple[str, Place]]:
    """Yield each needed ticket with its first place: under `needs`, then anywhere inside `with`."""
    assert isinstance(root.items, dict)
    seen: set[str] = set()
    waiting = [root.items[key] for key in ("with", "needs") if key in root.items]
    while waiting:
        node = waiting.pop()
        if isinstance(node.items, dict):
            waiting += reversed(node.items.values())
        elif isinstance(node.items, list):
            waiting += reversed(node.items)
        elif is_ticket_id(node.value) and node.value not in seen:
            seen.add(node.value)
            yield node.value, (node.line, node.column)


def _relative(path: Path, root: Path) -> str:
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def _read(path: Path, root: Path, file: str) -> bytes:
    """Return a ticket file's bytes, or raise `TicketError` when it is none to be read."""

    def refused(message: str) -> TicketError:
        return TicketError([Problem(file, 1, 1, "file", message)])

    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait, opening a device may act
            raise refused("is not a regular file, expected one")
        top = Path(os.path.realpath(root))
        inside = Path(os.path.realpath(path))
        if not inside.is_relative_to(top):
            raise refused("is a link that leaves the repository, expected a file inside it")
        with os.fdopen(_open_inside(top, inside.relative_to(top).parts), "rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise refused("is not a regular file, expected one")
            if found.st_size > strict_yaml.MOST_BYTES:
                raise refused(f"is {found.st_size} bytes long, expected at most {strict_yaml.MOST_BYTES}")
            return stream.read(strict_yaml.MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise refused(f"can't be read ({reason}), expected a file that can") from error


def _open_inside(top: Path, parts: tuple[str, ...]) -> int:
    """Open a resolved path below `top` for reading, following no link; one that appears now is an error.

    Systems without descriptors of folders (Windows) compare what was opened with what stands there instead.
    """
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY", "O_CLOEXEC", "O_NOFOLLOW"):
        flags |= getattr(os, name, 0)
    if os.open not in os.supports_dir_fd or not hasattr(os, "O_NOFOLLOW"):
        path = top.joinpath(*parts)
        descriptor = os.open(path, flags)
        if Path(os.path.realpath(path)) == path and os.path.samestat(path.lstat(), os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)
        raise OSError(errno.EAGAIN, "it changed meanwhile")
    descriptor = os.open(top, flags)
    for part in parts:
        folder = descriptor
        try:
            descriptor = os.open(part, flags, dir_fd=folder)
        finally:
            os.close(folder)
    return descriptor
