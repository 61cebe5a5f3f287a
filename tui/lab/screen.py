"""The Lab's screen: a question on the left, what is known of its answer on the right.

The mind is opened when the screen is first shown and is asked beside it; keys always work. Nothing here can
change the core: a correction teaches a memory, and going back is a word that the person's key seals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from textual.containers import Container
from textual.widget import Widget

from tui.commands import MOVING, Command
from tui.context import Context
from tui.lab import answer, question
from tui.lab import core as versions
from tui.lab.asking import ANSWER, CORE, MEMORIES, TRACE, Asking
from tui.lab.bench import Bench, memory_of
from tui.lines import Line, Lines, Text
from tui.tabs import TabBar

_TABS = ("Answer", "Trace", "Memories", "Core")
_PLAY = 0.35
"""Seconds that a cycle stays while the trace plays."""
_LEFT = (36, 64)  # cells of the question, at least and at most
_ASKING = ("ask", "edit", "new", "correct", "part", "undo", "onoff", "copy", "forget")


class LabScreen(Asking):
    """Asks, shows, corrects, and switches memories."""

    NAME = "lab"
    TITLE_ = "lab"
    KEYMAP = (
        Command("ask", ("enter",), "ask", "Ask what is on the left; while correcting: teach it", bar=True),
        Command("edit", ("e",), "edit", "Change the question: cells, objects, words", bar=True),
        Command("new", ("n",), "new", "A new example, with its true answer", bar=True),
        Command("correct", ("c",), "correct", "Say the right answer: a memory learns it", bar=True),
        Command("tab:1", ("tab",), "page", "Answer, trace, memories, core", bar=True),
        Command("part", ("p",), "part", "The next part of the core", bar=True),
        Command("memories", ("m",), "memories", "The memories", bar=True),
        Command("undo", ("u",), "take back", "Take the last correction back"),
        Command("onoff", ("o",), "on/off", "Turn the chosen memory on or off, and ask again"),
        Command("copy", ("y",), "copy", "Copy the chosen memory under a name"),
        Command("forget", ("x",), "forget", "Forget the chosen memory"),
        Command("cycle:-1", ("[",), "cycle back", "What it would have answered a cycle before"),
        Command("cycle:1", ("]",), "next cycle", "What it would have answered a cycle later"),
        Command("play", ("space",), "play", "Play the cycles"),
        Command("core", ("w",), "core", "The versions of the core: which is in force, what was refused"),
        Command("revert", ("v",), "go back", "Go back to an earlier version of the core, with your seal"),
        Command(
            "again",
            ("R",),
            "start the mind",
            "End the mind and start it anew: with the core that is in force",
        ),
        Command("tab:-1", ("shift+tab",), "page before", "The page before", group="Move", listed=False),
        *MOVING,
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.left = Lines(context)
        self.right = Lines(context)
        self.part_bar = TabBar(context, [""], self._to_part)
        self.tabs = TabBar(context, _TABS, self._open_tab)
        self._side = Container(self.part_bar, self.left, classes="side")
        self._main = Container(self.tabs, self.right, classes="main")

    def body(self) -> Iterable[Widget]:
        """Two panes with a line above each."""
        yield Container(self._side, self._main, classes="panes")

    # What can be done ----------------------------------------------------------------------------

    def why_not(self, name: str) -> str:
        """Why a command does nothing now."""
        verb, bench = name.partition(":")[0], self.bench
        if verb == "again":
            if self.talk.state == "starting":
                return "the mind is starting"
            return "" if self.talk.possible else "this cockpit was given no mind"
        if verb in _ASKING:
            if self.talk.state != "ready":
                return "the mind is starting" if self.talk.state == "starting" else "there is no mind to ask"
            if bench is None:
                return "the core has no part that can be asked"
        if verb in ("onoff", "copy", "forget") and self.memory is None:
            return "there is no memory yet: a correction makes one"
        if bench is not None:
            latents = bench.part.task == "latents"
            if verb == "new" and latents:
                return "a text has no example: e writes one"
            if verb == "correct" and (latents or bench.answer is None):
                return "numbers have no right answer" if latents else "ask first: an answer is corrected"
            if verb == "part" and len(self.benches) < 2:
                return "the core has one part"
            if verb == "undo" and memory_of(self.memories, bench.part) is None:
                return "nothing was corrected"
        if verb == "revert" and not versions.earlier(self.core):
            return "w shows the versions first" if self.core is None else "there is no earlier version"
        if verb in ("cycle", "play") and (bench is None or not bench.trace):
            return "there is no trace: enter asks"
        return super().why_not(name)

    def in_bar(self) -> Sequence[tuple[Command, str]]:
        """As everywhere, with the keys of what is open."""
        found = [each for each in super().in_bar() if each[0].name != "engine"]  # the mind needs no engine
        bench = self.bench
        if self.talk.state != "ready":
            keys = [self._keys[key] for key in ("R", "w", *("v" if self.page == CORE else ""))]
            return [*((each, self.why_not(each.name)) for each in keys), *found[-1:]]
        if bench is not None and bench.mode != "look":
            does = "teach" if bench.mode == "correct" else "ask"
            escape = replace(self._keys["escape"], keys=("escape",), label="done")
            return [(replace(self._keys["enter"], label=does), ""), (escape, ""), *found[-1:]]
        extra = {TRACE: ("[", "]", "space"), MEMORIES: ("o", "y", "x", "u"), CORE: ("v",)}.get(self.page, ())
        if extra:
            own = [(self._keys[key], self.why_not(self._keys[key].name)) for key in extra]
            found = [found[0], *own, *found[1:]]
        if bench is not None and bench.part.task == "latents":
            found = [(replace(c, label="encode") if c.name == "ask" else c, why) for c, why in found]
        return found

    # Coming and going ----------------------------------------------------------------------------

    def on_unmount(self) -> None:
        """The cockpit ends, and the mind with it."""
        self.talk.close()

    def on_resize(self) -> None:
        """Another size."""
        super().on_resize()
        self.sync()

    def on_screen_resume(self) -> None:
        """Shown: the first time the mind is opened."""
        if self.talk.state == "none":
            self.talk.start(self.ready, self.ended)
        elif self.talk.state == "ready":
            self.look_at_core()
        self.sync()
        super().on_screen_resume()

    def look_changed(self) -> None:
        """Other colours."""
        self.sync()
        super().look_changed()

    def tick(self) -> None:
        """The seconds of its start are counted."""
        if self.talk.state != "ready":
            self.sync()
        super().tick()

    # Showing -------------------------------------------------------------------------------------

    def sync(self) -> None:
        talk, bench, look = self.talk, self.bench, self.context.look
        asks = talk.state == "ready" and bench is not None
        self._side.display = asks
        self.tabs.at = self.page
        self.top_bar.note = ()
        if not asks and self.page == CORE:
            self.right.show(Text(self._page), keep=True)
        elif not asks or bench is None:
            seconds = self.context.clock() - talk.since
            state = talk.state if talk.state != "ready" else "empty"
            page = partial(
                answer.nothing, look, state=state, reason=talk.reason, why=talk.why, seconds=seconds,
                opened=talk.opened,
            )  # fmt: skip
            self.right.show(Text(lambda cells: page(cells)), keep=True)
        else:
            self._show_bench(bench)
        self.tabs.sync()
        self.sync_bars()

    def _show_bench(self, bench: Bench) -> None:
        look, talk = self.context.look, self.talk
        across = self.size.width
        self._side.styles.max_width = _LEFT[1]
        self._side.styles.width = max(_LEFT[0], min(_LEFT[1], across * 45 // 100))
        self.part_bar.names = [each.part.name for each in self.benches]
        self.part_bar.at = self.at
        self.part_bar.sync()
        if self.outdated:
            self.top_bar.note = ((f" {look.g.warn} new core: R", look("waiting", "bar", bold=True)),)
        if talk.waiting:
            self.top_bar.note = ((f" asking{look.g.ellipsis}", look("waiting", "bar", bold=True)),)
        self.left.show(Text(self._question), keep=True)
        self.right.show(Text(self._page), keep=True)

    def _question(self, cells: int) -> list[Line]:
        assert self.bench is not None
        return question.question(self.context.look, self.bench, cells, self.left.size.height)

    def _page(self, cells: int) -> list[Line]:
        bench, look = self.bench, self.context.look
        if self.page == CORE:
            now = self.context.now()
            return versions.page(look, self.core, self.answers, self.back_to, cells, now)
        assert bench is not None
        if self.page == TRACE:
            from tui.lab import trace

            return trace.trace(look, bench, cells, self.right.size.height)
        if self.page == MEMORIES:
            return answer.memories(look, self.memories, self.chosen, cells)
        return answer.answer(look, bench, cells, bool(self.talk.waiting), self.answers)

    def _open_tab(self, at: int) -> None:
        if at != self.page:
            self.page = at
            self.right.show(None)
            if at == CORE:
                self.look_at_core()
        self.sync()

    def _to_part(self, at: int) -> None:
        if 0 <= at < len(self.benches):
            if self.bench is not None:
                self.bench.mode = "look"
            self.at, self.played = at, None
            self.left.show(None)
            self.sync()

    # Keys ----------------------------------------------------------------------------------------

    def typed(self, key: str, character: str | None) -> bool:
        """While something is changed, keys change it; enter and esc end it, control keys go on."""
        bench = self.bench
        if bench is None or bench.mode == "look" or self.talk.state != "ready":
            return False
        if key == "escape":
            bench.mode = "look"
        elif key == "enter":
            self.do_ask()
            return True
        elif key in ("ctrl+c", "ctrl+q", "ctrl+p"):
            return False
        else:
            bench.key(key, character)
        self.sync()
        return True

    def pasted(self, text: str) -> None:
        """Pasted text goes where text is being typed."""
        if self.bench is not None and self.bench.mode != "look":
            self.bench.paste(text)
            self.sync()

    def do_move(self, by: str) -> None:
        """The memories' cursor, or the page, by a line."""
        if self.page == MEMORIES and self.memories:
            self.chosen = max(0, min(len(self.memories) - 1, self.chosen + int(by)))
            self.sync()
        elif self.page == CORE and len(back := versions.earlier(self.core)) > 1:
            self.back_to = max(0, min(len(back) - 1, self.back_to + int(by)))
            self.sync()
        else:
            self.right.move(int(by))

    def do_page(self, by: str) -> None:
        """By a window."""
        self.right.page(int(by))

    def do_end(self, by: str) -> None:
        """To an end."""
        self.right.end(by == "1")

    def do_tab(self, by: str) -> None:
        """Another page."""
        self._open_tab((self.page + int(by)) % len(_TABS))

    def do_memories(self) -> None:
        """The memories, and back."""
        self._open_tab(ANSWER if self.page == MEMORIES else MEMORIES)

    def do_core(self) -> None:
        """The versions of the core, and back."""
        self._open_tab(ANSWER if self.page == CORE else CORE)

    def do_part(self) -> None:
        """The next part."""
        self._to_part((self.at + 1) % len(self.benches))

    def do_edit(self) -> None:
        """Change the question."""
        if self.bench is not None:
            self.bench.edit()
            self.played = None
            self.sync()

    def do_cycle(self, by: str) -> None:
        """Another cycle."""
        self.played = None
        self._step(int(by))

    def _step(self, by: int) -> None:
        if self.bench is not None:
            self.bench.step(by)
            if self.page in (MEMORIES, CORE):
                self.page = TRACE
            self.sync()

    def do_play(self) -> None:
        """Play the cycles from the first; again: stop."""
        if self.bench is None or self.played is not None:
            self.played = None
            return
        self.bench.cycle = 0
        self.played = self.context.clock()
        self.sync()

    @property
    def pulsing(self) -> bool:
        """Whether the next cycle is due."""
        return self.played is not None and self.context.clock() - self.played >= _PLAY

    def pulse(self) -> None:
        """The next cycle, where it plays."""
        if self.pulsing and self.bench is not None:
            self.played = self.context.clock()
            self._step(1)
            if self.bench.cycle < 0:
                self.played = None

    def do_back(self) -> None:
        """From another page to the answer, from there to the board."""
        if self.page != ANSWER:
            self._open_tab(ANSWER)
        else:
            super().do_back()
