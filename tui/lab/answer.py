"""The pages beside the question: the answer, the memories, and why there is nothing to ask."""

from __future__ import annotations

from collections.abc import Sequence

from tui.lab import picture
from tui.lab.bench import Bench
from tui.lab.replies import Answer, Memory
from tui.lines import Line
from tui.look import ASCII, Look
from tui.page import Page
from tui.safe_text import fit
from tui.times import span

SURE, FAIR = 0.9, 0.6
"""Probabilities from which an answer is called sure, or likely."""
_BAR = 10


def words_of(found: Answer) -> tuple[str, str]:
    """How sure an answer is, in words, and the role of its tone."""
    if found.abstained and found.unknown:
        return f"it has never heard of {', '.join(found.unknown)}", "waiting"
    if found.abstained:
        return "it would rather not say", "waiting"
    chance = found.probability
    if chance is None:
        return "how sure it is was not said", "muted"
    if chance >= SURE:
        return "sure", "landed"
    return ("likely", "text") if chance >= FAIR else ("not sure", "waiting")


def percent(value: float) -> str:
    """A share in whole percent; never 100 or 0 where it is not quite."""
    rounded = round(value * 100)
    if rounded == 100 and value < 1:
        return ">99 %"
    return "<1 %" if rounded == 0 and value > 0 else f"{rounded} %"


def answer(look: Look, bench: Bench, cells: int, waiting: bool, core: str = "") -> list[Line]:
    """What was answered, how sure, by whom, and how well it hangs together."""
    page = Page(look, cells)
    page.lines = []
    if bench.problem:
        page.item(look.g.warn, "failed", bench.problem)
        page.gap()
    if bench.part.task == "latents":
        _encoded(page, bench, cells)
        return page.lines
    found = bench.answer
    if found is None or bench.mode == "edit":
        told = "It is being answered" if waiting else "Nothing is asked yet: enter asks."
        page.text("enter asks what is on the left, esc is done." if bench.mode == "edit" else told, "muted")
        _takes(page, bench)
        return page.lines
    if bench.corrected is not None:
        _corrected(page, bench, core)
    _said(page, bench, found)
    _together(page, found)
    if found.others:
        page.head("What else it could be")
        for name, chance in found.others[:6]:
            _measured(page, name, chance)
    return page.lines


def _said(page: Page, bench: Bench, found: Answer) -> None:
    look = page.look
    word, role = words_of(found)
    if isinstance(found.said, str):
        page.title(found.said or look.g.dash, "text" if not found.abstained else "muted")
    chance = f"{percent(found.probability)}: " if found.probability is not None else ""
    page.text(f"{chance}{word}", role, bold=True)
    who = "by the core" if found.by == "core" else f"by the memory {found.by}"
    page.text(f"{who}, in {_seconds(found.seconds)}", "muted")
    if bench.doubtful:
        page.item("?", "waiting", f"{bench.doubtful} of {bench.part.cells} cells are doubtful")
    right = bench.right
    if right:
        page.item(look.g.tick, "landed", "As you said" if bench.taught else "As the example has it")
    elif right is not None:
        missed = len(bench.missed(found.said))
        told = f"{_some(missed, 'cell')} differ" if missed else str(bench.truth)
        who = "you said" if bench.taught else "the example has it"
        page.item(look.g.cross, "failed", f"Not as {who}: {told}")


def _together(page: Page, found: Answer) -> None:
    page.head("How far it agrees with itself")
    for name, value in (("cycles", found.cycles), ("variants", found.variants)):
        if value is None:
            page.field(name, "not looked at", "faint")
        else:
            _measured(page, name, value)


def _measured(page: Page, name: str, value: float) -> None:
    look = page.look
    full = round(value * _BAR)
    page.lines.append(
        [
            (" ", look()),
            (fit(look.clip(name, 12), 13), look("muted")),
            (look.g.full * full, look("accent")),
            (look.g.empty * (_BAR - full), look("line")),
            (f" {percent(value)}", look("text")),
        ]
    )


def _corrected(page: Page, bench: Bench, core: str) -> None:
    look, found = page.look, bench.corrected
    assert found is not None
    page.title("Corrected", "landed")
    before, after = found.before, found.after
    if isinstance(before.said, str):
        page.item(look.g.shut, "review", f"{before.said or look.g.dash} -> {after.said or look.g.dash}")
    else:
        moved = sum(one != two for one, two in zip(before.said, after.said, strict=True))
        page.item(
            look.g.shut, "review", f"{_some(moved, 'cell')} changed, marked *" if moved else "as before"
        )
    chances = [
        percent(each.probability) if each.probability is not None else look.g.dash for each in (before, after)
    ]
    page.text(f"before {chances[0]}, after {chances[1]}; in {_seconds(found.seconds)}", "muted")
    if found.unchanged:
        page.item(look.g.tick, "landed", f"core unchanged ({core[:12]})" if core else "core unchanged")
    else:
        page.item(look.g.cross, "failed", "the mind does not say that the core is unchanged: w shows it")
    told = f"{found.memory.right} of {_some(found.memory.lessons, 'lesson')} right"
    page.item(look.g.dot, "muted", f"{found.memory.name}: {told}; u: undo")
    if found.proposed:
        page.item(look.g.warn, "review", f"It recurs: {found.proposed} measures an update and asks you (4)")
    page.gap()


