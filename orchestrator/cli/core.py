"""The verb `core`: which version of the core is in force, and a person's words on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import output
from orchestrator.cli.look import Json
from orchestrator.cli.output import Exit, Wrong, line, table, when

if TYPE_CHECKING:
    from state.core import Current, Version

_SHOWN_REFUSALS = 10

APP = typer.Typer(
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def every(context: typer.Context, json: Json = False) -> int:
    """Show the core: the version in force, its parts, who changed it and what was refused.

    Example:
      jetbox core
      jetbox core adopt sudoku6=TICKET-004
      jetbox core revert
    """
    if context.invoked_subcommand is not None:
        return 0
    from orchestrator.cli.reading import here, reading
    from state.journal import JournalMissing

    workspace = here()
    try:
        with reading(workspace) as journal:
            found = _current(journal, workspace)
    except JournalMissing:
        found = None
    if json:
        _print(found)
    elif found is None:
        line("No core yet: `jetbox core adopt NAME=RUN` takes a trained model as its first version")
    else:
        _show(found)
    wrong = found is not None and (found.passed or (found.version is None and found.standing.settings))
    return Exit.FAILED if wrong else Exit.DONE


def adopt(
    parts: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=RUN...",
            help="A part's name, and a ticket, a run or a checkpoint;"
            " or the whole name of a version that lies here.",
        ),
    ],
    json: Json = False,
) -> int:
    """Take trained models into the core. Parts of other names stay as they are.

    After a change of the key that approvals are sealed with, name a version that lies here to seal it anew.

    Example:
      jetbox core adopt sudoku6=TICKET-004
      jetbox core adopt scenes=runs/TICKET-005/1 latents=TICKET-003
    """
    from orchestrator import seals
    from orchestrator.cli.reading import here
    from orchestrator.core.adopt import adopt as take
    from orchestrator.workspaces import set_up
    from state import core
    from state.journal import Journal

    if len(parts) == 1 and core.is_digest(parts[0]):
        return _sealed_anew(parts[0], json)
    named = [each.partition("=") for each in parts]
    if wrong := [name or path for name, sign, path in named if not (name and sign and path)]:
        raise Wrong(f"{wrong[0]}: say NAME=RUN, such as sudoku6=TICKET-004")
    if len({name for name, _, _ in named}) != len(named):
        raise Wrong("a part is named twice")
    workspace, sealer = here(), seals.yours()
    set_up(workspace)
    journal = Journal.open(workspace.journal)  # a core may be the first thing there is
    try:
        wanted = {name: Path(path) for name, _, path in named}
        tell = (lambda _: None) if json else line
        version = take(workspace, journal, sealer, wanted, signoff="jetbox core adopt", tell=tell)
        found = _current(journal, workspace)
    finally:
        journal.close()
    if json:
        _print(found)
    else:
        line(f"In force: {version.digest[:12]}, with {', '.join(sorted(version.parts))}", "approved")
    return Exit.DONE


def _sealed_anew(digest: str, json: bool) -> int:
    """Put a version into force that lies here, under the key that there is now."""
    from orchestrator import seals
    from orchestrator.cli.reading import here, speaking
    from state import core_words

    workspace = here()
    with speaking(workspace) as journal:
        signoff = f"jetbox core adopt {digest}"
        core_words.adopt(journal, workspace, digest, sealer=seals.yours(), signoff=signoff)
        found = _current(journal, workspace)
    if json:
        _print(found)
    else:
        line(f"In force: {digest[:12]}", "approved")
    return Exit.DONE


def propose(
    memory: Annotated[str, typer.Argument(metavar="[MEMORY]", help="Which working memory.")] = "default",
    seconds: Annotated[
        int, typer.Option(min=1, max=86_400, metavar="S", help="CPU seconds that learning may take.")
    ] = 60,
    json: Json = False,
) -> int:
    """Have the core learn what a working memory knows. It writes a ticket; you are asked when it is measured.

    Example:
      jetbox core propose
      jetbox core propose rules --seconds 120
    """
    from orchestrator import seals
    from orchestrator.cli.reading import here
    from orchestrator.core.propose import propose as ask
    from state.lock import holder

    workspace = here()
    ticket = ask(workspace, memory, "asked for by a person", sealer=seals.yours(), seconds=seconds)
    if json:
        output.json_object({"ticket": ticket, "memory": memory})
        return Exit.DONE
    line(f"tickets/{ticket}.yaml measures it, and then asks you")
    if holder(workspace.lock) is None:
        line("No engine runs: `jetbox` or `jetbox run` carries it out")
    return Exit.DONE


def revert(
    digest: Annotated[
        str,
        typer.Argument(metavar="[DIGEST]", help="The version, or how its name begins; else the last one."),
    ] = "",
    json: Json = False,
) -> int:
    """Go back to an earlier version of the core. It answers as it did then, bit for bit.

    Example:
      jetbox core revert
      jetbox core revert 3f2a91c07b1d
    """
    from orchestrator import seals
    from orchestrator.cli.reading import here, speaking
    from state import core_words
    from state.core import standing

    workspace, sealer = here(), seals.yours()
    with speaking(workspace) as journal:
        said = standing(journal, sealer)
        wanted = digest or core_words.target(said, digest)
        if not digest and not output.can_ask():
            raise Wrong(f"without a terminal, name the version: `jetbox core revert {wanted[:12]}`")
        signoff = f"jetbox core revert {wanted[:12]}"
        if output.can_ask():
            line(f"In force is {str(said.head)[:12]}; back to {wanted[:12]}?", "head")
            print("Revert? [y/N] ", end="", flush=True)
            if input().strip().lower() not in ("y", "yes"):
                line("Nothing was changed")
                return Exit.FAILED
            signoff += ": y"
        event = core_words.revert(journal, workspace, wanted, sealer=sealer, signoff=signoff)
        found = _current(journal, workspace)
    if json:
        _print(found)
    else:
        line(f"In force: {event.body['core'][:12]}, as it was", "approved")
    return Exit.DONE


def verify(json: Json = False) -> int:
    """Check every file of the core and every word behind it.

    Example:
      jetbox core verify
    """
    from orchestrator.cli.reading import here, speaking
    from state import core_words

    workspace = here()
    with speaking(workspace) as journal:
        found = _current(journal, workspace)
        core_words.notice(journal, found)
    wrong = [each for each in found.standing.settings if each.refused]
    ok = not found.passed and found.version is not None
    if json:
        _print(found)
        return Exit.DONE if ok else Exit.FAILED
    for each in wrong:
        line(f"Event {each.seq} counts for nothing: {each.refused}", "problem")
    for digest, why in found.passed:
        line(f"Version {digest[:12]} is not used: {why}", "problem")
    if version := found.version:
        words = len(found.standing.accepted)
        line(f"Sound: {version.digest[:12]}, {version.bytes:,} bytes, {words} sealed words behind it", "ok")
    else:
        line(found.why, "problem")
    return Exit.DONE if ok else Exit.FAILED


VERBS = (("adopt", adopt), ("propose", propose), ("revert", revert), ("verify", verify))


def _current(journal: Any, workspace: Any) -> Current:
    from orchestrator import seals
    from state.core import verified

    return verified(journal, workspace, seals.yours())


def _print(found: Current | None) -> None:
    from orchestrator.cli.core_model import report

    output.json_object(report(found))


def _show(found: Current) -> None:
    version, said = found.version, found.standing
    if version is None:
        line(found.why[:1].upper() + found.why[1:], "problem" if said.settings else "")
    else:
        line(f"core {version.digest}", "head")
        line(f"  {'parent':<8} {version.parent or 'none: the first version'}")
        line(f"  {'made by':<8} {_made(version)}")
        rows = [
            (name, part.task, part.learner, _sure(part.calibration), part.files["model.safetensors"][:12])
            for name, part in sorted(version.parts.items())
        ]
        table(("part", "task", "learner", "certainty", "weights"), rows)
    for digest, why in found.passed:
        line(f"Not used: {digest[:12]}: {why}", "problem")
    if said.settings:
        line()
        line("history", "head")
        for each in reversed(said.settings):
            role = "problem" if each.refused else ""
            told = f"REFUSED: {each.refused}" if each.refused else f"by {each.by}"
            more = f", proposal {each.proposal}" if each.proposal else ""
            line(f"  {when(each.at)}  {each.why:<7} {each.core[:12]}  {told}{more}", role)
    if said.refusals:
        line()
        line("refused", "head")
        for refused in said.refusals[-_SHOWN_REFUSALS:]:
            line(f"  {when(refused.at)}  {refused.what} (by {refused.by}): {refused.why}")


def _made(version: Version) -> str:
    made = version.made
    if made.get("by") == "consolidation":
        return f"consolidation of the memory {made['memory']} into {made['part']}"
    return "adoption of trained models"


def _sure(calibration: Any) -> str:
    """How far the part's certainty can be believed, in a word."""
    error = calibration.get("ece") if calibration else None
    return f"off by {error:.1%}" if isinstance(error, int | float) else "not measured"
