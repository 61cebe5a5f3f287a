"""Thought at test time: attempts chosen by value, repeatable by seed; and the trace of what went on."""

from __future__ import annotations

import pytest
import torch
from tiny_boards import feed, learner
from torch import Tensor

from model.hrm import rollouts
from model.hrm.trace import trace


def questions(rows: int = 12) -> Tensor:
    return feed(learner(), side=1).data["question"][:rows]


def test_the_surest_attempt_is_taken_for_each_row() -> None:
    answers = torch.tensor([[[1, 1], [2, 2], [3, 3]], [[4, 4], [5, 5], [6, 6]]])
    chosen = rollouts.choose(answers, torch.tensor([[0.1, -2.0, 0.5], [0.2, -3.0, 0.5]]))
    assert chosen.answer.tolist() == [[4, 4], [2, 2], [3, 3]]  # the first of equals
    assert chosen.value.tolist() == pytest.approx([0.2, -2.0, 0.5])


def test_choosing_by_a_value_that_knows_is_never_worse_than_one_attempt() -> None:
    rng = torch.Generator().manual_seed(0)
    right = torch.rand(8, 200, generator=rng) < 0.3
    values = right * 2.0 + torch.rand(8, 200, generator=rng)
    chosen = rollouts.choose(right[:, :, None].long(), values).answer.squeeze(-1)
    assert torch.equal(chosen.bool(), right.any(0)) and (chosen >= right[0]).all()


def test_attempts_depend_on_the_seed_alone_and_the_first_has_no_noise() -> None:
    one = learner().eval()
    with torch.no_grad():
        for each in one.parameters():
            each.add_(0.3 * torch.randn(each.shape, generator=torch.Generator().manual_seed(each.numel())))
    torch.manual_seed(5)
    first = rollouts.solve(one, questions(), steps=2, attempts=4, noise=1.0, seed=3)
    torch.manual_seed(6)
    again = rollouts.solve(one, questions(), steps=2, attempts=4, noise=1.0, seed=3)
    other = rollouts.solve(one, questions(), steps=2, attempts=4, noise=1.0, seed=4)
    single = rollouts.solve(one, questions(), steps=2)
    assert torch.equal(first.answer, again.answer) and torch.equal(first.values, again.values)
    assert not torch.equal(first.values, other.values)
    assert torch.equal(first.values[0], single.value) and (first.value >= single.value).all()
    with torch.no_grad():
        assert torch.equal(single.answer, one.solve(questions(), 2).logits.argmax(-1))


def test_without_a_halting_value_several_attempts_are_refused() -> None:
    one = learner(ablate=("halting",))
    with pytest.raises(ValueError, match="nothing to choose by"):
        rollouts.solve(one, questions(2), steps=1, attempts=2)
    assert rollouts.solve(one, questions(2), steps=1).answer.shape == (2, 16)


def test_a_trace_has_a_row_for_each_cycle_and_ends_where_the_answer_is() -> None:
    one = learner(h_cycles=2).eval()
    with torch.no_grad():
        for each in one.parameters():
            each.add_(0.1)
    seen = trace(one, questions(), 3)
    assert seen.answers.shape == (6, 12, 16) and seen.cycles_a_step == 2
    assert seen.y_change.shape == seen.z_change.shape == seen.halt.shape == seen.doubt.shape == (6, 12)
    assert seen.agreement.shape == (5, 12) and seen.consistency.shape == (12,)
    with torch.no_grad():
        solved = one.solve(questions(), 3)
    assert torch.equal(seen.answers[-1], solved.logits.argmax(-1))
    assert solved.halt is not None and torch.allclose(seen.halt[-1], solved.halt, atol=1e-5)
    assert (seen.y_change[0] > 0).all() and ((seen.doubt >= 0) & (seen.doubt <= 1)).all()


def test_a_model_that_stays_with_its_answer_is_consistent_and_a_wavering_one_is_not() -> None:
    one = learner()
    seen = trace(one, questions(2), 2)
    still = seen.answers[:1].expand_as(seen.answers)
    wavering = torch.stack([still[0], still[0] + 1, still[0], still[0] + 1])
    assert type(seen)(still, *_rest(seen), 2, seen.logits).consistency.tolist() == [1.0, 1.0]
    assert type(seen)(wavering, *_rest(seen), 2, seen.logits).consistency.tolist() == [0.0, 0.0]


def test_where_halting_is_ablated_the_trace_says_that_it_does_not_know() -> None:
    assert trace(learner(ablate=("halting",)), questions(2), 1).halt.isnan().all()


def _rest(seen: object) -> tuple[Tensor, ...]:
    return tuple(getattr(seen, name) for name in ("y_change", "z_change", "halt", "doubt"))
