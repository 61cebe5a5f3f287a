"""What stands on the page, and what its buttons do. Gradio is handed in, so that nothing here loads it.

Each button's function takes plain values and gives plain values; what goes wrong is a line in the field where
the answer would be.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.web import drawn, proposed, written
from orchestrator.web.desk import Desk, Sorry
from orchestrator.web.written import Unclear, short

AT_ONCE = 4
"""Calls that are worked on at once; the others wait."""
WAITING = 32
"""Calls that may wait; who comes then is told."""
MEMORIES = ("auto", "off")
_HINT = "a board: digits and dots, as the example shows"
_SCENE_HINT = "an object a line: small red circle at the top left"
_LATENT = 8  # numbers of a latent that are written out


class Bench:
    """What the buttons do, over the services of a workspace. No method raises."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._parts: dict[str, Mapping[str, Any]] = {}

    def begin(self) -> tuple[str, list[str], list[str]]:
        """The line at the top, the names of the parts that answer, and of the memories."""
        try:
            status = self._desk.ask("status")
        except Sorry as sorry:
            return short(str(sorry)), [], list(MEMORIES)
        found = status.get("parts")
        parts = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
        self._parts = {short(each.get("name"), 64): each for each in parts[:64]}
        answering = [name for name, each in self._parts.items() if each.get("task") in ("board", "scene")]
        line = f"Core {short(status.get('core'), 12)}: {', '.join(self._parts) or 'no part'}"
        return line, answering, [*MEMORIES, *(row[0] for row in self._memories(status.get("memories")))]

    def hint(self, name: str) -> tuple[bool, bool]:
        """Whether a part takes a board, and whether it takes a scene."""
        task = self._part(name).get("task") if name else None
        return task != "scene", task == "scene"

    def example(self, name: str) -> tuple[str, str, str, str]:
        """A question of the kind that the part knows: board, scene, question, and what went wrong."""
        try:
            part = self._part(name)
            reply = self._desk.ask("example", part=part["name"], seed=random.randrange(1 << 31))
        except (Sorry, Unclear) as error:
            return "", "", "", short(str(error))
        asked = reply.get("question")
        asked = asked if isinstance(asked, dict) else {}
        if part.get("task") == "board":
            return written.grid(asked.get("cells"), part), "", "", ""
        return "", written.scene_lines(asked.get("scene")), short(asked.get("question")), ""

    def reason(self, name: str, board: str, scene: str, text: str, memory: str) -> tuple[str, str]:
        """An answer in lines, and its picture."""
        return self._asked("reason", name, board, scene, text, memory)

    def reflect(self, name: str, board: str, scene: str, text: str, memory: str) -> tuple[str, str]:
        """The same with what went on inside."""
        return self._asked("reflect", name, board, scene, text, memory)

    def correct(
        self, name: str, board: str, scene: str, text: str, right: str, memory: str
    ) -> tuple[str, str]:
        """Teach a memory the right answer: what it said before, and says now."""
        try:
            part = self._part(name)
            question = self._question(part, board, scene, text)
            answer: Any = written.cells(right, part) if part.get("task") == "board" else right.strip()[:300]
            if not answer:
                raise Unclear("write the right answer first")
            reply = self._desk.ask("correct", **question, answer=answer, memory=memory.strip() or "default")
        except (Sorry, Unclear) as error:
            return short(str(error)), ""
        kept = reply.get("memory")
        row = proposed.memory(kept) if isinstance(kept, dict) else ["?"] * len(proposed.MEMORIES)
        lines = [f"The memory {row[0]} has {row[3]} lessons and answers {row[4]} of them rightly."]
        after: Mapping[str, Any] = {}
        for word in ("before", "after"):
            said = reply.get(word)
            if isinstance(said, dict):
                lines += ["", f"{word}:", written.answer(said, part)]
                after = said
        lines += ["", "The core is unchanged." if reply.get("core_unchanged") is True else "The core?"]
        if reply.get("proposed"):
            lines.append(f"Proposed for the core: ticket {short(reply['proposed'], 64)}. {proposed.HOW}")
        return "\n".join(lines), self._picture(after, question, part)

    def encode(self, text: str, scene: str) -> tuple[str, str]:
        """A latent in a line, and its picture."""
        try:
            asked: dict[str, Any] = {}
            if scene.strip():
                part = next((each for each in self._known().values() if each.get("task") == "scene"), None)
                if part is None:
                    raise Unclear("no part of this core takes scenes")
                asked["scene"] = written.scene(scene, part)
            elif text.strip():
                asked["text"] = text.strip()[:2_000]
            else:
                raise Unclear("write words, or a scene")
            reply = self._desk.ask("encode", **asked)
        except (Sorry, Unclear) as error:
            return short(str(error)), ""
        latent = reply.get("latent")
        found = (
            [written.number(each, -1e6, 1e6) for each in latent[:4_096]] if isinstance(latent, list) else []
        )
        numbers = [each for each in found if each is not None]
        first = " ".join(f"{each:+.3f}" for each in numbers[:_LATENT])
        line = (
            f"{len(numbers)} numbers by {short(reply.get('part'), 64)} ({short(reply.get('modality'), 20)}): "
        )
        return f"{line}{first} …", drawn.image(drawn.latent(numbers), "the latent")

    def switch(self, name: str, op: str) -> tuple[str, list[list[str]]]:
        """Switch a memory; a line, and the memories as rows."""
        try:
            reply = self._desk.ask("memory", op=op, **({"name": name} if op != "list" else {}))
        except Sorry as sorry:
            return short(str(sorry)), self._memories(None)
        return f"{name} is {op}." if op != "list" else "", self._memories(reply.get("memories"))

    def memories(self) -> tuple[str, list[list[str]]]:
        """The memories as rows."""
        return self.switch("", "list")

    def traces(self) -> tuple[str, list[list[str]]]:
        """The last reflections as rows, newest first."""
        try:
            found = self._desk.reflections(50)
        except Sorry as sorry:
            return short(str(sorry)), []
        rows = [proposed.trace(each) for each in found if isinstance(each, Mapping)]
        return ("" if rows else "Nothing has been written down yet."), rows

    def proposals(self) -> str:
        """What waits for a person, to be read."""
        try:
            return proposed.proposals([each.model_dump() for each in self._desk.inbox()])
        except Sorry as sorry:
            return short(str(sorry))

    # -------------------------------------------------------------------------------------------------

    def _asked(self, do: str, name: str, board: str, scene: str, text: str, memory: str) -> tuple[str, str]:
        try:
            part = self._part(name)
            question = self._question(part, board, scene, text)
            reply = self._desk.ask(do, **question, memory=memory or "auto")
        except (Sorry, Unclear) as error:
            return short(str(error)), ""
        return written.answer(reply, part), self._picture(reply, question, part)

    def _question(self, part: Mapping[str, Any], board: str, scene: str, text: str) -> dict[str, Any]:
        if part.get("task") == "board":
            return {"part": part["name"], "cells": written.cells(board, part)}
        if not text.strip():
            raise Unclear("write a question, such as: what colour is the circle?")
        return {"part": part["name"], "question": text.strip()[:2_000], "scene": written.scene(scene, part)}

    def _picture(self, reply: Mapping[str, Any], question: Mapping[str, Any], part: Mapping[str, Any]) -> str:
        if part.get("task") == "board":
            first = drawn.image(drawn.board(reply, question.get("cells", ()), part), "the board")
        else:
            first = drawn.image(drawn.scene(question.get("scene", {}), part), "the scene")
        return "\n\n".join(filter(None, (first, drawn.image(drawn.trace(reply), "the cycles"))))

    def _known(self) -> dict[str, Mapping[str, Any]]:
        if not self._parts:
            self.begin()
        return self._parts

    def _part(self, name: str) -> Mapping[str, Any]:
        found = self._known().get(name or "")
        if found is None:
            raise Unclear(
                "choose a part first" if self._parts else "there is no core to ask yet: `jetbox core`"
            )
        return found

    def _memories(self, found: object) -> list[list[str]]:
        listed = found[:256] if isinstance(found, list) else []
        return [proposed.memory(each) for each in listed if isinstance(each, dict)]


