"""The reasoner's network: shapes of every mixer, what has gradients, and what an ablation takes away."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tiny_boards import FOUR, config, learner

from model.hrm import mixers
from model.hrm.config import Grid, HrmConfig
from model.hrm.learner import HrmLearner
from model.hrm.net import Block, Refined

MIXERS = ("tokens", "attention", "lines", "units", "local")


def boards(rows: int = 3, cells: int = 16) -> torch.Tensor:
    return torch.randint(0, 5, (rows, cells), generator=torch.Generator().manual_seed(1))


def refine(one: HrmLearner, question: torch.Tensor, cycles: tuple[int, int] = (2, 2)) -> Refined:
    return one.refine(one.weights(), question, *one.fresh(len(question)), cycles)


def woken(one: HrmLearner) -> HrmLearner:
    """With weights of which none is zero, as they are after some learning."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for each in one.parameters():
            each.add_(0.2 * torch.randn(each.shape, generator=generator))
    return one


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("networks", [1, 2])
def test_every_mixer_keeps_the_shapes_and_reaches_every_parameter(name: str, networks: int) -> None:
    one = woken(learner(mixing=(name,), networks=networks))
    refined = refine(one, boards())
    assert refined.y.shape == refined.z.shape == (3, 16, 16)
    assert refined.logits.shape == (3, 16, 5) and refined.logits.dtype == torch.float32
    assert refined.halt is not None and refined.halt.shape == (3,)
    (refined.logits.square().sum() + refined.halt.sum()).backward()
    for label, each in one.named_parameters():
        assert each.grad is not None and each.grad.abs().sum() > 0, label


@pytest.mark.parametrize(
    ("name", "far"),
    [("units", False), ("lines", False), ("local", False), ("tokens", True), ("attention", True)],
)
def test_a_mixer_of_the_geometry_reaches_only_cells_that_share_something(name: str, far: bool) -> None:
    torch.manual_seed(0)
    one = mixers.mixer(name, config(mixing=(name,)))
    for each in one.parameters():
        torch.nn.init.normal_(each)
    x = torch.randn(1, 16, 16)
    x.requires_grad_(True)
    given = torch.zeros_like(x)
    if one.cells_first:
        moved = one(x.transpose(0, 1), given.transpose(0, 1)).transpose(0, 1)
    else:
        moved = one(x, given)
    moved[0, 0].sum().backward()
    assert x.grad is not None
    reached = x.grad[0].abs().sum(-1) > 0
    assert reached[1] and bool(reached[15]) is far  # cell 15 shares no row, column, box or edge with cell 0


def test_units_are_the_rows_columns_and_boxes_of_the_board() -> None:
    units = mixers.units_of(Grid(rows=6, columns=6, box_rows=2, box_columns=3))
    assert units.shape == (18, 36) and units.sum(1).eq(6).all() and units.sum(0).eq(3).all()
    box = [int(cell) for cell in units[13].nonzero()]
    assert box == [3, 4, 5, 9, 10, 11]  # the second box of the first band
    assert mixers.units_of(Grid(rows=2, columns=5)).sum(1).tolist() == [5, 5, 2, 2, 2, 2, 2]


def test_the_same_board_moved_gives_the_same_answer_moved() -> None:
    """Units know which cells share one, and not where they are: two lines of a band may change places."""
    one = woken(learner(mixing=("units",)))
    board, moved = boards(1), torch.arange(16).view(4, 4)[[1, 0, 2, 3]].reshape(-1)
    assert torch.allclose(refine(one, board).logits[:, moved], refine(one, board[:, moved]).logits, atol=1e-5)


@pytest.mark.parametrize("gradient", ["cycle", "one_step"])
def test_calls_without_gradients_keep_nothing_for_the_backward_pass(
    gradient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bool] = []
    whole = Block.forward

    def watched(self: Block, x: torch.Tensor) -> torch.Tensor:
        kept.append(torch.is_grad_enabled())
        return whole(self, x)

    monkeypatch.setattr(Block, "forward", watched)
    refine(learner(gradient=gradient, h_cycles=3, l_cycles=4), boards(), (3, 4))
    assert len(kept) == 3 * (4 + 1)
    wanted = [False] * 10 + ([True] * 5 if gradient == "cycle" else [False] * 3 + [True] * 2)
    assert kept == wanted


