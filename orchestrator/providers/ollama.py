"""A model server of Ollama's: its own API, with nothing cut silently and nothing sent to anybody else.

Every chat says `truncate: false` and `shift: false`, which the `ollama` package cannot say, so chats are
made over httpx; so are the calls whose answer it reads in part (which models are remote). A server older than
these fields passes over them, so its counts are held against what was sent (`stream.Told`), where the count
is sure to be of the whole prompt: see `_counts_all`.

Models that somebody else would run are refused on every call: by their name, and by what the server says of
them. The list is asked each time, since a model can be made anew under its name.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.providers.answers import cloud, count, failure, objects, parse, short, text
from orchestrator.providers.base import Chunk, Found, Health, Loaded, ProviderError, Request, Usage
from orchestrator.providers.stream import Told, fits
from orchestrator.reach import server

if TYPE_CHECKING:
    import ollama

    from orchestrator.providers.wire import Wire

_GPT_OSS = re.compile(r"(^|/)gpt-?oss", re.IGNORECASE)
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?")


class Ollama:
    """One server.

    Args:
        name: as `models.yaml` calls it.
        where: host:port.
        first: seconds until a reply begins. Generous: the model may be loaded from a slow disk first, and
            a long prompt be read on a CPU.
        gap: seconds between two pieces of a reply.
        loading: seconds for loading a model, and for taking it out.
    """

    def __init__(
        self, name: str, where: str, first: float = 600.0, gap: float = 60.0, loading: float = 600.0
    ) -> None:
        self.name = name
        self._server = server(where)
        self.where = f"{self._server.host}:{self._server.port}"
        self._first, self._gap, self._loading = first, gap, loading
        self._version: tuple[int, int, int] | None = None
        self._keep: dict[str, float] = {}

    @property
    def _wire(self) -> Wire:
        from orchestrator.providers.wire import Wire

        return Wire(self._server)

    def health(self) -> Health:
        """Whether it answers, within two seconds."""
        try:
            return Health(True, self._ask_version(2.0))
        except ProviderError as error:
            return Health(False, why=f"{error}: start Ollama there (`ollama serve`), and this goes on")

    def models(self) -> Sequence[Found]:
        """What it has, by name.

        Raises:
            ProviderError: transport, stall.
        """
        return self._list(None)

    def look(self, model: str) -> Found:
        """Everything it tells about one model.

        Raises:
            ProviderError: missing, transport, stall.
        """
        listed = self._listed(model, None)
        shown = self._wire.ask("/api/show", {"model": model})
        details = shown.get("details") if isinstance(shown.get("details"), dict) else {}
        facts = _facts(shown.get("model_info"))
        can = shown.get("capabilities")
        can = can if isinstance(can, list) else None
        return Found(
            name=listed.name,
            digest=listed.digest,
            bytes=listed.bytes,
            context=count(facts.get("context_length")) or 0,
            quantization=short(details or {}, "quantization_level"),
            thinks=None if can is None else "thinking" in can,
            embeds=None if can is None else "embedding" in can,
            remote=listed.remote or _remote(model, shown),
            facts=facts,
        )

    def loaded(self) -> Sequence[Loaded]:
        """What it holds in memory now.

        Raises:
            ProviderError: transport, stall.
        """
        with self._client(10.0) as client:
            held = client.ps().models
        return [
            Loaded(
                each.model or each.name or "",
                int(each.size or 0),
                int(each.size_vram or 0),
                each.context_length or 0,
            )
            for each in held
        ]

    def load(self, model: str, context: int, keep: float, stop: threading.Event) -> Loaded:
        """Have it in memory. Its context is 0 where the server is too old to tell which it has.

        Raises:
            ProviderError: missing, transport; stall, also where it was stopped; refused where its real
                context is smaller, or somebody else would run it.
        """
        self._own(model, stop)
        self._keep[_plain(model)] = keep
        options = {"num_ctx": context}
        with self._client(self._loading, stop) as client:
            if self.look(model).embeds:
                client.embed(model, "", truncate=False, options=options, keep_alive=keep)
            else:
                client.generate(model, "", options=options, keep_alive=keep)
        held = self._held(model)
        if held is None:
            raise ProviderError(
                "transport", f"{self.where} loaded {model} and let it go again: is memory short?"
            )
        if 0 < held.context < context:
            raise ProviderError(
                "refused",
                f"{self.where} gives {model} a context of {held.context} tokens instead of {context}",
            )
        return held

    def unload(self, model: str, stop: threading.Event) -> None:
        """Take it out of memory; returns once the server does not list it any more, or when stopped.

        Raises:
            ProviderError: transport; stall where it does not go.
        """
        if self._held(model) is None:
            return
        with self._client(self._loading, stop) as client:
            client.generate(model, "", keep_alive=0)
        until, pause = time.monotonic() + min(self._loading, 60.0), 0.02
        while self._held(model) is not None:
            if time.monotonic() > until:
                raise ProviderError("stall", f"{self.where} was told to let {model} go and still holds it")
            if stop.wait(pause):
                return
            pause = min(2 * pause, 0.5)

    def chat(self, request: Request, stop: threading.Event) -> Iterator[Chunk]:
        """The reply as it comes; exactly one `Final`, last. Ended by `stop` it just ends.

        Raises:
            ProviderError: any kind but chant and parse.
        """
        try:
            self._own(request.model, stop)
            version = self._known_version(stop)
        except ProviderError:
            if stop.is_set():
                return
            raise
        fits(request)
        told, ended = Told(request), False
        body = _body(request, version)
        if (keep := self._keep.get(_plain(request.model))) is not None:
            body["keep_alive"] = keep  # else each call would set it back to the server's own
        for line in self._wire.lines("/api/chat", body, stop, self._first, self._gap):
            data = parse(line)
            if data.get("error") is not None:
                raise failure(data["error"])
            message = data.get("message", {})
            if not isinstance(message, dict):
                raise ProviderError("mid-stream", "the server sent a chunk whose `message` cannot be read")
            if thought := text(message, "thinking"):
                yield from told.thought(thought)
            if said := text(message, "content"):
                yield from told.text(said)
            if data.get("done") is True:
                usage = _usage(data)
                cut = data.get("done_reason") == "length"
                counts = usage.cached is not None or _counts_all(version)
                yield from told.end(usage, cut, counts, request.context)
                ended = True
                break
        if not ended and not stop.is_set():
            raise ProviderError(
                "mid-stream", f"{self.where} ended its reply without saying that it is complete"
            )

    def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text.

        Raises:
            ProviderError: missing, transport, stall, truncated, refused.
        """
        self._own(model, None)
        if not texts:
            return []
        with self._client(self._first) as client:
            keep = self._keep.get(_plain(model))
            vectors = client.embed(model, list(texts), truncate=False, keep_alive=keep).embeddings
        if len(vectors) != len(texts):
            raise ProviderError(
                "transport", f"{self.where} made {len(vectors)} vectors of {len(texts)} texts"
            )
        return [[float(number) for number in each] for each in vectors]

    def close(self) -> None:
        """Nothing to let go of: each call has a connection of its own."""

    # -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _client(self, within: float, stop: threading.Event | None = None) -> Iterator[ollama.Client]:
        """Ollama's own client over our exchanges, its errors as ours."""
        import ollama
        from pydantic import ValidationError

        from orchestrator.providers.through import Through

        client = ollama.Client(self._wire.url, transport=Through(self._wire, within, stop), trust_env=False)
        try:
            yield client
        except ollama.ResponseError as error:
            raise failure(error.error, error.status_code) from error
        except (ValidationError, ValueError, TypeError, RecursionError) as error:
            raise ProviderError(
                "transport", f"{self.where} answers what Ollama would not: is it one?"
            ) from error

    def _ask_version(self, within: float, stop: threading.Event | None = None) -> str:
        said = short(self._wire.ask("/api/version", within=within, stop=stop), "version")
        if not said:
            raise ProviderError("transport", f"what answers at {self.where} is no Ollama")
        self._version = _numbers(said)
        return said

    def _known_version(self, stop: threading.Event) -> tuple[int, int, int]:
        """Asked once, and again whenever its health is: the one thing an update changes under our feet."""
        if self._version is None:
            self._ask_version(10.0, stop)
        return self._version or (0, 0, 0)

    def _list(self, stop: threading.Event | None) -> list[Found]:
        return [
            _found(each) for each in objects(self._wire.ask("/api/tags", stop=stop), "models", self.where)
        ]

    def _listed(self, model: str, stop: threading.Event | None) -> Found:
        for each in self._list(stop):
            if _plain(each.name) == _plain(model):
                return each
        raise ProviderError("missing", f"{self.where} has no model {model}: `ollama pull {model}`")

    def _own(self, model: str, stop: threading.Event | None) -> None:
        """Refuse what would leave this server."""
        if cloud(model) or self._listed(model, stop).remote:
            raise ProviderError(
                "refused",
                f"{model} would be run by somebody else, and all that it is told would leave: never used",
            )

    def _held(self, model: str) -> Loaded | None:
        return next((each for each in self.loaded() if _plain(each.name) == _plain(model)), None)


