"""A model is tried once, in bounded time; what it shows decides how it is asked. The model is scripted."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from provider_double import Double, Fault, Says, machine, model
from provider_double import catalogue as roles

from orchestrator.models import calibration
from orchestrator.models.calibrate import BLOCKS, EITHER, REWRITES, calibrate, whole_file
from orchestrator.models.calibration import Finding
from orchestrator.models.service import Models
from orchestrator.providers.base import Request

NEVER = threading.Event()
FILE = "```python\n"


def able(sees: int = 1 << 20, blocks: bool = True, whole: bool = True, schema: bool = True) -> Double:
    """A model that does what it is asked, as far as it can; `sees` tokens of 3.2 bytes."""

    def reply(request: Request) -> Fault | Says:
        asked = request.messages[-1].content
        if request.schema is not None:
            return Says(
                json.dumps({"reason": "so", "kind": "bug", "files": 1}) if schema else "a bug, I think"
            )
        if asked.startswith("Change this file"):
            return Says(_edit(asked, blocks, whole))
        if "secret word" in asked:
            end = asked.encode()[-int(sees * 3.2) :].decode(errors="ignore")
            return Says("heliotrope" if "heliotrope" in end else "I was told no word")
        return Says("a long and sober answer", "with a thought") if "300 words" in asked else Says("yes")

    return Double(has={"m": model("m", context=40_960)}, script=[reply] * 100)  # type: ignore[list-item]


def _edit(asked: str, blocks: bool, whole: bool) -> str:
    changes = {
        "LIMIT to 25": ("LIMIT = 10", "LIMIT = 25"),
        "Good day": ('return "Hello, " + name', 'return "Good day, " + name'),
        ">= instead": ("if value > LIMIT:", "if value >= LIMIT:"),
    }
    old, new = next(change for sign, change in changes.items() if sign in asked)
    if "SEARCH" not in asked:
        text = asked.split(FILE, 2)[-1].removesuffix("```\n")
        return f"EDIT limits.py\n{FILE}{text.replace(old, new) if whole else text.replace(old, '?')}```\n"
    indent = "    " if old not in ("LIMIT = 10", "if value > LIMIT:") else ""
    indent = "    " if old == "if value > LIMIT:" else indent
    if not blocks:
        return "I would change that line."
    marks = f"<<<<<<< SEARCH\n{indent}{old}\n=======\n{indent}{new}\n>>>>>>> REPLACE"
    return f"EDIT limits.py\n```\n{marks}\n```\n"


def attempt(double: Double, context: int = 32_768, **more: float) -> Finding:
    return calibrate(double, double.has["m"], context, None, NEVER, **more)


def test_an_able_model_is_found_to_be_so() -> None:
    found = attempt(able())
    assert (found.schema_rate, found.whole_rate, found.blocks_rate) == (1.0, 1.0, 1.0)
    assert found.context == found.claimed == 32_768
    assert found.whole_file == EITHER and found.visible > 0 and found.hidden > 0 and not found.repeats
    assert found.notes == () and found.digest == "sha-m"


def test_a_context_that_is_cut_silently_is_found_by_what_the_model_still_knows() -> None:
    found = attempt(able(sees=9000))
    assert (found.context, found.claimed) == (8192, 16_384)
    assert "8192 tokens of 16384 that it was given" in found.says()[0]


def test_a_form_of_edits_that_fails_is_not_used() -> None:
    assert attempt(able(blocks=False)).whole_file == REWRITES
    assert attempt(able(whole=False)).whole_file == BLOCKS
    assert [whole_file(*each) for each in ((1, 1), (0, 1), (1, 0), (0, 0), (1, 0.67))] == [
        EITHER, BLOCKS, REWRITES, REWRITES, EITHER,
    ]  # fmt: skip


def test_a_schema_that_is_not_kept_to_is_seen() -> None:
    assert attempt(able(schema=False)).schema_rate == 0.0


def test_a_model_that_chants_is_marked() -> None:
    double = able()
    double.script = [lambda _: Says("and so on and on " * 500)] * 100  # type: ignore[list-item]
    found = attempt(double)
    assert found.repeats and "repeats itself in long replies" in found.says()


def test_a_trial_that_fails_leaves_the_others_and_is_a_note() -> None:
    double = able()
    double.script = [Fault("transport"), *double.script]
    found = attempt(double)
    assert found.schema_rate == 1.0
    assert found.notes == ("tokens could not be tried: made to fail: transport",)


def test_the_time_is_bounded_whatever_the_model_does() -> None:
    double = able()
    double.gate = threading.Event()  # no reply ever comes
    begun = time.monotonic()
    found = attempt(double, within=0.4)
    assert time.monotonic() - begun < 10
    assert len(found.notes) == 5 and all("time was up" in each for each in found.notes)


def test_what_was_found_is_kept_and_read_again(tmp_path: Path) -> None:
    file, found = tmp_path / "calibration.json", attempt(able())
    calibration.keep(found, file)
    calibration.keep(found.model_copy(update={"digest": "other"}), file)
    assert calibration.load(file) == {
        "here/sha-m": found,
        "here/other": found.model_copy(update={"digest": "other"}),
    }


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b'{"v":2,"models":{}}', b'{"v":1,"models":{"a":{"model":5}}}', b"[" * 100_000],
)
def test_a_damaged_or_newer_file_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "calibration.json"
    file.write_bytes(damage)
    assert calibration.load(file) == {}
    calibration.keep(attempt(able(), 4096), file)
    assert len(calibration.load(file)) == 1


def test_what_is_remembered_is_bounded_and_the_oldest_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "MOST", 2)
    file = tmp_path / "calibration.json"
    for at in (3, 1, 2):
        calibration.keep(Finding(model="m", digest=str(at), provider="p", at=at), file)
    assert sorted(calibration.load(file)) == ["p/2", "p/3"]


def test_the_service_asks_as_the_trial_has_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "path", lambda: tmp_path / "calibration.json")
    double = able(sees=9000, blocks=False)
    models = Models(roles(coder=("m",)), None, lambda _: double, machine)
    assert models.choose("coder").context == 16_384
    assert models.attempt(models.catalogue.roles["coder"][0], NEVER, lambda _: None, 60.0) is not None
    chosen = models.choose("coder")
    assert (chosen.context, chosen.whole_file) == (8192, REWRITES)
