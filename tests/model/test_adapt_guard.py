"""A sealed part of the core: no optimizer steps it, and no other change goes unseen."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import tiny_boards
import torch
from torch import nn

from model import config as configs
from model.adapt import guard
from model.errors import CoreChanged, CoreIsSealed
from model.hrm.learner import HrmLearner
from model.optim import AdamAtan2, Stepper

Attack = Callable[[HrmLearner], None]


@pytest.fixture
def core() -> HrmLearner:
    """A small reasoner, sealed."""
    made = tiny_boards.learner()
    guard.seal(made, "boards")
    return made


def _stepped(optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        for each in group["params"]:
            each.requires_grad_(True)
            each.grad = torch.ones_like(each)
    optimizer.step()


def _smuggled(core: HrmLearner) -> None:
    other = nn.Linear(2, 2)
    other.weight = core.net.head
    _stepped(torch.optim.SGD(other.parameters(), lr=1.0))


def _same_memory(core: HrmLearner) -> None:
    _stepped(torch.optim.SGD([nn.Parameter(core.net.head.detach()[1:])], lr=1.0))


def _by_stepper(core: HrmLearner) -> None:
    core.requires_grad_(True)
    settings = configs.Optimizer(name="adamw", lr=0.1)
    stepper = Stepper(settings, core)
    for each in core.parameters():
        each.grad = torch.ones_like(each)
    stepper.step(1.0)


def _late_group(core: HrmLearner) -> None:
    mine = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([mine], lr=1.0)
    _stepped(optimizer)
    optimizer.add_param_group({"params": [core.net.embed]})
    _stepped(optimizer)


STEPS: dict[str, Attack] = {
    "SGD": lambda core: _stepped(torch.optim.SGD(core.parameters(), lr=1.0)),
    "AdamW": lambda core: _stepped(torch.optim.AdamW(core.parameters(), lr=1.0)),
    "fused AdamW": lambda core: _stepped(torch.optim.AdamW(core.parameters(), lr=1.0, fused=True)),
    "Muon": lambda core: _stepped(
        torch.optim.Muon([each for each in core.net.networks.parameters() if each.ndim == 2], lr=1.0)
    ),
    "our own optimizer": lambda core: _stepped(AdamAtan2(core.parameters(), lr=1.0)),
    "the loop's stepper": _by_stepper,
    "a weight in another module": _smuggled,
    "a new parameter over the same memory": _same_memory,
    "a group added later": _late_group,
    "a buffer": lambda core: _stepped(torch.optim.SGD([nn.Parameter(core.net.y0)], lr=1.0)),
}


@pytest.mark.parametrize("way", STEPS)
def test_no_optimizer_steps_a_sealed_part_whatever_the_way_to_it(core: HrmLearner, way: str) -> None:
    before = guard.hash_of(core)
    with pytest.raises(CoreIsSealed, match="boards"):
        STEPS[way](core)
    assert guard.hash_of(core) == before == guard.verify(core)


def _added(core: HrmLearner) -> None:
    with torch.no_grad():
        core.net.head.add_(1e-6)


def _by_numpy(core: HrmLearner) -> None:
    core.net.embed.detach().numpy()[0, 0] += 1e-3


def _loaded(core: HrmLearner) -> None:
    core.load_state_dict({name: each + 1 for name, each in core.state_dict().items()})


def _data(core: HrmLearner) -> None:
    core.net.head.data = core.net.head.data.flip(0)


def _buffer(core: HrmLearner) -> None:
    core.net.z0.mul_(2)


def _wiring(core: HrmLearner) -> None:
    for name, each in core.net.named_buffers():
        if name.endswith("gather"):
            each.copy_(each.flip(0))


@pytest.mark.parametrize("attack", [_added, _by_numpy, _loaded, _data, _buffer, _wiring])
def test_a_change_by_hand_is_found_by_the_hash_at_the_next_check(core: HrmLearner, attack: Attack) -> None:
    with pytest.raises(CoreChanged, match="boards"), guard.unchanged(core):
        attack(core)
    with pytest.raises(CoreChanged, match="boards"):
        guard.verify(core)
    with pytest.raises(CoreChanged):
        guard.seal(core, "boards")  # and sealing it again does not bless it


def test_a_scratch_copy_learns_and_leaves_the_core_as_it_is(core: HrmLearner) -> None:
    made = guard.scratch(core)
    with guard.unchanged(core) as before:
        _stepped(torch.optim.SGD(made.parameters(), lr=1.0))
    assert guard.hash_of(made) != before and not guard.is_sealed(made)
    assert not any(each.requires_grad for each in core.parameters())


def test_the_hash_tells_names_types_and_shapes_apart() -> None:
    class Held(nn.Module):
        def __init__(self, **held: torch.Tensor) -> None:
            super().__init__()
            for name, each in held.items():
                self.register_buffer(name, each)

    ones = torch.zeros(4)
    made = [Held(a=ones), Held(b=ones), Held(a=ones.view(2, 2)), Held(a=ones.int()), Held(a=ones, b=ones)]
    assert len({guard.hash_of(each) for each in made}) == len(made)
    assert guard.hash_of(copy.deepcopy(made[0])) == guard.hash_of(made[0])


def test_a_part_that_is_gone_seals_nothing() -> None:
    core = tiny_boards.learner()
    guard.seal(core, "gone")
    free = nn.Parameter(torch.zeros(3))
    del core
    _stepped(torch.optim.SGD([free], lr=1.0))
    assert free.sum() == -3
