"""The page in a real browser, over a mind that is a double: nothing is asked of anybody but the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import browsing
import pytest

pytest.importorskip("gradio")

import pictures
from pictures import held
from web_doubles import scripted

from orchestrator.web.desk import Desk
from state.workspace import Workspace

pytestmark = [
    pytest.mark.skipif(bool(browsing.lacking()), reason=browsing.lacking() or "a browser is here"),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio"),
]

EVIL = "<img src=x onerror='window.evil=1'><script>window.evil=1</script>](javascript:evil) \x1b[2J\u202e"


class Hostile(Desk):
    """A desk whose mind says to the question `evil` what would run, were it believed."""

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """The double's answer, or the evil one."""
        reply = super().ask(do, **fields)
        if fields.get("question") == "evil":
            cycles = [{"answer": EVIL, "change": 1e300, "halt": -5, "doubt": "no"}] * 5_000
            reply |= {"answer": EVIL, "by": EVIL, "others": [[EVIL, 0.5]] * 900, "trace": cycles}
        return reply

    def reflections(self, limit: int) -> list[dict[str, Any]]:
        """One that is evil."""
        return [{"at": 1e30, "kind": EVIL, "part": EVIL, "answer": EVIL, "by": EVIL, "probability": 2}]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browsing.Tab]:
    def hostile(place: Workspace) -> Desk:
        return Hostile(place, scripted(place)._opener)

    with pictures.lab(tmp_path_factory.mktemp("page"), hostile) as (_, tab):
        yield tab


@pytest.fixture
def tab(opened: browsing.Tab) -> Iterator[browsing.Tab]:
    opened.wrong.clear()
    yield opened
    assert opened.elsewhere == []
    assert opened.wrong == []


def test_a_question_is_asked_reflected_on_and_corrected(tab: browsing.Tab) -> None:
    assert len(pictures.reflected(tab)) < pictures.LARGEST
    solved = tab.evaluate(held("answer")).partition("\n\nprob")[0]
    assert "." not in solved
    assert "by core" in tab.evaluate(held("answer"))
    tab.evaluate(
        "[...document.querySelectorAll('button')].find(b => b.innerText.includes('Correct it')).click()"
    )
    tab.until("!!document.querySelector('#right textarea')")
    tab.fill("#right textarea", solved)
    tab.click("#correct")
    tab.until(f"{held('answer')}.includes('default has 1 lessons')")
    assert "The core is unchanged." in tab.evaluate(held("answer"))
    tab.click("#reason")
    tab.until(f"{held('answer')}.includes('by default')")


def test_a_memory_is_switched_off_and_on(tab: browsing.Tab) -> None:
    tab.tab("Memories")
    tab.until("document.body.innerText.includes('lessons')")
    tab.fill("#memory-name textarea, #memory-name input", "default")
    for op in ("off", "on"):
        tab.click(f"#memory-{op}")
        tab.until(f"{held('switched')} == 'default is {op}.'")
    tab.fill("#memory-name textarea, #memory-name input", "<b>nobody</b>")
    tab.click("#memory-on")
    tab.until(f"{held('switched')}.includes('there is no memory')")
    tab.tab("Ask")


def test_what_the_mind_says_is_text_and_never_runs(tab: browsing.Tab) -> None:
    tab.choose("#part input", "scenes")
    tab.until("!!document.querySelector('#question input, #question textarea')")
    tab.fill("#scene textarea", "small red circle at the top left; large blue star in the middle")
    tab.fill("#question input, #question textarea", "evil")
    tab.click("#reflect")
    tab.until(f"{held('answer')}.includes('onerror')")
    tab.until("[...document.querySelectorAll('#picture img')].filter(i => i.naturalWidth > 50).length == 2")
    tab.tab("Traces")
    tab.until("document.body.innerText.includes('onerror')")
    assert tab.evaluate("window.evil") is None
    assert tab.evaluate("document.querySelectorAll('img[src=x]').length") == 0
    said = tab.evaluate("document.documentElement.innerText + " + held("answer"))
    assert "\x1b" not in said and "\u202e" not in said


def test_proposals_are_shown_and_nothing_there_can_be_pressed(tab: browsing.Tab) -> None:
    tab.tab("Proposals")
    tab.until(f"{held('proposals')}.includes('Nothing waits')")
    assert "jetbox approve" in tab.evaluate(
        "[...document.querySelectorAll('textarea')].map(t => t.value).join()"
    )
    shown = "[...document.querySelectorAll('button')].filter(b => b.offsetParent)"
    pressed = set(tab.evaluate(f"{shown}.map(b => b.innerText.trim()).filter(t => t)"))
    assert pressed == {"Ask", "Encode", "Memories", "Traces", "Proposals"}
