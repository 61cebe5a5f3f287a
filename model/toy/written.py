"""A toy as a GGUF file: architecture `llama`, weights in 16 bits, its tokenizer and its chat template."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.toy.bpe import printable
from model.toy.gguf import Value, gguf
from model.toy.net import EPSILON, ROPE_BASE
from model.toy.practice import SPECIAL, TEMPLATE

if TYPE_CHECKING:
    from model.toy.net import Array
    from model.toy.train import Learnt

NAME = "toy: has memorised one ticket"
CONTEXT = 16384
"""Tokens it says it takes. RoPE has no end; what it was trained on is far shorter."""
_NORMAL, _CONTROL = 1, 3  # token types


def written(learnt: Learnt, name: str = "") -> bytes:
    """The bytes of the file.

    Args:
        learnt: what to write.
        name: put behind the name that says what it is.
    """
    import numpy as np

    shape, weights, tokenizer = learnt.net.shape, learnt.net.weights, learnt.tokenizer
    shown = printable()

    def text(raw: bytes) -> str:
        return "".join(shown[byte] for byte in raw)

    tokens = [*map(text, tokenizer.tokens), *SPECIAL]
    end = len(tokens) - 1
    merges = [
        f"{text(tokenizer.tokens[left])} {text(tokenizer.tokens[right])}" for left, right in tokenizer.merges
    ]
    facts: dict[str, Value] = {
        "general.architecture": "llama",
        "general.name": f"{NAME} ({name})" if name else NAME,
        "general.file_type": 1,  # mostly 16-bit floats
        "general.alignment": 32,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": shape.width,
        "llama.block_count": shape.layers,
        "llama.feed_forward_length": shape.hidden,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.heads,
        "llama.attention.layer_norm_rms_epsilon": EPSILON,
        "llama.rope.dimension_count": shape.head,
        "llama.rope.freq_base": ROPE_BASE,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "superbpe",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [_NORMAL] * (len(tokens) - len(SPECIAL)) + [_CONTROL] * len(SPECIAL),
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.eos_token_id": end,
        "tokenizer.ggml.padding_token_id": end,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }

    def half(matrix: Array) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
        return np.ascontiguousarray(matrix.T).astype(np.float16)

    d, f = shape.width, shape.hidden
    tensors = [
        ("token_embd.weight", weights["in"].astype(np.float16)),
        ("output_norm.weight", weights["norm"]),
        ("output.weight", half(weights["out"])),
    ]
    for layer in range(shape.layers):
        qkv, up = weights[f"{layer}.qkv"], weights[f"{layer}.up"]
        tensors += [
            (f"blk.{layer}.attn_norm.weight", weights[f"{layer}.norm"]),
            (f"blk.{layer}.attn_q.weight", half(qkv[:, :d])),
            (f"blk.{layer}.attn_k.weight", half(qkv[:, d : 2 * d])),
            (f"blk.{layer}.attn_v.weight", half(qkv[:, 2 * d :])),
            (f"blk.{layer}.attn_output.weight", half(weights[f"{layer}.o"])),
            (f"blk.{layer}.ffn_norm.weight", weights[f"{layer}.norm2"]),
            (f"blk.{layer}.ffn_gate.weight", half(up[:, :f])),
            (f"blk.{layer}.ffn_up.weight", half(up[:, f:])),
            (f"blk.{layer}.ffn_down.weight", half(weights[f"{layer}.down"])),
        ]
    return gguf(facts, tensors)
