"""The reasoner over pictures: it stands on a JEPA's encoder, frozen or learning, and answers questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import few_scenes
import numpy as np
import pytest
import torch
from tiny_boards import MemoryFeed

from datagen.draws import Draws
from datagen.scenes import words
from model import learners
from model.hrm import scene, scene_net
from model.hrm.learner import build
from model.hrm.scene import SceneReasoner
from model.learner import DataInfo

VISION = {"width": 32, "depth": 1, "heads": 2}
INFO = DataInfo("image/scenes", {}, {}, 64)
COLOURS = ("red", "blue")


def columns(rows: int = 96) -> dict[str, np.ndarray]:
    """Pictures of one colour each, and the question which."""
    which = np.arange(rows) % 2
    image = np.zeros((rows, 32, 32, 3), np.uint8)
    image[np.arange(rows), :, :, which * 2] = 200
    ask = np.frombuffer(b"what colour is it?".ljust(24, b"\0"), np.uint8)
    said = [np.frombuffer(COLOURS[each].encode().ljust(8, b"\0"), np.uint8) for each in which]
    return {"image": image, "question": np.tile(ask, (rows, 1)), "answer": np.stack(said)}


def reasoner(**over: Any) -> SceneReasoner:
    torch.manual_seed(0)
    body = {
        "task": "scene", "vision": VISION, "freeze": [], "words": 16, "length": 6, "answers": 4,
        "hidden": 16, "layers": 1, "heads": 2, **over,
    }  # fmt: skip
    made = build(body, INFO)
    assert isinstance(made, SceneReasoner)
    return made


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SceneReasoner:
    """On a frozen encoder that a JEPA learned."""
    jepa = few_scenes.learner(vision=VISION)
    monkeypatch.setattr(learners, "restore", lambda folder: (jepa, None))
    torch.manual_seed(0)
    body = {
        "task": "scene",
        "vision": VISION,
        "words": 16,
        "length": 6,
        "answers": 4,
        "hidden": 16,
        "heads": 2,
    }
    return scene.build(body, DataInfo("image/scenes", {}, {}, 64, tmp_path))


def trained(one: SceneReasoner, steps: int) -> dict[str, float]:
    rows = MemoryFeed(one.prepare(columns()))
    learning = [each for each in one.parameters() if each.requires_grad]
    stepper = torch.optim.AdamW(learning, lr=5e-3)
    state = one.train().begin(rows, 16)
    for step in range(steps):
        taken = one.advance(rows, 16, state, step / steps)
        stepper.zero_grad()
        taken.loss.backward()
        stepper.step()
        state = taken.state
    with torch.no_grad():
        return one.eval().assess(rows.data, 64)


def test_it_learns_to_answer_from_frozen_latents_and_leaves_the_encoder_alone(
    standing: SceneReasoner,
) -> None:
    before = {name: each.clone() for name, each in standing.encoder.state_dict().items()}
    with torch.no_grad():
        guess = standing.assess(standing.prepare(columns()), 64)["exact"]
    assert trained(standing, 25)["exact"] == 1.0 > guess
    for name, each in standing.encoder.state_dict().items():
        assert torch.equal(each, before[name]), name


def test_an_encoder_that_is_not_frozen_learns_with_it() -> None:
    one = reasoner()
    rows = MemoryFeed(one.prepare(columns()))
    one.advance(rows, 8, one.begin(rows, 8), 0.0).loss.backward()
    assert any(each.grad is not None and each.grad.abs().sum() > 0 for each in one.encoder.parameters())
    split = one.split()
    assert len(split.matrices) + len(split.others) == len(list(one.parameters()))


def test_a_frozen_encoder_must_have_learned_and_be_of_the_same_build(
    standing: SceneReasoner, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="must be one that has learned"):
        reasoner(freeze=["encoder"]).prepare(columns())
    with pytest.raises(ValueError, match="that of the encoder"):
        scene.build({"task": "scene", "vision": {"depth": 2}}, DataInfo("image/scenes", {}, {}, 64, tmp_path))


def test_its_weights_are_whole_without_the_encoders_folder(standing: SceneReasoner) -> None:
    data = standing.prepare(columns())
    again = scene.build(standing.config.model_dump(), INFO)  # nothing but the configuration
    again.load_state_dict(standing.state_dict())
    with torch.no_grad():
        assert torch.equal(again.eval().prepare(columns())["latents"], data["latents"])
        assert again.assess(data, 20) == standing.eval().assess(data, 20)


def test_an_answer_never_seen_in_training_counts_as_wrong() -> None:
    one = reasoner()
    one.prepare(columns())
    other = columns(4)
    other["answer"][:, :3] = np.frombuffer(b"odd", np.uint8)
    data = one.prepare(other)
    assert data["target"].tolist() == [-1] * 4
    with torch.no_grad():
        assert one.eval().assess(data, 4)["exact"] == 0.0


def test_foreign_data_is_refused_and_says_why() -> None:
    with pytest.raises(ValueError, match="no column question and answer"):
        reasoner().prepare({"image": columns(2)["image"]})
    with pytest.raises(ValueError, match="32 x 32"):
        reasoner().prepare({**columns(2), "image": np.zeros((2, 16, 16, 3), np.uint8)})
    many = columns(12)
    many["answer"] = np.arange(65, 77, dtype=np.uint8)[:, None]
    with pytest.raises(ValueError, match="12 different answers"):
        reasoner().prepare(many)


def pictures(rows: int = 24, seed: int = 0) -> dict[str, np.ndarray]:
    """Scenes whose data say what stands where, with a question each."""
    made = few_scenes.columns(rows, seed)
    question, answer, _ = words.questions(Draws("test/question", seed, 0, rows), made["objects"])
    return made | {"question": question, "answer": answer}


def full(**over: Any) -> SceneReasoner:
    return reasoner(**{"words": 96, "length": 24, "answers": 64, **over})


def test_pictures_to_learn_from_are_asked_about_in_many_ways_and_held_out_ones_in_their_own() -> None:
    one, rows = full(), pictures()
    data = one.prepare(rows)
    assert data["drawn"].shape[:2] == data["drawn_target"].shape == (24, 16)
    known, vocabulary = one.answers(), scene.Words.parse(one.vocabulary, 96)
    colours = 0
    for row, things in enumerate(words.things(rows["objects"])):
        for asked, target in zip(data["drawn"][row], data["drawn_target"][row].tolist(), strict=True):
            text = vocabulary.decode(asked.long())
            if text == "how many objects are there ?":
                assert known[target] == words.NUMBERS[len(things)]
            if text.startswith("what colour is"):  # the answer is that of an object of this very picture
                assert known[target] in {each.words[1] for each in things}
                colours += 1
    assert colours > 10
    again = one.prepare(pictures(8, seed=1))
    assert again.keys() == {"words", "target", "latents" if one.config.frozen else "image"}


def test_at_first_it_learns_to_see_alone_and_then_to_answer_too() -> None:
    one = full(look=0.5)
    rows = MemoryFeed(one.prepare(pictures()))
    for progress, answers in ((0.4, False), (0.5, True)):
        one.zero_grad(set_to_none=True)
        taken = one.advance(rows, 8, {}, progress)
        taken.loss.backward()
        assert ("exact" in taken.shown) is answers
        assert (one.head.grad is not None) is answers
        assert one.sight.tell.grad is not None
        assert float(one.sight.tell.grad.abs().sum()) > 0


def test_what_stands_in_each_place_is_read_off_the_objects() -> None:
    objects = np.zeros((1, 3, 5), np.uint8)
    objects[0, 0] = (2, 4, 1, 3, 1)  # a large purple triangle on the left
    objects[0, 1] = (0, 0, 0, 8, 1)  # a small red circle at the bottom right
    found = scene.stands(objects)
    assert found[0, 3].tolist() == [3, 5, 2]
    assert found[0, 8].tolist() == [1, 1, 1]
    assert found.sum() == 13  # nothing stands anywhere else, absent objects least of all


@pytest.mark.parametrize("side", [3, 4, 6, 8])
def test_a_place_is_read_from_all_patches_that_it_lies_on(side: int) -> None:
    found = scene_net.windows(side)
    for place in range(9):
        for at in range(60):
            for across in range(60):
                if at * 3 // 60 == place // 3 and across * 3 // 60 == place % 3:
                    assert at * side // 60 * side + across * side // 60 in found[place]


def test_several_questions_about_a_picture_are_answered_as_each_alone() -> None:
    one = full().eval()
    data = one.prepare(pictures(4))
    with torch.no_grad():
        inner, told = one.sight(one.seen(data["image"]))
        asked = data["drawn"][:, :3].long()
        *_, together = one._thoughts(asked.flatten(0, 1), inner, told, 2)
        for nth in range(3):
            *_, alone = one._thoughts(asked[:, nth], inner, told, 2)
            assert torch.allclose(together.logits.view(4, 3, -1)[:, nth], alone.logits, atol=1e-4)


def test_the_padding_behind_a_question_says_nothing() -> None:
    one = full().eval()
    one.prepare(pictures(4))
    asked = one.asked(["what colour is the star?"])
    with torch.no_grad():
        one.embed[0] = 100.0  # what stands for padding
        first = one.reading(one.embed[asked], scene_net.words_seen(asked))
        one.embed[0] = -50.0
        assert torch.equal(one.reading(one.embed[asked], scene_net.words_seen(asked)), first)
        one.embed[one.asked(["star"])[0, 0]] += 1.0  # a word does say something
        assert not torch.equal(one.reading(one.embed[asked], scene_net.words_seen(asked)), first)
