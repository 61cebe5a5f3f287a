"""The verb `lab`: ask the trained core, see how sure it is, correct it, look after its memories."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import output
from orchestrator.cli.look import Json
from orchestrator.cli.output import Exit, Failed, Wrong, line, table, when

if TYPE_CHECKING:
    from orchestrator.lab.mind import Mind

APP = typer.Typer(
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Part = Annotated[str, typer.Argument(metavar="PART", help="A part of the core: `jetbox lab` lists them.")]
Asked = Annotated[
    str, typer.Argument(metavar="QUESTION", help="A board as digits and dots, or a question in words.")
]
Scene = Annotated[
    str, typer.Option(metavar="OBJECTS", help='What the picture shows: "small red circle, top left; ...".')
]
Picture = Annotated[Path | None, typer.Option(metavar="PNG", help="The picture, of the size the part takes.")]
_OPS = ("list", "on", "off", "forget", "copy", "drop-last")


def every(context: typer.Context, json: Json = False) -> int:
    """Show what can be asked: the parts of the core, and the memories beside it.

    Example:
      jetbox lab
      jetbox lab ask sudoku4 "1... ..3. .4.. ...2"
      jetbox lab ask scenes "what colour is the circle?" --scene "small red circle, top left"
    """
    if context.invoked_subcommand is not None:
        return 0
    with _mind() as mind:
        status = mind.ask("status")
    if json:
        output.json_object(status)
        return 0
    line(f"core {status.get('core')}", "head")
    rows = []
    for each in _dicts(status.get("parts")):
        known = f"calibrated, keeps from {_share(each.get('bound'))}" if each.get("calibrated") else ""
        rows.append((str(each.get("name")), str(each.get("task")), known or "not calibrated"))
    table(("part", "task", "certainty"), rows)
    _memories(status)
    return 0


def ask(
    part: Part,
    question: Asked,
    scene: Scene = "",
    picture: Picture = None,
    memory: Annotated[str, typer.Option(help="auto, off, or the memory that is to answer.")] = "auto",
    reflect: Annotated[bool, typer.Option("--reflect", help="Show how the answer came about.")] = False,
    json: Json = False,
) -> int:
    """Ask a part of the core. Exit code 1: it gave an answer that it would hold back.

    Example:
      jetbox lab ask sudoku4 "1... ..3. .4.. ...2" --reflect
      jetbox lab ask scenes "what colour is the circle?" --picture circle.png
    """
    with _mind() as mind:
        told = _part(mind, part)
        asked = _question(told, question, scene, picture)
        reply = mind.ask("reflect" if reflect else "reason", **asked, memory=memory)
    if json:
        output.json_object(reply)
    else:
        _answer(reply, told)
    return Exit.FAILED if reply.get("abstained") else Exit.DONE


def correct(
    part: Part,
    question: Asked,
    answer: Annotated[str, typer.Argument(metavar="ANSWER", help="The right answer, written likewise.")],
    scene: Scene = "",
    picture: Picture = None,
    memory: Annotated[
        str, typer.Option(help="The memory that learns it; made where there is none.")
    ] = "default",
    json: Json = False,
) -> int:
    """Tell it the right answer. A memory learns it; the core stays as it is.

    Example:
      jetbox lab correct scenes "what colour is the circle?" crimson --scene "small red circle, top left"
    """
    with _mind() as mind:
        told = _part(mind, part)
        asked = _question(told, question, scene, picture)
        right: Any = _cells(answer, told) if told.get("task") == "board" else answer
        reply = mind.ask("correct", timeout=120.0, **asked, answer=right, memory=memory)
    if json:
        output.json_object(reply)
        return Exit.PERSON if reply.get("proposed") else Exit.DONE
    for name in ("before", "after"):
        found = reply.get(name)
        if isinstance(found, Mapping):
            line(f"{name}: {_said(found, told)}")
    kept = reply.get("memory")
    if isinstance(kept, Mapping):
        lessons = f"{kept.get('lessons')} lessons, {kept.get('right')} of them right"
        line(f"The memory {kept.get('name')} has {lessons}")
    if reply.get("core_unchanged") is True:
        line("The core is what it was, bit for bit")
    if proposed := str(reply.get("proposed") or ""):
        line(f"Corrections of this kind recur: {proposed} measures an update of the core and then asks you")
        line("`jetbox inbox` shows when it waits for you")
        return Exit.PERSON
    return Exit.DONE


def memory(
    op: Annotated[str, typer.Argument(metavar="OP", help="list, on, off, forget, copy, drop-last.")] = "list",
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The memory.")] = "",
    to: Annotated[str, typer.Argument(metavar="[TO]", help="The name of the copy.")] = "",
    json: Json = False,
) -> int:
    """Look after the memories: list, on, off, forget, copy NAME TO, drop-last.

    Example:
      jetbox lab memory
      jetbox lab memory off default
    """
    if op not in _OPS:
        raise Wrong(f"no {op!r}: a memory takes {', '.join(_OPS)}")
    if op != "list" and not name:
        raise Wrong(f"which one? `jetbox lab memory {op} NAME`")
    if op == "copy" and not to:
        raise Wrong(f"under which name? `jetbox lab memory copy {name} TO`")
    fields: dict[str, Any] = {"name": name} if op != "list" else {}
    if op == "copy":
        fields["to"] = to
    with _mind() as mind:
        reply = mind.ask("memory", op=op, **fields)
    if json:
        output.json_object(reply)
    else:
        _memories(reply)
    return 0


def trace(
    id: Annotated[str, typer.Argument(metavar="[ID]", help="Of an answer, or how it begins.")] = "",
    json: Json = False,
) -> int:
    """Show what was kept of an answer; without an id, the latest ones. No mind is needed.

    Example:
      jetbox lab trace
      jetbox lab trace 19a3f
    """
    from dataclasses import asdict

    from orchestrator.cli.reading import here
    from state import reflections

    home = here().home
    found = reflections.find(home, id) if id else reflections.read(home, 20)
    if id and not found:
        raise Failed(f"no answer {id}: `jetbox lab trace` lists the latest")
    if id and len(found) > 1:
        raise Failed(f"{id} begins {len(found)} ids: {', '.join(each.id for each in found[:5])}")
    if json:
        output.json_object([asdict(each) for each in found] if not id else asdict(found[0]))
    elif not id:
        rows = [
            (each.id, when(each.at), each.part, each.by, _share(each.probability), _short(each.answer))
            for each in found
        ]
        table(("answer", "when", "part", "by", "sure", "said"), rows)
    else:
        only = found[0]
        line(f"{only.id}  {when(only.at)}  {only.part}, answered by {only.by}", "head")
        line(f"said {_short(only.answer)}, sure {_share(only.probability)}")
        if only.corrected is not None:
            line(f"corrected: {only.corrected}")
        _consistency({"cycles": only.consistency.cycles, "variants": only.consistency.variants})
        _cycles(only.trace)
    return 0


def keep(
    what: Annotated[str, typer.Argument(metavar="[on|off]", help="Whether interactions are kept.")] = "",
    forget: Annotated[bool, typer.Option("--forget", help="Remove all that was kept.")] = False,
    json: Json = False,
) -> int:
    """Say whether your questions, answers and corrections are kept as data; they are not by default.

    Example:
      jetbox lab keep on
      jetbox lab keep off --forget
    """
    from orchestrator.cli.reading import here, reading, speaking
    from orchestrator.lab import interactions

    if what not in ("", "on", "off"):
        raise Wrong(f"{what!r} is neither on nor off")
    workspace = here()
    if what:
        with speaking(workspace) as journal:
            interactions.say(journal, what == "on")
    removed = interactions.forget(workspace) if forget else None
    with reading(workspace) as journal:
        on = interactions.wanted(journal)
    rows, where = interactions.count(workspace), interactions.folder(workspace)
    if json:
        output.json_object({"on": on, "rows": rows, "folder": where.as_posix(), "removed": removed or 0})
        return 0
    if removed is not None:
        line(f"Removed: {removed} rows")
    line(f"Interactions are {'kept' if on else 'not kept'}: {rows} rows in {where}")
    return 0


VERBS = (
    ("ask", ask),
    ("correct", correct),
    ("memory", memory),
    ("trace", trace),
    ("keep", keep),
)


# ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _mind() -> Iterator[Mind]:
    """A mind for the time of a verb; what it refuses is a line."""
    from orchestrator.cli.reading import here
    from orchestrator.lab.mind import Mind, MindError

    try:
        with Mind.open(here()) as mind:
            yield mind
    except MindError as error:
        raise (Wrong if error.reason == "request" else Failed)(str(error)) from None


def _part(mind: Mind, name: str) -> dict[str, Any]:
    parts = _dicts(mind.ask("status").get("parts"))
    found = next((each for each in parts if each.get("name") == name), None)
    if found is None or found.get("task") == "latents":
        there = ", ".join(str(each.get("name")) for each in parts if each.get("task") != "latents")
        raise Wrong(f"no part {name!r} to ask: {there or 'there is none'}")
    return found


def _question(part: dict[str, Any], text: str, scene: str, picture: Path | None) -> dict[str, Any]:
    """The question as docs/mind.md has it."""
    from orchestrator.web import written

    name = str(part.get("name"))
    if part.get("task") == "board":
        if scene or picture:
            raise Wrong(f"{name} takes boards: no picture")
        return {"part": name, "cells": _cells(text, part)}
    if bool(scene) == (picture is not None):
        raise Wrong(f'{name} is asked about a picture: --scene "small red circle, top left" or --picture PNG')
    if picture is not None:
        from orchestrator.lab.pictures import image

        try:
            return {"part": name, "question": text, "image": image(picture)}
        except (OSError, ValueError) as error:
            raise Wrong(f"{picture}: {error}") from None
    try:
        return {"part": name, "question": text, "scene": written.scene(scene.replace(";", "\n"), part)}
    except written.Unclear as error:
        raise Wrong(str(error)) from None


def _cells(text: str, part: dict[str, Any]) -> list[int]:
    from orchestrator.web import written

    try:
        return written.cells(text, part)
    except written.Unclear as error:
        raise Wrong(str(error)) from None


def _answer(reply: Mapping[str, Any], part: dict[str, Any]) -> None:
    from orchestrator.web import written

    if isinstance(reply.get("answer"), list):
        for row in written.grid(reply["answer"], part).splitlines():
            line(row)
    line(_said(reply, part), "" if not reply.get("abstained") else "waiting")
    others = reply.get("others")
    if isinstance(others, list) and len(others) > 1:
        told = [
            f"{each[0]} {_share(each[1])}" for each in others[:5] if isinstance(each, list) and len(each) == 2
        ]
        line(f"  likeliest: {', '.join(told)}")
    _consistency(reply.get("consistency"))
    _cycles(reply.get("trace"))
    if reply.get("record"):
        line(f"  `jetbox lab trace {reply['record']}` shows it again")


def _said(reply: Mapping[str, Any], part: dict[str, Any]) -> str:
    """An answer in one line."""
    answer = reply.get("answer")
    what = "as above" if part.get("task") == "board" and "trace" in reply else _short(answer)
    held = f"; held back: {_why_held(reply)}" if reply.get("abstained") else ""
    return f"{what} (sure {_share(reply.get('probability'))}, by {reply.get('by')}{held})"


def _why_held(reply: Mapping[str, Any]) -> str:
    unknown = [str(each) for each in reply.get("unknown") or ()]
    return f"it has never heard of {', '.join(unknown)}" if unknown else "it is not sure enough"


def _consistency(told: Any) -> None:
    if isinstance(told, Mapping):
        parts = [
            f"{name} {_share(told[name])}" for name in ("cycles", "variants") if told.get(name) is not None
        ]
        if parts:
            line(f"  consistent over {', '.join(parts)}")


def _cycles(trace: Any) -> None:
    for number, each in enumerate(_dicts(trace), 1):
        halt = "" if each.get("halt") is None else f", done {_share(each.get('halt'))}"
        moved, doubt = _share(each.get("change")), _share(each.get("doubt"))
        line(f"  cycle {number}: {_short(each.get('answer'))}, moved {moved}, doubt {doubt}{halt}")


def _memories(reply: Mapping[str, Any]) -> None:
    found = _dicts(reply.get("memories"))
    if not found:
        line("No memories: a correction makes one (`jetbox lab correct`)")
        return
    rows = []
    for each in found:
        state = "on" if each.get("on") else "off"
        note = str(each.get("fault") or ("learns again when it is used" if each.get("stale") else ""))
        lessons = f"{each.get('right')}/{each.get('lessons')}"
        rows.append(
            (str(each.get("name")), str(each.get("part")), state, lessons, str(each.get("method")), note)
        )
    table(("memory", "part", "", "right", "method", ""), rows)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _short(answer: Any) -> str:
    text = "".join(map(str, answer)) if isinstance(answer, list) else str(answer)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _share(value: Any) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) else "?"
