"""How weights are stepped: the optimizers, their rate over the run, and the averaged weights.

All state is in named tensors, so that a checkpoint holds it without pickle and a resumed run goes on bit by
bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from model import config as configs
from model.adapt import guard
from model.errors import CheckpointError
from model.learner import Learner


def rate(settings: configs.Optimizer, step: int, progress: float) -> float:
    """The share of the peak rate at a step (from 0): linear warm-up, then a cosine by progress to `final`."""
    risen = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, progress))))
    return risen * (settings.final + (1 - settings.final) * cosine)


class AdamAtan2(torch.optim.Optimizer):
    """Adam with atan2 in place of the division, so without epsilon and with a bounded step.

    After Everett et al., "Scaling Exponents Across Parameterizations and Optimizers" (2024), section 4.2:
    theta -= lr * atan2(m_hat, sqrt(v_hat)); decay is decoupled, as in AdamW.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.0,
    ) -> None:
        """Take parameters or groups, as every optimizer of PyTorch does."""
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure is ever given
        """Step every parameter that has a gradient."""
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    state["exp_avg"] = torch.zeros_like(parameter)
                    state["exp_avg_sq"] = torch.zeros_like(parameter)
                state["step"] += 1
                count = float(state["step"])
                mean, square = state["exp_avg"], state["exp_avg_sq"]
                mean.lerp_(parameter.grad, 1 - first)
                square.mul_(second).addcmul_(parameter.grad, parameter.grad, value=1 - second)
                unbiased = (square / (1 - second**count)).sqrt_()
                if group["weight_decay"]:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(torch.atan2(mean / (1 - first**count), unbiased), alpha=-group["lr"])


class Stepper:
    """The optimizers of one run as one."""

    def __init__(self, settings: configs.Optimizer, learner: Learner) -> None:
        self._settings = settings
        self._names: dict[Tensor, str] = {each: name for name, each in learner.named_parameters()}
        split = learner.split()
        self.parameters = [*split.matrices, *split.others]
        _check(self.parameters, learner)
        plain_lr = settings.plain_lr or settings.lr
        self._optimizers: list[torch.optim.Optimizer] = []
        if settings.name == "muon":
            self._add_muon(split.matrices)
            self._add(torch.optim.AdamW, split.others, plain_lr)
        else:
            kind = torch.optim.AdamW if settings.name == "adamw" else AdamAtan2
            self._add(kind, split.matrices, settings.lr)
            self._add(kind, split.others, plain_lr)

    def clip(self) -> Tensor:
        """Bound the gradients' norm where the configuration says so; the norm before that."""
        return nn.utils.clip_grad_norm_(self.parameters, self._settings.clip or math.inf)

    def step(self, share: float) -> None:
        """One step at `share` of the peak rate; the gradients are gone afterwards.

        CoreIsSealed where one of the weights is a sealed part's, before any is stepped.
        """
        guard.refuse(self.parameters)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Everything the optimizers remember, by parameter."""
        return {
            f"{self._names[parameter]}:{key}": value
            for optimizer in self._optimizers
            for parameter, kept in optimizer.state.items()
            for key, value in kept.items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state`."""
        owners = {name: parameter for parameter, name in self._names.items()}
        home = {p: each for each in self._optimizers for g in each.param_groups for p in g["params"]}
        for label, value in state.items():
            name, _, key = label.rpartition(":")
            if name not in owners or owners[name] not in home:
                raise CheckpointError(f"the checkpoint's optimizer steps {name!r}, which this model has not")
            parameter = owners[name]
            # A count of steps stays on the CPU, where PyTorch keeps it; all else lies beside its parameter.
            place = value if key == "step" else value.to(parameter.device)
            home[parameter].state[parameter][key] = place

    def _add_muon(self, matrices: Sequence[nn.Parameter]) -> None:
        if matrices:
            # The adjusted rate has AdamW's size of step, so one scale of rates serves both.
            muon = torch.optim.Muon(
                [{"params": list(matrices), "peak": self._settings.lr}],
                lr=self._settings.lr,
                weight_decay=self._settings.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
            self._optimizers.append(muon)

    def _add(self, kind: Any, parameters: Sequence[nn.Parameter], lr: float) -> None:
        """Norms and biases do not decay: pulling a scale towards zero regularises nothing."""
        decay = self._settings.weight_decay
        groups = [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": decay, "peak": lr},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0, "peak": lr},
        ]
        groups = [group for group in groups if group["params"]]
        if groups:
            # One pass over memory a weight: a fifth of the time on a CPU. (On CUDA the default is as fast.)
            one_pass = kind is torch.optim.AdamW and all(p.device.type == "cpu" for p in parameters)
            more = {"fused": True} if one_pass else {}
            self._optimizers.append(kind(groups, lr=lr, betas=(0.9, 0.95), **more))


def _check(parameters: Sequence[nn.Parameter], learner: Learner) -> None:
    """The contract of `Learner.split`: each learning parameter once. A slip would freeze weights silently."""
    listed = {id(parameter) for parameter in parameters}
    learning = {id(parameter) for parameter in learner.parameters() if parameter.requires_grad}
    if len(listed) != len(parameters) or listed != learning:
        name = type(learner).__name__
        raise TypeError(f"{name}.split() must list each of its {len(learning)} learning parameters once")


class Average:
    """An exponential average of the learning weights: what is assessed, kept and used."""

    def __init__(self, parameters: Sequence[tuple[str, nn.Parameter]], decay: float) -> None:
        self._names = [name for name, _ in parameters]
        self._live = [parameter for _, parameter in parameters]
        self._decay = decay
        self._kept = [parameter.detach().clone() for parameter in self._live] if decay else []

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move towards the weights after a step (from 0); early on faster, so that the start is forgotten."""
        if self._decay:
            decay = min(self._decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(self._kept, [each.detach() for each in self._live], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The learner has the averaged weights within this block."""
        if not self._decay:
            yield
            return
        live = [parameter.detach() for parameter in self._live]
        raw = [each.clone() for each in live]
        torch._foreach_copy_(live, self._kept)
        try:
            yield
        finally:
            torch._foreach_copy_(live, raw)

    def raw(self) -> dict[str, Tensor]:
        """The weights that the next step starts from, where they are not the averaged ones themselves."""
        live = (parameter.detach() for parameter in self._live)
        return dict(zip(self._names, live, strict=True)) if self._decay else {}

    @torch.no_grad()
    def restore(self, raw: Mapping[str, Tensor]) -> None:
        """Take the learner's present weights for the averaged ones and give it the raw ones."""
        if not self._decay:
            return
        if raw.keys() != set(self._names):
            raise CheckpointError("the checkpoint's raw weights are not those of this model")
        for name, live, kept in zip(self._names, self._live, self._kept, strict=True):
            kept.copy_(live)
            live.copy_(raw[name])
