"""The loop's parts alone: the order of rows, optimizers, rates, averaged weights, the configuration."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import tiny_learner
import tiny_runs
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from model import config, optim  # noqa: E402
from model.errors import CheckpointError, RequestError, UnfitData  # noqa: E402
from model.feed import RowFeed  # noqa: E402
from model.loop import _worth  # noqa: E402

CPU = torch.device("cpu")


def feed(rows: int, seed: int = 0, rank: int = 0, ranks: int = 1) -> RowFeed:
    return RowFeed({"row": torch.arange(rows)}, seed, CPU, rank=rank, ranks=ranks)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30), st.integers(0, 2**40), st.lists(st.integers(0, 17), max_size=12), st.integers(0, 12)
)
def test_rows_come_in_whole_permutations_and_go_on_from_a_kept_state(
    rows: int, seed: int, counts: list[int], cut: int
) -> None:
    whole = feed(rows, seed).take(sum(counts))["row"].tolist()
    for start in range(0, len(whole) - rows + 1, rows):
        assert sorted(whole[start : start + rows]) == list(range(rows))
    now, taken = feed(rows, seed), []
    for number, count in enumerate(counts):
        if number == cut:
            kept, now = now.state(), feed(rows, seed)
            now.restore(kept)
        taken += now.take(count)["row"].tolist()
    assert taken == whole


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(2, 5), st.integers(1, 40))
def test_the_rows_of_all_ranks_are_those_of_one_process(rows: int, ranks: int, each: int) -> None:
    alone = feed(rows).take(ranks * each)["row"].tolist()
    apart = [feed(rows, 0, rank, ranks).take(each)["row"].tolist() for rank in range(ranks)]
    assert [row for step in zip(*apart, strict=True) for row in step] == alone


def test_each_seed_and_each_epoch_has_its_own_order() -> None:
    orders = {
        tuple(feed(50, seed).take(150)["row"].tolist()[i : i + 50]) for seed in range(4) for i in (0, 50, 100)
    }
    assert len(orders) == 12


def test_without_rows_there_is_nothing_to_learn_from() -> None:
    with pytest.raises(UnfitData, match="no row"):
        feed(0)
    with pytest.raises(UnfitData, match="differ in length"):
        RowFeed({"a": torch.zeros(3), "b": torch.zeros(4)}, 0, CPU)


def test_adam_atan2_is_the_papers_formula() -> None:
    """Against the formula in plain numbers, over steps, with decay."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    steps = optim.AdamAtan2([weight], lr=0.1, betas=(0.9, 0.95), weight_decay=0.2)
    by_hand = [1.0, -2.0, 0.5]
    mean, square = [0.0] * 3, [0.0] * 3
    for count in range(1, 6):
        gradient = [math.sin(3.0 * count + i) * 10.0**-i for i in range(3)]
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        steps.step()
        for i, g in enumerate(gradient):
            mean[i] = 0.9 * mean[i] + 0.1 * g
            square[i] = 0.95 * square[i] + 0.05 * g * g
            m_hat, v_hat = mean[i] / (1 - 0.9**count), square[i] / (1 - 0.95**count)
            by_hand[i] = by_hand[i] * (1 - 0.1 * 0.2) - 0.1 * math.atan2(m_hat, math.sqrt(v_hat))
    assert weight.tolist() == pytest.approx(by_hand, rel=1e-12)


@given(st.floats(-1e30, 1e30).filter(lambda x: abs(x) > 1e-30), st.floats(1e-3, 1e3))
def test_a_step_of_adam_atan2_does_not_depend_on_the_gradients_scale(gradient: float, scale: float) -> None:
    moved = []
    for factor in (1.0, scale):
        weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        steps = optim.AdamAtan2([weight], lr=1.0)
        weight.grad = torch.tensor([gradient * factor], dtype=torch.float64)
        steps.step()
        moved.append(float(weight.detach()))
    assert moved[0] == pytest.approx(moved[1], rel=1e-6)
    assert abs(moved[0]) == pytest.approx(math.pi / 4)  # and is never larger than pi / 2


def learner(noise: float = 0.0) -> tiny_learner.Tiny:
    torch.manual_seed(0)
    return tiny_learner.Tiny(6, 8, noise, 0)


def test_muon_steps_the_matrices_and_adamw_the_others_at_its_own_rate() -> None:
    tiny = learner()
    stepper = optim.Stepper(config.Optimizer(name="muon", lr=0.02, plain_lr=0.003), tiny)
    for each in tiny.parameters():
        each.grad = torch.ones_like(each)
    before = tiny.out.bias.detach().clone()
    stepper.step(0.5)
    keys = {name.rpartition(":")[2] for name in stepper.state() if name.startswith("into.weight")}
    assert keys == {"momentum_buffer"}
    assert float((tiny.out.bias.detach() - before).abs()) == pytest.approx(0.0015, rel=1e-4)


