"""The one training loop, for every learner: it steps, assesses, judges, records and keeps.

Everything that decides the next step's numbers is in each checkpoint. What is written, and when a measure
is taken, goes by the count of steps and never by the clock, so the curves of a resumed run coincide with
those of one that never stopped. Only the moment of a checkpoint goes by the clock, and changes no number.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors.torch import load as deserialise
from safetensors.torch import save as serialise
from torch import Tensor, nn

from datagen import runlog
from datagen.runlog import RunLog
from model import breaker, checkpoint, ddp, devices, estimate, optim
from model.breaker import Verdict
from model.checkpoint import Meta
from model.config import Config, Request
from model.data import Data
from model.errors import CheckpointError, RequestError, Stopped
from model.feed import RowFeed
from model.learner import Feed, Learner, State

_GO, _SAVE, _END, _INTERRUPT, _STOP = 0, 1, 2, 4, 8  # what rank 0 has all ranks do before a step
_LOWER_IS_BETTER = ("loss", "ece", "brier")


def train(run_dir: Path, asked: Request, *, several: bool) -> bool:
    """Train to the end; False when a TERM interrupted it. ModelError, DataError or OSError otherwise."""
    with ExitStack() as stack:
        rank, ranks = ddp.place() if several else (0, 1)
        device = devices.choose(asked.device, rank)
        devices.settle(asked.config.threads, attention=asked.config.attention)
        log = stack.enter_context(RunLog(run_dir)) if not rank else None
        if log:
            log.emit("phase", name="load", device=str(device), ranks=ranks)
        plan = estimate.plan(asked, device)
        plan.check()
        world = ddp.Ranks(device.type) if several else ddp.Alone()
        stack.callback(world.close)
        session = Session(run_dir, asked, plan.data, plan.learner.to(device), world, log)
        stack.enter_context(session.terminable())
        return session.run()


class _Stepping(nn.Module):
    """A learner's step as a forward pass, which is what PyTorch's DDP and compiler take."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.learner = learner

    def forward(
        self, feed: Feed, batch: int, state: State, progress: float
    ) -> tuple[Tensor, dict[str, Tensor], State]:
        step = self.learner.advance(feed, batch, state, progress)
        return step.loss, {"loss": step.loss.detach(), **step.shown}, step.state


