"""The encoders of the senses: pictures and words become rows of latents; sound has a place, empty as yet.

An encoder gives latents per token and, where asked, sees only some of them. What is learnt from these, and
how they become the one published latent, is the matter of `model/jepa`. `build("audio")` says in one line
that there is no such encoder. Vision is a ViT of timm's; words are told apart by a tokenizer that is trained
here on the captions of the data set and travels inside the weights, as a tensor of bytes.
"""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional

from model import blocks
from model.vision_ops import timm

PAD, UNKNOWN, MASK = 0, 1, 2
_SPECIAL = ["[pad]", "[unknown]", "[mask]"]
WORDS_BYTES = 64 * 1024
"""Room for a tokenizer inside the weights; a vocabulary of a thousand words takes 20 KiB."""
Width = Annotated[int, Field(ge=8, le=4096)]
Depth = Annotated[int, Field(ge=1, le=48)]
Heads = Annotated[int, Field(ge=1, le=64)]


class NoEncoder(ValueError):
    """There is no such encoder, or it has nothing in it yet."""


class Strict(BaseModel):
    """A part of a configuration: unknown keys are refused, and nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class VisionConfig(Strict):
    """A ViT over square pictures. `stem`: how pixels become patches, by convolutions or by one linear map."""

    size: Annotated[int, Field(ge=8, le=512)] = 32
    patch: Annotated[int, Field(ge=2, le=64)] = 8
    width: Width = 128
    depth: Depth = 3
    heads: Heads = 4
    ratio: Annotated[float, Field(ge=1, le=8)] = 4.0
    stem: Literal["conv", "patch"] = "conv"
    registers: Annotated[int, Field(ge=0, le=16)] = 0

    @model_validator(mode="after")
    def _fits(self) -> VisionConfig:
        if self.size % self.patch:
            raise ValueError(f"a picture of {self.size} pixels is not whole patches of {self.patch}")
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} can't be shared by {self.heads} heads")
        if self.stem == "conv" and self.patch & (self.patch - 1):
            raise ValueError("a stem of convolutions halves its picture: patch must be 2, 4, 8, 16, 32 or 64")
        return self

    @property
    def patches(self) -> int:
        """How many patches a picture has."""
        return (self.size // self.patch) ** 2


class TextConfig(Strict):
    """A transformer over words; `vocabulary` and `length` are the most it can tell apart and read."""

    width: Width = 96
    depth: Depth = 2
    heads: Heads = 4
    ratio: Annotated[float, Field(ge=1, le=8)] = 4.0
    length: Annotated[int, Field(ge=4, le=1024)] = 64
    vocabulary: Annotated[int, Field(ge=8, le=4096)] = 128

    @model_validator(mode="after")
    def _fits(self) -> TextConfig:
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} can't be shared by {self.heads} heads")
        return self


class Stem(nn.Module):
    """Pictures [B, 3, S, S] to patches [B, P, width]: each convolution halves the picture.

    Weights are kept as matrices [out, in * 9], so that an optimizer of matrices may step them.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        side = config.size // config.patch
        self.grid_size, self.num_patches = (side, side), side * side
        halvings = config.patch.bit_length() - 1
        widths = [3] + [max(16, config.width >> (halvings - 1 - level)) for level in range(halvings)]
        pairs = list(itertools.pairwise(widths))
        self.kernels = nn.ParameterList(
            nn.Parameter(torch.randn(after, before * 9) * (2 / (before * 9)) ** 0.5)
            for before, after in pairs
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(after) for after in widths[1:])

    def forward(self, pictures: Tensor) -> Tensor:
        """[B, 3, S, S] to [B, P, width]."""
        x = pictures.contiguous(memory_format=torch.channels_last)
        last = len(self.kernels) - 1
        for level, (kernel, norm) in enumerate(zip(self.kernels, self.norms, strict=True)):
            x = norm(functional.conv2d(x, kernel.view(len(kernel), -1, 3, 3), stride=2, padding=1))
            x = functional.relu(x) if level < last else x
        return x.flatten(2).transpose(1, 2)


def _stem(config: VisionConfig) -> Callable[..., nn.Module]:
    def make(**_: Any) -> nn.Module:  # timm tells what the configuration says already
        return Stem(config)

    return make