def blocks(gradio: Any, desk: Desk) -> Any:
    """The page."""
    bench = Bench(desk)
    call = functools.partial(_call, gradio)
    with gradio.Blocks(analytics_enabled=False, title="Jetbox Lab") as made:
        top = gradio.Textbox(show_label=False, interactive=False, container=False, elem_id="core")
        with gradio.Tab("Ask"):
            _ask(gradio, bench, call, made, top)
        with gradio.Tab("Encode"):
            _encode(gradio, bench, call)
        with gradio.Tab("Memories") as tab:
            _memories(gradio, bench, call, tab)
        with gradio.Tab("Traces") as tab:
            _traces(gradio, bench, call, tab)
        with gradio.Tab("Proposals") as tab:
            said = gradio.Textbox(proposed.HOW, show_label=False, interactive=False, container=False)
            del said
            waiting = _lines(gradio, "What waits for a person", "proposals", 12)
            call(tab.select, bench.proposals, None, waiting)
    made.queue(max_size=WAITING, default_concurrency_limit=AT_ONCE, api_open=False)
    return made


def _call(gradio: Any, event: Any, do: Callable[..., Any], inputs: Any, outputs: Any) -> Any:
    """A function behind a button: not offered by name, and no animation that hides the answer before."""
    return event(do, inputs, outputs, api_visibility="private", show_progress="hidden")


