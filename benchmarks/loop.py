"""What the training loop costs beside what it trains: `python benchmarks/loop.py` prints one JSON object.

The same steps, once by the product's loop with all it writes, judges and keeps, and once bare: the learner's
step, backward pass, clipping, optimizer and averaging and nothing else, in the same process, by turns. Times
are CPU time, the least of some rounds. The steps are small, as what is added does not depend on their size.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "model"))

from model import devices

devices.prepare_environment(1)

import tiny_runs  # noqa: E402
import torch  # noqa: E402

from model import config, ddp, estimate, learners, loop, optim  # noqa: E402


def main() -> int:
    """Parse, measure, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hidden", type=int, default=64, help="small, so that what is added shows")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    learners.BUILT_IN["tiny"] = "tiny_learner:build"
    devices.settle(1, attention="auto")
    whole, bare = [], []
    with tempfile.TemporaryDirectory(prefix="jetbox-loop-") as scratch:
        data = tiny_runs.data_set(Path(scratch) / "data", rows=2000)
        for number in range(asked.rounds):
            run = Path(scratch) / str(number)
            over = {"model": {"hidden": asked.hidden}, "batch": 64, "steps": asked.steps}
            tiny_runs.request(run, data, **over, assess={"every": 10**6, "rows": 8})
            whole.append(by_the_loop(run))
            bare.append(by_hand(run))
    step = min(bare) / asked.steps
    extra = (min(whole) - min(bare)) / asked.steps
    told = {"steps": asked.steps, "bare_ms": 1e3 * step, "loop_adds_ms": 1e3 * extra}
    told |= {"share_of_a_30_ms_step": extra / 0.030}
    print(json.dumps({"benchmark": "loop", **told}, indent=1))
    return 0


def session(run: Path, log: loop.RunLog | None) -> loop.Session:
    """A run that is ready for its first step."""
    asked = config.read(run)
    plan = estimate.plan(asked, torch.device("cpu"))
    return loop.Session(run, asked, plan.data, plan.learner, ddp.Alone(), log)


def by_the_loop(run: Path) -> float:
    """CPU seconds of all steps with metrics, the breaker and the clock; checkpoints and assessments apart."""
    with loop.RunLog(run) as log:
        now = session(run, log)
        now._save = lambda: None  # type: ignore[method-assign]  # counted by the checkpoint's own seconds
        now._assess = lambda log: False  # type: ignore[method-assign]
        now._conclude = lambda log: None  # type: ignore[method-assign]
        begun = time.process_time()
        now.run()
        return time.process_time() - begun


def by_hand(run: Path) -> float:
    """CPU seconds of the bare steps."""
    now = session(run, None)
    settings, own = config.read(run).config, now._live
    begun = time.process_time()
    for step in range(settings.steps or 0):
        made = own.learner.advance(own.feed, settings.part, own.states[0], step / (settings.steps or 1))
        made.loss.backward()
        own.states[0] = made.state
        own.stepper.clip()
        own.stepper.step(optim.rate(settings.optimizer, step, 0.5))
        own.learner.stepped(0.5)
        own.average.follow(step)
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main())
