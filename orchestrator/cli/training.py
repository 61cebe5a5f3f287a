"""Verbs that train and measure without a ticket: the same child runs, followed where one sits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import output
from orchestrator.cli.look import Json
from orchestrator.cli.output import Exit, Failed, Wrong, complain, line

if TYPE_CHECKING:
    from orchestrator.runs import Result

Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="A data set: a run's folder, or its data folder.")
]
Run = Annotated[Path | None, typer.Option("--run", metavar="DIR", help="Where the run lies.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --run, as it was asked for.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")]


def train(
    config: Annotated[
        str | None,
        typer.Argument(metavar="[CONFIG]", help="A shipped configuration, or a YAML file."),
    ] = None,
    data: Data = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value, such as optimizer.lr=0.002."),
    ] = None,
    encoder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A trained model whose latents this one stands on.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="How long, in steps.")] = None,
    time: Annotated[str | None, typer.Option(metavar="T", help="How long, in consumed CPU time: 4m.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    device: Device = "auto",
    devices: Annotated[int, typer.Option(min=1, max=64, help="How many of them.")] = 1,
    run: Run = None,
    resume: Resume = False,
    json: Json = False,
) -> int:
    """Train a model, without a ticket.

    Its checkpoints and figures come into a run folder: --run, or the next free one in `runs/`. Ctrl-C leaves
    a checkpoint, and --resume goes on from it to the very same numbers. Without a CONFIG they are listed.

    Example:
      jetbox train hrm-sudoku4 --data /tmp/sudoku --time 2m
      jetbox train --run runs/hrm-sudoku4/1 --resume
    """
    from orchestrator.extras import MODELS, lacking
    from orchestrator.kinds.train import MODULE
    from orchestrator.training import presets

    if resume:
        where, request = _resumed(run, "learner", [config, data, changes, encoder, steps, time])
    elif config is None:
        for name in presets.names():
            line(f"{name}  {presets.shipped(name).get('about', '')}")
        return Exit.DONE
    else:
        from orchestrator.cli.following import fresh

        settled = presets.changed(_config(config), presets.pairs(changes or []))
        settled = presets.budget(settled, steps, _seconds(time))
        request = {
            "schema": 1,
            "learner": settled["learner"],
            "config": settled,
            "data": str(_data(data)),
            "encoder": str(_model(encoder)) if encoder else None,
            "seed": seed,
            "device": _device(device),
        }
        if devices > 1:
            request["devices"] = devices
        where = fresh(run, _root(), Path(config).stem)
    if why := lacking(MODELS, "training"):
        raise Failed(why)
    return _follow(where, MODULE, request, json, "train")


def evaluate(
    suite: Annotated[
        str | None, typer.Argument(metavar="[SUITE]", help="scenes, questions, sudoku or maze.")
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="A checkpoint, or a run's folder; several are compared."),
    ] = None,
    data: Data = None,
    seeds: Annotated[str, typer.Option(metavar="A,B,C", help="What counts is the mean over them.")] = "0,1,2",
    rows: Annotated[int | None, typer.Option(min=8, help="At most so many test rows.")] = None,
    baseline: Annotated[Path | None, typer.Option(metavar="FILE", help="Figures to hold.")] = None,
    write_baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the figures as a baseline, for you to commit.")
    ] = None,
    device: Device = "cpu",
    run: Run = None,
    resume: Resume = False,
    json: Json = False,
) -> int:
    """Measure trained models on test rows, without a ticket.

    A report comes into a run folder. It exits 1 where a figure has fallen behind the baseline. A new baseline
    is written only where --write-baseline names a file.

    Example:
      jetbox eval sudoku --model runs/hrm-sudoku4/1 --data /tmp/sudoku
      jetbox eval sudoku --model runs/TICKET-003/1 --data runs/TICKET-001/1 --baseline baselines/sudoku.json
    """
    from orchestrator.extras import MODELS, lacking
    from orchestrator.kinds.eval import MODULE

    if resume:
        where, request = _resumed(run, "suite", [suite, model, data, rows, baseline])
    elif suite is None:
        raise Wrong("name a suite: scenes, questions, sudoku or maze")
    else:
        from orchestrator.cli.following import fresh

        if not model:
            raise Wrong("name what is measured: --model DIR, once or several times")
        request = {
            "schema": 1,
            "suite": suite,
            "models": [str(_model(each)) for each in model],
            "data": str(_data(data)),
            "seeds": _seeds(seeds),
            "baseline": str(_file(baseline)) if baseline else None,
            "device": _device(device),
        }
        if rows is not None:
            request["rows"] = rows
        where = fresh(run, _root(), f"eval-{suite}")
    if why := lacking(MODELS, "evaluation"):
        raise Failed(why)
    return _follow(where, MODULE, request, json, "eval", write_baseline)


def _follow(
    where: Path, module: str, request: dict[str, Any], json: bool, verb: str, keep: Path | None = None
) -> int:
    from orchestrator.cli.following import Interrupted, follow

    try:
        result = follow(where.absolute(), module, request, json=json, noun=verb)
    except Interrupted:
        complain(f"stopped: `jetbox {verb} --run {where} --resume` goes on")
        return Exit.INTERRUPTED
    if json:
        from orchestrator.cli.models import RunResult

        made = result.artifact
        output.json_object(
            RunResult(
                ok=result.ok,
                error=result.error,
                run=where.as_posix(),
                artifact=(where / made.path).as_posix() if made else None,
                sha256=made.sha256 if made else None,
                metrics=dict(result.metrics),
            ),
            indent=None,
        )
    elif not result.ok:
        raise Failed(f"{result.error or 'the run failed'} (its folder: {where})")
    else:
        _told(where, result)
    if result.ok and keep is not None:
        _keep(where, keep, quiet=json)
    behind = bool(result.metrics.get("regressed"))
    if behind and not json:
        complain(f"{result.metrics['regressed']:g} figures fell behind the baseline: see {where}/report")
    return Exit.DONE if result.ok and not behind else Exit.FAILED


def _told(where: Path, result: Result) -> None:
    for name, value in sorted(result.metrics.items()):
        spread = result.metrics.get(f"{name}_spread")
        if not name.endswith("_spread"):
            line(f"  {name:<28} {value:.6g}" + (f"  (spread {spread:.3g})" if spread is not None else ""))
    made = result.artifact
    line(f"Made {where / made.path}" if made else f"Done: {where}", "landed")


def _keep(where: Path, keep: Path, *, quiet: bool) -> None:
    """Copy the figures that the run proposes as a baseline to where the person wants them."""
    from state import durable

    made = where / "baseline.json"
    if not made.is_file():
        raise Failed(f"the evaluation left no {made.name}: there is nothing to keep")
    keep.parent.mkdir(parents=True, exist_ok=True)
    durable.replace(keep.absolute(), made.read_bytes())
    if not quiet:
        line(f"Written to {keep}: read it, and commit it")


# What was named ------------------------------------------------------------------------------------------


def _config(name: str) -> dict[str, Any]:
    from orchestrator.training import presets

    path = Path(name)
    if path.suffix in (".yaml", ".yml") or not presets.is_name(name):
        return presets.parse(_file(path).read_bytes(), path.name)
    return presets.shipped(name)


def _file(path: Path) -> Path:
    if not path.is_file():
        raise Wrong(f"no file {path}")
    return path.absolute()


def _data(path: Path | None) -> Path:
    if path is None:
        raise Wrong("name the data set: --data DIR; `jetbox data` makes one")
    for each in (path, path / "data"):
        if (each / "manifest.json").is_file():
            return each.absolute()
    raise Wrong(f"no data set in {path}: `jetbox data` makes one")


def _model(path: Path) -> Path:
    """A checkpoint's folder: itself, or the best one of a run."""
    from orchestrator import runs

    if (path / "checkpoint.json").is_file():
        return path.absolute()
    found = runs.result(path) if path.is_dir() else None
    if found is not None and found.ok and found.artifact and found.artifact.path.endswith("checkpoint.json"):
        return (path / found.artifact.path).parent.absolute()
    raise Wrong(f"no trained model in {path}: name a run's folder that has ended well, or a checkpoint's")


