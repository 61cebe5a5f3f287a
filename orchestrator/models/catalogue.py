"""Which models serve which role: `models.yaml` as shipped, of the project, and of the person, read strictly.

A later file replaces whole roles and single providers of the earlier ones. What a project may name is
bounded: model servers that the person's own settings let the engine reach, and GGUF files inside the
project. Memory and heat are the person's alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator import user
from orchestrator.models.heat import Limits
from orchestrator.named_hosts import loopback
from orchestrator.reach import Reach, reach, server
from orchestrator.settings import SHIPPED, document
from state.home import config_home
from state.workspace import Workspace
from tickets.explain import explain
from tickets.problems import Problem, TicketError, did_you_mean, field_name, in_order, listed, quoted
from tickets.strict_yaml import Document

Role = Literal["planner", "critic", "coder", "reviewer", "quick", "writer", "embed"]
Policy = Literal["serial", "packed"]
FILES = "embedded"  # the kind of provider that serves files of this machine instead of a server's models
PORTS = {"ollama": 11434}  # where a server of this kind listens by default; others at 8080, like llama.cpp


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ProviderSettings(_Strict):
    """A model server, or a folder of GGUF files."""

    kind: Annotated[str, Field(min_length=1, max_length=40)]
    """ollama, openai (any compatible server), embedded (a folder), or an installed one."""
    at: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    """host:port, or the folder; without, where such a server listens by default."""


class CandidateSettings(_Strict):
    """One model that can serve a role."""

    model: Annotated[str, Field(min_length=1, max_length=300)]
    """As the server calls it; of an embedded one, the file's path in its folder."""
    provider: Annotated[str, Field(min_length=1, max_length=80)] = "ollama"
    context: Annotated[int, Field(ge=512, le=1 << 20)] = 16_384
    """Tokens wanted for prompt and reply together; lowered, to 8192 at least, where it does not fit."""
    think: bool | Literal["low", "medium", "high"] | None = None
    """How much it thinks in ordinary turns; without, as little as it can."""
    temperature: Annotated[float, Field(ge=0, le=2, strict=False)] = 0.2
    whole_file: Annotated[int, Field(ge=0, le=5000)] | None = None
    """Lines up to which it rewrites a file whole; without, what trying it has shown, or 150."""
    label: Annotated[str, Field(max_length=80)] = ""
    """What people must know of it, such as that it is a toy."""


class MemorySettings(_Strict):
    """How the memory is shared."""

    policy: Policy | None = None
    reserve: Annotated[int, Field(ge=0, le=1 << 40)] | None = None
    """Bytes that models never take."""


class HeatSettings(_Strict):
    """Degrees Celsius."""

    hot: Annotated[float, Field(ge=40, le=110, strict=False)] | None = None
    cool: Annotated[float, Field(ge=20, le=110, strict=False)] | None = None


class ProjectModels(_Strict):
    """`models.yaml` of a project."""

    providers: dict[Annotated[str, Field(min_length=1, max_length=80)], ProviderSettings] = {}
    roles: dict[Role, Annotated[tuple[CandidateSettings, ...], Field(min_length=1, strict=False)]] = {}


class PersonModels(ProjectModels):
    """`models.yaml` of the person, and the shipped one."""

    memory: MemorySettings = MemorySettings()
    heat: HeatSettings = HeatSettings()


@dataclass(frozen=True)
class Source:
    """Where models come from."""

    name: str
    kind: str
    at: str  # host:port, or a folder as an absolute path
    local: bool  # it runs in this machine's memory
    refused: str = ""  # why it may not be asked, with the cure


@dataclass(frozen=True)
class Wish:
    """One candidate of a role."""

    source: Source
    model: str
    context: int
    think: bool | Literal["low", "medium", "high"] | None
    temperature: float
    whole_file: int | None
    label: str

    @property
    def key(self) -> str:
        """Names this model of this server, for people and as a key."""
        return f"{self.source.name}/{self.model}"


@dataclass(frozen=True)
class Catalogue:
    """All three files as one."""

    sources: Mapping[str, Source]
    roles: Mapping[str, tuple[Wish, ...]]
    policy: Policy
    reserve: int
    heat: Limits


def path() -> Path:
    """The person's own file."""
    return config_home() / "models.yaml"


@cache
def kinds() -> tuple[str, ...]:
    """The kinds of provider that are installed, by name; none is loaded."""
    from importlib.metadata import entry_points

    return tuple(sorted({each.name for each in entry_points(group="jetbox.providers")}))


def load(workspace: Workspace, own: user.User | None = None, ollama_host: str | None = None) -> Catalogue:
    """Read the shipped file, the project's and the person's.

    Args:
        workspace: whose project file is read.
        own: the person's settings, for what may be reached; read where they are not given.
        ollama_host: instead of the environment's `OLLAMA_HOST`.

    Raises:
        TicketError: with every problem, as `file:line:column: field: ...`.
    """
    own = own or user.load()
    allowed = reach(own.servers, ollama_host or os.environ.get("OLLAMA_HOST"))
    files = [_File(SHIPPED / "models.yaml", PersonModels, workspace.root, allowed, inside=True)]
    if workspace.models.is_file():
        files.append(_File(workspace.models, ProjectModels, workspace.root, allowed, inside=True))
    if path().is_file():
        files.append(_File(path(), PersonModels, path().parent, allowed, inside=False))
    sources: dict[str, Source] = {}
    roles: dict[str, tuple[Wish, ...]] = {}
    memory, heat = MemorySettings(), HeatSettings()
    problems: list[Problem] = []
    for file in files:
        sources |= file.sources()
        if isinstance(file.settings, PersonModels):
            memory, heat = _over(memory, file.settings.memory), _over(heat, file.settings.heat)
    for file in files:  # once all providers are known: a later file may have moved one
        roles |= file.roles(sources)
        problems += file.problems
    limits = Limits(heat.hot or Limits.hot, heat.cool or Limits.cool)
    if limits.cool >= limits.hot:
        said = f"{limits.cool:.0f} is not below {limits.hot:.0f}, at which it stops: lower it"
        problems.append(Problem(str(path()), 1, 1, "heat.cool", said))
    if problems:
        raise TicketError(in_order(problems))
    reserve = 1 << 30 if memory.reserve is None else memory.reserve
    return Catalogue(sources, roles, memory.policy or "serial", reserve, limits)


