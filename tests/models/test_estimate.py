"""What a model takes is known before it is loaded: held against the figures that its servers have logged."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.models.estimate import FIXED, LEAST, STEP, cache, compute, fit, need

MIB = 1 << 20


def facts(layers: int, heads: int, kv: Any, key: int, width: int, **more: Any) -> dict[str, Any]:
    return {
        "block_count": layers,
        "attention.head_count": heads,
        "attention.head_count_kv": kv,
        "attention.key_length": key,
        "attention.value_length": key,
        "embedding_length": width,
        **{name.replace("__", "."): value for name, value in more.items()},
    }


LLAMA2_7B = {"block_count": 32, "attention.head_count": 32, "embedding_length": 4096}
LLAMA2_70B = facts(80, 64, 8, 128, 8192)
LLAMA31_8B = facts(32, 32, 8, 128, 4096, vocab_size=128_256)
QWEN1_72B = facts(80, 64, 64, 128, 8192)
QWEN25_7B = facts(28, 28, 4, 128, 3584, vocab_size=152_064)
QWEN3_8B = facts(36, 32, 8, 128, 4096, vocab_size=151_936, feed_forward_length=12_288)
QWEN3_14B = facts(40, 40, 8, 128, 5120, vocab_size=151_936, feed_forward_length=17_408)
QWEN3_30B_A3B = facts(48, 32, 4, 128, 2048, vocab_size=151_936, feed_forward_length=6144)
QWEN35_27B = facts(64, 24, 4, 256, 5120, full_attention_interval=4)
WINDOW = "attention.sliding_window"
GPT_OSS_20B = facts(24, 64, 8, 64, 2880, architecture="gptoss", vocab_size=201_088) | {WINDOW: 128}
GEMMA3_12B = facts(48, 16, 8, 256, 3840, architecture="gemma3", vocab_size=262_208) | {WINDOW: 1024}

PUBLISHED = [  # (model, context, MiB of the cache as llama.cpp logged them: "KV self size", "KV buffer size")
    (LLAMA2_7B, 4096, 2048.0),
    (LLAMA2_70B, 8192, 2560.0),
    (LLAMA31_8B, 8192, 1024.0),
    (QWEN1_72B, 8192, 20480.0),
    (QWEN25_7B, 32768, 1792.0),
    (QWEN3_8B, 40960, 5760.0),
    (QWEN3_30B_A3B, 40960, 3840.0),
    (QWEN35_27B, 16384, 1024.0),
    (GPT_OSS_20B, 131072, 3072.0 + 18.0),  # half of its layers slide over 128 tokens: 768 cells
]


@pytest.mark.parametrize(("model", "context", "mib"), PUBLISHED)
def test_the_cache_is_what_llama_cpp_logged(model: dict[str, Any], context: int, mib: float) -> None:
    assert cache(model, context) / MIB == pytest.approx(mib, rel=0.002)


BUFFERS = [  # (model, context, MiB of "CUDA0 compute buffer size" that llama.cpp logged with flash attention)
    (LLAMA31_8B, 8192, 258.5),
    (QWEN25_7B, 32768, 304.0),
    (GPT_OSS_20B, 16384, 398.4),
]


@pytest.mark.parametrize(("model", "context", "mib"), BUFFERS)
def test_the_buffers_are_never_under_what_was_logged_and_not_far_above(
    model: dict[str, Any], context: int, mib: float
) -> None:
    assert mib <= (compute(model, context) - FIXED) / MIB <= 1.6 * mib


@pytest.mark.parametrize(
    ("gigabytes", "model", "card"),
    [(5.2, QWEN3_8B, 12), (9.3, QWEN3_14B, 16), (13.8, GPT_OSS_20B, 16), (18.6, QWEN3_30B_A3B, 24)],
)
def test_with_16k_the_usual_models_fit_the_cards_that_they_are_run_on(
    gigabytes: float, model: dict[str, Any], card: int
) -> None:
    found = need(int(gigabytes * 1e9), model, 16_384)
    assert found.total == found.weights + found.cache + found.compute
    assert found.total <= card * 10**9


def test_a_context_that_does_not_fit_is_lowered_by_steps_and_never_under_the_least() -> None:
    weights = int(5.2e9)
    whole = need(weights, QWEN3_8B, 40_960).total
    assert fit(weights, QWEN3_8B, 40_960, whole) == (40_960, need(weights, QWEN3_8B, 40_960))
    lower = fit(weights, QWEN3_8B, 40_960, whole - 1)
    assert lower is not None and lower[0] == 40_960 - STEP
    least = need(weights, QWEN3_8B, LEAST).total
    at_least = fit(weights, QWEN3_8B, 40_960, least)
    assert at_least is not None and at_least[0] == LEAST
    assert fit(weights, QWEN3_8B, 40_960, least - 1) is None


def test_a_smaller_wish_is_kept_as_it_is() -> None:
    room = need(1000, LLAMA31_8B, 2048).total
    assert fit(1000, LLAMA31_8B, 2048, room) == (2048, need(1000, LLAMA31_8B, 2048))
    assert fit(1000, LLAMA31_8B, 2048, room - 1) is None


def test_more_context_never_takes_less() -> None:
    for model, _, _ in PUBLISHED:
        taken = [need(0, model, context).total for context in range(1024, 65_536, 1024)]
        assert taken == sorted(taken)


@pytest.mark.parametrize("value", [None, -1, 0, "8", True, 2**70, [], ["x"], {}, 1.5])
def test_facts_that_make_no_sense_are_taken_as_untold(value: Any) -> None:
    for name in ("attention.key_length", "block_count", "vocab_size", "embedding_length", WINDOW):
        taken = need(10**9, {**QWEN3_8B, name: value}, 16_384).total
        assert 10**9 <= taken < 10**11
    heads = need(10**9, {**QWEN3_8B, "attention.head_count_kv": value}, 16_384).total
    assert 10**9 <= heads < 10**16  # absurd where it claims so, and thus never loaded


def test_a_model_that_tells_nothing_is_taken_with_a_margin() -> None:
    assert need(10**10, None, 16_384).total > 1.2 * 10**10
