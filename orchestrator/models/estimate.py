"""How many bytes a model takes with a context of so many tokens, before it is loaded. Pure arithmetic.

    bytes = weights + cache of keys and values + buffers of the computation

The cache is exact for the architectures that are known here; the buffers are an upper estimate. What a model
does not tell of itself is taken as large as it usually is, so that a load rather waits than fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ELEMENT = 2  # bytes of a value in the cache: f16, which Ollama and llama.cpp use unless told otherwise
BATCH = 512  # tokens that are computed at once (`n_ubatch`)
STEP = 2048  # tokens by which a context that does not fit is lowered
LEAST = 8192  # tokens below which a context is never lowered: less costs more quality than a smaller model
FIXED = 384 << 20  # bytes of a graphics card that its driver and the kernels take for each process
_VOCABULARY = 152_064  # tokens of a usual vocabulary (Qwen's), where it is not told
_SANE = 1 << 24  # no layer, head, length or vocabulary is more
_UNKNOWN = 0.2  # of the weights, for everything else, where the layers are not told

_SLIDING = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gptoss": 2, "gpt-oss": 2, "cohere2": 4, "gemma4": 6}
"""Of how many layers one sees the whole context, where the file tells the window but not the pattern."""


@dataclass(frozen=True)
class Need:
    """Bytes of memory, by what they are for."""

    weights: int
    cache: int
    compute: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.compute


def need(weights: int, facts: Mapping[str, Any] | None, context: int) -> Need:
    """What a model takes with this context.

    Args:
        weights: bytes of its tensors.
        facts: its layers and heads by their GGUF names without prefix; None where they are not told.
        context: tokens.
    """
    if not facts or not _whole(facts, "block_count"):
        return Need(weights, int(weights * _UNKNOWN), FIXED if weights else 0)
    return Need(weights, cache(facts, context), compute(facts, context))


def cache(facts: Mapping[str, Any], context: int) -> int:
    """Bytes of the keys and values of all layers: tokens x heads x (key + value length) x 2, a layer."""
    layers = min(_whole(facts, "block_count"), 4096)
    heads = _whole(facts, "attention.head_count", 1)
    by_layer = facts.get("attention.head_count_kv")
    usual = _whole(facts, "embedding_length") // max(1, heads)
    key = _whole(facts, "attention.key_length", usual)
    value = _whole(facts, "attention.value_length", usual)
    key_short = _whole(facts, "attention.key_length_swa", key)
    value_short = _whole(facts, "attention.value_length_swa", value)
    window = _whole(facts, "attention.sliding_window")
    # A sliding layer keeps its window and the batch at work, in whole blocks of 256 cells.
    short = min(context, -(-(window + BATCH) // 256) * 256)
    total = 0
    for layer in range(layers):
        if not _attends(facts, layer):
            continue
        if window and _slides(facts, layer):
            total += short * _heads(by_layer, layer, heads) * (key_short + value_short)
        else:
            total += context * _heads(by_layer, layer, heads) * (key + value)
    return total * ELEMENT


def compute(facts: Mapping[str, Any], context: int) -> int:
    """Bytes of the buffers: the logits of one batch, the attention mask, the widest layers, the driver."""
    vocabulary = _whole(facts, "vocab_size", _VOCABULARY)
    width = _whole(facts, "embedding_length")
    inner = max(_most(facts, "feed_forward_length"), 2 * width)
    small = vocabulary < 4096 and width < 1024  # a toy, which no graphics card has to help
    return BATCH * (4 * vocabulary + 6 * context + 4 * (2 * inner + 4 * width)) + (0 if small else FIXED)


def fit(weights: int, facts: Mapping[str, Any] | None, wanted: int, room: int) -> tuple[int, Need] | None:
    """The largest context up to the one that is wanted with which a model fits; None where none does.

    It is lowered by `STEP` and never under `LEAST`; one that is wanted smaller is not lowered at all.
    """
    context = wanted
    while True:
        found = need(weights, facts, context)
        if found.total <= room:
            return context, found
        if context <= LEAST:
            return None
        context = max(LEAST, context - STEP)


def _attends(facts: Mapping[str, Any], layer: int) -> bool:
    """Whether a layer keeps keys and values at all; one of a recurrent kind keeps a state of fixed size."""
    every = _whole(facts, "full_attention_interval")
    return not every or (layer + 1) % every == 0


def _slides(facts: Mapping[str, Any], layer: int) -> bool:
    pattern = facts.get("attention.sliding_window_pattern")
    if isinstance(pattern, Sequence) and not isinstance(pattern, str):
        return bool(pattern[layer]) if layer < len(pattern) else False
    every = pattern if isinstance(pattern, int) and pattern > 0 else None
    every = every or _SLIDING.get(str(facts.get("architecture")), 0)
    return bool(every) and (layer + 1) % every != 0


def _heads(by_layer: Any, layer: int, heads: int) -> int:
    if isinstance(by_layer, int) and not isinstance(by_layer, bool) and by_layer > 0:
        return min(by_layer, _SANE)
    if isinstance(by_layer, Sequence) and not isinstance(by_layer, str) and by_layer:
        told = by_layer[min(layer, len(by_layer) - 1)]
        return min(told, _SANE) if isinstance(told, int) and told >= 0 else heads
    return heads  # every head has its own


def _whole(facts: Mapping[str, Any], name: str, default: int = 0) -> int:
    """A positive whole number of a model's, which is a stranger's; the default where it is none."""
    value = facts.get(name)
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _SANE
    return int(value) if good else default  # type: ignore[arg-type]


def _most(facts: Mapping[str, Any], name: str) -> int:
    value = facts.get(name)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return min(_SANE, max((each for each in value if isinstance(each, int)), default=0))
    return _whole(facts, name)
