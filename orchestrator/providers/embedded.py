"""GGUF files served by llama.cpp itself, with no model server: one child for each model that is in memory.

The engine never loads a native library for it: a broken file, or a bug there, ends a child and is told in one
line. Children are spoken to over pipes (`embedded_link`), have no network, and end with the engine.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from orchestrator.providers import openai_chunks
from orchestrator.providers.answers import failure
from orchestrator.providers.base import Chunk, Final, Found, Health, Loaded, ProviderError, Request
from orchestrator.providers.embedded_link import INSTALL, Link
from orchestrator.providers.gguf_files import Files


class Embedded:
    """A folder of GGUF files.

    Args:
        name: as `models.yaml` calls it.
        where: the folder.
        gap: seconds between two signs of life of a call. A batch of the prompt is one, and takes a large
            model on a slow CPU a minute or more.
        loading: seconds for loading a model.
        threads: of the processor; 0 for half of its cores, and one where there are no more than two.
    """

    def __init__(
        self, name: str, where: str, gap: float = 300.0, loading: float = 600.0, threads: int = 0
    ) -> None:
        self.name = name
        self.where = str(Path(where).absolute())
        self._files = Files(Path(self.where))
        self._gap, self._loading = gap, loading
        self._threads = threads or max(1, (os.cpu_count() or 1) // 2)
        self._lock = threading.Lock()
        self._gates: dict[str, threading.Lock] = {}
        self._links: dict[str, Link] = {}
        self._keep: dict[str, float] = {}
        self._timers: dict[str, threading.Timer] = {}
        self._closed = False

    def health(self) -> Health:
        """Whether llama.cpp is installed. Nothing of it is loaded for that."""
        from importlib import metadata, util

        if util.find_spec("xllamacpp") is None:
            return Health(False, why=f"llama.cpp is not installed: {INSTALL}, and this goes on")
        with contextlib.suppress(metadata.PackageNotFoundError):
            return Health(True, metadata.version("xllamacpp"))
        return Health(True)

    def models(self) -> Sequence[Found]:
        """The folder's files. One that is no sound GGUF is listed with nothing but its name."""
        found = []
        for model in self._files.names():
            try:
                found.append(self._files.look(model, digest=False))
            except ProviderError:
                found.append(Found(model))
        return found

    def look(self, model: str) -> Found:
        """Everything a file says. The first time, all of it is read for its digest.

        Raises:
            ProviderError: missing; refused where it is no sound GGUF.
        """
        return self._files.look(model, digest=True)

    def loaded(self) -> Sequence[Loaded]:
        """What the children hold, as the system counts their memory: mapped files included."""
        with self._lock:
            links = [each for each in self._links.values() if each.lives]
        return [Loaded(each.name, _memory(each.pid), 0, each.context) for each in links]

    def load(self, model: str, context: int, keep: float, stop: threading.Event) -> Loaded:
        """Have it in memory for `keep` seconds after its last use; below 0, for good.

        Raises:
            ProviderError: missing; stall, also where it was stopped; transport; refused where it was not
                made for so large a context, or llama.cpp does not take it.
        """
        with self._lock:
            self._keep[model] = keep
        link = self._link(model, context, stop)
        self._used(model)
        return Loaded(model, _memory(link.pid), 0, link.context)

    def unload(self, model: str, stop: threading.Event) -> None:
        """Take it out of memory; returns once its child is gone."""
        with self._lock:
            links = [self._links.pop(key) for key in (_chats(model), _embeds(model)) if key in self._links]
            timer = self._timers.pop(model, None)
        if timer is not None:
            timer.cancel()
        for each in links:
            each.end()

    def chat(self, request: Request, stop: threading.Event) -> Iterator[Chunk]:
        """The reply as it comes; exactly one `Final`, last. Ended by `stop` it just ends, without one.

        A model that is not in memory, or with a smaller context, is loaded first.

        Raises:
            ProviderError: any kind but chant and parse.
        """
        link = self._link(request.model, request.context, stop)
        body = openai_chunks.body(request) | {"return_progress": True}
        told: openai_chunks.Reply | None = None

        def began() -> None:
            nonlocal told
            told = openai_chunks.Reply(request)

        asked = link.ask("chat", body, self._gap, stop, began)
        try:
            for data in asked:
                if told is None:
                    break
                if "error" in data:
                    raise _refused(data["error"])
                yield from told.hear(data)
            if told is not None and not stop.is_set():
                for chunk in told.end():
                    if isinstance(chunk, Final):
                        _whole(chunk, request)
                    yield chunk
        finally:
            asked.close()  # type: ignore[attr-defined]
            self._used(request.model)

    def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text.

        Raises:
            ProviderError: missing, transport, stall, truncated; refused where the model makes none.
        """
        found = self._files.look(model, digest=False)
        if not found.embeds:
            raise ProviderError("refused", f"{model} makes no embeddings: choose a model that does")
        if not texts:
            return []
        stop = threading.Event()
        link = self._link(model, min(found.context or 512, 8192), stop, embed=True)
        vectors: list[list[float]] = []
        for text in texts:
            for data in link.ask("embed", {"input": text}, self._gap, stop):
                if "error" in data:
                    raise _refused(data["error"])
                vectors.append(_vector(data))
        self._used(model)
        if len(vectors) != len(texts):
            raise ProviderError("transport", f"llama.cpp made {len(vectors)} vectors of {len(texts)} texts")
        return vectors

    def close(self) -> None:
        """End the children; nothing can be loaded any more."""
        with self._lock:
            self._closed = True
            models = {key.partition(":")[2] for key in self._links}
        for model in models:
            self.unload(model, threading.Event())

    # -------------------------------------------------------------------------------------------------

    def _link(self, model: str, context: int, stop: threading.Event, embed: bool = False) -> Link:
        """The child of a model, started where none lives or its context is too small."""
        key = _embeds(model) if embed else _chats(model)
        with self._lock:
            gate = self._gates.setdefault(key, threading.Lock())
        while not gate.acquire(timeout=0.05):
            if stop.is_set():
                raise ProviderError("stall", f"waiting for {model} was stopped")
        try:
            with self._lock:
                link = self._links.get(key)
            if link is not None and link.lives and link.context >= context:
                return link
            if link is not None:
                link.end()
            return self._start(key, model, context, stop, embed)
        finally:
            gate.release()

    def _start(self, key: str, model: str, context: int, stop: threading.Event, embed: bool) -> Link:
        found = self._files.look(model, digest=False)  # what is no sound GGUF never reaches native code
        if found.context and context > found.context:
            raise ProviderError(
                "refused",
                f"{model} was made for a context of {found.context} tokens, {context} were asked for",
            )
        if (health := self.health()).why:
            raise ProviderError("transport", health.why)
        path = str(self._files.path(model))
        link = Link(model, {"path": path, "context": context, "threads": self._threads, "embed": embed})
        with self._lock:
            self._links[key] = link
            closed = self._closed
        if closed:
            link.end()
            raise ProviderError("transport", f"{self.name} is closed")
        try:
            link.ready(self._loading, stop)
        except ProviderError:
            with self._lock:
                if self._links.get(key) is link:
                    del self._links[key]
            raise
        return link

    def _used(self, model: str) -> None:
        """Let it go after its time; each use begins that anew."""
        with self._lock:
            keep = self._keep.get(model, -1.0)
            if (timer := self._timers.pop(model, None)) is not None:
                timer.cancel()
            if keep >= 0 and not self._closed:
                timer = threading.Timer(keep, self._over, (model,))
                timer.daemon = True
                self._timers[model] = timer
                timer.start()

    def _over(self, model: str) -> None:
        with self._lock:
            link = self._links.get(_chats(model))
        if link is not None and link.busy:
            self._used(model)
        else:
            self.unload(model, threading.Event())


def _chats(model: str) -> str:
    return f"chat:{model}"


def _embeds(model: str) -> str:
    return f"embed:{model}"


def _refused(error: Any) -> ProviderError:
    """llama.cpp's own error. What it does not take now it will not take the next time either."""
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 0
    return failure(error, 400 if status == 501 else status)


def _whole(final: Final, request: Request) -> None:
    """Hold the counts against the context that was asked for, which the child's may exceed."""
    prompt, reply = final.usage.prompt or 0, final.usage.reply or 0
    if prompt + reply > request.context + 1:  # the last token is made, and never read again
        raise ProviderError(
            "truncated",
            f"{prompt} tokens of prompt and {reply} of reply do not fit a context of {request.context}",
        )


def _vector(data: Any) -> list[float]:
    try:
        return [float(each) for each in data["data"][0]["embedding"]]
    except (LookupError, TypeError, ValueError) as error:
        raise ProviderError("transport", "llama.cpp sent something that is no embedding") from error


def _memory(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
