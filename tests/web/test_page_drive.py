"""The page in a real browser, over a mind that is a double: nothing is asked of anybody but the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import browsing
import pytest
from web_doubles import Served, served, workspace

pytest.importorskip("gradio")

from orchestrator.web import page

pytestmark = [
    pytest.mark.skipif(bool(browsing.lacking()), reason=browsing.lacking() or "a browser is here"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = workspace(tmp_path_factory.mktemp("page") / "project")
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "GRADIO_ANALYTICS_ENABLED",
            "GRADIO_TEMP_DIR",
            "HF_HUB_OFFLINE",
            "HF_HUB_DISABLE_TELEMETRY",
        ):
            patch.setenv(name, "x")  # put back as it was, once the page has set its own
        with served(place, mount=page.mount) as found:
            yield found


def test_a_question_is_asked_and_corrected_and_nothing_else_is_reached(lab: Served, tmp_path: Path) -> None:
    with browsing.tab(tmp_path / "profile", f"127.0.0.1:{lab.port}") as tab:
        tab.open(lab.serving.link)
        tab.until("!!document.querySelector('#reason')")
        tab.until("document.querySelector('#core textarea').value.startsWith('Core 5c5c')")
        tab.click("#example")
        tab.until("document.querySelector('#board textarea').value.length > 30")
        tab.click("#reflect")
        tab.until("document.querySelector('#answer textarea').value.includes('probability 90%')")
        assert "by core" in tab.evaluate("document.querySelector('#answer textarea').value")
        tab.until(
            "[...document.querySelectorAll('#picture img')].filter(i => i.naturalWidth > 50).length == 2"
        )
        tab.evaluate("document.querySelector('#picture').scrollIntoView()")
        (tmp_path / "page.png").write_bytes(tab.picture())
        assert tab.elsewhere == []
        assert tab.wrong == []
