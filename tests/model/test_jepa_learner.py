"""What a JEPA learns and what it leaves alone: gradients, teachers, collapse, equal seeds, foreign data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from few_scenes import INFO, Few, columns, learner

from model import breaker
from model import config as configs
from model.config import Breaker, Floor
from model.jepa.config import parse
from model.jepa.learner import JepaLearner, build, rank
from model.jepa.objectives import REMEDIES
from model.jepa.views import augment, mask_words, scaled

ROWS = columns(64)
PRESETS = sorted((Path(__file__).parents[2] / "configs" / "training").glob("jepa-*.yaml"))
ALL = {"cross": 1.0, "words": 0.5, "patches": 0.5}


def _train(jepa: JepaLearner, steps: int, *, batch: int = 32, lr: float = 3e-3, seed: int = 0) -> list[float]:
    """The losses of so many steps of AdamW."""
    feed = Few(jepa.prepare(ROWS), seed)
    step = torch.optim.AdamW(jepa.split().matrices + jepa.split().others, lr=lr)
    jepa.train()
    losses = []
    for turn in range(steps):
        found = jepa.advance(feed, batch, jepa.begin(feed, batch), turn / steps)
        step.zero_grad()
        found.loss.backward()
        step.step()
        jepa.stepped(turn / steps)
        losses.append(found.loss.item())
    return losses


@pytest.mark.parametrize("objective", sorted(REMEDIES))
def test_the_gradient_reaches_every_weight_that_learns_and_no_teacher(objective: str) -> None:
    jepa = learner(objective=objective, tasks=ALL)
    feed = Few(jepa.prepare(ROWS))
    jepa.advance(feed, 16, {}, 0.0).loss.backward()
    scales = {"net.scale", "net.words_scale", "net.patches_scale"}  # a temperature is contrast's alone
    for name, parameter in jepa.named_parameters():
        if name.startswith("teacher."):
            assert parameter.grad is None and not parameter.requires_grad
        elif name not in scales or REMEDIES[objective].contrast:
            assert parameter.grad is not None, name
            # A key's bias moves all of a row's scores alike, so that its gradient is rounding.
            assert parameter.grad.abs().sum() > 0, name
    assert (jepa.teacher is not None) == (objective == "ema")


def test_targets_of_a_teacher_are_the_teachers() -> None:
    """With weights of its own changed, a teacher changes the loss; the student's targets are not used."""
    jepa = learner(objective="ema").eval()
    rows = jepa.prepare(ROWS)
    with torch.no_grad():
        before = jepa.loss(scaled(rows["image"]), rows["caption"], torch.Generator())[0]
        assert jepa.teacher is not None
        for parameter in jepa.teacher.see.parameters():
            parameter.add_(1.0)
        after = jepa.loss(scaled(rows["image"]), rows["caption"], torch.Generator())[0]
    assert not torch.equal(before, after)


def test_a_teacher_follows_slowly_and_arrives() -> None:
    jepa = learner(objective="ema", follow=0.9)
    assert jepa.teacher is not None
    fast, slow = jepa.net.towers.see.outer.weight, jepa.teacher.see.outer.weight
    with torch.no_grad():
        fast.add_(1.0)
    away = [(fast - slow).abs().mean().item()]
    for _ in range(60):
        jepa.stepped(0.0)
        away.append((fast - slow).abs().mean().item())
    assert away[1] == pytest.approx(0.9 * away[0], rel=1e-3)
    assert away[-1] < 0.01 * away[0]
    assert not slow.requires_grad


