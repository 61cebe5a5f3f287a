"""A double of `model.train`: a training run by the real run protocol, whose learner is one number.

It stands in where a test is about the engine and not about learning: no torch, some milliseconds a step. It
keeps checkpoints by time, goes on exactly, and goes wrong in each way that the configuration's `model` says:

    pace: seconds a step          fail: the line it fails with     die: the step at which each life dies
    anew: it forgets its checkpoints                               drifts: it goes on with another number
    noise: no two runs are alike  phones: it tries the network     trips: the step at which the breaker opens
    stays: it goes on after a TERM, without a last checkpoint
    full: the step at which the disk is full, once
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from datagen import files, runlog
from datagen.runlog import RunLog


def main(run_dir: Path) -> int:
    """Work, or go on."""
    request = json.loads((run_dir / "request.json").read_text())
    config, model = request["config"], request["config"].get("model") or {}
    steps = config.get("steps") or int(config["core_minutes"] * 60 / 0.01)
    asked: list[int] = []
    if not model.get("stays"):
        signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    content = json.loads((Path(request["data"]) / "manifest.json").read_text())["content_sha256"]
    state = {"step": 0, "value": float(request["seed"] % 97), "best": 1e9, "best_step": 0}
    if not model.get("anew"):
        state |= _newest(run_dir)
    if model.get("drifts") and state["step"]:
        state["value"] += 1e-9
    if model.get("noise"):
        state["value"] += random.SystemRandom().random()
    if model.get("phones"):
        with contextlib.suppress(OSError):
            socket.create_connection(("192.0.2.1", 9), timeout=1).close()
    if model.get("fail"):
        runlog.fail(run_dir, model["fail"])
        return 1
    seconds, last = (config.get("checkpoint") or {}).get("seconds", 60), time.monotonic()
    every = (config.get("assess") or {}).get("every", 10)
    with RunLog(run_dir) as log:
        log.emit("phase", name="train", resumed=bool(state["step"]))
        while state["step"] < steps:
            time.sleep(model.get("pace", 0.002))
            step = state["step"] = state["step"] + 1
            state["value"] = (state["value"] * 1.37 + step) % 97
            loss = 1.0 / (1 + step) + state["value"] / 1e6
            log.emit("metric", name="loss", value=loss, step=step, split="train")
            if step % every == 0 or step == steps:
                log.emit("metric", name="loss", value=loss, step=step, split="heldout")
                log.emit("metric", name="steps_per_second", value=1 / model.get("pace", 0.002), step=step)
                state["best"], state["best_step"] = min((state["best"], state["best_step"]), (loss, step))
            log.progress(step, steps, "steps")
            if step == model.get("trips"):
                log.emit("breaker", state="open", rule="finite", message=f"loss is nan at step {step}")
                runlog.fail(run_dir, f"stopped by the breaker: loss is nan at step {step}")
                return 1
            if step == model.get("full") and not (run_dir / "was-full").exists():
                (run_dir / "was-full").touch()
                _save(run_dir, request, content, state, log)
                runlog.give_up(run_dir, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
                return 1
            if asked or step == steps or time.monotonic() - last >= seconds:
                last = time.monotonic()
                _save(run_dir, request, content, state, log)
            if asked:
                sys.exit(143)
            if step == model.get("die"):
                os.kill(os.getpid(), signal.SIGKILL)
    path = f"checkpoints/step-{steps:08d}/checkpoint.json"
    sha256 = hashlib.sha256((run_dir / path).read_bytes()).hexdigest()
    metrics = {"loss": state["best"], "exact": 0.9, "core_seconds": time.process_time()}
    runlog.succeed(run_dir, metrics, path, sha256)
    return 0


def _save(run_dir: Path, request: dict[str, Any], content: str, state: dict[str, Any], log: RunLog) -> None:
    folder = run_dir / "checkpoints" / f"step-{state['step']:08d}"
    if (folder / "checkpoint.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    named = {}
    for name, body in (("model.safetensors", {"value": state["value"]}), ("train.safetensors", state)):
        data = json.dumps(body, sort_keys=True).encode()
        files.replace(folder / name, data)
        named[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    body = {"version": 1, "learner": request["learner"], "data": {"content_sha256": content}, "files": named}
    text = json.dumps(body, sort_keys=True).encode()
    files.replace(folder / "checkpoint.json", text)
    sha256 = hashlib.sha256(text).hexdigest()
    path = f"checkpoints/{folder.name}/checkpoint.json"
    log.checkpoint(path=path, sha256=sha256, step=state["step"], kind="last")


def _newest(run_dir: Path) -> dict[str, Any]:
    found = sorted((run_dir / "checkpoints").glob("step-*/checkpoint.json"))
    return json.loads((found[-1].parent / "train.safetensors").read_text()) if found else {}
