"""What a model server is to the rest of the program: a stream of think, text and one end, or a typed failure.

A provider guarantees: nothing is cut silently (the server is told not to, and its own count is compared
afterwards), a stream that ends without the server's own word that it is complete is a failure and not a
reply, and `stop` ends a call within half a second. It retries nothing: who called knows what a failure is
worth.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from state.canonical import digest

Role = Literal["system", "user", "assistant"]
Think = bool | Literal["low", "medium", "high"] | None
"""How much a model thinks before it answers. None: it cannot, so nothing is said to the server about it."""

Kind = Literal[
    "transport",  # no connection, or the server answers with an error of its own: wait, then again
    "stall",  # nothing came for too long: end the call, then again
    "mid-stream",  # the stream broke off, or said `error`, or ended without `done`: again
    "empty",  # complete, and nothing in it: again, with thinking the other way
    "length",  # the reply was cut at its limit: shorter work, or more room
    "truncated",  # the server did not see the whole prompt: a larger context, or less prompt
    "parse",  # not what the schema asks for: said to the model, with the right form
    "chant",  # it repeats itself without end and was cancelled
    "missing",  # the server has no such model
    "refused",  # the request itself is wrong, or may not be sent
]


class ProviderError(Exception):
    """A call gave no usable reply. `kind` says what would cure it, the message what to tell a person."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Request:
    """One call, complete: the same request to the same model is the same digest."""

    model: str
    messages: tuple[Message, ...]
    context: int  # tokens that prompt and reply may take together (`num_ctx`)
    most: int  # tokens of the reply at most, thinking included (`num_predict`)
    temperature: float = 0.0
    seed: int = 0
    think: Think = None
    schema: Mapping[str, Any] | None = None  # JSON Schema that the whole reply must satisfy
    stop: tuple[str, ...] = ()

    def body(self) -> dict[str, Any]:
        """As plain data, for the recorder."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of its canonical form."""
        return digest(self.body())


@dataclass(frozen=True)
class Thought:
    """A piece of what the model thinks, as it comes."""

    text: str


@dataclass(frozen=True)
class Text:
    """A piece of the reply itself."""

    text: str


@dataclass(frozen=True)
class Usage:
    """What a call cost. Tokens as the server counts them; None where it does not say."""

    prompt: int | None = None
    cached: int | None = None  # of the prompt, how many came from the prefix cache
    reply: int | None = None  # thinking included
    first: float = 0.0  # seconds until the first piece
    seconds: float = 0.0


@dataclass(frozen=True)
class Final:
    """The server's word that the reply is complete. `cut` says that it was ended by its limit."""

    usage: Usage
    cut: bool = False


Chunk = Thought | Text | Final


@dataclass(frozen=True)
class Health:
    """Whether a server answers: its version, or what is wrong in one line with the cure."""

    ok: bool
    version: str = ""
    why: str = ""


@dataclass(frozen=True)
class Found:
    """A model that a server has. What it does not tell is 0, '' or None."""

    name: str
    digest: str = ""  # of the weights and template: another digest is another model
    bytes: int = 0  # of the weights
    context: int = 0  # tokens it was made for
    quantization: str = ""
    thinks: bool | None = None
    embeds: bool | None = None
    remote: bool = False  # it would be run by somebody else: never used
    facts: Mapping[str, Any] | None = None  # layers, heads and the like, by their GGUF names without prefix


@dataclass(frozen=True)
class Loaded:
    """A model that a server holds in memory now."""

    name: str
    bytes: int = 0
    vram: int = 0  # of them, on the graphics card
    context: int = 0  # tokens it was really loaded with


class Provider(Protocol):
    """One model server. Thread-safe; made without touching the network, closed once."""

    name: str  # as `models.yaml` calls it
    where: str  # host:port, or the folder of its files: for people

    def health(self) -> Health:
        """Whether it answers, within two seconds."""
        ...

    def models(self) -> Sequence[Found]:
        """What it has.

        Raises:
            ProviderError: transport.
        """
        ...

    def look(self, model: str) -> Found:
        """Everything it tells about one model.

        Raises:
            ProviderError: missing, transport.
        """
        ...

    def loaded(self) -> Sequence[Loaded]:
        """What it holds in memory now; empty where it does not tell."""
        ...

    def load(self, model: str, context: int, keep: float, stop: threading.Event) -> Loaded:
        """Have it in memory, ready to answer, for `keep` seconds after its last use.

        Raises:
            ProviderError: missing, transport, stall; refused where its real context is smaller.
        """
        ...

    def unload(self, model: str, stop: threading.Event) -> None:
        """Take it out of memory; returns once the server says that it is gone.

        Raises:
            ProviderError: transport; stall where it does not go.
        """
        ...

    def chat(self, request: Request, stop: threading.Event) -> Iterator[Chunk]:
        """The reply as it comes; exactly one `Final`, last. Ended by `stop` it just ends, without one.

        Raises:
            ProviderError: any kind but chant and parse, which the caller sees.
        """
        ...

    def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text.

        Raises:
            ProviderError: missing, transport, truncated.
        """
        ...

    def close(self) -> None:
        """Let go of connections and children."""
        ...
