"""The servers of a catalogue as they were last seen: asked in the background, so that no look blocks long."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePath

from orchestrator.models.base import NoModel
from orchestrator.models.catalogue import Catalogue, Source
from orchestrator.models.choosing import ANY, Seen
from orchestrator.providers.base import Found, Health, Loaded, Provider, ProviderError

FRESH = 2.0  # seconds that an answer counts
PATIENT = 0.8  # seconds that a look waits for the first answer


class Watched:
    """Thread-safe. Nothing is asked before the first look."""

    def __init__(self, provider: Provider, wanted: Sequence[str], changed: Callable[[], None]) -> None:
        """Watch a server.

        Args:
            provider: the server.
            wanted: models that are looked at in full, where they are there.
            changed: told when it says something else than before.
        """
        self._changed = changed
        self._provider, self._wanted = provider, tuple(dict.fromkeys(wanted))
        self._lock = threading.Condition()
        self._seen: Seen | None = None
        self._asking = False
        self._full: dict[tuple[str, str], Found] = {}  # by name and digest: it does not change then

    def see(self, wait: float = PATIENT) -> Seen | None:
        """How it is. An answer that is older than `FRESH` is asked for anew.

        Args:
            wait: seconds to wait for a fresh one; an older one is given where it takes longer.

        Returns: None where it has never answered so far.
        """
        until = time.monotonic() + wait
        with self._lock:
            begun = time.monotonic()
            while self._seen is None or begun - self._seen.at > FRESH:
                if not self._asking:
                    self._asking = True
                    threading.Thread(target=self._ask, daemon=True, name="models-look").start()
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._lock.wait(left)
            return self._seen

    def last(self) -> Seen | None:
        """What was last seen, however old."""
        return self._seen

    def forget(self) -> None:
        """Ask anew at the next look."""
        with self._lock:
            if self._seen is not None:
                self._seen = Seen(float("-inf"), self._seen.health, self._seen.models, self._seen.loaded)

    def _ask(self) -> None:
        try:
            seen = self._look()
        except Exception as error:  # whatever a server or its library does, the engine goes on
            seen = Seen(time.monotonic(), Health(False, why=str(error) or type(error).__name__))
        with self._lock:
            before, self._seen, self._asking = self._seen, seen, False
            self._lock.notify_all()
        if before is None or replace(before, at=seen.at) != seen:
            self._changed()

    def _look(self) -> Seen:
        at = time.monotonic()  # of the beginning: what changes meanwhile may be missed
        health = self._provider.health()
        if not health.ok:
            return Seen(time.monotonic(), health)
        models = {each.name: each for each in self._provider.models()}
        for name in self._wanted:
            if name == ANY:
                any_ = Seen(at, health, models).find(ANY)
                name = any_.name if any_ else name
            listed = models.get(name) or models.get(f"{name}:latest")
            if listed is not None and not listed.remote:
                models[listed.name] = self._in_full(listed)
            elif listed is None and PurePath(name).is_absolute():
                with contextlib.suppress(ProviderError):  # a file that lies in no folder of the provider's
                    models[name] = self._provider.look(name)
        loaded: Sequence[Loaded] = ()
        with contextlib.suppress(ProviderError):
            loaded = tuple(self._provider.loaded())
        return Seen(at, health, models, tuple(loaded))

    def _in_full(self, listed: Found) -> Found:
        key = (listed.name, listed.digest)
        if key not in self._full or not listed.digest:
            try:
                self._full[key] = self._provider.look(listed.name)
            except ProviderError:
                return listed  # what the list says is known at least
        return self._full[key]


class Servers:
    """Every server of a catalogue, made when it is first needed. Thread-safe."""

    def __init__(
        self, catalogue: Catalogue, make: Callable[[Source], Provider], changed: Callable[[], None]
    ) -> None:
        self._catalogue, self._make, self._changed = catalogue, make, changed
        self._lock = threading.Lock()
        self._providers: dict[str, Provider] = {}
        self._watched: dict[str, Watched] = {}
        self._closed = False

    def source(self, name: str) -> Source:
        """By its name.

        Raises:
            NoModel: it is not there any more.
        """
        try:
            return self._catalogue.sources[name]
        except KeyError:
            raise NoModel(f"{name!r} is no provider any more: models.yaml has changed") from None

    def names(self, source: Source) -> tuple[str, ...]:
        """The models of it that the catalogue names."""
        roles = self._catalogue.roles.values()
        named = (each.model for wishes in roles for each in wishes if each.source.name == source.name)
        return tuple(dict.fromkeys(named))

    def provider(self, source: Source) -> Provider:
        """Its provider.

        Raises:
            NoModel: all have been let go of.
        """
        with self._lock:
            if self._closed:
                raise NoModel("the engine is stopping")
            if source.name not in self._providers:
                self._providers[source.name] = self._make(source)
            return self._providers[source.name]

    def watch(self, source: Source) -> Watched:
        """Its watch.

        Raises:
            NoModel: all have been let go of.
        """
        provider = self.provider(source)
        with self._lock:
            if source.name not in self._watched:
                self._watched[source.name] = Watched(provider, self.names(source), self._changed)
            return self._watched[source.name]

    def watched(self) -> list[tuple[str, Watched]]:
        """Those that have been looked at, by name."""
        with self._lock:
            return list(self._watched.items())

    def last(self, source: Source) -> Seen | None:
        """What it said when it was last asked, however long ago; nothing is asked."""
        with self._lock:
            watched = self._watched.get(source.name)
        return watched.last() if watched else None

    def close(self) -> None:
        """Let go of all of them."""
        with self._lock:
            providers, self._closed = list(self._providers.values()), True
            self._providers.clear()
        for provider in providers:
            with contextlib.suppress(Exception):  # a child that is gone already, a connection that broke
                provider.close()