def test_a_parameter_that_is_listed_twice_or_not_at_all_is_a_fault() -> None:
    tiny = learner()
    split = tiny.split()
    for wrong in (split.others[1:], [*split.others, split.matrices[0]]):
        tiny.split = lambda wrong=wrong: type(split)(split.matrices, wrong)  # type: ignore[method-assign]
        with pytest.raises(TypeError, match="once"):
            optim.Stepper(config.Optimizer(), tiny)


def test_norms_and_biases_do_not_decay() -> None:
    tiny = learner()
    stepper = optim.Stepper(config.Optimizer(lr=0.1, weight_decay=1.0), tiny)
    for each in tiny.parameters():
        each.grad = torch.zeros_like(each)
    before = {name: each.detach().clone() for name, each in tiny.named_parameters()}
    stepper.step(1.0)
    changed = {name for name, each in tiny.named_parameters() if not torch.equal(each, before[name])}
    assert changed == {"into.weight", "out.weight"}


def test_an_optimizers_state_for_another_model_is_refused() -> None:
    stepper = optim.Stepper(config.Optimizer(), learner())
    with pytest.raises(CheckpointError, match="elsewhere"):
        stepper.restore({"elsewhere.weight:exp_avg": torch.zeros(1)})


def test_the_rate_warms_up_by_steps_and_falls_to_its_final_share() -> None:
    rules = config.Optimizer(warmup=10, final=0.1)
    assert optim.rate(rules, 0, 0.0) == pytest.approx(0.1)
    assert optim.rate(rules, 9, 0.0) == 1.0
    assert optim.rate(rules, 500, 0.5) == pytest.approx(0.55)
    assert optim.rate(rules, 999, 1.0) == pytest.approx(0.1)
    falling = [optim.rate(rules, 100, n / 100) for n in range(101)]
    assert falling == sorted(falling, reverse=True)


def test_the_average_follows_and_is_in_the_learner_only_where_it_is_asked_for() -> None:
    tiny = learner()
    named = list(tiny.named_parameters())
    average = optim.Average(named, 0.5)
    start = tiny.out.bias.detach().clone()
    with torch.no_grad():
        tiny.out.bias.add_(1.0)
    average.follow(10**6)
    with average.applied():
        assert torch.allclose(tiny.out.bias, start + 0.5)
    assert torch.equal(tiny.out.bias.detach(), start + 1.0)
    with pytest.raises(ZeroDivisionError), average.applied():
        raise ZeroDivisionError
    assert torch.equal(tiny.out.bias.detach(), start + 1.0)


WRONG: dict[str, Any] = {
    "no budget": {"steps": None},
    "an unknown key": {"epochs": 3},
    "a batch of nothing": {"batch": 0},
    "an uneven part": {"batch": 10, "accumulate": 3},
    "a rate of NaN": {"optimizer": {"lr": math.nan}},
    "an unknown optimizer": {"optimizer": {"name": "sgd"}},
    "no real precision": {"precision": "fp8"},
    "a model that is a list": {"model": []},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_configuration_that_cannot_be_is_refused_in_one_line(what: str) -> None:
    body = {"learner": "tiny", "batch": 4, "steps": 4, **WRONG[what]}
    with pytest.raises(RequestError) as caught:
        config.config(body)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "can't be used"),
        (b'{"schema":2}', "can't be used"),
        (b" " * (1 << 20) + b"{}", "larger than"),
    ],
)
def test_a_request_that_is_none_is_refused_in_one_line(text: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_bytes(text)
    with pytest.raises(RequestError, match=says):
        config.read(tmp_path)


@pytest.mark.parametrize(
    "over", [{"data": "relative"}, {"learner": "other"}, {"device": "tpu"}, {"extra": 1}]
)
def test_a_request_with_a_wrong_field_is_refused(over: dict[str, Any], tmp_path: Path) -> None:
    body = tiny_runs.request(tmp_path, Path("/data"))
    with pytest.raises(RequestError):
        config.request({**body, **over})
    assert config.request(json.loads(json.dumps(body))).config.learner == "tiny"


def test_what_only_keeps_or_tells_is_no_other_configuration() -> None:
    body = {"learner": "tiny", "batch": 4, "steps": 4}
    key = config.config(body).key()
    assert config.config({**body, "about": "x", "checkpoint": {"seconds": 1}}).key() == key
    assert config.config({**body, "batch": 8}).key() != key


def test_how_often_metrics_are_written_depends_on_steps_alone() -> None:
    def every(**over: Any) -> int:
        return config.config({"learner": "tiny", "batch": 4, **over}).log_every

    assert [every(steps=n) for n in (1, 500, 501, 26_040)] == [1, 1, 2, 53]
    assert every(core_minutes=2) == every(core_minutes=2, steps=10**6) == 10


def test_of_two_checkpoints_that_solve_as_much_the_one_of_less_loss_is_best() -> None:
    early, late, worse = ({"exact": a, "loss": b} for a, b in ((1.0, 0.3), (1.0, 0.1), (0.9, 0.01)))
    assert _worth(late, "exact") > _worth(early, "exact") > _worth(worse, "exact")
    assert _worth(worse, "loss") > _worth(late, "loss")
