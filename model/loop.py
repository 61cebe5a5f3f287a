"""The one training loop, for every learner: it steps, assesses, judges, records and keeps.

What is written, and when a measure is taken, goes by the count of steps and never by the clock, so the
curves of a resumed run coincide with those of one that never stopped. Only the moment of a checkpoint goes by
the clock, and changes no number.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor, nn

from datagen import runlog
from datagen.runlog import RunLog
from model import breaker, checkpoint, ddp, devices, estimate, live, optim, report
from model.breaker import Verdict
from model.checkpoint import Meta
from model.config import Config, Request
from model.data import Data
from model.errors import RequestError, Stopped
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
        estimated = plan.check()
        world = ddp.Ranks(device.type) if several else ddp.Alone()
        stack.callback(world.close)
        session = Session(run_dir, asked, plan.data, plan.learner.to(device), world, log)
        world.keep(session)
        stack.enter_context(session.terminable())
        return session.run(estimated)


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
        device = next(learner.parameters()).device
        self._device = device
        self._precision = devices.precision(self._config.precision, device)
        self._heldout = {name: tensor.to(device) for name, tensor in data.heldout.items()}
        learning = [each for each in learner.named_parameters() if each[1].requires_grad]
        resident = device.type == "cpu" or data.bytes[0] < devices.free_bytes(device) // 4
        feed = RowFeed(data.train, asked.seed, device, rank=world.rank, ranks=world.ranks, resident=resident)
        torch.manual_seed((asked.seed * 1000003 + world.rank) % 2**63)  # more is refused
        with self._numbers():
            states = [learner.begin(feed, self._config.part) for _ in range(self._config.accumulate)]
        self._live = live.Live(
            learner=learner,
            average=optim.Average(learning, self._config.optimizer.average),
            stepper=optim.Stepper(self._config.optimizer, learner),
            feed=feed,
            states=states,
            device=device,
        )
        self._now = live.Standing()
        self._resume()
        self._module = world.wrap(_Stepping(learner))
        if self._config.compile:
            self._module.compile(dynamic=False)
        self._stop: Verdict | None = None
        self._share = 0.0  # of the peak rate, at the latest step
        self._terminated = threading.Event()
        self._core_mark = time.process_time()
        self._saved_at = time.monotonic()
        self._logged = (time.monotonic(), self._now.step)

    def run(self, estimated: int = 0) -> bool:
        """All steps that are left; False when a TERM interrupted them. Stopped where the breaker opened."""
        if self._log:
            told = {"resumed": self._now.step > 0, "step": self._now.step, "estimated_bytes": estimated}
            self._log.emit("phase", name="train", **told)
            self._tell_breaker(self._now.breaker_state, None)
        self._core_mark = time.process_time()
        todo = _END if self._now.finished else _GO
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
        parts, rows, own = self._config.accumulate, self._config.part, self._live
        for part in range(parts):
            with ExitStack() as stack:
                if part < parts - 1:
                    stack.enter_context(self._world.quiet(self._module))
                with self._numbers():
                    loss, shown, state = self._module(own.feed, rows, own.states[part], progress)
                (loss / parts if parts > 1 else loss).backward()
            own.states[part] = state
            for name, value in shown.items():
                own.note(name, value)
        norm = own.stepper.clip().detach()
        own.note("grad_norm", norm)
        if self._device.type == "cpu":  # elsewhere looking at a number halts the device: then at each log
            numbers = {"the loss": float(loss.detach())} if self._world.ranks == 1 else {}
            self._obey(breaker.finite(self._now.step + 1, {**numbers, "the gradients' norm": float(norm)}))
            if self._stop:
                raise Stopped(self._stop.message)
        self._share = optim.rate(self._config.optimizer, self._now.step, progress)
        own.stepper.step(self._share)
        self._learner.stepped(progress)
        own.average.follow(self._now.step)
        self._now.step += 1

    def _after(self) -> int:
        """What comes due after a step; what is to be done before the next one, on rank 0."""
        ending = self._progress() >= 1
        if self._config.core_minutes:
            ending = self._world.agree((float(ending),))[0] > 0
        if self._now.step % self._config.log_every == 0 or ending:
            with self._unmeasured():
                self._write_training()
        if self._log is None:
            return _GO
        todo = _GO
        if not self._stop and (self._now.step % self._config.assess.every == 0 or ending):
            with self._unmeasured():
                todo = _SAVE if self._assess(self._log) else _GO
        if self._stop:
            return _STOP
        if ending:
            self._now.finished = True
            return _SAVE | _END
        if self._terminated.is_set():
            return _SAVE | _INTERRUPT
        if time.monotonic() - self._saved_at >= self._config.checkpoint.seconds:
            todo |= _SAVE
        return todo

    def _write_training(self) -> None:
        """The training metrics since the last time, as means over steps and ranks; norms to the breaker."""
        values = self._live.pulled()
        self._live.pending = {}
        norms, step = values.get("grad_norm", []), self._now.step
        mine = {name: (math.fsum(each), len(each)) for name, each in values.items()}
        gathered = self._world.gather(ddp.packed(mine))
        if self._log is None:
            return
        means = ddp.unpacked(gathered)
        self._obey(breaker.finite(step, means))
        if self._stop:
            return
        self._obey(breaker.steps(self._config.breaker, self._now.history, step - len(norms), norms))
        means["lr"] = self._config.optimizer.lr * self._share
        now, (before, then) = time.monotonic(), self._logged
        self._logged = (now, step)
        if now > before:
            means["steps_per_second"] = (step - then) / (now - before)
        for name, value in means.items():
            self._log.emit("metric", name=name, value=value, step=step, split="train")
        if self._config.core_minutes:
            total = round(self._config.core_minutes * 60)
            self._log.progress(min(round(self._now.core), total), total, "core-seconds")
        else:
            self._log.progress(step, self._config.steps or 0, "steps")

    def _assess(self, log: RunLog) -> bool:
        """Measure the held-out rows; True when this is the best so far."""
        states = devices.generators(self._device)
        self._learner.eval()
        with torch.no_grad(), self._live.average.applied(), self._numbers():
            found = self._learner.assess(self._heldout, self._config.assess.rows)
        self._learner.train()
        devices.restore_generators(states, self._device)
        measures = {name: float(value) for name, value in found.items()}
        wanted = self._config.assess.best
        if "loss" not in measures or wanted not in measures:
            raise RequestError(f"assess.best: {wanted!r} is not measured, {', '.join(measures)} are")
        now = self._now
        verdicts = breaker.assessment(self._config.breaker, now.history, now.step, measures)
        self._obey(verdicts)
        if any(each.rule == "finite" for each in verdicts):
            return False
        if not verdicts and now.breaker_state == "warn":
            self._tell_breaker("closed", None)
        now.metrics = measures
        for name, value in measures.items():
            log.emit("metric", name=name, value=value, step=now.step, split="heldout")
        for name, value in self._consumed().items():
            log.emit("metric", name=name, value=value, step=now.step, split="train")
        if now.best is None or _worth(measures, wanted) > _worth(now.best["metrics"], wanted):
            now.best = {"step": now.step, "metrics": measures}
            return True
        return False

    def _obey(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            self._tell_breaker("open" if verdict.act == "stop" else "warn", verdict)
        self._stop = self._stop or breaker.stops(verdicts)

    def _tell_breaker(self, state: str, verdict: Verdict | None) -> None:
        self._now.breaker_state = state
        if not self._log:
            return
        said = (verdict.rule, verdict.message, verdict.numbers) if verdict else ("", "", {})
        numbers = {name: value for name, value in said[2].items() if math.isfinite(value)}
        self._log.emit(
            "breaker", state=state, step=self._now.step, rule=said[0], message=said[1], numbers=numbers
        )

    def _progress(self) -> float:
        """From 0 to 1, by steps, by consumed CPU time, or by whichever of both is further."""
        by_steps = self._now.step / self._config.steps if self._config.steps else 0.0
        if not self._config.core_minutes:
            return by_steps
        self._count_core()
        return min(1.0, max(by_steps, self._now.core / (60 * self._config.core_minutes)))

    def _count_core(self) -> None:
        now = time.process_time()
        self._now.core += now - self._core_mark
        self._core_mark = now

    @contextmanager
    def _unmeasured(self) -> Iterator[None]:
        """CPU time within is not the training's: how often one looks must not change what is learned."""
        self._count_core()
        yield
        self._core_mark = time.process_time()

    def _consumed(self) -> dict[str, float]:
        return {"core_seconds": self._now.core, "memory_bytes": float(devices.peak_bytes(self._device))}

    def _numbers(self) -> AbstractContextManager[object]:
        return devices.numbers(self._precision, self._device)

    def _save(self) -> None:
        """Write a checkpoint of this step, of all ranks' parts; the oldest make room for it."""
        if self._device.type != "cpu":
            pending = {name: math.fsum(values) for name, values in self._live.pulled().items()}
            self._obey(breaker.finite(self._now.step, pending))
            if self._stop:
                raise Stopped(self._stop.message)
        train_state = self._live.train_state(self._world)
        self._saved_at = time.monotonic()
        if self._log is None:
            return
        now = self._now
        if now.finished:
            now.phases["train"] = checkpoint.name(now.step)
        with self._live.average.applied():
            folder = checkpoint.save(self._run_dir, self._meta(), self._learner.state_dict(), train_state)
        best = checkpoint.name(now.best["step"]) if now.best else None
        checkpoint.index(self._run_dir, {"best": best, "last": folder.name, "phases": now.phases})
        self._log.checkpoint(
            path=f"{checkpoint.FOLDER}/{folder.name}",
            step=now.step,
            kind="phase" if now.finished else "best" if best == folder.name else "last",
            bytes=checkpoint.size_of(folder),
            sha256=checkpoint.sha256_of(folder / checkpoint.META),
        )
        keep = {folder.name, *now.phases.values(), *([best] if best else [])}
        checkpoint.prune(self._run_dir, keep, self._config.checkpoint.keep_bytes)

    def _meta(self) -> Meta:
        return Meta(
            learner=self._config.learner,
            config=self._config.model_dump(mode="json"),
            config_key=self._config.key(),
            data=self._data.described(),
            seed=self._asked.seed,
            step=self._now.step,
            phase="end" if self._now.finished else "train",
            metrics=self._now.metrics,
            memory={**self._now.body(), "precision": self._precision, "ranks": self._world.ranks},
        )

    def _resume(self) -> None:
        """Go on from the newest whole checkpoint, where there is one."""
        if self._log:
            checkpoint.tidy(self._run_dir)
        found = checkpoint.newest(self._run_dir)
        for line in found.refused if self._log else ():
            assert self._log
            self._log.emit("alert", level="warn", message=f"{line}; an older one is taken")
        meta = found.meta
        if found.folder is None or meta is None:
            return
        wanted: dict[str, tuple[object, object]] = {
            "learner": (meta.learner, self._config.learner),
            "configuration": (meta.config_key, self._config.key()),
            "seed": (meta.seed, self._asked.seed),
            "data set": (meta.data.get("content_sha256"), self._data.content),
            "number of processes": (meta.memory.get("ranks"), self._world.ranks),
        }
        if self._asked.encoder is None or self._data.encoder:  # one that is gone is judged by the learner
            wanted["encoder"] = meta.data.get("encoder_sha256"), self._data.encoder
        live.hold_against(found.folder, wanted)
        self._now = live.standing(meta)
        self._precision = "bf16" if meta.memory["precision"] == "bf16" else "fp32"
        self._live.restore(found.folder, meta, self._world.rank)

    def _conclude(self, log: RunLog) -> None:
        """The last word: the best checkpoint and what it measured."""
        best = self._now.best
        assert best is not None  # the last step is assessed
        log.emit("phase", name="save")
        folder = self._run_dir / checkpoint.FOLDER / checkpoint.name(best["step"])
        checkpoint.read(folder)
        where = f"{checkpoint.FOLDER}/{folder.name}/{checkpoint.META}"
        sha256 = checkpoint.sha256_of(folder / checkpoint.META)
        log.emit("artifact", path=where, sha256=sha256, title="the best checkpoint")
        metrics: dict[str, int | float] = {**best["metrics"], **self._consumed()}
        metrics |= {"steps": self._now.step, "best_step": best["step"]}
        metrics["parameters"] = sum(each.numel() for each in self._learner.parameters())
        report.write(self._run_dir, log)
        runlog.succeed(self._run_dir, metrics, where, sha256)


def _worth(measures: Mapping[str, float], wanted: str) -> tuple[float, float]:
    """What makes a checkpoint best; of equal ones less loss, as one that is right by luck is not sure."""
    sign = -1 if wanted.startswith(_LOWER_IS_BETTER) else 1
    return sign * measures[wanted], -measures["loss"]
