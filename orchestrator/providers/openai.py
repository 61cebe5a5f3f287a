"""Any server that speaks OpenAI's API: llama-server, LM Studio, vLLM.

Such a server has its model and its context from whoever started it. What it lets nobody do, or does not tell,
is said: its context is 0 where it is not told, and unloading is refused with the way to free its memory. The
dialect of the chunks is read in `openai_chunks`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.providers.answers import cloud, count, failure, objects, parse, short
from orchestrator.providers.base import Chunk, Found, Health, Loaded, ProviderError, Request
from orchestrator.providers.openai_chunks import Reply, body
from orchestrator.providers.stream import fits
from orchestrator.reach import server

if TYPE_CHECKING:
    from orchestrator.providers.wire import Wire


class OpenAI:
    """One server.

    Args:
        name: as `models.yaml` calls it.
        where: host:port.
        first: seconds until a reply begins: a long prompt may be read on a CPU.
        gap: seconds between two pieces of a reply.
    """

    def __init__(self, name: str, where: str, first: float = 600.0, gap: float = 60.0) -> None:
        self.name = name
        self._server = server(where, 8080)
        self.where = f"{self._server.host}:{self._server.port}"
        self._first, self._gap = first, gap
        self._version: str | None = None
        self._contexts: dict[str, int] = {}

    @property
    def _wire(self) -> Wire:
        from orchestrator.providers.wire import Wire

        return Wire(self._server)

    def health(self) -> Health:
        """Whether it answers, within two seconds."""
        try:
            self._listed(1.0)
            if self._version is None:
                self._version = self._ask_version()
        except ProviderError as error:
            self._version = None  # whatever comes up there next may be another
            return Health(False, why=f"{error}: start the server, and this goes on")
        return Health(True, self._version)

    def models(self) -> Sequence[Found]:
        """What it has.

        Raises:
            ProviderError: transport, stall.
        """
        return [_found(each) for each in self._listed()]

    def look(self, model: str) -> Found:
        """Everything it tells about one model.

        Raises:
            ProviderError: missing, transport, stall.
        """
        return _found(self._one(model, None))

    def loaded(self) -> Sequence[Loaded]:
        """What it holds in memory now; empty where it does not tell.

        Raises:
            ProviderError: transport, stall.
        """
        listed = self._listed()
        real = self._props_context() if len(listed) == 1 else 0
        return [
            Loaded(short(each, "id"), _size(each), 0, real or _context(each))
            for each in listed
            if (real or _context(each)) and each.get("state", "loaded") == "loaded"
        ]

    def load(self, model: str, context: int, keep: float, stop: threading.Event) -> Loaded:
        """See that it is there, with this context at least. Its context is 0 where the server does not tell.

        How long it stays is the server's own affair; LM Studio loads it when it is first asked.

        Raises:
            ProviderError: missing, transport; stall, also where it was stopped; refused where its real
                context is smaller.
        """
        entry = self._own(model, stop)
        if entry.get("state", "loaded") != "loaded":
            one = {"role": "user", "content": "ok"}
            asked = {"model": model, "messages": [one], "max_tokens": 1, "ttl": max(1, int(keep))}
            self._wire.ask("/v1/chat/completions", asked, self._first, stop)
        held = next((each for each in self.loaded() if each.name == model), None)
        self._contexts[model] = held.context if held else 0
        if held is not None and 0 < held.context < context:
            raise ProviderError(
                "refused",
                f"{self.where} was started with a context of {held.context} tokens for {model}, {context} "
                f"are needed: start it with more (llama-server: `-c {context}`)",
            )
        return held or Loaded(model)

    def unload(self, model: str, stop: threading.Event) -> None:
        """Refused: the protocol has no word for it.

        Raises:
            ProviderError: refused, always.
        """
        raise ProviderError(
            "refused",
            f"{self.where} keeps {model} for as long as it likes: end that server to free its memory",
        )

    def chat(self, request: Request, stop: threading.Event) -> Iterator[Chunk]:
        """The reply as it comes; exactly one `Final`, last. Ended by `stop` it just ends.

        Raises:
            ProviderError: any kind but chant and parse.
        """
        try:
            self._own(request.model, stop)  # llama-server answers for whatever name it is given
        except ProviderError:
            if stop.is_set():
                return
            raise
        fits(request)
        reply = Reply(request)
        for line in self._wire.lines("/v1/chat/completions", body(request), stop, self._first, self._gap):
            field, _, value = line.partition(b":")
            if field == b"error":  # llama.cpp of some ages
                raise failure(parse(value))
            if field != b"data":
                if field in (b"", b"event", b"id", b"retry"):
                    continue
                raise failure(parse(line).get("error", "something that is no stream"))
            if value.strip() == b"[DONE]":
                break
            yield from reply.hear(parse(value))
        if not stop.is_set():
            yield from reply.end(counts=True, context=self._contexts.get(request.model, 0))

    def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text.

        Raises:
            ProviderError: missing, transport, stall, truncated, refused.
        """
        self._own(model, None)
        if not texts:
            return []
        asked = {"model": model, "input": list(texts), "encoding_format": "float"}
        said = objects(self._wire.ask("/v1/embeddings", asked, self._first), "data", self.where)
        vectors = {count(each.get("index")): each.get("embedding") for each in said}
        made = [vectors.get(index) for index in range(len(texts))]
        return [_vector(each, self.where) for each in made]

    def close(self) -> None:
        """Nothing to let go of: each call has a connection of its own."""

    # -------------------------------------------------------------------------------------------------

    def _listed(self, within: float = 10.0, stop: threading.Event | None = None) -> list[dict[str, Any]]:
        """The models: LM Studio's own list where there is one, which tells states and contexts."""
        listed = objects(self._wire.ask("/v1/models", within=within, stop=stop), "data", self.where)
        if listed and not any(_tells(each) for each in listed) and (own := self._maybe("/api/v0/models")):
            listed = objects(own, "data", self.where)
        return listed

    def _one(self, model: str, stop: threading.Event | None) -> dict[str, Any]:
        listed = self._listed(stop=stop)
        for each in listed:
            if short(each, "id") == model:
                return each
        there = ", ".join(short(each, "id") for each in listed[:5]) or "none"
        raise ProviderError("missing", f"{self.where} has no model {model} (it has: {there})")

    def _own(self, model: str, stop: threading.Event | None) -> dict[str, Any]:
        if cloud(model):
            raise ProviderError("refused", f"{model} would be run by somebody else: never used")
        return self._one(model, stop)

    def _maybe(self, path: str) -> dict[str, Any] | None:
        """An answer that only some servers have; None where this one has not."""
        try:
            return self._wire.ask(path, within=0.5)
        except ProviderError as error:
            if error.kind == "stall":
                raise
            return None

    def _ask_version(self) -> str:
        build = short(self._maybe("/props") or {}, "build_info")  # llama-server
        return build or short(self._maybe("/version") or {}, "version")  # vLLM

    def _props_context(self) -> int:
        """The context of one conversation, as llama-server has it after dividing it among its slots."""
        settings = (self._maybe("/props") or {}).get("default_generation_settings")
        return (count(settings.get("n_ctx")) or 0) if isinstance(settings, dict) else 0