def _over(under: Any, over: Any) -> Any:
    return under.model_copy(update=over.model_dump(exclude_none=True))


class _File:
    """One of the three files, with what is wrong with it."""

    def __init__(
        self, file: Path, model: type[ProjectModels], base: Path, allowed: Reach, *, inside: bool
    ) -> None:
        """Read it. `inside`: its GGUF files must lie in `base`; no person has written it."""
        self._file, self._base, self._allowed, self._inside = file, base, allowed, inside
        self._name = str(file) if not inside else file.name
        self._found = Document(None, [], set())
        self.problems: list[Problem] = []
        self.settings = ProjectModels()
        try:
            self._found = document(file, self._name)
            self.settings = model.model_validate(self._found.root.value if self._found.root else {})
        except TicketError as error:
            self.problems += error.problems
        except ValidationError as error:
            self.problems += explain(error.errors(include_url=False), model, self._found, self._name)

    def _fault(self, at: tuple[str | int, ...], message: str) -> None:
        node = self._found.root
        for part in at:
            items = node.items if node is not None else None
            if isinstance(items, dict) and part in items:
                node = items[str(part)]
            elif isinstance(items, list) and isinstance(part, int):
                node = items[part]
        place = (node.line, node.column) if node is not None else (1, 1)
        self.problems.append(Problem(self._name, *place, field_name(at), message))

    def sources(self) -> dict[str, Source]:
        found = {}
        for name, each in self.settings.providers.items():
            if each.kind not in kinds():
                near = did_you_mean(each.kind, kinds())
                message = (
                    f"is {quoted(each.kind)}, expected a kind that is installed: {listed(kinds())}{near}"
                )
                self._fault(("providers", name, "kind"), message)
            elif made := self._folder(name, each) if each.kind == FILES else self._server(name, each):
                found[name] = made
        return found

    def _folder(self, name: str, each: ProviderSettings) -> Source | None:
        folder = Path(each.at or "models")
        if not self._inside:
            folder = folder.expanduser()
        elif not _within(self._base, folder):
            self._fault(("providers", name, "at"), "leads out of the project: name a folder inside it")
            return None
        return Source(name, each.kind, str(self._base / folder), local=True)

    def _server(self, name: str, each: ProviderSettings) -> Source | None:
        if each.at is None and each.kind == "ollama":
            to, refused = self._allowed.ollama, self._allowed.refused
        else:
            refused = ""
            try:
                to = server(each.at or "127.0.0.1", PORTS.get(each.kind, 8080))
            except ValueError as error:
                self._fault(("providers", name, "at"), str(error))
                return None
            if to.plain not in self._allowed.servers:
                where = f"{to.host}:{to.port}"
                cure = f"whoever runs this lists it under `servers` in {user.path()}"
                self._fault(("providers", name, "at"), f"names {where}, which may not be reached: {cure}")
                return None
        where = f"[{to.host}]:{to.port}" if ":" in to.host else f"{to.host}:{to.port}"
        return Source(name, each.kind, where, loopback(to.host), refused)

    def roles(self, sources: Mapping[str, Source]) -> dict[str, tuple[Wish, ...]]:
        found: dict[str, tuple[Wish, ...]] = {}
        for role, candidates in self.settings.roles.items():
            wishes = []
            for index, each in enumerate(candidates):
                at = ("roles", role, index)
                if (source := sources.get(each.provider)) is None:
                    if each.provider not in self.settings.providers:  # else it has been said there
                        near = did_you_mean(each.provider, sources)
                        message = f"is {quoted(each.provider)}, expected a provider: {listed(sources)}{near}"
                        self._fault((*at, "provider"), message)
                    continue
                if self._leads_out(source, each.model):
                    self._fault((*at, "model"), "leads out of the project: name a file inside it")
                    continue
                wishes.append(
                    Wish(
                        source, each.model, each.context, each.think, each.temperature, each.whole_file,
                        each.label,
                    )
                )  # fmt: skip
            found[role] = tuple(wishes)
        return found

    def _leads_out(self, source: Source, model: str) -> bool:
        """Whether a file that no person named lies outside the folder that its provider is."""
        return self._inside and source.kind == FILES and not _within(Path(source.at), Path(model))


def _within(base: Path, named: Path) -> bool:
    """Whether a relative path stays below a folder, links followed."""
    if named.is_absolute() or named.drive or ".." in named.parts:
        return False
    try:
        return (base / named).resolve().is_relative_to(base.resolve())
    except (OSError, RuntimeError, ValueError):
        return False