class Vision(nn.Module):
    """Pictures, float [B, 3, S, S] around -1 to 1, to one latent a patch [B, P, width]."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        timm()
        vit = importlib.import_module("timm.models.vision_transformer").VisionTransformer
        stem = {"embed_layer": _stem(config)} if config.stem == "conv" else {}
        self.net = vit(
            img_size=config.size,
            patch_size=config.patch,
            embed_dim=config.width,
            depth=config.depth,
            num_heads=config.heads,
            mlp_ratio=config.ratio,
            num_classes=0,
            class_token=False,
            reg_tokens=config.registers,
            no_embed_class=True,
            global_pool="",
            **stem,
        )

    def forward(self, pictures: Tensor, keep: Tensor | None = None) -> Tensor:
        """Latents [B, P, width] of all patches, or [B, K, width] of those in `keep` [B, K], a context.

        What is not kept is seen nowhere: a stem of convolutions looks over the edges of its patches, so the
        pixels outside are blanked before it.
        """
        first = self.config.registers
        if keep is not None and self.config.stem == "patch":
            x = self._tokens(pictures, keep)
        else:
            x = self._tokens(pictures if keep is None else pictures * self._seen(keep))
            if keep is not None:
                kept = blocks.chosen(x[:, first:], keep)
                x = torch.cat([x[:, :first], kept], dim=1) if first else kept
        found: Tensor = self.net.norm(blocks.through(self.net.blocks, x))
        return found[:, first:]

    @torch.no_grad()
    def targets(self, pictures: Tensor, asked: Tensor | None = None) -> Tensor:
        """Latents [B, P, width] of all patches, or [B, K, width] of those `asked` for [B, K], all being seen.

        For others to predict, so without a gradient. Under autocast the sums between blocks are kept in its
        type too, which spares a cast at each.
        """
        x = self._tokens(pictures)
        first = self.config.registers
        asked = None if asked is None else asked + first
        found: Tensor = self.net.norm(blocks.ahead(self.net.blocks, x, asked))
        return found[:, first:] if asked is None else found

    def _tokens(self, pictures: Tensor, keep: Tensor | None = None) -> Tensor:
        """What the blocks begin with, registers first; with a linear stem, of the patches kept alone."""
        net, config = self.net, self.config
        if config.stem == "conv":
            found: Tensor = net._pos_embed(net.patch_embed(pictures))
            return found
        side, patch, linear = config.size // config.patch, config.patch, net.patch_embed.proj
        rows = pictures.permute(0, 2, 3, 1).reshape(-1, side, patch, side, 3 * patch)
        pixels = rows.transpose(2, 3).reshape(len(pictures), config.patches, -1)
        weight, places = linear.weight.permute(0, 2, 3, 1).flatten(1), net.pos_embed
        if keep is not None:
            pixels, places = blocks.chosen(pixels, keep), functional.embedding(keep, places.flatten(0, 1))
        x: Tensor = functional.linear(pixels, weight, linear.bias) + places
        if not config.registers:
            return x
        registers: Tensor = net.reg_token.expand(len(x), -1, -1).to(x.dtype)
        return torch.cat([registers, x], dim=1)

    def _seen(self, keep: Tensor) -> Tensor:
        side = self.config.size // self.config.patch
        seen = keep.new_zeros(len(keep), side * side, dtype=torch.float32).scatter_(1, keep, 1.0)
        seen = seen.view(-1, 1, side, side)
        return functional.interpolate(seen, scale_factor=self.config.patch, mode="nearest")


class Text(nn.Module):
    """Words, whole numbers [B, L] padded with PAD, to one latent a word [B, L, width]."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        timm()
        block = importlib.import_module("timm.models.vision_transformer").Block
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.places = nn.Parameter(torch.randn(config.length, config.width) * 0.02)
        nn.init.normal_(self.words.weight, std=0.05)
        self.blocks = nn.ModuleList(
            block(config.width, config.heads, config.ratio, qkv_bias=True) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, words: Tensor) -> Tensor:
        """Latents [B, L, width]; those of padding mean nothing, and no word looks at it."""
        x = self.words(words) + self.places[: words.shape[1]]
        unseen = torch.zeros_like(words, dtype=x.dtype).masked_fill(words == PAD, -1e4)[:, None, None, :]
        found: Tensor = self.norm(blocks.through(self.blocks, x, unseen))
        return found


