"""The reasoner over pictures: it stands on a JEPA's encoder, frozen or learning, and answers questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import few_scenes
import numpy as np
import pytest
import torch
from tiny_boards import MemoryFeed

from model import learners
from model.hrm import scene
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