def _seeds(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and len(part) < 10 for part in parts):
        raise Wrong(f"--seeds takes numbers such as 0,1,2, not {text!r}")
    return list(dict.fromkeys(map(int, parts)))


def _seconds(text: str | None) -> str | None:
    from tickets import values

    if text is not None:
        try:
            values.seconds(text)
        except ValueError as error:
            raise Wrong(f"--time {error}") from None
    return text


def _device(name: str) -> str:
    if name not in ("auto", "cpu", "cuda", "mps"):
        raise Wrong(f"--device takes auto, cpu, cuda or mps, not {name!r}")
    return name


def _root() -> Path:
    """Where runs lie: the workspace's folder for them, or one right here."""
    from orchestrator.workspaces import NoWorkspace, find

    try:
        return find(Path()).runs
    except NoWorkspace:
        return Path("runs")


def _resumed(run: Path | None, key: str, given: list[object]) -> tuple[Path, dict[str, Any]]:
    """A run that can be gone on with, and its request; what it failed with is not the last word any more.

    Args:
        run: its folder.
        key: what the request of a run of the right kind has.
        given: what else was asked for; nothing else can be.
    """
    from orchestrator import runs
    from state.run_folder import RESULT
    from state.run_list import request

    if any(each is not None for each in given):
        raise Wrong("--resume goes on with what was asked: give --run DIR --resume alone")
    if run is None:
        raise Wrong("--resume goes on with a run: name its folder by --run")
    asked = request(run)
    if key not in asked:
        raise Wrong(f"{run} holds no run to go on with" + (" of this kind" if asked else ""))
    found = runs.result(run)
    if found is not None and not found.ok and not runs.alive(run):
        (run / RESULT).unlink(missing_ok=True)
    return run, asked
