"""What a core believes of a picture, and a copy of it that is taught a memory's words for good."""

from __future__ import annotations

import few_scenes
import numpy as np
import pytest
import told_scenes
import torch
from tiny_boards import MemoryFeed
from told_scenes import KIND, Seeing, kind, lessons

from datagen.scenes import scene
from model.adapt import beliefs, guard, words_for_good
from model.adapt.concepts import Concepts
from model.adapt.words_for_good import NoRoom, consolidate_words, grow
from model.encoders import Words
from model.errors import ModelError
from model.hrm.scene import SceneReasoner
from model.hrm.scene_part import ScenePart
from model.part import Lesson


@pytest.fixture(scope="module")
def seeing() -> SceneReasoner:
    """A tiny reasoner that learned to see, if not sharply, and nothing else."""
    one = guard.scratch(told_scenes.reasoner(sight=128))
    one.encoder.requires_grad_(False)
    columns = few_scenes.columns(3000, 3)
    numbers = torch.from_numpy(beliefs.stands(columns["objects"]))
    with torch.no_grad():
        latents = one.seen(torch.from_numpy(columns["image"]))
    rows = MemoryFeed({"latents": latents, "stands": numbers})
    stepper = torch.optim.AdamW(one.sight.parameters(), lr=4e-3)
    for _ in range(160):
        stepper.zero_grad()
        one.advance(rows, 128, {}, 0.0).loss.backward()
        stepper.step()
    return one.eval().requires_grad_(False)


def test_beliefs_are_where_things_stand_and_as_sure_as_they_are_right(seeing: SceneReasoner) -> None:
    columns = few_scenes.columns(500, 9)
    reader = beliefs.reader_of(seeing)
    with torch.no_grad():
        found = reader.read(seeing.seen(torch.from_numpy(columns["image"])))
    truth = beliefs.tables(columns["objects"])
    there = truth[..., 0] > 0
    assert (found[..., 0] == truth[..., 0]).mean() > 0.95  # nothing anywhere: 0.78
    start = sum(beliefs.WIDTHS[:2])
    colour = found[there][:, start : start + 8]
    right = colour.argmax(1) == truth[there][:, start : start + 8].argmax(1)
    assert right.mean() > 0.6
    assert abs(colour.max(1).mean() - right.mean()) < 0.06
    assert np.allclose(found[..., 1:7].sum(-1), 1, atol=1e-4)


def test_it_is_fitted_to_no_scene_that_is_held_out() -> None:
    for row in (0, 512):
        _, objects = beliefs.fresh("beliefs", 0, row, row + 512, 32)
        assert 0 < len(objects) < 512
        assert not scene.split_of(scene.keys(objects)).any()


def test_words_are_learned_from_the_cores_own_sight(seeing: SceneReasoner) -> None:
    memory = Concepts(ScenePart(seeing))
    memory.learn(lessons(kind, KIND, 16, 0), 2.0)
    assert told_scenes.right(memory, lessons(kind, KIND, 100, 50)) > 0.75


def test_a_copy_is_taught_and_the_core_is_not_touched(
    seeing: SceneReasoner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words_for_good, "_HELD", 1.1)  # never enough: all weights learn, too
    monkeypatch.setattr(words_for_good, "_STEPS", 20)
    core = guard.scratch(seeing).requires_grad_(False).eval()
    guard.seal(core, "scenes")
    memory = Concepts(ScenePart(core))
    memory.learn(lessons(kind, KIND, 24, 0), 2.0)
    copy = guard.scratch(core)
    told: list[float] = []
    effects = consolidate_words(
        copy, memory, core_seconds=4.0, rows=300, pictures=600, tell=lambda step, gone: told.append(gone)
    )
    guard.verify(core)
    new = [each for each in effects if each.task == "new: kind"]
    assert new[0].before == 0.0 < new[0].after
    assert {each.task for each in effects} > {"old: colour", "old: relation"}
    assert all(each.rows for each in effects)
    assert told == sorted(told)
    for name, each in copy.named_parameters():
        if name.startswith(("encoder.", "sight.")):
            assert torch.equal(each, dict(core.named_parameters())[name]), name
    asked = lessons(kind, KIND, 20, 50)
    after = ScenePart(copy).answer([each.question for each in asked])  # the memory is off
    assert {one.said for one in after} & {"brr", "ember"}
    known = Words.parse(copy.vocabulary, copy.config.words).listed()
    assert {"kind", "it"} <= set(known)
    assert copy.answers()[-2:] == ["brr", "ember"]