@pytest.mark.parametrize("objective", ["combined", "ema"])
def test_equal_seeds_give_equal_losses_and_other_seeds_do_not(objective: str) -> None:
    first, again, other = (
        _train(learner(seed, objective=objective, tasks=ALL), 3, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_latents_without_a_remedy_collapse_and_the_breakers_floor_says_so() -> None:
    """The control that must fail; the same steps with a remedy pass the same floor."""
    floors = {"rank": Floor(at_least=5.0, after=10), "spread": Floor(at_least=0.1, after=10)}
    floor = Breaker(warmup=0, floors=floors)
    verdicts = {}
    for objective in ("none", "sigreg"):
        jepa = learner(objective=objective, gaussian=0.2)
        _train(jepa, 40, lr=1e-2)
        jepa.eval()
        with torch.no_grad():
            found = jepa.assess(jepa.prepare(ROWS), 64)
        verdicts[objective] = breaker.assessment(floor, breaker.History(), 60, found)
    stops = breaker.stops(verdicts["none"])
    assert stops is not None and stops.rule == "floor"
    assert not verdicts["sigreg"]


def test_a_jepa_learns_to_find_captions() -> None:
    jepa = learner(objective="contrastive", augment={"shift": 0, "light": 0, "tint": 0, "noise": 0})
    rows = jepa.prepare(ROWS)
    with torch.no_grad():
        before = jepa.eval().assess(rows, 64)
    _train(jepa, 50, batch=64, lr=5e-3)
    with torch.no_grad():
        after = jepa.eval().assess(rows, 64)
    assert before["recall"] < 0.1 < 0.5 < after["recall"]
    assert after["loss"] < before["loss"]


def test_assessing_is_repeatable_and_changes_nothing() -> None:
    jepa = learner(tasks=ALL).eval()
    rows = jepa.prepare(ROWS)
    kept = {name: each.clone() for name, each in jepa.state_dict().items()}
    state = torch.get_rng_state()
    with torch.no_grad():
        assert jepa.assess(rows, 48) == jepa.assess(rows, 48)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(kept[name], each) for name, each in jepa.state_dict().items())


def test_a_frozen_encoder_does_not_change_by_a_bit() -> None:
    jepa = learner()
    jepa.prepare(ROWS)
    eyes = jepa.net.towers.vision.requires_grad_(False)
    kept = {name: each.clone() for name, each in eyes.named_parameters()}
    _train(jepa, 3)
    assert all(torch.equal(kept[name], each) for name, each in eyes.named_parameters())
    assert not any(each is mine for each in eyes.parameters() for mine in jepa.split().matrices)


def test_each_weight_is_stepped_once_and_embeddings_not_as_matrices() -> None:
    jepa = learner(tasks=ALL, objective="ema")
    split = jepa.split()
    listed = [id(each) for each in split.matrices + split.others]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(each) for each in jepa.parameters() if each.requires_grad}
    assert all(each.ndim == 2 for each in split.matrices)
    assert any(each is jepa.net.towers.text.words.weight for each in split.others)


def test_a_checkpoint_holds_the_words_too() -> None:
    one, two = learner(0), learner(1)
    rows = one.prepare(ROWS)
    two.load_state_dict(one.state_dict())
    assert torch.equal(two.prepare(ROWS)["caption"], rows["caption"])
    with torch.no_grad():
        mine, theirs = one.eval().latents(rows), two.eval().latents(rows)
    assert {name: each.shape for name, each in mine.items()} == dict.fromkeys(
        ("image", "text", "text_from_image", "image_from_text"), torch.Size([64, 16])
    )
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_augmentation_keeps_pictures_near_and_is_drawn_by_its_generator_alone() -> None:
    config = learner().config.augment
    bytes_ = torch.from_numpy(ROWS["image"])
    plain = scaled(bytes_)
    one = augment(bytes_, config, torch.Generator().manual_seed(1))
    assert torch.equal(one, augment(bytes_, config, torch.Generator().manual_seed(1)))
    assert not torch.equal(one, plain)
    assert (one.mean((2, 3)) - plain.mean((2, 3))).abs().max() < 0.4
    moved = config.model_copy(update={"light": 0.0, "tint": 0.0, "noise": 0.0, "shift": 1})
    shifted = augment(bytes_, moved, torch.Generator().manual_seed(1))
    for before, after in zip(plain, shifted, strict=True):  # the same pixels, one further at most
        inner = after[:, 1:-1, 1:-1]
        near = [before[:, 1 + y : 31 + y, 1 + x : 31 + x] for y in (-1, 0, 1) for x in (-1, 0, 1)]
        assert any(torch.equal(inner, each) for each in near)
    still = config.model_copy(update={"shift": 0, "light": 0.0, "tint": 0.0, "noise": 0.0})
    assert torch.equal(augment(bytes_, still, torch.Generator()), plain)


