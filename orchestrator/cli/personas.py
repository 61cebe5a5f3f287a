"""Verbs about personas: which there are, what a model is told, and one as a model of Ollama's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import output
from orchestrator.cli.look import Json
from orchestrator.cli.output import Failed, line, safe, table

if TYPE_CHECKING:
    from orchestrator.models.catalogue import Wish
    from orchestrator.personas import Persona
    from orchestrator.providers.modelfile import Recipe
    from state.workspace import Workspace

APP = typer.Typer(
    help="Who does the work: what a model is told, for which role.\n\n\b\nExample:\n  jetbox personas",
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A persona, such as coder.")]


def every(context: typer.Context, json: Json = False) -> int:
    """List the personas, the project's own among them.

    Example:
      jetbox personas
      jetbox personas --json | jq '.[].name'
    """
    if context.invoked_subcommand is not None:
        return 0
    from orchestrator import personas
    from orchestrator.cli.models import PersonaLine

    folder = _folder()
    found = [
        PersonaLine(
            name=name,
            describe=persona.describe,
            role=persona.model,
            works=persona.acts,
            replies="actions" if persona.acts else "json" if persona.schema_ else "text",
            file=f"personas/{name}.yaml" if personas.own_file(name, folder) else None,
        )
        for name, persona in personas.installed(folder).items()
    ]
    if json:
        output.json_object([each.model_dump(mode="json") for each in found])
        return 0
    rows = [
        (each.name, each.role, each.replies, each.file or ("shipped", "faint"), each.describe)
        for each in found
    ]
    table(("persona", "role", "replies", "from", "what for"), rows)
    return 0


def show(name: Name, json: Json = False) -> int:
    """Print what a model is told as this persona, exactly; with `--json` all of the persona.

    Example:
      jetbox personas show coder
    """
    from orchestrator.personas import load, render

    persona = load(name, _folder())
    if json:
        output.json_object({"name": name, **persona.model_dump(mode="json", by_alias=True)})
    else:
        _print(render(persona))
    return 0


def export(
    name: Name,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="M", help="The model to build on; else the first of its role that Ollama serves."
        ),
    ] = None,
    create: Annotated[
        bool,
        typer.Option("--create", help="Make it on your Ollama, as `jetbox-NAME`, instead of printing it."),
    ] = False,
) -> int:
    """Print a persona as a Modelfile, so that it can be talked to by `ollama run`.

    A Modelfile holds the prompt and its numbers. What Jetbox does around them, such as the schema and the
    checks, is not in it.

    Example:
      jetbox personas export writer > Modelfile
      jetbox personas export writer --model gemma3:12b --create
    """
    from orchestrator.personas import load
    from orchestrator.providers import modelfile
    from orchestrator.providers.base import ProviderError

    workspace = _workspace()
    folder = workspace.personas if workspace else None
    recipe = _recipe(load(name, folder), model, workspace)
    made = f"jetbox-{name.lower()}"
    try:
        if not create:
            _print(modelfile.text(recipe))
            return 0
        _create(made, recipe)
    except ProviderError as error:
        raise Failed(str(error)) from error
    line(f"Made {made} of {recipe.model}: `ollama run {made}`", "ok")
    return 0


def _recipe(persona: Persona, model: str | None, workspace: Workspace | None) -> Recipe:
    from orchestrator.personas import render
    from orchestrator.providers.modelfile import Recipe

    wish = _wish(persona.model, model, workspace)
    if model is None and wish is None:
        raise Failed(f"no model of Ollama's serves the role {persona.model!r}: name one with --model")
    numbers: dict[str, float | int] = {}
    if wish is not None:
        numbers |= {"num_ctx": wish.context, "temperature": wish.temperature}
    if persona.temperature is not None:
        numbers["temperature"] = persona.temperature
    return Recipe(
        model=model or (wish.model if wish else ""),
        system=render(persona, (wish and wish.whole_file) or 150),
        parameters=numbers,
        messages=tuple((each.user.strip(), each.reply.strip()) for each in persona.examples),
    )


def _wish(role: str, model: str | None, workspace: Workspace | None) -> Wish | None:
    """The candidate that a role has on Ollama: this model, or the first."""
    from orchestrator.models import catalogue
    from state.workspace import Workspace

    known = catalogue.load(workspace or Workspace(Path.cwd())).roles.get(role, ())
    return next(
        (each for each in known if each.source.kind == "ollama" and model in (None, each.model)), None
    )


def _create(name: str, recipe: Recipe) -> None:
    import os

    from orchestrator import user
    from orchestrator.providers import modelfile
    from orchestrator.reach import guard, reach

    found = reach(user.load().servers, os.environ.get("OLLAMA_HOST"))
    if found.refused:
        raise Failed(found.refused)
    with guard(found.servers):
        modelfile.create(found.ollama, name, recipe)


def _print(text: str) -> None:
    """Lines as they are, tabs kept: it may be written to a file."""
    for each in text.split("\n"):
        print("\t".join(map(safe, each.split("\t"))))


def _workspace() -> Workspace | None:
    """The workspace one stands in; the shipped personas can be looked at without one."""
    from orchestrator.workspaces import NoWorkspace, find

    try:
        return find(Path.cwd())
    except NoWorkspace:
        return None


def _folder() -> Path | None:
    workspace = _workspace()
    return workspace.personas if workspace else None


VERBS = (("show", show), ("export", export))