def test_gradients_do_not_reach_the_latents_over_an_earlier_cycle() -> None:
    one = woken(learner())
    for cycles, reaches in (((1, 2), True), ((2, 2), False)):
        y, z = (each.clone().requires_grad_(True) for each in one.fresh(2))
        one.refine(one.weights(), boards(2), y, z, cycles).logits.sum().backward()
        assert (y.grad is not None and bool(y.grad.abs().sum() > 0)) is reaches


def calls(one: HrmLearner, monkeypatch: pytest.MonkeyPatch) -> int:
    """Block calls of one refinement step as the learner asks for it."""
    count = 0
    whole = Block.forward

    def counted(self: Block, x: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += 1
        return whole(self, x)

    with monkeypatch.context() as patched:
        patched.setattr(Block, "forward", counted)
        refine(one, boards(), one.config.cycles(0.5))
    return count


def size(one: HrmLearner) -> int:
    return sum(each.numel() for each in one.parameters())


def test_an_ablation_takes_away_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    two, one = learner(networks=2), learner()
    assert size(learner(networks=2, ablate=("hierarchy",))) == size(one) < size(two)
    flat = refine(woken(learner(ablate=("hierarchy",))), boards())
    assert torch.equal(flat.z, flat.y)  # one latent
    whole = refine(woken(learner()), boards())
    assert not torch.equal(whole.z, whole.y)
    assert calls(one, monkeypatch) == 6 and calls(learner(ablate=("recursion",)), monkeypatch) == 2
    still = learner(ablate=("halting",))
    assert refine(still, boards()).halt is None and size(still) == size(one) - 17
    assert learner(ablate=("deep_supervision",)).config.steps == 1 and one.config.steps == 4


def test_the_halting_value_begins_on_the_side_of_going_on() -> None:
    halt = refine(learner(halt_bias=-5.0), boards()).halt
    assert halt is not None and torch.allclose(halt, torch.full((3,), -5.0))


def test_a_depth_curriculum_ends_in_the_full_depth() -> None:
    one = config(
        depth=[{"until": 0.3, "h_cycles": 1, "l_cycles": 1}, {"until": 0.6, "h_cycles": 1, "l_cycles": 2}]
    )
    assert [one.cycles(at) for at in (0.0, 0.29, 0.3, 0.6, 1.0)] == [(1, 1), (1, 1), (1, 2), (2, 2), (2, 2)]


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"mixing": []}, "one or more"),
        ({"mixing": ["units", "units"]}, "different mixers"),
        ({"mixing": ["magic"]}, "mixing"),
        ({"mixing": ["attention"], "heads": 3}, "even multiple"),
        ({"augment": "sudoku", "grid": {"rows": 4, "columns": 4}}, "boxes"),
        ({"augment": "square", "grid": {"rows": 4, "columns": 5}}, "square"),
        ({"grid": {**FOUR, "box_rows": 3}}, "fill"),
        ({"grid": {"rows": 4, "columns": 4, "box_rows": 2}}, "both"),
        ({"grid": {"rows": 4096, "columns": 4096}}, "at most"),
        ({"loss_on": "blanks", "blank": None}, "blank"),
        ({"hidden": "16"}, "hidden"),
        ({"surprise": 1}, "surprise"),
        ({"h_cycles": 10_000}, "h_cycles"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_and_says_why(over: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        HrmConfig.model_validate({"vocabulary": 5, "grid": FOUR, "hidden": 16, **over})


def test_in_bf16_the_latents_are_bf16_and_the_answers_are_near() -> None:
    one = woken(learner())
    plain = refine(one, boards())
    with torch.autocast("cpu", torch.bfloat16):
        short = refine(one, boards())
    assert short.y.dtype == torch.bfloat16 and short.logits.dtype == torch.float32
    assert (short.logits - plain.logits).abs().max() < 0.3 * plain.logits.abs().max()
