"""A person's own settings, `config.yaml` in their configuration folder: no other file can grant anything.

No file of a repository is read here. What is left out is as shipped (`configs/sandbox.yaml`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from orchestrator.reach import server
from orchestrator.settings import SHIPPED, document
from state.home import config_home
from tickets.explain import explain
from tickets.problems import TicketError, in_order

_T = TypeVar("_T", bound=BaseModel)
Bytes = Annotated[int, Field(ge=1024 * 1024)]
"""At least one MiB."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LimitSettings(_Strict):
    """Bounds of each command; what is left out is as it was."""

    memory: Bytes | None = None
    processes: Annotated[int, Field(ge=8)] | None = None
    file: Bytes | None = None
    growth: Bytes | None = None
    entries: Annotated[int, Field(ge=100)] | None = None
    scratch: Bytes | None = None


class SandboxSettings(_Strict):
    """What commands find inside."""

    readable: tuple[str, ...] = Field(default=(), strict=False)
    """Folders of yours that commands can read, `~` allowed."""
    beside: tuple[str, ...] = Field(default=(), strict=False)
    """Names in the repository's own folder that commands can read: environments made by you."""
    environment: tuple[str, ...] = Field(default=(), strict=False)
    """Names of variables that are passed on. Never put a token here."""
    programs: tuple[str, ...] = Field(default=(), strict=False)
    """Known programs; a ticket that names another one asks first."""
    limits: LimitSettings = LimitSettings()


class ApprovalSettings(_Strict):
    """How an approval is sealed."""

    ssh_key: str | None = None
    """A key for `ssh-keygen -Y sign`, perhaps with a passphrase or on a token; without, Jetbox's own key."""


class AlertSettings(_Strict):
    """Who is told of what happens, beside the cockpit."""

    file: bool = True
    """Write `.jetbox/status.jsonl`."""
    voice: bool = False
    """Speak what is severe, through the system's own voice."""
    language: Annotated[str, Field(pattern="^[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")] = "en"
    """The voice's language, such as `en` or `de-AT`."""


class LabSettings(_Strict):
    """What the Lab does by itself."""

    propose_after: Annotated[int, Field(ge=0, le=10_000)] = 3
    """Lessons of one kind after which it proposes an update of the core; 0: never."""


def _server(text: str) -> str:
    server(text)
    return text


class User(_Strict):
    """`config.yaml`."""

    sandbox: SandboxSettings = SandboxSettings()
    servers: tuple[Annotated[str, AfterValidator(_server)], ...] = Field(default=(), strict=False)
    """Model servers as `host:port`, beside those on this machine; the engine reaches no other."""
    approval: ApprovalSettings = ApprovalSettings()
    alerts: AlertSettings = AlertSettings()
    lab: LabSettings = LabSettings()


def path() -> Path:
    """Where the file is, or would be."""
    return config_home() / "config.yaml"


def load(file: Path | None = None) -> User:
    """Read a person's settings.

    Raises:
        TicketError: with every problem, as `file:line:column: field: ...`.
    """
    file = file or path()
    return _read(file, User) if file.is_file() else User()


def shipped() -> SandboxSettings:
    """What commands find inside where nobody says more."""
    return _read(SHIPPED / "sandbox.yaml", SandboxSettings)


def _read(file: Path, model: type[_T]) -> _T:
    found = document(file, str(file))  # by its whole path: it lies in no folder that the reader stands in
    try:
        return model.model_validate(found.root.value if found.root else {})
    except ValidationError as error:
        problems = explain(error.errors(include_url=False), model, found, str(file))
        raise TicketError(in_order(problems)) from error