def _takes(page: Page, bench: Bench) -> None:
    part, look = bench.part, page.look
    page.head(look.text(part.name))
    page.field("kind", {"board": "boards", "scene": "pictures and questions"}.get(part.task, part.task))
    page.field("learner", part.learner or look.g.dash)
    page.field("parameters", f"{part.parameters:,}")
    if part.task == "board":
        page.field("board", f"{part.rows} x {part.columns}, {len(part.tokens)} kinds of cells")
        return
    for name, words in (
        ("shapes", part.shapes),
        ("colours", part.colours),
        ("sizes", part.sizes),
        ("places", part.places),
    ):
        if words:
            page.field(name, ", ".join(words))


def _encoded(page: Page, bench: Bench, cells: int) -> None:
    look = page.look
    if not bench.latents:
        page.text("Nothing is encoded yet: e writes a text, enter encodes it.", "muted")
        return
    words, numbers = bench.latents[0]
    page.title(words)
    page.text(f"{len(numbers)} numbers", "muted")
    page.gap()
    page.lines += picture.strip(look, numbers, cells)
    below, above = ("blue", "orange") if not look.sixteen else ("cyan", "yellow")
    page.text(f"{below}: below zero, {above}: above", "faint")
    near = bench.nearest()
    if near:
        page.head("How near earlier texts are")
        for value, text in near:
            page.item(f"{value:+.2f}", "accent" if value > 0 else "muted", text)


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else span(value)


def _some(many: int, what: str) -> str:
    return f"{many:,} {what}" + ("" if many == 1 else "s")


# Memories --------------------------------------------------------------------------------------------


def memories(look: Look, found: Sequence[Memory], at: int, cells: int) -> list[Line]:
    """The memories, one of them chosen: three lines each."""
    page = Page(look, cells)
    page.lines = []
    if not found:
        page.text("No memory yet. A correction (c) makes one; the core stays as it is.", "muted")
        return page.lines
    for number, each in enumerate(found):
        here = number == at
        back = "raised" if here else "card"
        state, role, word = ("done", "landed", "on") if each.on else ("stopped", "muted", "off")
        name = fit(look.clip(each.name, 15), 16)
        page.lines.append(
            [
                (look.g.edge, look("accent" if here else role, back, bold=here)),
                (f" {look.glyph(state)} {word:<3} ", look(role, back, bold=True)),
                (name, look("text", back, bold=here)),
                (
                    fit(look.clip(f"for {each.part}", max(8, cells - 28)), max(8, cells - 26)),
                    look("muted", back),
                ),
            ]
        )
        facts = [f"{each.right} of {_some(each.lessons, 'lesson')} right"]
        facts += [look.text(each.method)] if each.method else []
        facts += [look.text(each.digest[:8])] if each.digest else []
        page.text("   " + ", ".join(facts), "muted")
        if each.stale:
            page.item(look.g.warn, "waiting", "made over another core: it learns its lessons again")
        if each.recurring > 1:
            page.item(look.g.dot, "review", f"{each.recurring} corrections since the core was last set")
        page.gap()
    page.text("o turns it on or off, y copies it, x forgets it, u drops its last lesson.", "faint")
    return page.lines


# Nothing to ask --------------------------------------------------------------------------------------


def nothing(
    look: Look, cells: int, state: str, reason: str, why: str, seconds: float, opened: bool
) -> list[Line]:
    """Why nothing can be asked now, and what to do about it."""
    page = Page(look, cells)
    if state == "starting":
        dots = look.g.ellipsis if look.g is not ASCII else "..."
        page.title(f"The mind is starting{dots} {int(seconds)} s")
        page.gap()
        page.text(
            "It loads the core and holds every file of it against its digest. You may go elsewhere.", "muted"
        )
        return page.lines
    if state == "none":
        page.title("This cockpit has no mind to ask")
        page.gap()
        page.text("`jetbox` opens one that has; `jetbox lab` asks on the command line.", "muted")
        return page.lines
    titles = {
        "missing": "What answers is not installed",
        "none": "No core yet",
        "core": "The core was refused",
    }
    page.title(titles.get(reason, "The mind has ended" if opened else "The mind did not start"))
    page.gap()
    page.item(
        look.g.warn, "waiting" if reason in ("missing", "none") else "failed", why or "it did not say why"
    )
    page.gap()
    if reason == "none":
        page.text(
            "A core is made of trained models: the runs of landed tickets of kind train. The command that"
            " takes one: `jetbox core adopt NAME=RUN`. It asks for your key.",
            "muted",
        )
    elif opened:
        page.text(
            "Safe: the core is sealed and was not written, each memory is on the disk as it was after its"
            " last correction, and your question stands where it was.",
            "muted",
        )
    if reason == "core":
        page.text("w shows the versions of the core: v there goes back to an earlier one.", "muted")
    page.gap()
    page.text("R starts it again." if reason not in ("missing",) else "Then: R.", "accent")
    return page.lines
