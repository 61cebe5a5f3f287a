"""What the agent sees of the models: it asks for a role and gets a conversation partner with known limits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.providers.base import Chunk, Kind, Request, Think, Usage


class NoModel(Exception):
    """No candidate of a role can be used now; the message says why, with the cure."""


@dataclass(frozen=True)
class Chosen:
    """The model that answers for a role, and how it is to be asked. All of it goes into the recording."""

    provider: str
    version: str  # of the server
    model: str
    digest: str
    context: int  # tokens it really has, never what is merely claimed
    think: Think  # what the policy says for ordinary turns
    think_more: Think  # and for hard ones; the same where it cannot
    temperature: float
    whole_file: int  # lines up to which it rewrites a file whole instead of by SEARCH/REPLACE
    bytes_per_token: float = 3.2  # of code and prose; measured where the model was calibrated
    label: str = ""  # something a person must know about it, such as that it is a toy

    def body(self) -> dict[str, Any]:
        """As plain data, for the recorder."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Reply:
    """A complete, non-empty reply."""

    thinking: str
    text: str
    usage: Usage


@dataclass(frozen=True)
class Again:
    """A try failed and is made again: what was heard of it counts for nothing. Told between the chunks."""

    kind: Kind
    message: str


@dataclass(frozen=True)
class Waits:
    """Nothing is asked for the moment: memory, a hot machine, a server that comes back. For show."""

    why: str


Heard = Chunk | Again | Waits


class Service(Protocol):
    """Models by role. One for each engine; thread-safe."""

    def obstacle(self, roles: frozenset[str]) -> str | None:
        """Why these roles cannot all be served now, in one line with the cure. Quick: it is asked often."""
        ...

    def choose(self, role: str, larger: int = 0) -> Chosen:
        """Who answers for a role.

        Args:
            role: of `models.yaml`.
            larger: how many candidates to go up from the usual one; the largest that fits at most.

        Raises:
            NoModel: none can be used.
        """
        ...

    def chat(
        self, chosen: Chosen, request: Request, hear: Callable[[Heard], None], stop: threading.Event
    ) -> Reply | None:
        """Have the model in memory, ask it, and return its complete reply; None when `stop` ended it.

        Waits for memory and for a hot machine to cool. What each failed try said is in the error's message;
        what waiting or the same call again would cure has been tried again already.

        Raises:
            ProviderError: with what would cure it. NoModel: it does not fit any more.
        """
        ...

    def warm(self, roles: Sequence[str]) -> None:
        """Bring the models of these roles into memory beside other work."""
        ...

    def room(self) -> tuple[str, int, int]:
        """Which memory models and runs share (`gpu` or `ram`), the bytes one may take, and those held now."""
        ...

    def hold(
        self, who: str, bytes_: int, stop: threading.Event, waits: Callable[[str], None] = lambda _: None
    ) -> bool:
        """Give a run the memory: models end what they answer and leave; False where `stop` came first.

        Raises:
            NoModel: it can never fit, or other programs hold the memory for too long.
        """
        ...

    def adopt(self, who: str, bytes_: int) -> None:
        """Take note of a run that is at work already, started by an engine before this one."""
        ...

    def release(self, who: str) -> None:
        """A run has ended. Releasing what is not held does nothing."""
        ...

    def show(self) -> None:
        """Keep the picture of the machine (`state/machine.py`) up to date from now on."""
        ...

    def close(self) -> None:
        """Let go of every server. Models stay in memory for as long as was said, children end."""
        ...


class Nobody:
    """A service without a model, for workspaces and tests that ask none."""

    def obstacle(self, roles: frozenset[str]) -> str | None:
        """Says so."""
        return "no model server is configured: name one in models.yaml"

    def choose(self, role: str, larger: int = 0) -> Chosen:
        """Nobody is there."""
        raise NoModel(str(self.obstacle(frozenset((role,)))))

    def chat(
        self, chosen: Chosen, request: Request, hear: Callable[[Heard], None], stop: threading.Event
    ) -> Reply | None:
        """Nobody is there."""
        raise NoModel(str(self.obstacle(frozenset())))

    def warm(self, roles: Sequence[str]) -> None:
        """There is nothing to warm."""

    def room(self) -> tuple[str, int, int]:
        """All that the machine has free: no model shares it."""
        from orchestrator.models import devices

        seen = devices.look()
        return devices.kind(seen), devices.pool(seen)[1], 0

    def hold(
        self, who: str, bytes_: int, stop: threading.Event, waits: Callable[[str], None] = lambda _: None
    ) -> bool:
        """Nobody else is there to wait for."""
        return not stop.is_set()

    def adopt(self, who: str, bytes_: int) -> None:
        """Nobody keeps a ledger."""

    def release(self, who: str) -> None:
        """Nobody waits for it."""

    def show(self) -> None:
        """There is nothing to show."""

    def close(self) -> None:
        """Nothing is held."""
