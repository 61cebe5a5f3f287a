"""Whether a candidate can serve, and with what: from what its server said, the memory, and a trial. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.models.base import Chosen
from orchestrator.models.calibration import Finding
from orchestrator.models.catalogue import FILES, Source, Wish
from orchestrator.models.estimate import LEAST, fit, need
from orchestrator.models.ledger import gigabytes
from orchestrator.providers.base import Found, Health, Loaded, Think
from orchestrator.providers.embedded_link import INSTALL

WHOLE_FILE = 150  # lines; models of 7B to 20B rewrite so much without a slip, and more costs time
_LEVELS = re.compile(r"(^|/)gpt-?oss", re.IGNORECASE)  # it thinks always, and takes only a level
_SIZE = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)b\b", re.IGNORECASE)
_ON = ", and this goes on"  # how a reason ends whose cure needs no other word
_BYTES = 0.62e9  # of a billion parameters in four bits, as they are usually packed (4.9 bits each)


ANY = "*"
"""Instead of a model's name: whatever the server serves."""


@dataclass(frozen=True)
class Seen:
    """What a server said when it was last asked."""

    at: float  # monotonic seconds
    health: Health
    models: Mapping[str, Found] = field(default_factory=dict)  # by name; those of the catalogue in full
    loaded: tuple[Loaded, ...] = ()

    def find(self, model: str) -> Found | None:
        """A model by its name; Ollama's `qwen3` is its `qwen3:latest`; `*` is the first that can answer."""
        if model == ANY:
            return next((each for each in self.models.values() if not _only_embeds(each.name)), None)
        return self.models.get(model) or self.models.get(f"{model}:latest")


@dataclass(frozen=True)
class Judged:
    """What became of a candidate: who answers, or why it cannot."""

    wish: Wish
    chosen: Chosen | None
    why: str
    bytes: int = 0  # of memory, weights and context together; 0 where it is not known or not ours
    weights: int = 0


def managed(source: Source) -> bool:
    """Whether its memory is ours to share out: not another machine's, nor a server's that loads by itself."""
    return source.local and source.kind != "openai"


def judge(
    role: str, wish: Wish, seen: Seen | None, finding: Finding | None, room: int, held: int = 0
) -> Judged:
    """Whether a candidate can serve its role.

    Args:
        role: of the catalogue.
        wish: the candidate.
        seen: what its server said; None where it has not answered yet.
        finding: what trying it has shown; None where nobody has.
        room: bytes that it may take.
        held: tokens of context that it is in memory with now, 0 where it is not: it is not loaded anew for
            a somewhat larger one.
    """
    source = wish.source
    if source.refused:
        return Judged(wish, None, source.refused)
    if seen is None:
        return Judged(wish, None, f"{source.name} at {_place(source)} has not answered yet")
    if not seen.health.ok:
        return Judged(wish, None, _silent(source, seen.health))
    found = seen.find(wish.model)
    if found is None:
        return Judged(wish, None, missing(wish, sorted(seen.models)))
    if wish.model == ANY:
        wish = replace(wish, model=found.name)
    if found.remote:
        return Judged(wish, None, f"{wish.model} would be run by somebody else: it is never used")
    if role == "embed" and found.embeds is False:
        return Judged(wish, None, f"{wish.model} makes no embeddings")
    if role != "embed" and found.embeds and found.thinks is not True and _only_embeds(wish.model):
        return Judged(wish, None, f"{wish.model} makes embeddings and cannot answer")
    limits = [wish.context, found.context, finding.context if finding else 0]
    wanted = min(each for each in limits if each > 0)
    context, taken = wanted, 0
    if managed(source):
        fitting = fit(found.bytes, found.facts, wanted, room)
        if held >= min(wanted, LEAST):
            context = min(wanted, held)
            taken = need(found.bytes, found.facts, context).total
        elif fitting is None:
            least = min(wanted, LEAST)
            taken = need(found.bytes, found.facts, least).total
            said = f"{wish.model} needs {gigabytes(taken)} with {least} tokens of context"
            return Judged(wish, None, f"{said}, {gigabytes(room)} can be used", taken, found.bytes)
        else:
            context, taken = fitting[0], fitting[1].total
    think, more = thinking(wish.model, found.thinks, wish.think)
    chosen = Chosen(
        provider=source.name,
        version=seen.health.version,
        model=wish.model,
        digest=found.digest,
        context=context,
        think=think,
        think_more=more,
        temperature=wish.temperature,
        whole_file=wish.whole_file or (finding.whole_file if finding else 0) or WHOLE_FILE,
        bytes_per_token=(finding.bytes_per_token if finding else 0) or Chosen.bytes_per_token,
        label=wish.label,
    )
    lowered = f", lowered from {wanted} so that it fits" if context < wanted else ""
    return Judged(wish, chosen, f"{context} tokens of context{lowered}", taken, found.bytes)