class Session:
    """One process's part of a run."""

    def __init__(
        self,
        run_dir: Path,
        asked: Request,
        data: Data,
        learner: Learner,
        world: ddp.Alone,
        log: RunLog | None,
    ) -> None:
        self._run_dir, self._asked, self._data, self._world, self._log = run_dir, asked, data, world, log
        self._config: Config = asked.config
        self._learner = learner.train()
        self._device = next(learner.parameters()).device
        self._precision = devices.precision(self._config.precision, self._device)
        self._stepper = optim.Stepper(self._config.optimizer, learner)
        learning = [each for each in learner.named_parameters() if each[1].requires_grad]
        self._average = optim.Average(learning, self._config.optimizer.average)
        self._feed = RowFeed(data.train, asked.seed, self._device, rank=world.rank, ranks=world.ranks)
        self._heldout = {name: tensor.to(self._device) for name, tensor in data.heldout.items()}
        self._pending: dict[str, list[Tensor]] = {}
        self._history = breaker.History()
        self._breaker_state = "closed"
        self._best: dict[str, Any] | None = None
        self._metrics: dict[str, float] = {}
        self._phases: dict[str, str] = {}
        self._finished = False
        self._stop: Verdict | None = None
        self._terminated = threading.Event()
        self._step, self._share = 0, 0.0
        self._core, self._core_mark = 0.0, time.process_time()
        self._saved_at = time.monotonic()
        self._logged = (time.monotonic(), 0)
        torch.manual_seed(asked.seed * 1000003 + world.rank)
        with self._numbers():
            self._states = [
                learner.begin(self._feed, self._config.part) for _ in range(self._config.accumulate)
            ]
        self._resume()
        module = world.wrap(_Stepping(learner))
        self._module = torch.compile(module, dynamic=False) if self._config.compile else module

    def run(self) -> bool:
        """All steps that are left; False when a TERM interrupted them. Stopped where the breaker opened."""
        if self._log:
            self._log.emit("phase", name="train", resumed=self._step > 0, step=self._step)
            self._tell_breaker("closed" if self._breaker_state == "closed" else "warn", None)
        self._core_mark = time.process_time()
        todo = _END if self._finished else _GO
        while True:
            order, progress = self._world.agree((float(todo), self._progress()))
            todo = int(order)
            if todo & _SAVE:
                with self._unmeasured():
                    self._save()
            if todo & _STOP:
                raise Stopped(self._stop.message if self._stop else "another process stopped the run")
            if todo & _INTERRUPT:
                return False
            if todo & _END:
                break
            self._one(progress)
            todo = self._after()
        if self._log:
            self._conclude(self._log)
        return True

    @contextmanager
    def terminable(self) -> Iterator[None]:
        """A TERM within is noted in place of ending the process. Windows has none: it ends processes hard."""

        def note(number: int, frame: FrameType | None) -> None:
            self._terminated.set()

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _one(self, progress: float) -> None:
        """One step of the optimizer."""
        parts = self._config.accumulate
        for part in range(parts):
            with ExitStack() as stack:
                if part < parts - 1:
                    stack.enter_context(self._world.quiet(self._module))
                with self._numbers():
                    loss, shown, state = self._module(
                        self._feed, self._config.part, self._states[part], progress
                    )
                (loss / parts if parts > 1 else loss).backward()
            self._states[part] = state
            for name, value in shown.items():
                self._pending.setdefault(name, []).append(value.detach())
        norm = self._stepper.clip().detach()
        self._pending.setdefault("grad_norm", []).append(norm)
        if self._device.type == "cpu":  # elsewhere looking at a number halts the device: then at each log
            numbers = {"the loss": float(loss.detach())} if self._world.ranks == 1 else {}
            self._obey(breaker.finite(self._step + 1, {**numbers, "the gradients' norm": float(norm)}))
            if self._stop:
                raise Stopped(self._stop.message)
        self._share = optim.rate(self._config.optimizer, self._step, progress)
        self._stepper.step(self._share)
        self._learner.stepped(progress)
        self._average.follow(self._step)
        self._step += 1

    def _after(self) -> int:
        """What comes due after a step; what is to be done before the next one, on rank 0."""
        progress = self._progress()
        ending = (
            self._world.agree((float(progress >= 1),))[0] > 0 if self._config.core_minutes else progress >= 1
        )
        if self._step % self._config.log_every == 0 or ending:
            with self._unmeasured():
                self._write_training()
        if self._log is None:
            return _GO
        todo = _GO
        if not self._stop and (self._step % self._config.assess.every == 0 or ending):
            with self._unmeasured():
                todo |= _SAVE if self._assess(self._log) else _GO
        if self._stop:
            return _STOP
        if ending:
            self._finished = True
            return _SAVE | _END
        if self._terminated.is_set():
            return _SAVE | _INTERRUPT
        if time.monotonic() - self._saved_at >= self._config.checkpoint.seconds:
            todo |= _SAVE
        return todo

    def _write_training(self) -> None:
        """The training metrics since the last time, as means over steps and ranks; norms to the breaker."""
        values = self._pulled()
        norms = values.get("grad_norm", [])
        mine = {name: (math.fsum(each), len(each)) for name, each in values.items()}
        self._pending = {}
        gathered = self._world.gather(ddp.packed(mine))
        if self._log is None:
            return
        means = ddp.unpacked(gathered)
        self._obey(breaker.finite(self._step, means))
        if self._stop:
            return
        self._obey(breaker.steps(self._config.breaker, self._history, self._step - len(norms), norms))
        lr = self._config.optimizer.lr * self._share
        for name, value in (*means.items(), ("lr", lr)):
            self._log.emit("metric", name=name, value=value, step=self._step, split="train")
        now, (before, step) = time.monotonic(), self._logged
        if now > before:
            speed = (self._step - step) / (now - before)
            self._log.emit("metric", name="steps_per_second", value=speed, step=self._step, split="train")
        self._logged = (now, self._step)
        if self._config.core_minutes:
            done, total = self._core, self._config.core_minutes * 60
            self._log.progress(min(round(done), round(total)), round(total), "core-seconds")
        else:
            self._log.progress(self._step, self._config.steps or 0, "steps")

    def _assess(self, log: RunLog) -> bool:
        """Measure the held-out rows; True when this is the best so far."""
        states = devices.generators(self._device)
        self._learner.eval()
        with torch.no_grad(), self._average.applied(), self._numbers():
            found = self._learner.assess(self._heldout, self._config.assess.rows)
        self._learner.train()
        devices.restore_generators(states, self._device)
        if "loss" not in found:
            raise TypeError(f"{type(self._learner).__name__}.assess() gives no loss")
        measures = {name: float(value) for name, value in found.items()}
        verdicts = breaker.assessment(self._config.breaker, self._history, self._step, measures)
        self._obey(verdicts)
        if any(each.rule == "finite" for each in verdicts):
            return False
        if not verdicts and self._breaker_state == "warn":
            self._tell_breaker("closed", None)
        self._metrics = measures
        for name, value in measures.items():
            log.emit("metric", name=name, value=value, step=self._step, split="heldout")
        for name, value in self._consumed().items():
            log.emit("metric", name=name, value=value, step=self._step, split="train")
        wanted = self._config.assess.best
        if wanted not in measures:
            raise RequestError(f"assess.best: {wanted!r} is not measured, {', '.join(measures)} are")
        sign = -1 if wanted.startswith(_LOWER_IS_BETTER) else 1
        if self._best is None or sign * measures[wanted] > sign * self._best["metrics"][wanted]:
            self._best = {"step": self._step, "metrics": measures}
            return True
        return False

    def _obey(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            self._tell_breaker("open" if verdict.act == "stop" else "warn", verdict)
        self._stop = self._stop or breaker.stops(verdicts)

    def _tell_breaker(self, state: str, verdict: Verdict | None) -> None:
        self._breaker_state = state
        if not self._log:
            return
        self._log.emit(
            "breaker",
            state=state,
            step=self._step,
            rule=verdict.rule if verdict else "",
            message=verdict.message if verdict else "",
            numbers={k: v for k, v in (verdict.numbers if verdict else {}).items() if math.isfinite(v)},
        )

    def _progress(self) -> float:
        """From 0 to 1, by steps, by consumed CPU time, or by whichever of both is further."""
        by_steps = self._step / self._config.steps if self._config.steps else 0.0
        if not self._config.core_minutes:
            return by_steps
        self._count_core()
        return min(1.0, max(by_steps, self._core / (60 * self._config.core_minutes)))

    def _count_core(self) -> None:
        now = time.process_time()
        self._core += now - self._core_mark
        self._core_mark = now

    @contextmanager
    def _unmeasured(self) -> Iterator[None]:
        """CPU time within is not the training's: how often one looks must not change what is learned."""
        self._count_core()
        yield
        self._core_mark = time.process_time()

    def _consumed(self) -> dict[str, float]:
        return {"core_seconds": self._core, "memory_bytes": float(devices.peak_bytes(self._device))}

    def _numbers(self) -> Any:
        return devices.numbers(self._precision, self._device)

    def _pulled(self) -> dict[str, list[float]]:
        """The pending scalars as numbers: the one place where the device is waited for."""
        if not self._pending:
            return {}
        each = (torch.stack([v.float() for v in values]) for values in self._pending.values())
        stacked = torch.cat([values.to(self._device) for values in each])
        flat = iter(stacked.tolist())
        return {name: [next(flat) for _ in values] for name, values in self._pending.items()}

    # Checkpoints

    def _save(self) -> None:
        """Write a checkpoint of this step, of all ranks' parts; the oldest make room for it."""
        if self._device.type != "cpu":
            for name, values in self._pulled().items():
                self._obey(breaker.finite(self._step, {name: math.fsum(values)}))
            if self._stop:
                raise Stopped(self._stop.message)
        mine = {name: tensor.detach().cpu().contiguous() for name, tensor in self._rank_state().items()}
        parts = [mine]
        if self._world.ranks > 1:
            parts = [deserialise(part) for part in self._world.gather(serialise(mine))]
        self._saved_at = time.monotonic()
        if self._log is None:
            return
        train_state = {
            f"rank{rank}.{name}": each for rank, part in enumerate(parts) for name, each in part.items()
        }
        train_state |= {f"raw.{name}": each.clone() for name, each in self._average.raw().items()}
        train_state |= {f"optimizer.{name}": each for name, each in self._stepper.state().items()}
        if self._finished:
            self._phases["train"] = checkpoint.name(self._step)
        with self._average.applied():
            folder = checkpoint.save(self._run_dir, self._meta(), self._learner.state_dict(), train_state)
        best = checkpoint.name(self._best["step"]) if self._best else None
        checkpoint.index(self._run_dir, {"best": best, "last": folder.name, "phases": self._phases})
        kind = "phase" if self._finished else "best" if best == folder.name else "last"
        where, sha256 = f"{checkpoint.FOLDER}/{folder.name}", checkpoint.sha256_of(folder / checkpoint.META)
        size = checkpoint.size_of(folder)
        self._log.checkpoint(path=where, step=self._step, kind=kind, bytes=size, sha256=sha256)
        keep = {folder.name, *self._phases.values(), *([best] if best else [])}
        checkpoint.prune(self._run_dir, keep, self._config.checkpoint.keep_bytes)

    def _rank_state(self) -> dict[str, Tensor]:
        """What belongs to this rank alone."""
        found = {f"feed.{name}": each for name, each in self._feed.state().items()}
        found |= {f"rng.{name}": each for name, each in devices.generators(self._device).items()}
        for part, state in enumerate(self._states):
            found |= {f"state.{part}.{name}": each for name, each in state.items()}
        for name, values in self._pending.items():
            found[f"pending.{name}"] = torch.stack([value.float() for value in values])
        return found

    def _meta(self) -> Meta:
        self._count_core()
        return Meta(
            learner=self._config.learner,
            config=self._config.model_dump(mode="json"),
            config_key=self._config.key(),
            data=self._data.described(),
            seed=self._asked.seed,
            step=self._step,
            phase="end" if self._finished else "train",
            metrics=self._metrics,
            memory={
                "best": self._best,
                "breaker": self._history.body(),
                "breaker_state": self._breaker_state,
                "core_seconds": self._core,
                "finished": self._finished,
                "phases": self._phases,
                "precision": self._precision,
                "ranks": self._world.ranks,
            },
        )

    def _resume(self) -> None:
        """Go on from the newest whole checkpoint, where there is one."""
        if self._log:
            checkpoint.tidy(self._run_dir)
        found = checkpoint.newest(self._run_dir)
        if self._log:
            for line in found.refused:
                self._log.emit("alert", level="warn", message=f"{line}; the one before it is taken")
        if found.folder is None or found.meta is None:
            return
        meta = found.meta
        self._hold_against(found.folder, meta)
        try:
            self._restore(found.folder, meta)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{found.folder} does not fit this run: {error!r}") from error

    def _hold_against(self, folder: Path, meta: Meta) -> None:
        """Only a checkpoint of this very run is gone on from; each reason in words."""
        wanted: Mapping[str, tuple[object, object]] = {
            "learner": (meta.learner, self._config.learner),
            "configuration": (meta.config_key, self._config.key()),
            "seed": (meta.seed, self._asked.seed),
            "data set": (meta.data.get("content_sha256"), self._data.content),
            "number of processes": (meta.memory.get("ranks"), self._world.ranks),
        }
        other = [name for name, (there, here) in wanted.items() if there != here]
        if other:
            raise CheckpointError(
                f"{folder} is of another {' and '.join(other)}; use a new run folder, or remove this one"
            )

    def _restore(self, folder: Path, meta: Meta) -> None:
        self._learner.load_state_dict(checkpoint.weights(folder, meta))
        tensors = checkpoint.train_state(folder, meta)
        self._average.restore(_below(tensors, "raw."))
        self._stepper.restore(_below(tensors, "optimizer."))
        mine = _below(tensors, f"rank{self._world.rank}.")
        self._feed.restore(_below(mine, "feed."))
        self._states = [
            {name: each.to(self._device) for name, each in _below(mine, f"state.{part}.").items()}
            for part in range(self._config.accumulate)
        ]
        pending = _below(mine, "pending.").items()
        self._pending = {name: list(each.to(self._device).unbind()) for name, each in pending}
        held = meta.memory
        self._history = breaker.history(held["breaker"])
        self._breaker_state, self._best = held["breaker_state"], held["best"]
        self._core, self._finished = float(held["core_seconds"]), bool(held["finished"])
        self._phases, self._precision = dict(held["phases"]), held["precision"]
        self._metrics, self._step = meta.metrics, meta.step
        self._logged = (time.monotonic(), self._step)
        devices.restore_generators(_below(mine, "rng."), self._device)

    def _conclude(self, log: RunLog) -> None:
        """The last word: the best checkpoint and what it measured."""
        assert self._best is not None  # the last step is assessed
        log.emit("phase", name="save")
        folder = self._run_dir / checkpoint.FOLDER / checkpoint.name(self._best["step"])
        checkpoint.read(folder)
        where = f"{checkpoint.FOLDER}/{folder.name}/{checkpoint.META}"
        sha256 = checkpoint.sha256_of(folder / checkpoint.META)
        log.emit("artifact", path=where, sha256=sha256, title="the best checkpoint")
        metrics: dict[str, int | float] = {**self._best["metrics"], **self._consumed()}
        metrics |= {"steps": self._step, "best_step": self._best["step"]}
        metrics["parameters"] = sum(each.numel() for each in self._learner.parameters())
        runlog.succeed(self._run_dir, metrics, where, sha256)


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