def test_new_words_alone_change_nothing_that_an_old_question_is_read_by(
    seeing: SceneReasoner, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = guard.scratch(seeing).requires_grad_(False).eval()
    memory = Concepts(ScenePart(core))
    memory.learn(lessons(kind, KIND, 24, 0), 2.0)
    copy = guard.scratch(core)
    monkeypatch.setattr(words_for_good, "_HELD", 0.0)
    monkeypatch.setattr(words_for_good, "_STEPS", 120)
    effects = consolidate_words(copy, memory, core_seconds=1.0, rows=300, pictures=600)
    assert next(each.after for each in effects if each.task == "new: kind") > 0.8
    assert all(each.before - each.after < 0.01 for each in effects if each.task.startswith("old"))
    held = dict(core.state_dict())
    differ = {name for name, each in copy.state_dict().items() if not torch.equal(each, held[name])}
    assert differ == {"embed", "head", "vocabulary", "known"}
    answers = len(core.answers())
    with torch.no_grad():
        latents = core.seen(torch.from_numpy(few_scenes.columns(64, 5)["image"]))
    rows = {"words": core.asked(["what colour is the circle?"] * 64), "latents": latents}
    old, new = (one.answer(rows, one.config.halt_steps)[0] for one in (core, copy))
    assert torch.equal(old[:, :answers], new[:, :answers])


def test_new_words_and_answers_take_free_places_and_the_old_stay_where_they_are() -> None:
    core = told_scenes.reasoner()
    copy = guard.scratch(core)
    grow(copy, ["which zorp is it?"], ["bip", "red", "bip"])
    assert copy.answers() == [*core.answers(), "bip"]
    before, after = (Words.parse(each.vocabulary, 96).listed() for each in (core, copy))
    assert after[: len(before)] == before
    assert {"which", "zorp", "it"} <= set(after)
    rows = len(core.answers())
    assert torch.equal(copy.head[:rows], core.head[:rows])


def test_without_room_it_says_so() -> None:
    copy = guard.scratch(told_scenes.reasoner())
    with pytest.raises(NoRoom, match="64 answers"):
        grow(copy, ["what kind is it?"], [f"answer {number}" for number in range(64)])
    with pytest.raises(NoRoom, match="96 words"):
        grow(copy, [" ".join(f"w{number}" for number in range(60))], ["yes"])
    assert copy.answers() == told_scenes.reasoner().answers()


def test_a_memory_without_lessons_or_sure_of_nothing_teaches_nothing() -> None:
    part = told_scenes.part()
    with pytest.raises(ModelError, match="no lessons"):
        consolidate_words(guard.scratch(part.learner), Seeing(part), core_seconds=1.0, rows=50, pictures=50)
    unsure = Concepts(part)
    unsure.learn(
        [Lesson(each.question, f"answer {at}") for at, each in enumerate(lessons(kind, KIND, 12, 0))], 2.0
    )
    with pytest.raises(ModelError, match="sure of no fresh scene"):
        consolidate_words(guard.scratch(part.learner), unsure, core_seconds=1.0, rows=50, pictures=50)


def test_weights_go_no_further_than_each_new_rule_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    taught = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(taught.weight)
    needs = {"one": 0.3, "other": 0.45}

    def measured(reasoner: torch.nn.Module, held: object) -> dict[str, float]:
        here = float(next(reasoner.parameters()).detach())
        return {rule: float(here >= least - 1e-6) for rule, least in needs.items()}

    monkeypatch.setattr(words_for_good, "_measured", measured)
    rules = words_for_good._Set({"target": torch.zeros(4)}, ["one", "one", "other", "other"])
    words_for_good._no_further(taught, {"weight": torch.zeros(1, 1)}, rules)  # type: ignore[arg-type]
    assert float(taught.weight.detach()) == pytest.approx(0.45)
    needs["other"] = 1.0
    torch.nn.init.ones_(taught.weight)
    words_for_good._no_further(taught, {"weight": torch.zeros(1, 1)}, rules)  # type: ignore[arg-type]
    assert float(taught.weight.detach()) == 1.0
