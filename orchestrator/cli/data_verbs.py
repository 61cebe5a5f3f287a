"""Data sets without a ticket: which recipes there are, one made, one looked at."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from orchestrator.cli import following, output
from orchestrator.cli.output import Exit, Failed, Wrong, complain, line, table

if TYPE_CHECKING:
    from orchestrator.runs import Result

_LISTING = 60.0  # seconds for the recipes' own packages to load


class _ByRecipe(TyperGroup):
    """`jetbox data RECIPE` means `jetbox data make RECIPE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Whatever is no verb of this group is for `make`."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["make", *args]
        return super().parse_args(ctx, args)


APP = typer.Typer(
    cls=_ByRecipe,
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
DataFolder = Annotated[Path, typer.Argument(metavar="DIR", help="A run folder, or its data folder.")]


def every(context: typer.Context) -> int:
    """Make data sets without a ticket. Alone, it lists the recipes and their options.

    Example:
      jetbox data
      jetbox data puzzle/sudoku --option size=6 --count 1000 --out /tmp/sudoku
      jetbox data sheet /tmp/sudoku
    """
    if context.invoked_subcommand is not None:
        return 0
    import json

    listed = json.loads(_datagen("catalogue", within=_LISTING))
    table(("recipe", "what it makes"), [(each["name"], each["about"] or each["fault"]) for each in listed])
    for each in listed:
        for name, option in each["options"].items():
            default = option["default"]
            shown = ",".join(map(str, default)) if isinstance(default, list) else default
            line(f"{each['name']}  {name}={shown}  ({option['allowed']})", "faint")
    return 0


def make(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Such as text/worked-steps.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The run folder; the rows come under DIR/data.")],
    count: Annotated[int, typer.Option(min=1, help="Rows.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    shards: Annotated[int, typer.Option(min=1, help="Files the rows are spread over.")] = 8,
    option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the recipe; repeatable.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes; they change no byte.")] = 1,
    json: Annotated[
        bool, typer.Option("--json", help="The run's events, one a line; the result last.")
    ] = False,
) -> int:
    """Make a data set by a recipe. Cut off, the same command takes it up again.

    Example:
      jetbox data text/worked-steps --count 1000 --seed 7 --out /tmp/steps
      jetbox data image/scenes --option size=64 --workers 2 --out /tmp/scenes
    """
    from importlib.metadata import entry_points

    from tickets.problems import did_you_mean, listed

    known = {point.name for point in entry_points(group="jetbox.recipes")}
    if recipe not in known:
        raise Wrong(f"no recipe {recipe!r}, there is {listed(known)}{did_you_mean(recipe, known)}")
    request = {"schema": 1, "recipe": recipe, "seed": seed, "count": count, "shards": min(shards, count)}
    request |= {"options": dict(map(_option, option or ()))}
    if workers > 1:
        request["workers"] = workers
    _given(out, request, complain if json else line)
    try:
        result = following.follow(out, "datagen", request, json=json, noun="rows")
    except following.Interrupted:
        complain(f"stopped: the same command goes on where {out} is")
        return Exit.INTERRUPTED
    return _ended(out, result, json)


def sheet(
    folder: DataFolder,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where it goes; without, DIR/sheet.png.")
    ] = None,
) -> int:
    """Draw the first rows of a data set on one picture: scenes, puzzles, mazes, frames, texts.

    Example:
      jetbox data sheet /tmp/scenes
    """
    where = out or folder / "sheet.png"
    _datagen("sheet", str(_data(folder)), str(where))
    line(f"Drew {where}", "landed")
    return 0


def verify(folder: DataFolder) -> int:
    """Hold a data set's files against its manifest.

    Example:
      jetbox data verify /tmp/scenes
    """
    line(_datagen("verify", str(_data(folder))).strip())
    return 0


VERBS = (("make", make), ("sheet", sheet), ("verify", verify))


def _option(text: str) -> tuple[str, Any]:
    """NAME=VALUE: a whole number, words between commas, or a word."""
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise Wrong(f"--option takes NAME=VALUE, not {text!r}: `jetbox data` lists them")
    if value.lstrip("-").isdecimal() and len(value) < 20:
        return name, int(value)
    return name, value.split(",") if "," in value else value


def _data(folder: Path) -> Path:
    return folder / "data" if (folder / "data").is_dir() else folder


def _datagen(module: str, *arguments: str, within: float | None = None) -> str:
    """What a program of the data wing prints; its complaint where it fails."""
    import subprocess
    import sys

    from orchestrator import process

    command = [sys.executable, "-P", "-m", f"datagen.{module}", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, env=process.environment(), timeout=within
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"datagen.{module} was not done in {within:.0f} s") from None
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        complaint = done.stderr.decode("utf-8", "replace").strip() or said.strip()
        raise Failed(complaint.splitlines()[-1] if complaint else f"datagen.{module} failed")
    return said


def _given(out: Path, request: dict[str, Any], tell: Callable[[str], None]) -> None:
    """Fetch what the run can't fetch itself, from what the person lets the engine reach."""
    import threading

    from orchestrator import comfyui, runs

    if request["recipe"] != comfyui.RECIPE or runs.result(out) or runs.alive(out):
        return
    try:
        with _guarded():
            comfyui.give(out, request, threading.Event(), tell, _tenths(tell))
    except comfyui.GiveError as error:
        raise Failed(str(error)) from error


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    import os

    from orchestrator import user
    from orchestrator.reach import guard, reach

    with guard(reach(user.load().servers, os.environ.get("OLLAMA_HOST")).servers):
        yield


def _tenths(tell: Callable[[str], None]) -> Callable[[float], None]:
    """Says each tenth that is there."""
    shown = -1

    def share(there: float) -> None:
        nonlocal shown
        if int(10 * there) > shown:
            shown = int(10 * there)
            tell(f"{10 * shown:>3} %  of the images")

    return share


def _ended(out: Path, result: Result, json: bool) -> int:
    made = result.artifact
    manifest = out / made.path if made else None
    if json:
        from orchestrator.cli.models import DataResult

        output.json_object(
            DataResult(
                ok=result.ok,
                error=result.error,
                manifest=manifest.as_posix() if manifest else None,
                sha256=made.sha256 if made else None,
                metrics=dict(result.metrics),
            ),
            indent=None,
        )
    elif result.ok and manifest:
        figures = ", ".join(f"{name} {value:g}" for name, value in sorted(result.metrics.items()))
        line(f"Made {manifest} ({figures})", "landed")
        if (picture := out / "sheet.png").exists():
            line(f"Its first rows: {picture}")
    else:
        raise Failed(result.error or "the run failed")
    return Exit.DONE if result.ok else Exit.FAILED