def _body(request: Request, version: tuple[int, int, int]) -> dict[str, Any]:
    """A chat in Ollama's words."""
    options: dict[str, Any] = {
        "num_ctx": request.context,
        "num_predict": request.most,
        "temperature": request.temperature,
        "seed": request.seed,
    }
    if request.stop:
        options["stop"] = list(request.stop)
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": each.role, "content": each.content} for each in request.messages],
        "stream": True,
        "truncate": False,
        "shift": False,
        "options": options,
    }
    if request.schema is not None:
        body["format"] = dict(request.schema)
    think = request.think
    if isinstance(think, bool) and _GPT_OSS.search(request.model):
        think = "medium" if think else "low"  # it takes levels alone, and cannot leave it
    if think is False and request.schema is not None and version < (0, 21, 1):
        think = None  # there `think: false` put the schema out of force: rather some thinking than no schema
    if think is not None:
        body["think"] = think
    return body


def _counts_all(version: tuple[int, int, int]) -> bool:
    """Whether `prompt_eval_count` is of the whole prompt, tokens from the cache included.

    It is so since the runner written in Go (0.5 and later for sure). 0.30.0 began to leave the cached ones
    out, until a fix within 0.30 (ollama pull request 16428): there nothing is concluded from it. Since then
    `prompt_eval_cached_count` tells them apart.
    """
    return version >= (0, 5, 0) and version[:2] != (0, 30)


