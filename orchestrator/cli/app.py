"""The verbs, in the order the help shows them, and the one place where errors become a line and a code."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from orchestrator.cli import (
    agent,
    begin,
    core,
    data_verbs,
    health,
    lab,
    look,
    model_verbs,
    personas,
    runs,
    sandbox,
    serve,
    training,
    words,
    work,
)
from orchestrator.cli.output import Exit, Failed, complain

_HELP = """Tickets in, reviewed branches out.

`jetbox`, or `jetbox DIR`, opens the cockpit on the repository one stands in and starts the engine.

\b
Exit codes: 0 done, 1 the work failed or a check is red, 2 wrong use or a broken ticket,
3 something waits for a person, 130 interrupted."""

Verb = Callable[..., int | None]

_VERBS: tuple[tuple[str, Verb], ...] = (
    ("init", begin.init),
    ("demo", begin.demo),
    ("new", begin.new),
    ("backlog", begin.backlog),
    ("check", begin.check),
    ("schema", begin.schema),
    ("do", agent.do),
    ("run", work.run),
    ("stop", work.stop),
    ("status", look.status),
    ("show", look.show),
    ("log", look.log),
    ("inbox", look.inbox),
    ("approve", words.approve),
    ("deny", words.deny),
    ("retry", words.retry),
    ("cancel", words.cancel),
    ("rollback", words.rollback),
    ("restore", words.restore),
    ("answer", words.answer),
    ("comment", words.comment),
    ("take-over", words.take_over),
    ("hand-back", words.hand_back),
    ("consent", words.consent),
    ("replay", agent.replay),
    ("verify", health.verify),
    ("doctor", health.doctor),
    ("train", training.train),
    ("eval", training.evaluate),
    ("serve", serve.serve),
)
_GROUPS = {
    "sandbox": sandbox,
    "personas": personas,
    "models": model_verbs,
    "data": data_verbs,
    "runs": runs,
    "core": core,
    "lab": lab,
}


def _app() -> typer.Typer:
    app = typer.Typer(
        help=_HELP,
        add_completion=False,
        rich_markup_mode=None,  # plain help: it reads the same everywhere, and rich need not be loaded
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback(invoke_without_command=True)
    def options(
        context: typer.Context,
        version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
        debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
    ) -> int:
        if version:
            from importlib.metadata import version as installed

            print(f"jetbox {installed('jetbox')}")
            raise typer.Exit
        if context.invoked_subcommand is None:
            raise Failed("name a verb: `jetbox --help` lists them")
        return 0

    for name, verb in _VERBS:
        app.command(name, help=_help(verb))(verb)
    for name, group in _GROUPS.items():
        if every := getattr(group, "every", None):  # without a verb of its own, a group shows what there is
            group.APP.callback(help=_help(every))(every)
        for each, verb in group.VERBS:
            group.APP.command(each, help=_help(verb))(verb)
        app.add_typer(group.APP, name=name)
    app.command("engine", hidden=True, help=_help(work.engine))(work.engine)
    return app


def _help(verb: Verb) -> str:
    """A verb's docstring, its example kept line by line."""
    return inspect.cleandoc(verb.__doc__ or "").replace("\nExample:\n", "\n\b\nExample:\n")


APP = _app()


def run(arguments: list[str]) -> int:
    """Run a command line; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in own
    if debug:  # meant for the program, wherever it stands
        arguments = [part for part in own if part != "--debug"] + arguments[len(own) :]
    try:
        code = _run(arguments, debug)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Who read has enough. Python would complain once more when it flushes on its way out.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED


def _run(arguments: list[str], debug: bool) -> int:
    try:
        return APP(arguments, prog_name="jetbox", standalone_mode=False) or Exit.DONE
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        if debug:
            from orchestrator.faults import tell

            tell(error)
        return _explain(error)


def _explain(error: Exception) -> int:
    """The line for a person, and the code."""
    if isinstance(error, Failed):
        complain(error)
        return error.code
    if callable(said := getattr(error, "format_message", None)):  # typer's own: wrong use
        complain(f"{said()} (`jetbox --help` shows what there is)")
        return Exit.WRONG
    for types, code in _known():
        if isinstance(error, types):
            for text in str(error).splitlines() or [type(error).__name__]:
                complain(text)
            return code
    if isinstance(error, OSError):
        complain(f"{error.strerror or error}: {error.filename}" if error.filename else error)
        return Exit.FAILED
    complain(f"{type(error).__name__}: {error} (a fault of Jetbox's: `--debug` shows where)")
    return Exit.FAILED


def _known() -> tuple[tuple[tuple[type[Exception], ...], Exit], ...]:
    """Errors whose message is written for the user. Loaded only once something went wrong."""
    from orchestrator.demo import DemoError
    from orchestrator.git import GitError
    from orchestrator.models.base import NoModel
    from orchestrator.providers.base import ProviderError
    from orchestrator.runs import RunError
    from orchestrator.service import EngineRunning
    from orchestrator.training.presets import BadConfig
    from orchestrator.workspaces import NoWorkspace
    from state.blobs import BlobDamaged
    from state.core_parse import CoreRefused
    from state.errors import JournalError
    from state.words import Refused
    from tickets.problems import TicketError

    return (
        ((NoWorkspace, TicketError, BadConfig), Exit.WRONG),
        ((Refused, JournalError, BlobDamaged, GitError, EngineRunning, RunError, DemoError), Exit.FAILED),
        ((NoModel, ProviderError, CoreRefused), Exit.FAILED),
    )