def _tells(entry: Mapping[str, Any]) -> bool:
    return "meta" in entry or "max_model_len" in entry or "state" in entry


def _meta(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = entry.get("meta")
    return meta if isinstance(meta, dict) else {}


def _context(entry: Mapping[str, Any]) -> int:
    """The context it has now: vLLM's, or LM Studio's."""
    return count(entry.get("max_model_len")) or count(entry.get("loaded_context_length")) or 0


def _size(entry: Mapping[str, Any]) -> int:
    return count(_meta(entry).get("size")) or 0


def _found(entry: Mapping[str, Any]) -> Found:
    name, meta = short(entry, "id"), _meta(entry)
    made_for = count(meta.get("n_ctx_train")) or count(entry.get("max_context_length")) or _context(entry)
    facts = {key: value for key, value in list(meta.items())[:100] if isinstance(value, int | float | str)}
    return Found(
        name=name,
        bytes=_size(entry),
        context=made_for,
        quantization=short(entry, "quantization"),
        embeds=True if entry.get("type") == "embeddings" else None,
        remote=cloud(name),
        facts=facts or None,
    )


def _vector(value: Any, where: str) -> list[float]:
    if isinstance(value, list) and value and all(isinstance(n, int | float) for n in value):
        return [float(n) for n in value]
    raise ProviderError("transport", f"{where} did not make a vector of each text")
