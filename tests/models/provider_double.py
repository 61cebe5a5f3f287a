"""A double of a model server, inside this process: it holds models, answers from a script, and can be away.

It stands in for a large model, which cannot be here; the real protocols are tested in `tests/providers`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from orchestrator.models.catalogue import Catalogue, Source, Wish
from orchestrator.models.heat import Limits
from orchestrator.providers.base import (
    Chunk,
    Final,
    Found,
    Health,
    Kind,
    Loaded,
    ProviderError,
    Request,
    Text,
    Thought,
    Usage,
)
from state.machine import Device

GB = 10**9
FACTS = {
    "architecture": "qwen3",
    "block_count": 36,
    "attention.head_count": 32,
    "attention.head_count_kv": 8,
    "attention.key_length": 128,
    "attention.value_length": 128,
    "embedding_length": 4096,
    "vocab_size": 151_936,
}


@dataclass
class Fault:
    """A try that fails, after some pieces."""

    kind: Kind
    pieces: tuple[str, ...] = ()


@dataclass
class Says:
    """A try that is answered."""

    text: str = "fine"
    thinking: str = ""
    cut: bool = False
    final: bool = True


Act = Fault | Says | Callable[[Request], "Fault | Says"]


@dataclass
class Double:
    """`orchestrator.providers.base.Provider`."""

    name: str = "here"
    where: str = "127.0.0.1:11434"
    has: dict[str, Found] = field(default_factory=dict)
    script: list[Act] = field(default_factory=list)
    up: bool = True
    slow: threading.Event | None = None  # it answers no question before this
    asked: list[Request] = field(default_factory=list)
    resident: dict[str, Loaded] = field(default_factory=dict)
    most_resident: int = 0
    loads: list[tuple[str, int]] = field(default_factory=list)
    gate: threading.Event | None = None  # a reply waits for it
    began: threading.Event = field(default_factory=threading.Event)
    answering: int = 0
    unloaded_while_answering: bool = False
    touched: int = 0
    closed: bool = False
    gives: int | None = None  # tokens of context that it really loads with

    def _reach(self) -> None:
        self.touched += 1
        if self.slow is not None:
            self.slow.wait(30)
        if not self.up:
            raise ProviderError("transport", f"nothing answers at {self.where}")

    def health(self) -> Health:
        try:
            self._reach()
        except ProviderError as error:
            return Health(False, why=str(error))
        return Health(True, "1.2.3")

    def models(self) -> Sequence[Found]:
        self._reach()
        return [Found(each.name, each.digest, each.bytes, remote=each.remote) for each in self.has.values()]

    def look(self, model: str) -> Found:
        self._reach()
        if model not in self.has:
            raise ProviderError("missing", f"{model} is not there")
        return self.has[model]

    def loaded(self) -> Sequence[Loaded]:
        self._reach()
        return list(self.resident.values())

    def load(self, model: str, context: int, keep: float, stop: threading.Event) -> Loaded:
        self._reach()
        found = self.look(model)
        self.loads.append((model, context))
        self.resident[model] = Loaded(model, found.bytes, 0, self.gives or context)
        self.most_resident = max(self.most_resident, len(self.resident))
        return self.resident[model]

    def unload(self, model: str, stop: threading.Event) -> None:
        self._reach()
        self.unloaded_while_answering |= self.answering > 0
        self.resident.pop(model, None)

    def chat(self, request: Request, stop: threading.Event) -> Iterator[Chunk]:
        self.asked.append(request)
        self.answering += 1
        self.began.set()
        try:
            act = self.script.pop(0) if self.script else Says()
            if callable(act):
                act = act(request)
            self._reach()
            if self.gate is not None:
                while not (self.gate.wait(0.01) or stop.is_set()):
                    pass
            if stop.is_set():
                return
            if isinstance(act, Fault):
                yield from map(Text, act.pieces)
                raise ProviderError(act.kind, f"made to fail: {act.kind}")
            if act.thinking:
                yield Thought(act.thinking)
            for piece in act.text.split(" ") if act.text else ():
                yield Text(piece + " ")
            if act.final:
                sent = sum(len(each.content.encode()) for each in request.messages)
                yield Final(Usage(int(sent / 3.2), 0, 5, 0.1, 0.2), act.cut)
        finally:
            self.answering -= 1

    def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        return [[float(len(each))] for each in texts]

    def close(self) -> None:
        self.closed = True


def model(
    name: str, gigabytes: float = 5.0, context: int = 40_960, thinks: bool = False, **more: object
) -> Found:
    """A model of 36 layers that takes some 0.15 MB a token beside its weights."""
    return Found(
        name, f"sha-{name}", int(gigabytes * GB), context, "Q4_K_M", thinks, False, facts=FACTS, **more
    )  # type: ignore[arg-type]


def machine(
    total: float = 24.0, free: float | None = None, celsius: float | None = None
) -> tuple[Device, ...]:
    """One graphics card; sizes in GB."""
    left = int((total if free is None else free) * GB)
    return (Device(name="card", kind="gpu", total=int(total * GB), free=left, celsius=celsius),)


def catalogue(
    policy: str = "serial",
    reserve: int = GB,
    kind: str = "ollama",
    context: int = 16_384,
    **roles: Sequence[str],
) -> Catalogue:
    """Roles by the names of their models, all of one server called `here`."""
    source = Source("here", kind, "127.0.0.1:11434", True)
    wishes = {
        role: tuple(Wish(source, name, context, None, 0.2, None, "") for name in names)
        for role, names in roles.items()
    }
    return Catalogue({"here": source}, wishes, policy, reserve, Limits())  # type: ignore[arg-type]
