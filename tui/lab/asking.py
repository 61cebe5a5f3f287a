"""What is asked of the mind, and what is done with its replies: the part of the Lab's screen below its panes.

Each question is put in the mind's line with what is to be done with its reply; the screen goes on at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from state.core import Current, verified
from state.journal import Journal
from tui.context import Context
from tui.lab import core as versions
from tui.lab import replies
from tui.lab.bench import Bench, memory_of
from tui.lab.replies import Memory, Unclear
from tui.lab.talk import Talk
from tui.screen import CockpitScreen
from tui.sheets.confirm import Confirm, TypeToConfirm
from tui.sheets.prompt import Prompt

if TYPE_CHECKING:
    from state.contract import Sealer

ANSWER, TRACE, MEMORIES, CORE = range(4)


class Asking(CockpitScreen):
    """A screen with a mind, a bench for each of its parts, and its memories."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.talk = Talk(context.open_mind, self._bring, context.clock)
        self.benches: list[Bench] = []
        self.at = 0
        self.memories: tuple[Memory, ...] = ()
        self.chosen = 0
        """The memory that the cursor is on."""
        self.core: Current | None = None
        """The versions, as last looked at."""
        self.back_to = 0
        """The version that the cursor is on, of those to go back to."""
        self.answers = ""
        """The core that the mind holds."""
        self.page = ANSWER
        """What the right pane shows."""
        self.played: float | None = None
        """When the trace went on last, while it plays."""
        self._seeds = 0

    def sync(self) -> None:
        """Show what is there now."""
        raise NotImplementedError

    @property
    def bench(self) -> Bench | None:
        """The part that is chosen."""
        return self.benches[self.at] if self.at < len(self.benches) else None

    @property
    def memory(self) -> Memory | None:
        """The memory that is chosen."""
        return self.memories[self.chosen] if self.chosen < len(self.memories) else None

    def _bring(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the cockpit has ended meanwhile
            self.app.call_from_thread(call)

    def ready(self, status: Mapping[str, Any]) -> None:
        """The mind is there: keep what lies on the bench for the parts that are still the same."""
        kept = {bench.part: bench for bench in self.benches}
        name = self.bench.part.name if self.bench is not None else ""
        parts = sorted(
            replies.parts(status), key=lambda part: part.task == "latents"
        )  # what answers is first
        self.benches = [kept.get(part) or Bench(part) for part in parts]
        names = [bench.part.name for bench in self.benches]
        self.at = names.index(name) if name in names else 0
        self._take_memories(status)
        self.answers = replies.text(status.get("core"), 64)
        self.look_at_core()
        self.sync()

    def ended(self) -> None:
        self.played = None
        for bench in self.benches:
            bench.mode = "look"
        self.context.say(self.talk.why or "The mind has ended", "failed")
        self.sync()

    def do_again(self) -> None:
        """Start the mind anew; where it lives, it is ended first."""
        if self.talk.state == "ready":
            self.talk.close()
        self.talk.start(self.ready, self.ended)
        self.sync()

    # Asking --------------------------------------------------------------------------------------

    def do_ask(self) -> None:
        """Ask; while a right answer is typed, teach it."""
        bench = self.bench
        if bench is None:
            return
        if bench.mode == "correct":
            self._teach(bench, list(bench.draft))
            return
        self._ask(bench)

    def _ask(self, bench: Bench) -> None:
        try:
            asked = bench.question()
        except Unclear as error:
            bench.problem = str(error)
            self.context.say(str(error), "waiting")
            self.sync()
            return
        bench.mode, self.played = "look", None
        if bench.part.task == "latents":
            then = partial(self._take, bench, lambda reply: bench.take_latent(reply, asked["text"]))
            self.talk.ask("encode", then, partial(self._wrong, bench), **asked)
        else:
            then = partial(self._take, bench, lambda reply: bench.take_answer(reply, asked))
            self.talk.ask("reflect", then, partial(self._wrong, bench), **asked)
        if self.page in (MEMORIES, CORE):
            self.page = ANSWER
        self.sync()

    def _take(
        self, bench: Bench, take: Callable[[Mapping[str, Any]], object], reply: Mapping[str, Any]
    ) -> None:
        try:
            take(reply)
        except Unclear as error:
            self._wrong(bench, str(error))
            return
        self.sync()

    def _wrong(self, bench: Bench, line: str) -> None:
        bench.problem = line
        self.context.say(line, "failed")
        self.sync()

    def do_new(self) -> None:
        """A new example."""
        bench = self.bench
        if bench is None:
            return
        self._seeds += 1
        seed = (self.context.now() // 1000 + self._seeds) % (1 << 31)
        then = partial(self._take, bench, lambda reply: bench.take_example(reply, seed))
        self.talk.ask("example", then, partial(self._wrong, bench), part=bench.part.name, seed=seed)
        if self.page in (MEMORIES, CORE):
            self.page = ANSWER
        self.sync()

    def do_correct(self) -> None:
        """Have the right answer said: on a board cell by cell, of a picture in words."""
        bench = self.bench
        if bench is None:
            return
        if bench.part.task == "board":
            bench.correct()
            self.sync()
            return
        said = bench.answer.said if bench.answer is not None else ""
        asked = bench.lines[-1].text
        about = f"{asked} It said: {said}. A memory learns what you write; the core stays as it is."
        prompt = Prompt("The right answer", about, partial(self._teach, bench), needed=True)
        if isinstance(bench.truth, str) and bench.truth != said:
            prompt.edit.insert(bench.truth)
        self.show(prompt)

    def _teach(self, bench: Bench, right: list[int] | str) -> None:
        asked = bench.asked
        bench.mode = "look"
        if asked is None:
            return
        if bench.part.task == "board" and bench.part.blank in right:
            self._wrong(bench, "the right answer has empty cells: c goes on with it")
            return
        memory = memory_of(self.memories, bench.part)
        name = memory.name if memory is not None else self._fresh_name(bench)

        def taken(reply: Mapping[str, Any]) -> None:
            if bench.take_corrected(
                reply, asked, right
            ):  # with what hangs together, which a correction leaves out
                again = partial(self._take, bench, lambda more: bench.take_answer(more, asked, keep=True))
                self.talk.ask("reflect", again, partial(self._wrong, bench), **asked)
            self._look_at_memories()

        self.talk.ask(
            "correct", partial(self._take, bench, taken), partial(self._wrong, bench),
            answer=right, memory=name, **asked,
        )  # fmt: skip
        self.page = ANSWER
        self.sync()

    def _fresh_name(self, bench: Bench) -> str:
        """`default`, or a name after the part where another part's memory has that."""
        names = {each.name for each in self.memories}
        return "default" if "default" not in names else f"default-{bench.part.name}"[:40]

    # Memories ------------------------------------------------------------------------------------

    def _take_memories(self, reply: Mapping[str, Any]) -> None:
        name = self.memory.name if self.memory is not None else ""
        self.memories = replies.memories(reply)
        names = [each.name for each in self.memories]
        self.chosen = names.index(name) if name in names else min(self.chosen, max(0, len(names) - 1))

    def _look_at_memories(self) -> None:
        self._memory("list", "")

    def _memory(self, op: str, done: str, then: Callable[[], None] | None = None, **fields: str) -> None:
        def taken(reply: Mapping[str, Any]) -> None:
            self._take_memories(reply)
            if done:
                self.context.say(done, "landed")
            if then is not None:
                then()
            self.sync()

        def wrong(line: str) -> None:
            self.context.say(line, "failed")
            self.sync()

        self.talk.ask("memory", taken, wrong, op=op, **fields)

    def _ask_again(self, part: str) -> None:
        """The same question once more, where it had an answer: a switch shows what it does."""
        bench = next((each for each in self.benches if each.part.name == part), None)
        if bench is not None and bench.asked is not None and bench.mode == "look":
            asked = bench.asked
            then = partial(self._take, bench, lambda reply: bench.take_answer(reply, asked))
            self.talk.ask("reflect", then, partial(self._wrong, bench), **asked)

    def do_onoff(self) -> None:
        """Turn the chosen memory on or off, and ask again."""
        memory = self.memory
        if memory is not None:
            op = "off" if memory.on else "on"
            done = f"Memory {memory.name} is {op}"
            self._memory(op, done, partial(self._ask_again, memory.part), name=memory.name)

    def do_undo(self) -> None:
        """Take the last lesson back: of the chosen memory on its page, else of the part's."""
        memory = self.memory if self.page == MEMORIES else None
        if memory is None and self.bench is not None:
            memory = memory_of(self.memories, self.bench.part)
        if memory is not None:
            done = f"Memory {memory.name} forgot its last lesson"
            self._memory("drop-last", done, partial(self._ask_again, memory.part), name=memory.name)

    def do_copy(self) -> None:
        """Copy the chosen memory."""
        memory = self.memory
        if memory is None:
            return

        def copy(to: str) -> None:
            self._memory("copy", f"Memory {memory.name} is copied to {to}", name=memory.name, to=to)

        about = "Letters, digits and dashes. The copy is off until you turn it on."
        self.show(Prompt(f"Copy the memory {memory.name} to", about, copy, needed=True))

    def do_forget(self) -> None:
        """Forget the chosen memory, after a question."""
        memory = self.memory
        if memory is None:
            return

        def forget() -> None:
            done = f"Memory {memory.name} is forgotten"
            self._memory("forget", done, partial(self._ask_again, memory.part), name=memory.name)

        lessons = f"{memory.lessons} lesson" + ("" if memory.lessons == 1 else "s")
        about = [
            f"Its {lessons} are gone with it. What it taught nobody else knows: the core never learned it.",
            "y makes a copy first; o turns it off and keeps it.",
        ]
        self.show(Confirm(self.context, f"Forget the memory {memory.name}?", about, "Forget", forget))

    # The core --------------------------------------------------------------------------------------

    def look_at_core(self) -> None:
        """Read the versions, and hold the one in force against its digest."""
        workspace = self.context.workspace

        def look(journal: Journal, sealer: Sealer) -> object:
            return verified(journal, workspace, sealer)

        def found(core: object) -> None:
            if isinstance(core, Current):
                self.core = core
                self.back_to = min(self.back_to, max(0, len(versions.earlier(core)) - 1))
                self.sync()

        self.context.examine(look, found)

    @property
    def outdated(self) -> bool:
        """Whether another version is in force than the one that the mind holds."""
        version = self.core.version if self.core is not None else None
        return version is not None and bool(self.answers) and version.digest != self.answers

    def do_revert(self) -> None:
        """Go back to the chosen version, after the beginning of its name was typed."""
        earlier = versions.earlier(self.core)
        if self.back_to >= len(earlier):
            return
        digest = earlier[self.back_to].core
        workspace, short = self.context.workspace, digest[:6]

        def word(journal: Journal, sealer: Sealer) -> object:
            from state import core_words

            signoff = f"v {short}, the Lab"
            return core_words.revert(journal, workspace, digest, sealer=sealer, signoff=signoff)

        def write() -> None:
            self.context.sealed(word, f"Core {digest[:12]} is in force again", self._reverted)

        about = [
            f"Core {digest[:12]} answers again, bit for bit as it was; the one in force now is kept, and one"
            " can go back to it too. It is sealed with your key and written down.",
            "A memory that was made over another core learns its lessons again.",
        ]
        self.show(
            TypeToConfirm(self.context, f"Go back to core {digest[:12]}?", about, "Go back", short, write)
        )

    def _reverted(self) -> None:
        """The word is written: the core that is in force now answers."""
        self.look_at_core()
        if self.talk.state in ("ready", "ended"):
            self.talk.close()
            self.talk.start(self.ready, self.ended)
        self.sync()
