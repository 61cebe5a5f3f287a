"""What is said of a scene is true, what is drawn can be seen, and no scene is on both sides of the split."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scene_readers import PLACES, Seen, answer, seen, told, way

from datagen import recipe
from datagen.draws import Draws
from datagen.scenes import render, scene, words

ROWS = 3000


def made(name: str, seed: int = 1, rows: int = ROWS, **options: Any) -> dict[str, np.ndarray]:
    found = recipe.load(name)
    assert recipe.is_columns(found)
    return found.make(seed, 0, rows, recipe.complete(found.options, options))


@pytest.fixture(scope="module")
def stills() -> dict[str, np.ndarray]:
    return made("image/scenes")


@pytest.fixture(scope="module")
def moving() -> dict[str, np.ndarray]:
    return made("video/scenes", rows=600)


def canonical(row: list[list[int]], *more: Any) -> frozenset[Any]:
    """A scene whatever the order of its objects, told without the code under test."""
    return frozenset(
        Counter((*each, *extra) for each, *extra in zip(row, *more, strict=True) if each[4]).items()
    )


def test_the_columns_are_as_they_were_announced(stills: Any, moving: Any) -> None:
    for name, rows in (("image/scenes", stills), ("video/scenes", moving)):
        found = recipe.load(name)
        assert recipe.is_columns(found)
        kinds = found.columns(recipe.complete(found.options, {}))
        assert kinds.keys() == rows.keys()
        for column, (dtype, shape) in kinds.items():
            assert rows[column].dtype == dtype and rows[column].shape[1:] == shape
    assert made("image/scenes", rows=2, size=64)["image"].shape == (2, 64, 64, 3)
    assert made("video/scenes", rows=2, size=64, frames=5)["frames"].shape == (2, 5, 64, 64, 3)


def test_objects_stand_in_reading_order_each_in_a_cell_of_its_own(stills: Any) -> None:
    objects = stills["objects"].astype(int)
    assert np.array_equal(objects[..., 4].sum(axis=1), stills["count"])
    for row in objects:
        here = row[row[:, 4] == 1]
        assert np.array_equal(row[: len(here)], here) and not row[len(here) :].any()
        assert (np.diff(here[:, 3]) > 0).all()
    assert set(stills["count"]) == {1, 2, 3}
    assert set(made("image/scenes", rows=200, objects=1)["count"]) == {1}
    for field, many in ((0, 6), (1, 8), (2, 2), (3, 9)):
        shares = np.bincount(objects[objects[..., 4] == 1][:, field], minlength=many)
        assert len(shares) == many and shares.min() > 0.7 * shares.mean(), "each as likely as the others"


def test_a_caption_names_every_object_and_nothing_else(stills: Any) -> None:
    for row, text in zip(stills["objects"].tolist(), words.texts(stills["caption"]), strict=True):
        number, things = told(text)
        assert things == Counter(seen(row)), text
        assert number == things.total()


def test_every_wording_is_used_and_can_be_left_out() -> None:
    rows = scene.draw(Draws("test", 0, 0, 1), 2, 2).objects
    said = {words.caption(words.things(rows)[0], way) for way in range(words.WORDINGS)}
    assert len(said) == words.WORDINGS
    plain = words.texts(made("image/scenes", rows=100, wordings=1)["caption"])
    assert all(text.split(": ")[0] in ("one object", "two objects", "three objects") for text in plain)


def test_every_answer_is_the_one_true_answer(stills: Any) -> None:
    texts = (words.texts(stills[name]) for name in ("question", "answer"))
    for row, question, told_answer in zip(stills["objects"].tolist(), *texts, strict=True):
        assert answer(question, seen(row)) == told_answer, (question, row)


def test_questions_cover_all_topics_and_are_not_to_be_guessed(stills: Any) -> None:
    shares = np.bincount(stills["topic"], minlength=len(words.TOPICS)) / ROWS
    assert shares.min() > 0.05
    answers = np.array(words.texts(stills["answer"]))
    for topic in ("exists", "relation"):
        share = (answers[stills["topic"] == words.TOPICS.index(topic)] == "yes").mean()
        assert 0.4 < share < 0.6
    commonest = Counter(answers[stills["topic"] == words.TOPICS.index("count-of")].tolist()).most_common(1)[0]
    assert commonest[1] < 0.7 * (stills["topic"] == words.TOPICS.index("count-of")).sum()


def test_the_reader_of_this_test_would_notice_a_lie(stills: Any) -> None:
    row = seen([[0, 0, 0, 0, 1], [3, 2, 1, 4, 1]])
    assert told("two objects: a small red circle at the top left and a large blue star in the middle")[
        1
    ] == Counter(row)
    assert answer("is the red circle left of the star?", row) == "yes"
    assert answer("is the red circle below the star?", row) == "no"
    with pytest.raises(ValueError, match="fits 2"):
        answer("where is the object?", row)
    with pytest.raises(ValueError, match="no known form"):
        told("two objects: a small red circle at the top left and a blue star in the middle")
    assert told("one object: a small red circle at the top")[1] != Counter(row[:1])


# The split ------------------------------------------------------------------------------------------


def test_no_scene_is_on_both_sides_whatever_its_seed_size_and_wording() -> None:
    sides: dict[frozenset[Any], set[int]] = {}
    keys: dict[frozenset[Any], set[int]] = {}
    for seed, options in ((1, {}), (2, {"size": 64}), (3, {"wordings": 1, "objects": 2})):
        rows = made("image/scenes", seed, 1500, **options)
        for row, key, split in zip(
            rows["objects"].tolist(), rows["key"].tolist(), rows["split"].tolist(), strict=True
        ):
            name = canonical(row)
            sides.setdefault(name, set()).add(split)
            keys.setdefault(name, set()).add(key)
    assert len(sides) < 4500, "some scenes occur more than once, or this shows nothing"
    assert all(len(each) == 1 for each in sides.values())
    assert all(len(each) == 1 for each in keys.values())
    assert len(set().union(*keys.values())) == len(keys), "different scenes have different keys"
    share = sum(each == {1} for each in sides.values()) / len(sides)
    assert 0.07 < share < 0.13


def test_every_part_of_what_is_held_out_is_seen_in_training(stills: Any) -> None:
    """Novel are the combinations, never a shape, a colour or a place."""
    train = stills["objects"][stills["split"] == 0]
    test = stills["objects"][stills["split"] == 1]
    pairs = [{tuple(row) for row in part[part[..., 4] == 1][:, :2].tolist()} for part in (train, test)]
    assert pairs[1] <= pairs[0]


def test_the_order_of_objects_does_not_change_the_key() -> None:
    objects = scene.draw(Draws("test", 0, 0, 300), 3, 3).objects
    keys = scene.keys(objects)
    for order in ([1, 0, 2], [2, 1, 0], [1, 2, 0]):
        assert np.array_equal(scene.keys(objects[:, order]), keys)
    assert len(set(keys.tolist())) == 300


# Pictures -------------------------------------------------------------------------------------------


def test_each_object_is_drawn_in_its_colour_where_it_is_said_to_be(stills: Any) -> None:
    """Read from the pixels: the brightest change in a cell is of the colour, and empty cells are dark."""
    palette = np.array([render._RGB[name] for name in scene.COLOURS], float)
    image = stills["image"].astype(float)
    edges = [0, 11, 21, 32]
    for row in range(300):
        filled = {int(each[3]): int(each[1]) for each in stills["objects"][row] if each[4]}
        for cell, name in enumerate(PLACES):
            y, x = divmod(cell, 3)
            part = image[row, edges[y] : edges[y + 1], edges[x] : edges[x + 1]].reshape(-1, 3)
            brightest = part[np.argsort(part.max(axis=1))[-8:]].mean(axis=0)
            if cell in filled:
                nearest = np.abs(palette - brightest).sum(axis=1).argmin()
                assert nearest == filled[cell], (row, name)
            elif not {cell - 1, cell + 1, cell - 3, cell + 3} & filled.keys():
                assert brightest.max() < 130, (row, name)


@pytest.mark.parametrize("side", [32, 64])
def test_shapes_and_sizes_can_be_told_apart_at_any_offset(side: int) -> None:
    stamps = render._stamps(side).astype(float) / 256
    flat = stamps.reshape(12, 16, -1)
    area = flat.sum(axis=2)
    for one in range(12):
        assert area[one].min() > 7 * (side / 32) ** 2, "at least seven full pixels"
        for two in range(one):
            apart = np.abs(flat[one] - flat[two]).sum(axis=1)
            assert (apart > 0.2 * np.minimum(area[one], area[two])).all(), (one, two)


def test_backgrounds_are_plain_or_graded_and_noisy(stills: Any) -> None:
    corners = stills["image"][:, [0, 0, -1, -1], [0, -1, 0, -1]].astype(int).sum(axis=-1)
    spread = corners.max(axis=1) - corners.min(axis=1)
    assert (spread < 40).mean() > 0.2 and (spread > 60).mean() > 0.1
    assert len({row.tobytes() for row in stills["image"]}) == ROWS, "no picture is drawn twice"


# Moving scenes --------------------------------------------------------------------------------------


def test_a_moving_caption_tells_every_object_and_the_way_it_is_seen_to_go(moving: Any) -> None:
    first = moving["centres"][:, 1].astype(int) - moving["centres"][:, 0]
    for row, text in enumerate(words.texts(moving["caption"])):
        number, things = told(text, moving=True)
        here = seen(moving["objects"][row].tolist())
        wanted = [Seen(*each[:4], way(*first[row, place])) for place, each in enumerate(here)]
        assert things == Counter(wanted) and number == len(here), text


def test_objects_keep_their_speed_and_stay_within_the_walls(moving: Any) -> None:
    centres, velocity = moving["centres"].astype(int), moving["velocity"].astype(int)
    there = moving["objects"][..., 4] == 1
    reach = np.array([scene.radius(size, 32) for size in range(2)])[moving["objects"][..., 2]][
        :, None, :, None
    ]
    inside = (centres >= reach) & (centres <= 128 - reach)
    assert inside.all(axis=(1, 3))[there].all()
    steps = np.abs(np.diff(centres, axis=1))
    same = steps == np.abs(velocity)[:, None]
    assert (steps <= np.abs(velocity)[:, None]).all()
    assert same[:, 0].all() and same.mean() > 0.9, "shorter on the way back from a wall alone"
    turned = (np.sign(np.diff(centres, axis=1)) == -np.sign(velocity)[:, None]) & (velocity != 0)[:, None]
    assert turned.any(), "some bounce"
    assert ((velocity == 0).all(axis=2) & there).any() and ((velocity != 0).all(axis=2) & there).any()


def test_frames_show_the_last_object_at_its_centre_all_the_time(moving: Any) -> None:
    """It lies on top; ring and star have a hole or a waist there."""
    palette = np.array([render._RGB[name] for name in scene.COLOURS], float)
    last = moving["count"].astype(int) - 1
    checked = 0
    for row in range(300):
        shape, colour = moving["objects"][row, last[row], :2]
        if scene.SHAPES[shape] == "ring":
            continue
        for frame, (x, y) in enumerate(moving["centres"][row, :, last[row]]):
            pixel = moving["frames"][row, frame, y // 4, x // 4].astype(float)
            assert np.abs(palette - pixel).sum(axis=1).argmin() == colour
            checked += 1
    assert checked > 1000


def test_no_moving_scene_is_on_both_sides() -> None:
    sides: dict[frozenset[Any], set[int]] = {}
    for seed, options in ((1, {}), (2, {"frames": 3}), (3, {"objects": 1})):
        rows = made("video/scenes", seed, 400, **({"frames": 2} | options))
        ways = np.sign(rows["velocity"].astype(int))
        for number, split in enumerate(rows["split"].tolist()):
            row, going = rows["objects"][number].tolist(), ways[number].tolist()
            sides.setdefault(canonical(row, map(tuple, going)), set()).add(split)
    assert len(sides) < 1200 and all(len(each) == 1 for each in sides.values())
