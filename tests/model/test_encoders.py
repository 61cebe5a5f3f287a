"""Encoders: shapes, contexts that see no more than they may, words, and the empty place for sound."""

from __future__ import annotations

import json

import pytest
import torch

from model import encoders
from model.encoders import MASK, PAD, UNKNOWN, NoEncoder, TextConfig, VisionConfig, Words

CAPTIONS = ["a small red circle at the top left", "A large blue star, in the middle; two objects"]


@pytest.mark.parametrize("stem", ["conv", "patch"])
@pytest.mark.parametrize(("size", "patch"), [(32, 8), (32, 4), (64, 8)])
def test_a_picture_becomes_one_latent_a_patch(stem: str, size: int, patch: int) -> None:
    eyes = encoders.build("vision", size=size, patch=patch, width=32, depth=1, heads=2, stem=stem)
    assert eyes(torch.zeros(2, 3, size, size)).shape == (2, (size // patch) ** 2, 32)


@pytest.mark.parametrize("stem", ["conv", "patch"])
def test_a_context_sees_no_pixel_outside_the_patches_it_keeps(stem: str) -> None:
    eyes = encoders.build("vision", width=32, depth=1, heads=2, stem=stem, registers=1).eval()
    keep = torch.tensor([[0, 5, 10]])
    pictures = torch.randn(1, 3, 32, 32)
    other = pictures.clone()
    other[:, :, 0:8, 8:16] = 5.0  # patch 1, beside patch 0: a convolution looks over that edge
    inside = pictures.clone()
    inside[:, :, 0:8, 0:8] = 5.0
    seen = eyes(pictures, keep)
    assert seen.shape == (1, 3, 32)
    assert torch.equal(seen, eyes(other, keep))
    assert not torch.allclose(seen, eyes(inside, keep))
    assert not torch.allclose(eyes(pictures), eyes(other))  # the control: whoever sees all, sees it


def test_padding_changes_no_word() -> None:
    reader = encoders.build("text", width=32, depth=2, heads=2, length=12).eval()
    ids = torch.tensor([[5, 6, 7]])
    padded = torch.cat([ids, torch.full((1, 6), PAD)], dim=1)
    assert torch.allclose(reader(ids), reader(padded)[:, :3], atol=1e-5)


def test_gradients_reach_every_weight_of_an_encoder() -> None:
    eyes = encoders.build("vision", width=32, depth=1, heads=2)
    eyes(torch.randn(2, 3, 32, 32)).square().mean().backward()
    reader = encoders.build("text", width=32, depth=1, heads=2)
    reader(torch.tensor([[5, 6, 7]])).pow(3).mean().backward()
    for net in (eyes, reader):
        assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in net.parameters())


def test_words_come_back_and_those_never_seen_are_unknown() -> None:
    words = Words.train(CAPTIONS, 64)
    ids = words.encode([*CAPTIONS, "a small purple circle"], 20)
    assert ids.shape == (3, 20)
    assert words.decode(ids[0]) == CAPTIONS[0]
    assert words.decode(ids[1]) == "a large blue star , in the middle ; two objects"
    assert words.decode(ids[2]) == "a small [unknown] circle"
    assert ids[2, 2] == UNKNOWN and ids[2, 4] == PAD
    assert not (ids == MASK).any()


def test_a_tokenizer_travels_inside_the_weights() -> None:
    words = Words.train(CAPTIONS, 64)
    again = Words.parse(words.held(), 64)
    assert torch.equal(again.encode(CAPTIONS, 12), words.encode(CAPTIONS, 12))
    assert torch.equal(Words.train(CAPTIONS, 64).held(), words.held())
    assert len(again) == len(words) == len(set(again.decode(torch.arange(1, len(words))).split())) + 1


def test_a_caption_longer_than_the_text_may_be_is_cut() -> None:
    assert Words.train(CAPTIONS, 64).encode([CAPTIONS[0]], 4).shape == (1, 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no words that can be read"),
        ("[" * 5000, "no words that can be read"),
        ("", "no words that can be read"),
        ('{"a": 1}', "no list of words"),
        ('["[pad]", 1]', "no list of words"),
        ('["[pad]", "[mask]", "[unknown]", "a"]', "begins with the special words"),
        ('["[pad]", "[unknown]", "[mask]", "a", "a"]', "none twice"),
        (json.dumps([str(number) for number in range(65)]), "65 words, more than 64"),
    ],
)
def test_foreign_words_in_the_weights_are_refused(text: str, said: str) -> None:
    held = torch.frombuffer(bytearray(text.encode().ljust(encoders.WORDS_BYTES, b"\0")), dtype=torch.uint8)
    with pytest.raises(ValueError, match=said) as told:
        Words.parse(held, 64)
    assert "\n" not in str(told.value)


def test_there_is_a_place_for_sound_and_it_says_that_it_is_empty() -> None:
    with pytest.raises(NoEncoder, match=r"^there is no audio encoder yet[^\n]*vision, text$"):
        encoders.build("audio")
    with pytest.raises(NoEncoder, match=r"no encoder 'smell'; there are: vision, text, audio"):
        encoders.build("smell")


def test_options_that_cannot_be_are_refused() -> None:
    for options in ({"size": 33}, {"width": 30}, {"patch": 12, "size": 36}, {"colour": 1}, {"depth": 0}):
        with pytest.raises(ValueError):
            VisionConfig.model_validate(options)
    with pytest.raises(ValueError, match="heads"):
        TextConfig(width=30)