def thinking(model: str, thinks: bool | None, wanted: Think) -> tuple[Think, Think]:
    """How much a model is to think, in ordinary turns and in hard ones.

    Args:
        model: its name: gpt-oss always thinks and takes a level.
        thinks: whether the server says that it can; None where it does not say.
        wanted: what `models.yaml` says; None where it says nothing.
    """
    if _LEVELS.search(model):
        return (wanted if isinstance(wanted, str) else "medium" if wanted else "low"), "high"
    if thinks is False or (thinks is None and wanted is None):
        return None, None
    return bool(wanted), True


def missing(wish: Wish, there: Sequence[str] = ()) -> str:
    """The line for a model that a server does not have, with the cure."""
    source = wish.source
    if source.kind == FILES:
        return f"{_place(source)}/{wish.model} is not there yet"
    if source.kind == "ollama":
        return f"{wish.model} is not there: `ollama pull {wish.model}`"
    if wish.model == ANY:
        return f"{_place(source)} serves no model: load one there"
    has = f": it serves {', '.join(there[:3])}" if there else ""
    return f"{_place(source)} does not serve {wish.model}{has}"


def obstacle(role: str, judged: Sequence[Judged], seen: Mapping[str, Seen | None], room: int) -> str | None:
    """Why nobody serves a role, in one line with the cure; None where somebody does.

    Of several reasons the one that is nearest to its cure: a model that would fit and is not there, then
    one that is too large, then a server that does not answer. Where none answers and files would do, both
    cures are told.
    """
    if not judged:
        return f"no model serves {role}: name one under `roles` in models.yaml"
    if any(each.chosen for each in judged):
        return None
    answering = [each for each in judged if _answers(each, seen) and not each.wish.source.refused]
    absent = [each for each in answering if not each.bytes]
    if absent:
        return next((each for each in absent if _likely(each.wish.model, room)), absent[-1]).why
    if answering:
        return answering[-1].why
    why = judged[0].why
    if why.endswith(_ON) and INSTALL not in why and any(INSTALL in each.why for each in judged):
        return why.removesuffix(_ON) + f", or {INSTALL}"
    return why


def _answers(judged: Judged, seen: Mapping[str, Seen | None]) -> bool:
    found = seen.get(judged.wish.source.name)
    return found is not None and found.health.ok


def _likely(model: str, room: int) -> bool:
    """Whether a model that nobody has seen would fit, by the size in its name."""
    size = _SIZE.search(model)
    return size is not None and float(size[1]) * _BYTES * 1.25 <= room


def _only_embeds(model: str) -> bool:
    return re.search(r"embed|bge|minilm|e5", model, re.IGNORECASE) is not None


def _silent(source: Source, health: Health) -> str:
    if source.kind == "ollama":
        return f"no model server answers at {source.at}: start Ollama{_ON}"
    if source.kind == "openai":
        return f"no model server answers at {source.at}: start it{_ON}"
    return health.why or f"{source.name} cannot be used"


def _place(source: Source) -> str:
    """Where it is, for people: a folder by its last part."""
    return Path(source.at).name if source.kind == FILES else source.at
