"""Verbs about models: who serves which role here, one in or out of memory, one tried."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import output
from orchestrator.cli.look import Json
from orchestrator.cli.output import Failed, line, table

if TYPE_CHECKING:
    from orchestrator.models.catalogue import Wish
    from orchestrator.models.service import Models

APP = typer.Typer(
    help="Which local model serves which role, and what the memory holds.\n\n\b\nExample:\n  jetbox models",
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="As `jetbox models` lists it, or PROVIDER/NAME.")]


def every(context: typer.Context, json: Json = False) -> int:
    """List the roles, who serves each, and why the others do not.

    Example:
      jetbox models
      jetbox models --json | jq '.roles[] | .role'
    """
    if context.invoked_subcommand is not None:
        return 0
    from orchestrator.cli.models import ModelsReport
    from orchestrator.models.picture import picture
    from orchestrator.models.report import WAIT

    with _models() as models:
        for role in models.catalogue.roles:
            models.judged(role, WAIT)
        models.learn()
        seen = picture(models, 0)
    report = ModelsReport.model_validate(
        {
            "policy": seen.policy,
            "reserve": seen.reserve,
            "roles": [
                {"role": each.role, "candidates": [vars(one) for one in each.candidates]}
                for each in seen.roles
            ],
            "holders": [
                {"who": each.who, "bytes": each.bytes, "context": each.context} for each in seen.holders
            ],
            "devices": [vars(each) for each in seen.devices],
            "findings": [{"model": each.model, "says": list(each.says)} for each in seen.findings],
        }
    )
    if json:
        output.json_object(report)
        return 0
    rows = [
        (
            role.role if not index else "",
            ("used", "ok") if each.used else ("no", "faint") if not each.bytes else ("could", "faint"),
            each.model,
            each.provider,
            _size(each.bytes),
            f"{each.label}: {each.why}" if each.label else each.why,
        )
        for role in report.roles
        for index, each in enumerate(role.candidates)
    ]
    table(("role", "", "model", "provider", "memory", "why"), rows)
    for held in report.holders:
        line(f"in memory: {held.who}, {_size(held.bytes)}, {held.context} tokens of context")
    for device in report.devices:
        hot = "" if device.celsius is None else f", {device.celsius:.0f} °C"
        line(f"{device.name}: {_size(device.free)} of {_size(device.total)} free{hot}")
    return 0


def load(name: Name) -> int:
    """Bring a model into memory, ready to answer.

    Others leave it where they have to: see `memory` in models.yaml.

    Example:
      jetbox models load qwen3:14b
    """
    with _models() as models:
        wish = _of_a_server(_wish(models, name))
        chosen = models.load(wish, threading.Event(), lambda why: line(why, "faint"))
    if chosen is not None:
        line(f"{wish.model} is in memory, with {chosen.context} tokens of context", "ok")
    return 0


def unload(name: Name) -> int:
    """Take a model out of memory.

    Example:
      jetbox models unload qwen3:14b
    """
    with _models() as models:
        wish = _of_a_server(_wish(models, name))
        models.unload(wish, threading.Event())
    line(f"{wish.model} is out of memory", "ok")
    return 0


def attempt(
    name: Name,
    within: Annotated[int, typer.Option(metavar="SECONDS", help="How long it may take.", min=5)] = 300,
    json: Json = False,
) -> int:
    """Try a model: how far back it sees, whether it keeps to a schema, which edits it gets right, how fast.

    What it shows decides how it is asked from then on, and is kept for as long as the model is the same.

    Example:
      jetbox models try qwen3:14b
    """
    with _models() as models:
        wish = _wish(models, name)

        def tell(what: str) -> None:
            if not json:
                line(what, "faint")

        finding = models.attempt(wish, threading.Event(), tell, float(within))
    if finding is None:
        raise Failed(f"{name} was not tried")
    if json:
        output.json_object(finding)
        return 0
    table(("what", "found"), [tuple(each.partition(": ")[::2]) for each in finding.says()])
    return 0


VERBS = (("load", load), ("unload", unload), ("try", attempt))
"""In the order the help shows them."""


@contextlib.contextmanager
def _models() -> Iterator[Models]:
    """The models of where one stands; only their servers can be reached meanwhile."""
    import os

    from orchestrator import user
    from orchestrator.models import catalogue
    from orchestrator.models.service import Models
    from orchestrator.reach import guard, reach
    from orchestrator.workspaces import NoWorkspace, find
    from state.workspace import Workspace

    try:
        workspace = find(Path.cwd())
    except NoWorkspace:
        workspace = Workspace(Path.cwd())
    own, host = user.load(), os.environ.get("OLLAMA_HOST")
    models = Models(catalogue.load(workspace, own, host))
    with guard(reach(own.servers, host).servers):
        try:
            yield models
        finally:
            models.close()


def _wish(models: Models, name: str) -> Wish:
    """The candidate that is meant, by the name of its model or with its provider before."""
    from tickets.problems import did_you_mean, listed

    wishes = [each for candidates in models.catalogue.roles.values() for each in candidates]
    for each in wishes:
        if name in (each.model, each.key):
            return each
    names = sorted({each.model for each in wishes})
    near = did_you_mean(name, names) or f": it names {listed(names)}"
    raise Failed(f"no role of models.yaml names {name!r}{near}")


def _of_a_server(wish: Wish) -> Wish:
    from orchestrator.models.catalogue import FILES

    if wish.source.kind == FILES:
        raise Failed(f"{wish.model} lives in the process that asks it: the engine loads it, and lets it go")
    return wish


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count else ""