def _lines(gradio: Any, label: str, name: str, lines: int) -> Any:
    return gradio.Textbox(
        label=label, lines=lines, max_lines=40, interactive=False, elem_id=name, elem_classes="mono"
    )


def _ask(gradio: Any, bench: Bench, call: Any, made: Any, top: Any) -> None:
    with gradio.Row():
        part = gradio.Dropdown([], label="Part", elem_id="part")
        memory = gradio.Dropdown(list(MEMORIES), value="auto", label="Memory", elem_id="memory")
    board = gradio.Textbox(
        label="Board", placeholder=_HINT, lines=9, max_lines=24, elem_id="board", elem_classes="mono"
    )
    scene = gradio.Textbox(label="Scene", placeholder=_SCENE_HINT, lines=3, elem_id="scene", visible=False)
    text = gradio.Textbox(label="Question", lines=1, elem_id="question", visible=False)
    with gradio.Row():
        example = gradio.Button("Example", elem_id="example")
        reason = gradio.Button("Reason", variant="primary", elem_id="reason")
        reflect = gradio.Button("Reflect", elem_id="reflect")
    with gradio.Row():
        answer = _lines(gradio, "Answer", "answer", 10)
        picture = gradio.Markdown(elem_id="picture", sanitize_html=True)
    with gradio.Accordion("Correct it", open=False):
        right = gradio.Textbox(label="The right answer", lines=2, elem_id="right", elem_classes="mono")
        into = gradio.Textbox("default", label="Memory that learns it", elem_id="into")
        correct = gradio.Button("Correct", elem_id="correct")

    def begin() -> Any:
        line, parts, memories = bench.begin()
        first = parts[0] if parts else None
        is_board, is_scene = bench.hint(first or "")
        show = functools.partial(gradio.update)
        return (
            line,
            show(choices=parts, value=first),
            show(choices=memories, value="auto"),
            show(visible=is_board),
            show(visible=is_scene),
            show(visible=is_scene),
        )

    def chosen(name: str) -> Any:
        try:
            is_board, is_scene = bench.hint(name)
        except Unclear:
            is_board, is_scene = True, False
        show = gradio.update
        return show(visible=is_board), show(visible=is_scene), show(visible=is_scene)

    question = [part, board, scene, text]
    call(made.load, begin, None, [top, part, memory, board, scene, text])
    call(part.input, chosen, part, [board, scene, text])
    call(example.click, bench.example, part, [board, scene, text, answer])
    call(reason.click, bench.reason, [*question, memory], [answer, picture])
    call(reflect.click, bench.reflect, [*question, memory], [answer, picture])
    call(correct.click, bench.correct, [*question, right, into], [answer, picture])


def _encode(gradio: Any, bench: Bench, call: Any) -> None:
    text = gradio.Textbox(label="Words", elem_id="words")
    scene = gradio.Textbox(label="Or a scene", placeholder=_SCENE_HINT, lines=3, elem_id="encode-scene")
    encode = gradio.Button("Encode", variant="primary", elem_id="encode")
    latent = _lines(gradio, "Latent", "latent", 2)
    picture = gradio.Markdown(elem_id="latent-picture", sanitize_html=True)
    call(encode.click, bench.encode, [text, scene], [latent, picture])


def _memories(gradio: Any, bench: Bench, call: Any, tab: Any) -> None:
    line = gradio.Textbox(
        show_label=False, interactive=False, container=False, visible=False, elem_id="switched"
    )
    rows = _table(gradio, proposed.MEMORIES)
    name = gradio.Textbox(label="Memory", elem_id="memory-name")
    with gradio.Row():
        for op in ("on", "off"):
            button = gradio.Button(f"Switch {op}", elem_id=f"memory-{op}")
            switch = functools.partial(bench.switch, op=op)
            call(button.click, lambda name, switch=switch: _shown(gradio, switch(name)), name, [line, rows])
    call(tab.select, lambda: _shown(gradio, bench.memories()), None, [line, rows])


def _traces(gradio: Any, bench: Bench, call: Any, tab: Any) -> None:
    line = gradio.Textbox(show_label=False, interactive=False, container=False, visible=False)
    rows = _table(gradio, proposed.TRACES)
    call(tab.select, lambda: _shown(gradio, bench.traces()), None, [line, rows])


def _shown(gradio: Any, said: tuple[str, list[list[str]]]) -> tuple[Any, list[list[str]]]:
    """A line, where there is one, and rows."""
    return gradio.update(value=said[0], visible=bool(said[0])), said[1]


def _table(gradio: Any, names: list[str]) -> Any:
    return gradio.Dataframe(
        headers=names, datatype="str", interactive=False, type="array", wrap=True, max_height=480
    )
