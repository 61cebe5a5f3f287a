"""The complete request of a training or evaluation run: the driver of the action `Resolve`.

What it finds is written into the journal and never looked up again, so that a run which goes on after an
upgrade, an edit of the repository or a new landing is still the one that a person was shown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.actions import Resolve
from orchestrator.attempt import Attempt
from orchestrator.place import Performed, Place
from orchestrator.training import presets
from orchestrator.training.digests import sha256_of
from orchestrator.training.options import EvalOptions, TrainOptions
from orchestrator.training.presets import BadConfig
from state import durable
from state.run_events import open_regular
from tickets import strict_yaml

MOST_BASELINE = 1024 * 1024  # bytes
_MOST_MANIFEST = 16 * 1024 * 1024  # bytes, as for who reads it
_RESIDENT = 4  # times its weights that a model takes while it is measured: itself, and what it computes with


def resolve(action: Resolve, attempt: Attempt, place: Place) -> Performed:
    """The request, with the files that it stands on and their checksums; failed where it cannot be made."""
    try:
        if action.what == "train":
            made = train(TrainOptions.model_validate(action.options), action.changes, place)
        else:
            made = evaluate(EvalOptions.model_validate(action.options), attempt, place)
    except BadConfig as error:
        return Performed("failed", {"why": str(error)})
    return Performed("done", made)


def train(options: TrainOptions, changes: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """What a training run is asked, from a ticket's options and what a person changed since."""
    pins: dict[str, str] = {}
    config, source = configuration(options.config, place)
    config = configured(config, options, changes)
    data = _data(options.data, place, pins)
    encoder = _checkpoint(options.encoder, place, pins) if options.encoder else None
    request: dict[str, Any] = {
        "schema": 1,
        "learner": options.model,
        "config": config,
        "data": data["folder"],
        "encoder": encoder,
        "seed": options.seed,
        "device": options.device,
    }
    if options.devices > 1:
        request["devices"] = options.devices
    return {"request": request, "pins": pins, "config": source, "data": data}


def configured(config: dict[str, Any], options: TrainOptions, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration under a ticket's options; BadConfig where they do not go together."""
    if config["learner"] != options.model:
        said = f"{options.config} is for {config['learner']}"
        raise BadConfig(f"{said}, and the model is to be {options.model}")
    more = {f"model.{key}": value for key in ("freeze", "ablate") if (value := getattr(options, key))}
    config = presets.changed(config, {**options.set, **more})
    return presets.changed(presets.budget(config, options.steps, options.time), changes)


def configuration(name: str, place: Place) -> tuple[dict[str, Any], dict[str, str]]:
    """A shipped preset, or a file of the repository at the base as it stands; and where it is from."""
    if presets.is_name(name):
        return presets.shipped(name), {"name": name, "from": "shipped with Jetbox"}
    data, commit = _at_base(name, place, strict_yaml.MOST_BYTES)
    return presets.parse(data, name), {"name": name, "from": commit}


def evaluate(options: EvalOptions, attempt: Attempt, place: Place) -> dict[str, Any]:
    """What an evaluation is asked. The baseline comes from the base's commit, into the run's own folder."""
    pins: dict[str, str] = {}
    tickets = [options.model] if isinstance(options.model, str) else options.model
    models = [_checkpoint(each, place, pins) for each in tickets]
    data = _data(options.data, place, pins)
    baseline, commit = None, ""
    if options.baseline != "none":
        text, commit = _at_base(options.baseline, place, MOST_BASELINE)
        path = place.workspace.run(attempt.ticket, attempt.number) / "wanted-baseline.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(path, text)
        pins[path.relative_to(place.workspace.root).as_posix()] = hashlib.sha256(text).hexdigest()
        baseline = str(path)
    request = evaluation(options, models, tickets, data["folder"], baseline)
    pool = place.models.room()[0]
    shared = options.device in ("auto", "cuda") if pool == "gpu" else options.device != "cuda"
    largest = max(_size(Path(each) / "model.safetensors") for each in models)
    memory = _RESIDENT * largest if shared else 0
    named = {"name": options.baseline, "from": commit}
    return {"request": request, "pins": pins, "data": data, "baseline": named, "memory": memory}


def evaluation(
    options: EvalOptions, models: list[str], names: list[str], data: str, baseline: str | None
) -> dict[str, Any]:
    """The request itself."""
    request: dict[str, Any] = {
        "schema": 1,
        "suite": options.suite,
        "models": models,
        "data": data,
        "seeds": list(dict.fromkeys(options.seeds)),
        "baseline": baseline,
        "device": options.device,
        "names": names,
    }
    if options.rows is not None:
        request["rows"] = options.rows
    if options.options:
        request["options"] = options.options
    return request


def altered(pins: Mapping[str, str], root: Path) -> str:
    """Which file is not any more what the request was made on; '' where all are."""
    for name, sha256 in pins.items():
        try:
            same = sha256_of(root / name) == sha256
        except OSError as error:
            return f"{name} cannot be read ({error.strerror or error}): make it again"
        if not same:
            return f"{name} was changed after the request was made: make it again"
    return ""


def manifest(data_dir: Path) -> dict[str, Any]:
    """The manifest of a data set as plain data; BadConfig where it is none. The child reads it strictly."""
    path = data_dir / "manifest.json"
    try:
        with open_regular(path) as file:
            text = file.read(_MOST_MANIFEST + 1)
        body = json.loads(text) if len(text) <= _MOST_MANIFEST else None
    except (OSError, ValueError, RecursionError) as error:
        raise BadConfig(f"{path} cannot be read: {error}") from None
    if not isinstance(body, dict) or not isinstance(body.get("content_sha256"), str):
        raise BadConfig(f"{path} is no manifest of a data set")
    return body


def _at_base(path: str, place: Place, most: int) -> tuple[bytes, str]:
    """A file of the repository where its base stands now, and the commit."""
    why, commit = place.base()
    if why:
        raise BadConfig(why)
    data = place.repo.show_file(place.repo.tree_of(commit), path)
    if data is None:
        raise BadConfig(f"{path} is not in the repository at {commit[:10]}: commit it, then try again")
    if len(data) > most:
        raise BadConfig(f"{path} is {len(data)} bytes long, expected at most {most}")
    return data, commit


def _artifact(ticket: str, place: Place, pins: dict[str, str]) -> Path:
    made = place.artifacts.get(ticket)
    if not made:
        raise BadConfig(f"{ticket} has landed nothing that could be used: it is no data set and no model")
    pins[str(made["path"])] = str(made["sha256"])
    return Path(place.workspace.root, str(made["path"]))


def _data(ticket: str, place: Place, pins: dict[str, str]) -> dict[str, Any]:
    path = _artifact(ticket, place, pins)
    if path.name != "manifest.json":
        raise BadConfig(f"{ticket} has landed no data set: its artifact is {path.name}")
    body = manifest(path.parent)
    return {
        "ticket": ticket,
        "folder": str(path.parent),
        "recipe": str(body.get("recipe", "")),
        "rows": body.get("count"),
        "provenance": str(body.get("provenance", "")),
        "sha256": body["content_sha256"],
    }


def _checkpoint(ticket: str, place: Place, pins: dict[str, str]) -> str:
    path = _artifact(ticket, place, pins)
    if path.name != "checkpoint.json":
        raise BadConfig(f"{ticket} has landed no trained model: its artifact is {path.name}")
    return str(path.parent)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise BadConfig(f"{path} cannot be read: {error.strerror or error}") from None