def _usage(data: Mapping[str, Any]) -> Usage:
    return Usage(
        count(data.get("prompt_eval_count")),
        count(data.get("prompt_eval_cached_count")),
        count(data.get("eval_count")),
    )


def _numbers(version: str) -> tuple[int, int, int]:
    found = _VERSION.search(version)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def _plain(model: str) -> str:
    """A name as Ollama compares it: without a tag it is the latest."""
    return (model if ":" in model.rpartition("/")[2] else f"{model}:latest").casefold()


def _remote(name: str, told: Mapping[str, Any]) -> bool:
    return bool(cloud(name) or told.get("remote_host") or told.get("remote_model"))


def _found(listed: Mapping[str, Any]) -> Found:
    name = short(listed, "model") or short(listed, "name")
    details = listed.get("details")
    return Found(
        name=name,
        digest=short(listed, "digest"),
        bytes=count(listed.get("size")) or 0,
        quantization=short(details, "quantization_level") if isinstance(details, dict) else "",
        remote=_remote(name, listed),
    )


def _facts(info: Any) -> dict[str, Any]:
    """The numbers and names of `model_info`, without the architecture's name before them; no long lists."""
    if not isinstance(info, dict):
        return {}
    own = f"{info.get('general.architecture')}."
    facts: dict[str, Any] = {}
    for key, value in list(info.items())[:1000]:
        scalar = isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 200)
        listed = (
            isinstance(value, list) and len(value) <= 1000 and all(isinstance(n, int | float) for n in value)
        )
        if isinstance(key, str) and (scalar or listed):
            facts[key.removeprefix(own).removeprefix("general.")[:100]] = value
    return facts
