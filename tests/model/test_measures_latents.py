"""What is measured of latents: each measure on a case made by hand, and on one that it must fail."""

from __future__ import annotations

import time

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("torch")
from model.measures import probe, retrieval, spectrum  # noqa: E402


def grouped(rows: int, classes: int, width: int, seed: int, spread: float = 0.3):
    """Latents around one centre for each class, and the classes."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(classes, size=rows)
    centres = chance.normal(size=(classes, width))
    return centres[labels] + spread * chance.normal(size=(rows, width)), labels


def test_the_probe_reads_what_a_line_can_tell_and_generalises() -> None:
    x, y = grouped(1200, 5, 24, seed=1)
    assert probe.linear(x[:800], y[:800], x[800:], y[800:]).accuracy > 0.97
    assert probe.neighbours(x[:800], y[:800], x[800:], y[800:]).accuracy > 0.97
    assert probe.cross(x, y).accuracy > 0.97


@pytest.mark.parametrize("seed", range(3))
def test_on_random_labels_probe_and_neighbours_are_at_chance(seed: int) -> None:
    x, _ = grouped(2400, 4, 24, seed)
    y = np.random.default_rng(seed + 100).integers(4, size=len(x))
    for judged in (
        probe.linear(x[:1600], y[:1600], x[1600:], y[1600:], seed),
        probe.neighbours(x[:1600], y[:1600], x[1600:], y[1600:]),
        probe.cross(x, y, seed),
    ):
        assert abs(judged.accuracy - 0.25) < 0.06  # some four standard deviations of 800 rows


def test_a_line_cannot_tell_what_is_not_on_one_side_of_it() -> None:
    """Exclusive or is out of a linear probe's reach, and not of the neighbours'."""
    chance = np.random.default_rng(3)
    x = chance.normal(size=(2000, 2))
    y = ((x[:, 0] > 0) ^ (x[:, 1] > 0)).astype(np.int64)
    assert probe.linear(x[:1000], y[:1000], x[1000:], y[1000:]).accuracy < 0.6
    assert probe.neighbours(x[:1000], y[:1000], x[1000:], y[1000:]).accuracy > 0.9


def test_the_probe_takes_latents_of_any_scale_and_dimensions_that_lie_still() -> None:
    x, y = grouped(900, 3, 8, seed=4)
    x = np.concatenate([x * 1e-4 + 50, np.full((len(x), 2), 7.0)], axis=1)
    assert probe.linear(x[:600], y[:600], x[600:], y[600:]).accuracy > 0.97
    flat = np.full((900, 8), 3.0)
    judged = probe.linear(flat[:600], y[:600], flat[600:], y[600:])
    assert abs(judged.accuracy - judged.chance) < 0.06


def test_each_row_of_a_cross_probe_is_judged_by_a_probe_that_did_not_see_it() -> None:
    """Latents of one row each (one-hot): a probe that saw its row would know it by heart."""
    x, y = np.eye(200), np.random.default_rng(5).integers(2, size=200)
    assert probe.linear(x, y, x, y).accuracy > 0.99
    assert probe.cross(x, y).accuracy < 0.7


def test_a_probe_says_what_it_mistakes_for_what() -> None:
    judged = probe.Judged(np.array([1, 1, 4, 4]), np.array([1, 4, 4, 9]))
    labels, counts = judged.confusion()
    assert labels.tolist() == [1, 4, 9]
    assert counts.tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert judged.accuracy == 0.5 and judged.chance == 0.5


def test_the_same_seed_gives_the_same_probe() -> None:
    x, y = grouped(400, 3, 12, seed=6, spread=2.0)
    first, again = (probe.cross(x, y, seed=2).predicted for _ in range(2))
    assert (first == again).all()
    assert (first != probe.cross(x, y, seed=3).predicted).any()


def test_latents_that_are_no_numbers_are_refused() -> None:
    x, y = grouped(40, 2, 4, seed=7)
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        probe.linear(x, y, x, y)
    with pytest.raises(ValueError, match="finite"):
        spectrum.effective_rank(x)


def test_the_probe_of_a_full_run_is_fast() -> None:
    x, y = grouped(12_000, 8, 96, seed=8, spread=1.5)
    begun = time.process_time()
    probe.linear(x, y, x[:1000], y[:1000])
    assert time.process_time() - begun < 6  # 2 core-seconds on a calm core; three times that on a busy one


def test_the_labels_of_a_scene_are_of_its_first_object_that_is_there() -> None:
    objects = np.zeros((2, 3, 5), dtype=np.uint8)
    objects[0, 0] = (3, 2, 1, 7, 1)
    objects[0, 1] = (5, 5, 0, 8, 1)
    objects[1, 1] = (1, 4, 0, 2, 1)  # the first place is empty
    labels = probe.scene_labels({"objects": objects, "count": np.array([2, 1], dtype=np.uint8)})
    assert {name: values.tolist() for name, values in labels.items()} == {
        "count": [2, 1],
        "shape": [3, 1],
        "colour": [2, 4],
        "position": [7, 2],
        "size": [1, 0],
    }


@pytest.mark.parametrize("k", [1, 3, 17])
def test_the_rank_of_k_equal_directions_is_k(k: int) -> None:
    chance = np.random.default_rng(k)
    left = np.linalg.qr(chance.normal(size=(400, k)) - 0)[0]
    left -= left.mean(axis=0)
    left = np.linalg.qr(left)[0]  # orthonormal and centred
    right = np.linalg.qr(chance.normal(size=(32, k)))[0]
    assert spectrum.effective_rank(left @ right.T) == pytest.approx(k, abs=0.01)
    assert spectrum.effective_rank((left @ right.T)[:24] if k == 17 else left @ right.T + 5) <= k + 0.01


def test_collapsed_latents_have_rank_one_and_gaussian_ones_nearly_all() -> None:
    chance = np.random.default_rng(1)
    point = chance.normal(size=(1, 48)).repeat(500, axis=0)
    assert spectrum.effective_rank(point) == 1
    assert spectrum.effective_rank(point + 1e-7 * chance.normal(size=point.shape)) == 1  # rounding is no rank
    assert spectrum.deviations(point).max() < 1e-9
    assert spectrum.effective_rank(chance.normal(size=(4000, 48))) > 46
    assert spectrum.effective_rank(np.outer(chance.normal(size=500), chance.normal(size=48))) < 1.01


def test_few_rows_and_many_give_the_same_spectrum() -> None:
    x = np.random.default_rng(2).normal(size=(60, 40)) * np.linspace(1, 3, 40)
    tall = spectrum.singular_values(x)
    centred = x - x.mean(axis=0)
    assert tall == pytest.approx(np.linalg.svd(centred, compute_uv=False), rel=1e-5)
    assert spectrum.effective_rank(x[:20]) <= 20


def test_pairs_that_belong_together_are_found_and_shuffled_ones_are_at_chance() -> None:
    chance = np.random.default_rng(3)
    images = chance.normal(size=(256, 32))
    texts = 3 * images + 0.1 * chance.normal(size=images.shape)
    assert retrieval.recall(images, texts) == retrieval.recall(texts, images) == 1
    shuffled = texts[chance.permutation(256)]
    assert retrieval.recall(images, shuffled) < 0.04
    assert abs(retrieval.recall(images, shuffled, k=64) - 0.25) < 0.1


def test_latents_that_are_all_alike_find_nothing() -> None:
    alike = np.ones((50, 8))
    assert retrieval.recall(alike, alike) == retrieval.recall(alike, alike, k=49) == 0


def test_both_directions_of_retrieval_are_told_apart() -> None:
    images = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    texts = np.array([[1.0, 0.05], [1.0, 0.3], [0.0, 1.0]])
    assert retrieval.ranks(images, texts).tolist() == [0, 1, 0]
    assert retrieval.ranks(texts, images).tolist() == [1, 0, 0]


def test_retrieval_is_over_scenes_that_are_all_different() -> None:
    keys = np.array([5, 5, 7, 9, 9, 9, 11], dtype=np.uint64)
    rows = retrieval.unique_rows(keys, 100, seed=0)
    assert sorted(keys[rows].tolist()) == [5, 7, 9, 11]
    some = {tuple(retrieval.unique_rows(np.arange(500), 8, seed)) for seed in range(4)}
    assert len(some) == 4 and all(len(each) == 8 for each in some)


def test_the_nearest_come_first() -> None:
    answers = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert retrieval.nearest(np.array([[1.0, 0.2]]), answers, 3).tolist() == [[1, 2, 0]]
