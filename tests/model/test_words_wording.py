"""A question is taken apart by its words alone: what it asks in the person's own, and of which objects."""

from __future__ import annotations

import numpy as np
import pytest
import told_scenes

from datagen.draws import Draws
from datagen.scenes import scene, words
from model.adapt.wording import MOST_WORDS, Named, parse
from model.encoders import Words

KNOWN = frozenset(["?", "a", "an", "are", "at", "how", "in", "is", "left", "many", "of", "on", "the", "what"])


@pytest.mark.parametrize(
    "again",
    ["which kind is this?", "What KIND is that one", "tell me what kind it is", "what kinds are these?"],
)
def test_other_wordings_with_the_same_new_words_ask_the_same(again: str) -> None:
    assert parse(again, KNOWN).key == parse("what kind is it?", KNOWN).key


@pytest.mark.parametrize(
    "other", ["what sort is it?", "is it a kind?", "how many kinds are there?", "what kind of zorp is it?"]
)
def test_another_new_word_or_form_asks_something_else(other: str) -> None:
    assert parse(other, KNOWN).key != parse("what kind is it?", KNOWN).key


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("how does the red one stand to the other?", (Named(colour=0), Named(other=True))),
        ("which zorp is the small star at the top left?", (Named(shape=3, size=0, row=0, column=0),)),
        ("what kind are the red and the blue one?", (Named(colour=0), Named(colour=2))),
        ("what kind is the object in the middle?", (Named(row=1, column=1),)),
        ("is the ring left of the cross?", (Named(shape=5), Named(shape=4))),
        ("what kind is it?", ()),
    ],
)
def test_the_objects_that_a_question_names_are_found(text: str, named: tuple[Named, ...]) -> None:
    assert parse(text, KNOWN).named == named


def test_no_question_of_the_recipe_is_taken_for_a_persons_own() -> None:
    learner = told_scenes.reasoner()
    known = frozenset(Words.parse(learner.vocabulary, learner.config.words).listed())
    draws = Draws("all", 5, 0, 2000)
    questions, _, topics = words.questions(draws, scene.draw(draws, 1, 3).objects)
    assert set(topics.tolist()) == set(range(len(words.TOPICS)))
    assert not [text for text in words.texts(questions) if parse(text, known).own]


@pytest.mark.parametrize(
    "text", ["", "???", "\0\x1b[31m", "é" * 5000, "left of " * 3000, "the " * 999, "the other other", "#"]
)
def test_any_text_can_be_taken_apart_and_none_takes_long(text: str) -> None:
    found = parse(text, KNOWN)
    assert len(found.frame) <= MOST_WORDS
    assert all(np.isscalar(each.shape) for each in found.named)