class Words:
    """A tokenizer of whole words: the most frequent ones of the captions it was trained on."""

    def __init__(self, known: list[str]) -> None:
        """Take the words in the order of their numbers, the special ones first; ValueError otherwise."""
        if known[: len(_SPECIAL)] != _SPECIAL or len(set(known)) != len(known):
            raise ValueError("a vocabulary begins with the special words, and has none twice")
        self._known = known
        vocabulary = {word: number for number, word in enumerate(known)}
        self._tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=_SPECIAL[UNKNOWN]))
        _prepare(self._tokenizer)

    @classmethod
    def train(cls, captions: Iterable[str], vocabulary: int) -> Words:
        """Words of these captions, the same for the same captions; what is not among them is UNKNOWN."""
        tokenizer = Tokenizer(models.WordLevel(unk_token=_SPECIAL[UNKNOWN]))
        _prepare(tokenizer)
        trainer = trainers.WordLevelTrainer(
            vocab_size=vocabulary, special_tokens=_SPECIAL, show_progress=False
        )
        tokenizer.train_from_iterator(captions, trainer)
        numbers = tokenizer.get_vocab()
        return cls(sorted(numbers, key=lambda word: numbers[word]))

    @classmethod
    def parse(cls, held: Tensor, vocabulary: int) -> Words:
        """The words inside weights, uint8; ValueError where there are none, or more than `vocabulary`."""
        try:
            known = json.loads(held.cpu().numpy().tobytes().rstrip(b"\0"))
        except (ValueError, RecursionError):
            raise ValueError("the weights hold no words that can be read") from None
        if not isinstance(known, list) or not all(isinstance(word, str) for word in known):
            raise ValueError("the weights hold no list of words")
        if len(known) > vocabulary:
            raise ValueError(f"the weights hold {len(known)} words, more than {vocabulary}")
        return cls(known)

    def held(self) -> Tensor:
        """Itself as uint8 [WORDS_BYTES], to be kept beside the weights."""
        body = json.dumps(self._known, ensure_ascii=False).encode()
        if len(body) > WORDS_BYTES:
            raise ValueError(f"words of {len(body)} bytes; there is room for {WORDS_BYTES}")
        return torch.frombuffer(bytearray(body.ljust(WORDS_BYTES, b"\0")), dtype=torch.uint8)

    def encode(self, captions: list[str], length: int) -> Tensor:
        """Whole numbers, int64 [N, length]: padded with PAD, and cut where a caption is longer."""
        rows = torch.full((len(captions), length), PAD, dtype=torch.int64)
        for row, found in enumerate(self._tokenizer.encode_batch_fast(captions)):
            ids = found.ids[:length]
            rows[row, : len(ids)] = torch.tensor(ids, dtype=torch.int64)
        return rows

    def decode(self, row: Tensor) -> str:
        """The words of one row [L], spaces between them."""
        return " ".join(self._tokenizer.id_to_token(int(each)) or "?" for each in row if int(each) != PAD)

    @staticmethod
    def parts(text: str) -> list[str]:
        """The words of a text, as they are told apart here."""
        whole = pre_tokenizers.Whitespace().pre_tokenize_str(normalizers.Lowercase().normalize_str(text))
        return [word for word, _ in whole]

    def listed(self) -> list[str]:
        """The words in the order of their numbers, the special ones first."""
        return list(self._known)

    def __len__(self) -> int:
        """How many words are known, the special ones included."""
        return len(self._known)


def _prepare(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Lowercase()  # type: ignore[assignment,unused-ignore]
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment,unused-ignore]


def _audio(**_: Any) -> nn.Module:
    raise NoEncoder("there is no audio encoder yet; pictures and words can be encoded: vision, text")


ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "vision": lambda **options: Vision(VisionConfig(**options)),
    "text": lambda **options: Text(TextConfig(**options)),
    "audio": _audio,
}


def build(kind: str, **options: Any) -> nn.Module:
    """The encoder of a sense; NoEncoder where there is none, ValueError for options that can't be."""
    if kind not in ENCODERS:
        raise NoEncoder(f"no encoder {kind!r}; there are: {', '.join(ENCODERS)}")
    return ENCODERS[kind](**options)
