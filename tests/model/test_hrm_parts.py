"""What answers over a restored reasoner: boards and pictures, one contract for both."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_boards
import torch
from test_hrm_scene import columns, reasoner, trained

from model.hrm.board_part import BoardPart, whole
from model.hrm.scene_part import ScenePart, certain
from model.part import Question


@pytest.fixture(scope="module")
def scene() -> ScenePart:
    one = reasoner()
    trained(one, 25)
    return ScenePart(one)


@pytest.fixture
def board() -> BoardPart:
    return BoardPart(tiny_boards.learner())


def pictures(count: int = 4) -> list[Question]:
    images = columns(count)["image"]
    return [Question(image=each, text="what colour is it?") for each in images]


def boards(count: int = 4) -> list[Question]:
    return [Question(cells=each) for each in tiny_boards.fours()["question"][:count]]


def test_a_question_about_a_picture_is_answered_in_words_with_its_likeliest_answers(scene: ScenePart) -> None:
    found = scene.answer(pictures())
    assert [each.said for each in found] == ["red", "blue", "red", "blue"]
    for each in found:
        texts, shares = zip(*each.others, strict=True)
        assert texts[0] == each.said
        assert set(texts) == {"red", "blue"}
        assert list(shares) == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1.0, abs=1e-5)
        assert each.sure == pytest.approx(np.log(shares[0] / shares[1]), abs=1e-3)
        assert each.cycles == ()


def test_a_trace_tells_each_refinement_step_and_ends_with_the_answer(
    scene: ScenePart, board: BoardPart
) -> None:
    for part, questions in ((scene, pictures()), (board, boards())):
        steps = 3
        for each in part.answer(questions, steps=steps, trace=True):
            high = 1 if part is scene else board.learner.config.h_cycles
            assert len(each.cycles) == steps * high
            last = each.cycles[-1]
            assert last.answer == (each.said if isinstance(each.said, str) else each.said.tolist())
            assert 0 <= last.doubt <= 1
            assert last.change >= 0
            assert last.halt is not None


def test_a_boards_answer_has_a_doubt_for_each_cell(board: BoardPart) -> None:
    for each in board.answer(boards()):
        assert isinstance(each.said, np.ndarray)
        assert each.said.shape == (16,)
        assert each.doubts is not None
        assert each.doubts.shape == (16,)
        assert ((each.doubts >= 0) & (each.doubts < 1)).all()


def test_cells_of_which_nothing_was_learned_stay_as_they_were_given() -> None:
    part = BoardPart(tiny_boards.learner(loss_on="blanks"))
    for asked, each in zip(boards(), part.answer(boards()), strict=True):
        assert asked.cells is not None
        assert each.doubts is not None
        given = asked.cells != 0
        assert (each.said[given] == asked.cells[given]).all()  # type: ignore[index]
        assert (each.doubts[given] == 0).all()


def test_an_answer_does_not_hang_on_the_questions_beside_it(scene: ScenePart, board: BoardPart) -> None:
    for part, questions in ((scene, pictures(12)), (board, boards(12))):
        together = part.answer(questions)
        alone = [part.answer([each])[0] for each in questions]
        turned = part.answer(questions[::-1])[::-1]
        for one, two, three in zip(together, alone, turned, strict=True):
            assert np.array_equal(one.said, two.said)
            assert one.sure == pytest.approx(two.sure, abs=1e-3)
            assert one.sure == pytest.approx(three.sure, abs=1e-3)
        assert [each.sure for each in part.answer(questions)] == [each.sure for each in together]


def test_a_picture_asked_about_again_is_not_encoded_again(
    scene: ScenePart, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.forget()
    seen: list[int] = []
    first = scene.learner.seen
    monkeypatch.setattr(scene.learner, "seen", lambda rows: (seen.append(len(rows)), first(rows))[1])
    before = scene.answer(pictures(2))
    after = scene.answer(pictures(2))
    assert seen == [2]
    assert [each.said for each in before] == [each.said for each in after]
    scene.answer([Question(image=np.full((32, 32, 3), each, np.uint8), text="a") for each in range(200)])
    assert len(scene._kept) <= 64  # what is kept is bounded


def test_what_is_no_question_of_its_task_is_refused_in_one_line(scene: ScenePart, board: BoardPart) -> None:
    image = columns(1)["image"][0]
    wrong = [
        (scene, Question(cells=np.zeros(16, np.int64)), "a picture and a question"),
        (scene, Question(image=image, text=" "), "a picture and a question"),
        (scene, Question(image=image[:16], text="what?"), "32 x 32 x 3 bytes"),
        (scene, Question(image=image.astype(np.float32), text="what?"), "32 x 32 x 3 bytes"),
        (scene, Question(image=image, text="a" * 500), "at most 400"),
        (board, Question(text="what?"), "a board is asked for"),
        (board, Question(cells=np.zeros(9, np.int64)), "16 token ids"),
        (board, Question(cells=np.zeros(16, np.float32)), "16 token ids"),
        (board, Question(cells=np.full(16, 5)), "outside 0 to 4"),
        (board, Question(cells=np.full(16, -1)), "outside 0 to 4"),
    ]
    for part, question, said in wrong:
        with pytest.raises(ValueError, match=said) as caught:
            part.answer([question])
        assert "\n" not in str(caught.value)


def test_log_odds_are_those_of_the_probabilities_and_stay_finite() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [90.0, -90.0, -90.0]])
    p = float(logits[0].softmax(-1)[0])
    assert float(certain(logits)[0]) == pytest.approx(np.log(p / (1 - p)), abs=1e-5)
    assert torch.isfinite(certain(logits)).all()
    assert float(whole(torch.tensor([[0.9, 0.8]]))[0]) == pytest.approx(np.log(0.72 / 0.28), abs=1e-4)
    assert torch.isfinite(whole(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))).all()
