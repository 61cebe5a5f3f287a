"""Energies and nearly true statements: told apart where they differ, at chance where they do not."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("torch")
from datagen.scenes.words import caption, texts, things  # noqa: E402
from model.measures import energy, statements  # noqa: E402

TWO = np.array([[[0, 0, 0, 3, 1], [3, 2, 1, 5, 1], [0, 0, 0, 0, 0]]], dtype=np.uint8)
STACKED = np.array([[[0, 0, 0, 1, 1], [3, 2, 1, 7, 1], [0, 0, 0, 0, 0]]], dtype=np.uint8)


def scenes(rows: int, seed: int = 0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    objects = np.zeros((rows, 3, 5), dtype=np.uint8)
    for row in range(rows):
        count = int(chance.integers(1, 4))
        cells = np.sort(chance.permutation(9)[:count])
        for at, cell in enumerate(cells):
            objects[row, at] = (chance.integers(6), chance.integers(8), chance.integers(2), cell, 1)
    return objects


def test_the_energy_of_what_was_predicted_is_least() -> None:
    latents = np.random.default_rng(0).normal(size=(64, 16))
    assert energy.energy(3 * latents, latents) == pytest.approx(np.zeros(64), abs=1e-6)
    assert energy.energy(-latents, latents) == pytest.approx(np.full(64, 2), abs=1e-6)
    with pytest.raises(ValueError, match="equal forms"):
        energy.energy(latents[:3], latents)


def test_true_pairs_are_told_from_mismatched_ones_and_noise_from_nothing() -> None:
    chance = np.random.default_rng(1)
    latents = chance.normal(size=(400, 32))
    assert energy.pairs_auroc(latents + 0.3 * chance.normal(size=latents.shape), latents, 0) > 0.99
    assert abs(energy.pairs_auroc(chance.normal(size=latents.shape), latents, 0) - 0.5) < 0.06
    assert energy.pairs_auroc(np.ones((50, 8)), np.ones((50, 8)), 0) == 0.5


def test_nobody_is_mismatched_with_itself() -> None:
    """Latents of two rows that are true only of each other: were one its own mismatch, it could not be 1."""
    latents = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert all(energy.pairs_auroc(latents, latents, seed) == 1 for seed in range(8))


def test_a_blind_model_prefers_the_truth_half_the_time() -> None:
    chance = np.random.default_rng(2)
    seen, true, false = chance.normal(size=(3, 1000, 16))
    assert abs(energy.preferred(seen, true, false) - 0.5) < 0.06
    assert energy.preferred(seen, true, true) == 0.5
    assert energy.preferred(seen, seen, false) == 1


@pytest.mark.parametrize("attribute", statements.ATTRIBUTES)
def test_a_false_caption_differs_in_the_attribute_named_alone(attribute: str) -> None:
    objects = scenes(200)
    true, false = (texts(column) for column in statements.swapped(objects, attribute, seed=3))
    assert true == [caption(row, 0) for row in things(objects)]
    for right, wrong in zip(true, false, strict=True):
        assert right != wrong
        head, body = right.split(":", 1)
        if attribute == "count":
            assert wrong.split(":", 1)[1] == body and wrong.split(":", 1)[0] != head
        else:
            assert wrong.startswith(f"{head}:")
        if attribute in ("shape", "colour", "size"):
            pairs = zip(right.split(), wrong.split(), strict=True)
            assert sum(one != other for one, other in pairs) == 1


def test_a_swapped_place_is_a_free_one() -> None:
    objects = scenes(300, seed=5)
    for row, wrong in zip(things(objects), texts(statements.swapped(objects, "position", 0)[1]), strict=True):
        taken = {caption([each], 0).split(" ", 6)[-1] for each in row}
        said = [part.strip() for part in wrong.split(":", 1)[1].replace(" and ", ", ").split(",")]
        assert len({part.split(" ", 4)[-1] for part in said}) == len(row), (taken, wrong)


def test_the_seed_draws_what_is_swapped() -> None:
    objects = scenes(50)
    first, again, other = (texts(statements.swapped(objects, "colour", seed)[1]) for seed in (1, 1, 2))
    assert first == again != other


def test_left_is_said_of_what_is_left_and_right_is_the_contrary() -> None:
    rows, true, false = statements.contradicted(TWO)
    assert rows.tolist() == [0]
    assert texts(true) == ["a small red circle left of a large blue star"]
    assert texts(false) == ["a small red circle right of a large blue star"]
    turned = TWO[:, [1, 0, 2]]
    assert texts(statements.contradicted(turned)[1]) == texts(true)


def test_nothing_is_said_of_objects_above_each_other() -> None:
    rows, true, _ = statements.contradicted(STACKED)
    assert rows.tolist() == [] and len(true) == 0
