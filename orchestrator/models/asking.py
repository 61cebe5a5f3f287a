"""One conversation with a server: a try, and what is tried again after a failure.

Only what the same call can cure is tried again: a server that is away or breaks off, an empty reply, a
chant, a prompt that was cut where a larger context fits. Everything else is the caller's, who knows what it
was for.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from orchestrator.models.base import Again, Chosen, Heard, Reply, Waits
from orchestrator.providers.base import (
    Chunk,
    Final,
    Kind,
    Provider,
    ProviderError,
    Request,
    Text,
    Thought,
)

DELAYS = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds before a server that was away is asked again: 30 in all
TWICE = 2  # times that a reply which broke off or was empty is asked for again
MOST_TRIES = 10  # whatever their kinds
WARMER = 0.6  # temperature after a chant: at a lower one the same seed of it comes again
MOST = 8 << 20  # characters of one reply; no model says so much in a turn


@dataclass(frozen=True)
class Next:
    """How a call is tried again."""

    request: Request
    wait: float = 0.0  # seconds before


def cure(
    failures: Sequence[Kind], request: Request, chosen: Chosen, larger: Callable[[int], int | None]
) -> Next | None:
    """What to try after a failure; None where trying again cures nothing.

    Args:
        failures: the kinds of all tries so far, the last one last.
        request: the one that failed.
        chosen: whom it was for.
        larger: the next larger context that fits, in tokens.
    """
    kind, times = failures[-1], failures.count(failures[-1])
    if len(failures) >= MOST_TRIES:
        return None
    again = replace(request, seed=request.seed + 1)
    if kind == "transport" and times <= len(DELAYS):
        return Next(request, DELAYS[times - 1])
    if kind in ("stall", "mid-stream") and times <= TWICE:
        return Next(again)
    if kind == "empty" and times <= TWICE:
        other = chosen.think if request.think == chosen.think_more else chosen.think_more
        return Next(replace(again, think=other) if times == 1 else again)
    if kind == "chant" and times <= 1:
        return Next(replace(again, temperature=max(WARMER, request.temperature)))
    if kind == "truncated" and times <= 1 and (context := larger(request.context)):
        return Next(replace(request, context=context))
    return None


def converse(
    ask: Callable[[Request], Reply | None],
    chosen: Chosen,
    request: Request,
    hear: Callable[[Heard], None],
    stop: threading.Event,
    larger: Callable[[int], int | None],
) -> Reply | None:
    """Ask, and ask again while that can cure it; None where `stop` ended it.

    Raises:
        ProviderError: the last failure; its message holds what the earlier tries said too.
    """
    failures: list[ProviderError] = []
    while not stop.is_set():
        try:
            return ask(request)
        except ProviderError as error:
            if stop.is_set():
                return None
            failures.append(error)
            following = cure([each.kind for each in failures], request, chosen, larger)
            if following is None:
                raise _told(failures) from error
            hear(Again(error.kind, str(error)))
            request = following.request
            if following.wait:
                hear(Waits(f"{error}; asked again in {following.wait:.0f} s"))
                stop.wait(following.wait)
    return None


def listen(
    provider: Provider, request: Request, hear: Callable[[Heard], None], stop: threading.Event
) -> Reply | None:
    """One try: the complete reply, or None where `stop` ended it.

    Raises:
        ProviderError: of every kind but parse.
    """
    from orchestrator.agent.chant import Chant

    ears = {Thought: Chant(), Text: Chant()}
    heard: dict[type, list[str]] = {Thought: [], Text: []}
    final: Final | None = None
    length = 0
    with _closing(provider.chat(request, stop)) as chunks:
        for chunk in chunks:
            if isinstance(chunk, Final):
                final = chunk
                break
            hear(chunk)
            heard[type(chunk)].append(chunk.text)
            length += len(chunk.text)
            if ears[type(chunk)].hear(chunk.text):
                raise ProviderError("chant", f"{request.model} repeats itself without end")
            if length > MOST:
                raise ProviderError("length", f"{request.model} does not end: it said {length} characters")
    if final is None:
        if stop.is_set():
            return None
        raise ProviderError("mid-stream", f"{request.model}'s reply ended without saying that it is complete")
    if final.cut:
        raise ProviderError("length", f"{request.model}'s reply was cut at {request.most} tokens")
    if not (text := "".join(heard[Text])).strip():
        raise ProviderError("empty", f"{request.model} answered with nothing")
    hear(final)
    return Reply("".join(heard[Thought]), text, final.usage)


@contextlib.contextmanager
def _closing(chunks: Iterator[Chunk]) -> Iterator[Iterator[Chunk]]:
    """End the call on the way out, however that is: closing it cancels what is still generated."""
    try:
        yield chunks
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()


def _told(failures: Sequence[ProviderError]) -> ProviderError:
    last = failures[-1]
    before = [str(each) for each in failures[:-1]]
    if not before:
        return last
    kinds = list(dict.fromkeys(each for each in before if each != str(last)))
    more = f"; before that: {'; '.join(kinds)}" if kinds else ""
    return ProviderError(last.kind, f"{last} (tried {len(failures)} times{more})")