def test_masked_words_are_words_and_rare_ones_are_asked_for_first() -> None:
    jepa = learner()
    ids = jepa.prepare(ROWS)["caption"]
    asked = torch.zeros(64)
    for seed in range(20):
        hidden, places = mask_words(ids, jepa.rarity, 4, torch.Generator().manual_seed(seed))
        assert not (hidden & (ids == 0)).any()
        assert (hidden.sum(1) >= 1).all()
        asked += torch.bincount(ids.gather(1, places)[hidden.gather(1, places)], minlength=64)[:64]
    vocabulary = {jepa.words().decode(torch.tensor([number])): number for number in range(1, 40)}
    shown = torch.bincount(ids.flatten(), minlength=64)[:64] * 20
    share = {word: float(asked[n] / shown[n]) for word, n in vocabulary.items() if n < 64 and shown[n]}
    assert share["star"] > 3 * share["a"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": None}, "the columns image and caption"),
        ({"image": np.zeros((64, 16, 16, 3), np.uint8)}, "32 x 32 x 3"),
        ({"image": np.zeros((64, 32, 32, 3), np.float32)}, "32 x 32 x 3"),
        ({"caption": np.zeros((64, 5), np.int64)}, "as bytes"),
    ],
)
def test_foreign_data_is_refused_in_one_line(change: dict[str, Any], said: str) -> None:
    rows = {name: each for name, each in {**ROWS, **change}.items() if each is not None}
    with pytest.raises(ValueError, match=said) as told:
        learner().prepare(rows)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"objective": "hope"}, "objective: "),
        ({"vision": {"width": 30}}, "vision: a width of 30"),
        ({"colour": 1}, "colour: "),
        ({"tasks": {"cross": 0, "patches": 1}}, "cross, words or future must weigh something"),
        ({"latent": 4, "gaussian": -1}, "latent: .*gaussian: "),
    ],
)
def test_options_that_cannot_be_are_told_in_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as told:
        build(options, INFO)
    assert "\n" not in str(told.value)


def test_the_rank_of_what_is_no_number_is_one() -> None:
    assert rank(torch.full((8, 4), torch.nan)) == 1.0
    assert rank(torch.ones(8, 4)) == 1.0
    assert rank(torch.eye(8, 4)) > 2.5


@pytest.mark.parametrize(
    "options",
    [
        {"tasks": {"words": 1.0}},
        {"vision": {"width": 64, "depth": 4, "heads": 4}, "objective": "contrastive"},
        {"tasks": {"patches": 1.0}, "objective": "ema"},
        {"directions": 512, "text": {"width": 64, "depth": 2, "heads": 4, "length": 40}},
    ],
)
def test_the_estimate_of_memory_is_what_autograd_keeps(options: dict[str, Any]) -> None:
    jepa = learner(**options)
    feed = Few(jepa.prepare(ROWS))
    weights = {each.untyped_storage().data_ptr() for each in jepa.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step = jepa.advance(feed, 64, {}, 0.0)
    held = sum(each.untyped_storage().nbytes() for where, each in kept.items() if where not in weights)
    assert step.loss.requires_grad
    assert 0.7 < jepa.activation_bytes(64) / held < 1.4


def test_scenes_that_are_equal_count_once_where_captions_are_sought() -> None:
    jepa = learner().eval()
    twice = {name: np.concatenate([each[:20], each[:20]]) for name, each in ROWS.items()}
    once = {name: each[:20] for name, each in ROWS.items()}
    with torch.no_grad():
        assert jepa.assess(jepa.prepare(twice), 40)["recall"] == jepa.assess(jepa.prepare(once), 20)["recall"]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_each_preset_is_a_configuration_with_a_floor_under_both_signs_of_collapse(preset: Path) -> None:
    asked = configs.config(yaml.safe_load(preset.read_text()))
    assert asked.learner == "jepa" and {"rank", "spread"} <= asked.breaker.floors.keys()
    assert parse(asked.model).objective in ("combined", "sigreg")
