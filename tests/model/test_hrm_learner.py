"""The reasoner learns: its carry, its symmetries, its repeatability, and that it really does learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny_boards import config, feed, fours, learner

from datagen.puzzles import sudoku
from model import config as configs
from model.hrm import symmetry
from model.hrm.config import Grid
from model.hrm.learner import HrmLearner, build
from model.learner import DataInfo, State

PRESETS = Path(__file__).resolve().parents[2] / "configs" / "training"
INFO = DataInfo("puzzle/sudoku", {"size": 4}, {}, 100)


def trained(one: HrmLearner, steps: int, batch: int = 16, seed: int = 0) -> list[float]:
    """So many steps of Adam; the losses."""
    torch.manual_seed(seed)
    rows, losses = feed(one, seed=seed), []
    stepper = torch.optim.AdamW(one.parameters(), lr=4e-3, betas=(0.9, 0.95))
    state = one.begin(rows, batch)
    for step in range(steps):
        taken = one.advance(rows, batch, state, step / steps)
        stepper.zero_grad(set_to_none=True)
        taken.loss.backward()
        torch.nn.utils.clip_grad_norm_(one.parameters(), 1.0)
        stepper.step()
        losses.append(float(taken.loss.detach()))
        state = taken.state
    return losses


def opened(one: HrmLearner, batch: int = 6) -> tuple[State, State]:
    """A state of which rows 1 and 4 are done, and the state after one more step."""
    rows = feed(one)
    state = dict(one.advance(rows, batch, one.begin(rows, batch), 0.0).state)
    state["open"] = torch.tensor([True, False, True, True, False, True])
    with torch.no_grad():
        after = one.advance(rows, batch, state, 0.5).state
    assert rows.taken == batch + 2  # only what is replaced is drawn
    return state, after


def test_a_puzzle_that_is_done_is_replaced_and_an_open_one_goes_on() -> None:
    before, after = opened(learner(halt_steps=8, exploration=0.0))
    for row in range(6):
        done = row in (1, 4)
        assert bool((before["question"][row] != after["question"][row]).any()) is done
        assert int(after["steps"][row]) == (1 if done else 2)
    again = before["answer"][[0, 2, 3, 5]]
    assert torch.equal(again, after["answer"][[0, 2, 3, 5]])


def test_a_replaced_puzzle_begins_with_fresh_latents_and_an_open_one_with_its_own() -> None:
    one = learner(halt_steps=8)
    seen: list[torch.Tensor] = []
    whole = one.refine

    def watched(*args: object) -> object:
        seen.append(args[2])  # type: ignore[arg-type]
        return whole(*args)  # type: ignore[arg-type]

    one.refine = watched  # type: ignore[method-assign, assignment]
    before, _ = opened(one)
    fresh, _ = one.fresh(1)
    for row in range(6):
        assert torch.equal(seen[-1][row], fresh[0] if row in (1, 4) else before["y"][row])


def test_a_puzzle_is_given_up_after_its_steps_and_kept_until_then_where_halting_is_ablated() -> None:
    one = learner(halt_steps=3, ablate=("halting",))
    rows = feed(one)
    state, still_open = one.begin(rows, 4), []
    for _ in range(4):
        state = one.advance(rows, 4, state, 0.0).state
        still_open.append(state["open"].tolist())
    assert still_open == [[True] * 4, [True] * 4, [False] * 4, [True] * 4] and rows.taken == 8


def test_a_sure_model_halts_at_once_unless_it_explores() -> None:
    for exploration, goes_on in ((0.0, False), (1.0, True)):
        one = learner(halt_steps=16, exploration=exploration)
        assert one.net.halt_bias is not None
        with torch.no_grad():
            one.net.halt_bias.fill_(9.0)
        rows = feed(one)
        after = one.advance(rows, 64, one.begin(rows, 64), 0.0).state
        assert bool(after["open"].any()) is goes_on


def test_without_deep_supervision_every_puzzle_is_fresh() -> None:
    one = learner(ablate=("deep_supervision",))
    rows = feed(one)
    state = one.begin(rows, 8)
    for count in (8, 16, 24):
        state = one.advance(rows, 8, state, 0.0).state
        assert rows.taken == count


def test_nothing_carried_has_a_gradient() -> None:
    one = learner()
    rows = feed(one)
    state = one.advance(rows, 4, one.begin(rows, 4), 0.0).state
    assert not any(each.requires_grad for each in state.values())


def test_equal_seeds_give_equal_losses_and_another_seed_others() -> None:
    runs = [trained(learner(augment="sudoku", reveal=0.5), 6, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_a_tiny_model_learns_4x4_beyond_chance() -> None:
    one = learner(hidden=32, h_cycles=1, augment="sudoku", reveal=0.5)
    held = feed(one, side=1).data
    with torch.no_grad():
        before = one.assess(held, 60)
    losses = trained(one, 160, batch=64)
    with torch.no_grad():
        after = one.assess(held, 60)
    assert before["cells"] < 0.5 and before["exact"] == 0.0
    # chance for a blank is a quarter, and less than a millionth for a whole board of ten blanks
    assert after["cells"] > 0.7 and after["exact"] > 0.05 and losses[-1] < 0.6 * losses[0]


def test_an_assessment_is_the_same_each_time_and_leaves_the_generators_alone() -> None:
    one = learner()
    held = feed(one, side=1).data
    state = torch.get_rng_state()
    with torch.no_grad():
        assert one.assess(held, 20) == one.assess(held, 20)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("size", [4, 6, 9])
def test_a_drawn_form_is_the_same_puzzle(size: int) -> None:
    """The same key: so it stays on its side of the split, and is a Sudoku still."""
    made = sudoku.make(size, 1, 0, 40, "any")
    high, wide = sudoku.box_shape(size)
    grid = Grid(rows=size, columns=size, box_rows=high, box_columns=wide)
    question, answer = (torch.from_numpy(made[name]) for name in ("question", "answer"))
    drawn = symmetry.sudoku(question, answer, grid, torch.Generator().manual_seed(0))
    assert not torch.equal(drawn[0], question)
    assert np.array_equal(sudoku.key(drawn[0].numpy(), drawn[1].numpy(), size), made["key"])
    given = drawn[0] > 0
    assert torch.equal(drawn[0][given], drawn[1][given])
    assert (drawn[1].view(-1, size, size).sort(2).values == torch.arange(1, size + 1)).all()


def test_the_eight_forms_of_a_square_all_come_and_keep_question_and_answer_together() -> None:
    board = torch.arange(9, dtype=torch.uint8).expand(400, 9)
    question, answer = symmetry.square(
        board, board, Grid(rows=3, columns=3), torch.Generator().manual_seed(0)
    )
    assert torch.equal(question, answer) and len(question.unique(dim=0)) == 8
    assert (question[:, 4] == 4).all()


def test_revealing_only_fills_blanks_and_only_with_the_answer() -> None:
    made = fours()
    question, answer = torch.from_numpy(made["question"]), torch.from_numpy(made["answer"])
    shown = symmetry.reveal(question, answer, 0, 0.5, torch.Generator().manual_seed(0))
    changed = shown != question
    assert changed.any() and (question[changed] == 0).all() and torch.equal(shown[changed], answer[changed])
    rows = changed.any(1).float().mean()
    assert 0.25 < rows < 0.55  # half of the rows are chosen, and few of those get nothing


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"question": np.zeros((2, 16), np.uint8)}, "no column 'answer'"),
        ({"question": np.zeros((2, 9), np.uint8), "answer": np.zeros((2, 9), np.uint8)}, "16"),
        (
            {"question": np.zeros((2, 16), np.float32), "answer": np.zeros((2, 16), np.float32)},
            "whole numbers",
        ),
        ({"question": np.full((2, 16), 5, np.uint8), "answer": np.zeros((2, 16), np.uint8)}, "vocabulary"),
        ({"question": np.full((2, 16), -1, np.int16), "answer": np.zeros((2, 16), np.int16)}, "vocabulary"),
        ({"question": np.zeros((2, 16), np.uint8), "answer": np.zeros((3, 16), np.uint8)}, "as many"),
    ],
)
def test_foreign_data_is_refused_and_says_why(columns: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        learner().prepare(columns)


def test_every_parameter_is_in_one_list_and_only_maps_are_for_muon() -> None:
    one = learner(mixing=("units", "attention", "local"))
    split = one.split()
    assert {id(p) for p in [*split.matrices, *split.others]} == {id(p) for p in one.parameters()}
    assert len(split.matrices) + len(split.others) == len(list(one.parameters()))
    assert all(each.ndim == 2 and min(each.shape) > 3 for each in split.matrices)
    assert any(each is one.net.embed for each in split.others)


def test_a_reasoner_is_built_from_the_options_of_a_preset() -> None:
    body = {"vocabulary": 5, "grid": {"rows": 4, "columns": 4}, "hidden": 16, "mixing": ["lines"]}
    made = build(body, INFO)
    assert isinstance(made, HrmLearner) and made.config.mixing == ("lines",)
    with pytest.raises(ValueError, match="hidden"):
        build({**body, "hidden": 1}, INFO)


def test_the_estimate_of_memory_grows_with_what_is_kept() -> None:
    base = learner().activation_bytes(16)
    assert learner().activation_bytes(32) == 2 * base
    assert learner(gradient="one_step").activation_bytes(16) < base
    assert learner(layers=2).activation_bytes(16) == 2 * base
    assert config().cycles(1.0) == (2, 2)


@pytest.mark.parametrize("path", sorted(PRESETS.glob("hrm-*.yaml")), ids=lambda path: path.stem)
def test_every_preset_of_the_reasoner_builds_one(path: Path) -> None:
    settings = configs.config(yaml.safe_load(path.read_text(encoding="utf-8")))
    made = build(settings.model, INFO)
    assert made.activation_bytes(settings.batch) > 0 and settings.assess.best == "exact"
