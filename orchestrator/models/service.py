"""Models by role, for the whole engine: who answers, in which memory, and what is tried again when it fails.

Nothing is imported, asked or begun before the first question, so an engine without a ticket for a model has
none of this. What decides lies in `choosing.py`, `ledger.py`, `heat.py` and `asking.py`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.models import calibration, choosing, devices, heat
from orchestrator.models.asking import converse, listen
from orchestrator.models.base import Chosen, Heard, NoModel, Reply, Waits
from orchestrator.models.calibrate import calibrate
from orchestrator.models.catalogue import Catalogue, Source, Wish
from orchestrator.models.choosing import Judged, Seen, managed
from orchestrator.models.estimate import fit, need
from orchestrator.models.ledger import Hold, Room, Want
from orchestrator.models.memory import Memory
from orchestrator.models.picture import Painter
from orchestrator.models.watching import PATIENT, Servers
from orchestrator.providers.base import Found, Loaded, Provider, ProviderError, Request
from state.machine import Device

_T = TypeVar("_T")
KEEP = 1800.0  # seconds that a model stays in memory after its last use
_SENSED = 1.0  # seconds between looks at a temperature


def made(source: Source) -> Provider:
    """A provider of the kind that `models.yaml` names, from the entry points `jetbox.providers`."""
    from importlib.metadata import entry_points

    kind = next(each for each in entry_points(group="jetbox.providers", name=source.kind)).load()
    provider: Provider = kind(source.name, source.at)
    return provider


class Models:
    """`orchestrator.models.base.Service`, over the providers of a catalogue."""

    def __init__(
        self,
        catalogue: Catalogue,
        picture: Path | None = None,
        make: Callable[[Source], Provider] = made,
        look: Callable[[], tuple[Device, ...]] = devices.look,
    ) -> None:
        """Take note of it all; nothing is touched yet.

        Args:
            catalogue: which models serve which role.
            picture: where `state/machine.py`'s picture is kept, once something is asked.
            make: a provider for a source.
            look: the memory and the temperatures.
        """
        self.catalogue = catalogue
        self._look = look
        self._servers = Servers(catalogue, make, self._changed)
        self._lock = threading.Lock()
        self._found: dict[str, calibration.Finding] | None = None
        self._memory = Memory(catalogue.policy, self._room, self._take_out, self._changed)
        self._paused = ""
        self._hot = False
        self._sensing = threading.Lock()
        self._sensed: tuple[float, float | None] = (float("-inf"), None)
        self._stop = threading.Event()
        self._painter = Painter(self, picture) if picture else None
        self._warming: threading.Thread | None = None

    # What others ask --------------------------------------------------------------------------------

    def obstacle(self, roles: frozenset[str]) -> str | None:
        """Why these roles cannot all be served now; at most about a second, whatever the servers do."""
        until = time.monotonic() + PATIENT
        try:
            for role in sorted(roles):
                judged = self.judged(role, max(0.05, until - time.monotonic()))
                if why := self._why_not(role, judged):
                    return why
        except NoModel as error:
            return str(error)
        return None

    def choose(self, role: str, larger: int = 0) -> Chosen:
        """Who answers for a role; see `orchestrator.models.base.Service`.

        Raises:
            NoModel: none can be used.
        """
        judged = self.judged(role, 10.0)
        usable = [each for each in judged if each.chosen is not None]
        if not usable:
            raise NoModel(self._why_not(role, judged) or f"nothing serves {role}")
        by_size = sorted(usable, key=lambda each: each.weights)
        at = by_size.index(usable[0])
        picked = by_size[min(len(by_size) - 1, at + larger)] if larger > 0 else usable[0]
        assert picked.chosen is not None
        return picked.chosen

    def chat(
        self, chosen: Chosen, request: Request, hear: Callable[[Heard], None], stop: threading.Event
    ) -> Reply | None:
        """Have the model in memory and ask it; see `orchestrator.models.base.Service`.

        Raises:
            ProviderError: with what would cure it. NoModel: it does not fit any more.
        """
        source = self._servers.source(chosen.provider)
        ask = self._asks(source, chosen, hear, stop)
        return converse(
            ask, chosen, request, hear, stop, lambda context: self._larger(source, chosen, context)
        )

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, by the role `embed`.

        Raises:
            NoModel: none can be used. ProviderError: missing, transport, truncated.
        """
        chosen = self.choose("embed")
        return self._servers.provider(self._servers.source(chosen.provider)).embed(chosen.model, texts)

    def warm(self, roles: Sequence[str]) -> None:
        """Bring the models of these roles into memory in the background; under `serial` the first alone."""
        wanted = tuple(roles)[:1] if self.catalogue.policy == "serial" else tuple(roles)
        with self._lock:
            if self._warming is None or not self._warming.is_alive():
                self._warming = threading.Thread(
                    target=self._warm, args=(wanted,), daemon=True, name="models-warm"
                )
                self._warming.start()

    def hold(
        self, who: str, bytes_: int, stop: threading.Event, waits: Callable[[str], None] = lambda _: None
    ) -> bool:
        """Give a training run the memory; see `Memory.hold`."""
        self.learn()
        return self._memory.hold(who, bytes_, stop, waits)

    def adopt(self, who: str, bytes_: int) -> None:
        """A training run is at work already; see `Memory.adopt`."""
        self._memory.adopt(who, bytes_)

    def release(self, who: str) -> None:
        """A training run has ended."""
        self._memory.release(who)

    def room(self) -> tuple[str, int, int]:
        """Which memory is shared, what of it one may take, and what is held now."""
        held = sum(each.bytes for each in self._memory.holds())
        return devices.kind(self._look()), self.open_room(), held

    def show(self) -> None:
        """Begin to keep the picture; the first question does so too."""
        if self._painter:
            self._painter.begin()

    def close(self) -> None:
        """Let go of every server; ends what this has begun in the background."""
        self._stop.set()
        if self._painter:
            self._painter.end()
        self._servers.close()

    # At a person's word -----------------------------------------------------------------------------

    def load(self, wish: Wish, stop: threading.Event, waits: Callable[[str], None]) -> Chosen | None:
        """Bring a candidate into memory; None where `stop` came first.

        Raises:
            NoModel: it cannot be used, with the reason. ProviderError: the server cannot load it.
        """
        return self._holding(wish, stop, waits, lambda chosen: chosen)

    def attempt(
        self, wish: Wish, stop: threading.Event, tell: Callable[[str], None], within: float
    ) -> calibration.Finding | None:
        """Try a candidate once and keep what it shows; None where `stop` came first.

        Raises:
            NoModel: it cannot be used, with the reason. ProviderError: the server cannot load it.
        """

        def work(chosen: Chosen) -> calibration.Finding:
            provider = self._servers.provider(wish.source)
            found = self._found_of(wish.source, wish.model) or Found(wish.model, chosen.digest)
            found = replace(found, name=wish.model)
            finding = calibrate(
                provider, found, chosen.context, chosen.think, stop, within,
                lambda name: tell(f"trying {name}"),
            )  # fmt: skip
            if not stop.is_set():
                calibration.keep(finding)
                self._found = None
            return finding

        return self._holding(wish, stop, tell, work)

    def _holding(
        self, wish: Wish, stop: threading.Event, waits: Callable[[str], None], work: Callable[[Chosen], _T]
    ) -> _T | None:
        """Do something while a candidate is in memory."""
        role = next((name for name, wishes in self.catalogue.roles.items() if wish in wishes), "coder")
        judged = self.judge(role, wish, 10.0)
        if judged.chosen is None:
            raise NoModel(judged.why)
        if not managed(wish.source):
            return work(judged.chosen)
        self.learn(frozenset((wish.source.name,)))
        want = self._want(wish.source, judged.chosen.model, judged.chosen.context)
        with self._memory.use(want, self._loads(want, wish.source, wish.model, stop), stop, waits) as got:
            return work(judged.chosen) if got else None

    def unload(self, wish: Wish, stop: threading.Event) -> None:
        """Take a model out of memory, whoever brought it in.

        Raises:
            ProviderError: it cannot be, or does not go.
        """
        self._take_out(wish.key, stop)

    # Who can serve ----------------------------------------------------------------------------------

    def judged(self, role: str, wait: float = 0.0) -> tuple[Judged, ...]:
        """Every candidate of a role, best first, and what became of it."""
        self.show()
        wishes = self.catalogue.roles.get(role, ())
        until = time.monotonic() + wait
        return tuple(self.judge(role, each, max(0.0, until - time.monotonic())) for each in wishes)

    def refresh(self) -> None:
        """Have every server of a role asked in the background, and take over what they said before."""
        for source in {wish.source for wishes in self.catalogue.roles.values() for wish in wishes}:
            if not source.refused:
                self._servers.watch(source).see(0.0)
        self.learn()

    def peeked(self, role: str) -> tuple[Judged, ...]:
        """Every candidate by what is known already: nothing is waited for."""
        room = self.open_room()
        return tuple(
            self._judge(role, each, self._servers.last(each.source), room)
            for each in self.catalogue.roles.get(role, ())
        )

    def judge(self, role: str, wish: Wish, wait: float) -> Judged:
        """One candidate."""
        seen = None if wish.source.refused else self._servers.watch(wish.source).see(wait)
        return self._judge(role, wish, seen, self.open_room())

    def _judge(self, role: str, wish: Wish, seen: Seen | None, room: int) -> Judged:
        held = next((each.context for each in self._memory.holds() if each.who == wish.key), 0)
        return choosing.judge(role, wish, seen, self._finding(wish, seen), room, held)

    def holds(self) -> tuple[Hold, ...]:
        """Who is in memory now."""
        return self._memory.holds()

    def seen(self, name: str) -> Seen | None:
        """What a server said when it was last asked; nothing is asked now."""
        return self._servers.last(self._servers.source(name))

    def devices(self) -> tuple[Device, ...]:
        """The memory of this machine now."""
        return self._look()

    @property
    def paused(self) -> str:
        """Why nothing is asked of a model now; '' where that is not so."""
        return self._heat()

    def findings(self) -> Mapping[str, calibration.Finding]:
        """What trying models has shown."""
        if self._found is None:
            self._found = calibration.load()
        return self._found

    def _why_not(self, role: str, judged: Sequence[Judged]) -> str | None:
        seen = {each.wish.source.name: self._servers.last(each.wish.source) for each in judged}
        return choosing.obstacle(role, judged, seen, self.open_room())

    def _finding(self, wish: Wish, seen: Seen | None) -> calibration.Finding | None:
        found = seen.find(wish.model) if seen else None
        if found is None or not found.digest:
            return None
        return self.findings().get(calibration.key(wish.source.name, found.digest))

    # One call ---------------------------------------------------------------------------------------

    def _asks(
        self, source: Source, chosen: Chosen, hear: Callable[[Heard], None], stop: threading.Event
    ) -> Callable[[Request], Reply | None]:
        """One try, with everything that has to be so before it."""
        provider = self._servers.provider(source)

        def waits(why: str) -> None:
            hear(Waits(why))

        def ask(request: Request) -> Reply | None:
            if not managed(source):
                return listen(provider, request, hear, stop)
            if not self._cool(waits, stop):
                return None
            self.learn()
            want = self._want(source, chosen.model, request.context)
            try:
                with self._memory.use(
                    want, self._loads(want, source, chosen.model, stop), stop, waits
                ) as got:
                    return listen(provider, request, hear, stop) if got else None
            except ProviderError:
                self._servers.watch(source).forget()  # it may have let go of what it held
                self.learn(frozenset((source.name,)))
                raise

        return ask

    def _want(self, source: Source, model: str, context: int) -> Want:
        found = self._found_of(source, model)
        taken = need(found.bytes, found.facts, context).total if found else 0
        return Want(f"{source.name}/{model}", "model", taken, context, by=threading.get_ident())

    def _loads(
        self, want: Want, source: Source, model: str, stop: threading.Event
    ) -> Callable[[], tuple[int, int]]:
        """Brings it in, and holds its word on the context against what was asked for."""

        def load() -> tuple[int, int]:
            self._changed()
            loaded = self._servers.provider(source).load(model, want.context, KEEP, stop)
            if 0 < loaded.context < want.context:
                said = f"{model} has {loaded.context} tokens of context, {want.context} were asked for"
                raise ProviderError("refused", f"{said}: lower `context` in models.yaml")
            return loaded.vram or loaded.bytes, max(loaded.context, want.context)

        return load

    def _larger(self, source: Source, chosen: Chosen, context: int) -> int | None:
        """Half as much context again, where the model has it and it fits."""
        found = self._found_of(source, chosen.model)
        most = found.context if found and found.context else chosen.context
        wanted = min(most, context * 3 // 2)
        if found is None or wanted <= context or not managed(source):
            return None
        fitting = fit(found.bytes, found.facts, wanted, self.open_room())
        return fitting[0] if fitting and fitting[0] > context else None

    def _cool(self, waits: Callable[[str], None], stop: threading.Event) -> bool:
        """Wait while the machine is hot; False where `stop` came first."""
        said = False
        while not stop.is_set():
            if not (why := self._heat()):
                return True
            if not said:
                said = True
                waits(why)
            stop.wait(_SENSED)
        return False

    def _heat(self) -> str:
        """Why nothing is asked now, by the temperature of at most a second ago."""
        with self._sensing:
            if time.monotonic() - self._sensed[0] > _SENSED:
                self._sensed = (time.monotonic(), devices.hottest(self._look()))
                hot = heat.pauses(self._hot, self._sensed[1], self.catalogue.heat)
                if hot != self._hot:
                    self._hot = hot
                    self._changed()
                self._paused = heat.why(self._sensed[1], self.catalogue.heat) if hot else ""
            return self._paused

    # Servers and memory -----------------------------------------------------------------------------

    def _found_of(self, source: Source, model: str) -> Found | None:
        seen = self._servers.watch(source).see(0.0) or self._servers.watch(source).see(10.0)
        return seen.find(model) if seen else None

    def _room(self) -> Room:
        total, free = devices.pool(self._look())
        return Room(total, free, self.catalogue.reserve)

    def open_room(self) -> int:
        """Bytes that a model may take: all, less the reserve and what other programs hold."""
        room = self._room()
        ours = sum(each.bytes for each in self._memory.holds())
        others = max(0, room.total - room.free - ours)
        return max(0, room.most - others)

    def learn(self, sources: frozenset[str] = frozenset()) -> None:
        """Take over into the ledger what servers say that they hold.

        Args:
            sources: those to ask now, at whatever cost; the others count as they were last seen.
        """
        for name in sources:
            self._hear_of(name, self._loaded_now(name))
        for name, watched in self._servers.watched():
            if name not in sources and (seen := watched.see(0.0)) is not None and seen.health.ok:
                self._hear_of(name, seen.loaded, seen.at)

    def _loaded_now(self, name: str) -> Sequence[Loaded]:
        with contextlib.suppress(Exception):  # it does not answer: then it holds nothing either
            return self._servers.provider(self._servers.source(name)).loaded()
        return ()

    def _hear_of(self, name: str, loaded: Sequence[Loaded], at: float = float("inf")) -> None:
        source = self.catalogue.sources.get(name)
        if source is None or not managed(source):
            return
        names = self._servers.names(source)
        there = []
        for each in loaded:
            plain = each.name.removesuffix(":latest")
            known = each.name if each.name in names or plain not in names else plain
            bytes_ = each.vram or each.bytes
            there.append(Hold(f"{name}/{known}", "model", bytes_, each.context, time.time_ns() // 1_000_000))
        self._memory.found(there, frozenset((name,)), at)

    def _take_out(self, who: str, stop: threading.Event) -> None:
        name, _, model = who.partition("/")
        source = self._servers.source(name)
        try:
            self._servers.provider(source).unload(model, stop)
        except ProviderError as error:
            if error.kind not in ("missing", "transport"):
                raise  # one that is gone, or whose server is, holds nothing any more
        self._servers.watch(source).forget()

    def _warm(self, roles: Sequence[str]) -> None:
        for role in roles:
            with contextlib.suppress(NoModel, ProviderError):  # who asks it later is told
                chosen = self.choose(role)
                source = self._servers.source(chosen.provider)
                if managed(source):
                    want = self._want(source, chosen.model, chosen.context)
                    with self._memory.use(
                        want, self._loads(want, source, chosen.model, self._stop), self._stop
                    ):
                        pass

    def _changed(self) -> None:
        painter: Any = getattr(self, "_painter", None)
        if painter is not None:
            painter.nudge()
