"""Models by role: the first that is there, answers and fits; a failure costs no more than it must."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from provider_double import GB, Act, Double, Fault, Says, catalogue, machine, model

from orchestrator.models import asking, calibration, choosing, service
from orchestrator.models.base import Again, Chosen, Heard, NoModel, Reply, Waits
from orchestrator.models.service import Models
from orchestrator.providers.base import Final, Loaded, Message, ProviderError, Request, Text, Thought
from state import machine as pictures

NEVER = threading.Event()
AT = "127.0.0.1:11434"


@pytest.fixture(autouse=True)
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "DELAYS", (0.01,) * 5)
    monkeypatch.setattr(service, "_SENSED", 0.01)


@pytest.fixture(autouse=True)
def nothing_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(calibration, "path", lambda: tmp_path / "calibration.json")
    yield


def models(
    double: Double, look: Callable[[], Any] = machine, picture: Path | None = None, **how: Any
) -> Models:
    return Models(catalogue(**how), picture, lambda _: double, look)


def double(*has: str, script: Sequence[Act] = (), **how: Any) -> Double:
    sizes = {"large": 18.0, "middle": 9.0, "small": 5.0, "huge": 60.0}
    found = {name: model(name, sizes.get(name, 5.0), thinks=name == "middle") for name in has}
    return Double(has=found, script=list(script), **how)


def request(chosen: Chosen, **more: Any) -> Request:
    messages = (Message("user", "do it"),)
    return Request(chosen.model, messages, chosen.context, 500, chosen.temperature, 0, chosen.think, **more)


def chat(made: Models, role: str = "coder", **more: Any) -> tuple[Reply | None, list[Heard]]:
    heard: list[Heard] = []
    chosen = made.choose(role)
    return made.chat(chosen, request(chosen, **more), heard.append, NEVER), heard


# Who answers ------------------------------------------------------------------------------------------


def test_the_first_that_is_there_and_fits_answers() -> None:
    made = models(double("huge", "middle", "small"), coder=("absent", "huge", "middle", "small"))
    chosen = made.choose("coder")
    assert (chosen.model, chosen.context, chosen.digest, chosen.version) == (
        "middle", 16_384, "sha-middle", "1.2.3",
    )  # fmt: skip
    why = {each.wish.model: each.why for each in made.judged("coder")}
    assert why["absent"] == "absent is not there: `ollama pull absent`"
    assert why["huge"].startswith("huge needs 62") and why["huge"].endswith("23.0 GB can be used")


def test_a_larger_one_is_the_next_by_size_and_the_largest_at_most() -> None:
    made = models(double("large", "middle", "small"), coder=("small", "large", "middle"))
    assert [made.choose("coder", larger).model for larger in (0, 1, 2, 9)] == [
        "small", "middle", "large", "large",
    ]  # fmt: skip


def test_a_context_that_does_not_fit_is_lowered_and_said() -> None:
    made = models(double("large"), lambda: machine(21.7), coder=("large",))
    assert 8192 <= made.choose("coder").context < 16_384
    assert "lowered from 16384" in made.judged("coder")[0].why


def test_what_other_programs_hold_is_not_ours_to_use() -> None:
    crowded = models(double("large", "small"), lambda: machine(24, free=12), coder=("large", "small"))
    assert crowded.choose("coder").model == "small"


def test_a_model_that_thinks_is_asked_to_as_the_policy_says() -> None:
    made = models(double("middle", "small"), coder=("middle",), quick=("small",))
    assert (made.choose("coder").think, made.choose("coder").think_more) == (False, True)
    assert (made.choose("quick").think, made.choose("quick").think_more) == (None, None)


def test_a_model_that_somebody_else_would_run_is_never_used() -> None:
    away = Double(has={"far": model("far", remote=True)})
    made = models(away, coder=("far",))
    with pytest.raises(NoModel, match="somebody else"):
        made.choose("coder")


def test_what_was_found_out_about_a_model_counts() -> None:
    calibration.keep(
        calibration.Finding(
            model="small", digest="sha-small", provider="here", at=1, context=12_000, claimed=16_000,
            whole_file=400, bytes_per_token=2.9,
        )
    )  # fmt: skip
    chosen = models(double("small"), coder=("small",)).choose("coder")
    assert (chosen.context, chosen.whole_file, chosen.bytes_per_token) == (12_000, 400, 2.9)


def test_a_star_stands_for_whatever_the_server_serves() -> None:
    made = models(double("nomic-embed-text", "small", script=[Says("done")]), coder=("absent", "*"))
    assert made.choose("coder").model == "small"
    assert [each.wish.model for each in made.judged("coder")] == ["absent", "small"]
    reply, _ = chat(made)
    assert reply is not None and reply.text.strip() == "done"
    with pytest.raises(NoModel):
        models(double(), coder=("absent", "*")).choose("coder")


# Obstacles --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (double("small", up=False), f"no model server answers at {AT}: start Ollama, and this goes on"),
        (double(), "small is not there: `ollama pull small`"),
        (double("small"), None),
    ],
)  # fmt: skip
def test_an_obstacle_is_one_line_with_its_cure(server: Double, says: str | None) -> None:
    assert models(server, coder=("small",)).obstacle(frozenset({"coder"})) == says


def test_where_nobody_answers_and_files_would_do_both_cures_are_told() -> None:
    wishes = (
        catalogue(coder=("small",)).roles["coder"] + catalogue(kind="embedded", coder=("x",)).roles["coder"]
    )
    ollama, files = wishes
    install = "pip install 'jetbox[embedded]'"

    def judged(why: str) -> str | None:
        lacks = f"llama.cpp is not installed: {install}, and this goes on"
        each = (choosing.Judged(ollama, None, why), choosing.Judged(files, None, lacks))
        return choosing.obstacle("coder", each, {}, 0)

    silent = f"no model server answers at {AT}: start Ollama"
    assert judged(f"{silent}, and this goes on") == f"{silent}, or {install}"
    assert judged("ollama has not answered yet") == "ollama has not answered yet"


def test_a_file_that_is_not_made_yet_is_named_by_its_path() -> None:
    made = models(double(), kind="embedded", coder=("x.gguf",))
    made.catalogue.roles["coder"][0].source.__dict__["at"] = "/somewhere/models"
    assert made.obstacle(frozenset({"coder"})) == "models/x.gguf is not there yet"


def test_the_model_to_fetch_is_the_best_that_would_fit() -> None:
    made = models(double(), lambda: machine(12), coder=("big:70b", "right:14b", "tiny:4b"))
    assert made.obstacle(frozenset({"coder"})) == "right:14b is not there: `ollama pull right:14b`"


def test_a_server_that_hangs_holds_nobody_up() -> None:
    hanging = double("small", slow=threading.Event())
    made = models(hanging, coder=("small",))
    begun = time.monotonic()
    assert "has not answered yet" in str(made.obstacle(frozenset({"coder"})))
    assert time.monotonic() - begun < 2.0
    assert hanging.slow is not None
    hanging.slow.set()
    until = time.monotonic() + 10
    while made.obstacle(frozenset({"coder"})) and time.monotonic() < until:
        pass
    assert made.obstacle(frozenset({"coder"})) is None


def test_nothing_is_asked_of_a_server_before_the_first_question() -> None:
    server = double("small")
    made = models(server, coder=("small",))
    assert server.touched == 0
    made.close()
    assert server.touched == 0


def test_making_the_service_loads_no_network_library() -> None:
    code = (
        "import sys; from pathlib import Path; from state.workspace import Workspace;"
        "from orchestrator.models import catalogue, service;"
        "service.Models(catalogue.load(Workspace(Path('.'))));"
        "print([each for each in ('httpx', 'ollama', 'xllamacpp', 'numpy', 'pynvml') if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Asking -----------------------------------------------------------------------------------------------


def test_a_reply_is_heard_as_it_comes_and_returned_whole() -> None:
    reply, heard = chat(models(double("middle", script=[Says("one two", "hm")]), coder=("middle",)))
    assert reply is not None and (reply.thinking, reply.text.strip()) == ("hm", "one two")
    assert heard[0] == Waits("here/middle is being loaded")
    assert [type(each) for each in heard[1:]] == [Thought, Text, Text, Final]


CURED: list[tuple[list[Act], list[str]]] = [
    ([Fault("transport"), Fault("transport"), Says()], ["transport", "transport"]),
    ([Fault("mid-stream", ("half",)), Says()], ["mid-stream"]),
    ([Fault("stall"), Fault("mid-stream"), Fault("stall"), Says()], ["stall", "mid-stream", "stall"]),
    ([Says(""), Says("", "only thoughts"), Says()], ["empty", "empty"]),
    ([Says("half of it", final=False), Says()], ["mid-stream"]),
    ([Says("again and again " * 400), Says()], ["chant"]),
    ([Fault("truncated"), Says()], ["truncated"]),
]


@pytest.mark.parametrize(("script", "again"), CURED)
def test_what_another_try_can_cure_is_tried_again_and_told(script: list[Act], again: list[str]) -> None:
    reply, heard = chat(models(double("middle", script=script), coder=("middle",)))
    assert reply is not None and reply.text.strip() == "fine"
    assert [each.kind for each in heard if isinstance(each, Again)] == again


@pytest.mark.parametrize(
    ("script", "kind", "tries"),
    [
        ([Fault("missing")], "missing", 1),
        ([Fault("refused")], "refused", 1),
        ([Says("cut", cut=True)], "length", 1),
        ([Fault("transport")] * 9, "transport", 6),
        ([Fault("stall")] * 9, "stall", 3),
        ([Says("")] * 9, "empty", 3),
        ([Says("again and again " * 400)] * 9, "chant", 2),
        ([Fault("truncated")] * 9, "truncated", 2),
    ],
)
def test_what_no_try_cures_is_raised_with_its_kind(script: list[Act], kind: str, tries: int) -> None:
    server = double("middle", script=script)
    with pytest.raises(ProviderError) as caught:
        chat(models(server, coder=("middle",)))
    assert caught.value.kind == kind
    assert len(server.asked) == tries
    assert tries == 1 or f"(tried {tries} times" in str(caught.value)


def test_an_empty_reply_is_asked_for_with_thinking_the_other_way_and_another_seed() -> None:
    server = double("middle", script=[Says(""), Says("")])
    chat(models(server, coder=("middle",)))
    assert [each.think for each in server.asked] == [False, True, True]
    assert len({each.seed for each in server.asked}) == 3


def test_a_prompt_that_was_cut_is_asked_with_a_larger_context_that_is_really_loaded() -> None:
    server = double("middle", script=[Fault("truncated")])
    chat(models(server, coder=("middle",)))
    assert server.loads == [("middle", 16_384), ("middle", 24_576)]
    assert [each.context for each in server.asked] == [16_384, 24_576]


def test_a_chant_is_cancelled_long_before_it_ends() -> None:
    heard: list[Heard] = []
    server = double("small", script=[Says("the same again and " * 50_000)])
    made = models(server, coder=("small",))
    chosen = made.choose("coder")
    made.chat(chosen, request(chosen), heard.append, NEVER)
    assert sum(isinstance(each, Text) for each in heard) < 5_000


def test_a_model_that_a_crash_took_out_of_memory_is_loaded_again() -> None:
    server = double("small")

    def crash(_: Request) -> Fault:
        server.resident.clear()
        return Fault("transport")

    server.script = [Says(), crash]
    made = models(server, coder=("small",))
    chat(made)
    reply, _ = chat(made)
    assert reply is not None
    assert server.loads == [("small", 16_384)] * 2


def test_a_smaller_context_than_was_asked_for_is_never_taken_for_it() -> None:
    server = double("small", gives=4096)
    with pytest.raises(ProviderError, match="has 4096 tokens of context, 16384 were asked for"):
        chat(models(server, coder=("small",)))
    assert not server.asked


def test_stop_ends_a_reply_a_wait_and_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "DELAYS", (60.0,) * 5)
    away = double("small", script=[Fault("transport")])
    slow = double("small", gate=threading.Event())
    hot = double("small")
    for server, look in ((away, machine), (slow, machine), (hot, lambda: machine(celsius=95))):
        made, stop, got = models(server, look, coder=("small",)), threading.Event(), []
        chosen, heard = made.choose("coder"), threading.Event()

        def hear(each: Heard, heard: threading.Event = heard) -> None:
            if isinstance(each, Waits) and "loaded" not in each.why:  # not before it really waits
                heard.set()

        def work(made: Models = made, chosen: Chosen = chosen, stop: threading.Event = stop,
                 got: list[Any] = got, hear: Callable[[Heard], None] = hear) -> None:  # fmt: skip
            got.append(made.chat(chosen, request(chosen), hear, stop))

        thread = threading.Thread(target=work)
        thread.start()
        assert (slow.began if server is slow else heard).wait(10)
        stop.set()
        thread.join(5)
        assert not thread.is_alive() and got == [None]


def test_a_hot_machine_is_waited_for_until_it_is_cool() -> None:
    celsius, asked_at = [92.0], []

    def look() -> Any:
        return machine(celsius=celsius[0])

    def answer(_: Request) -> Says:
        asked_at.append(celsius[0])
        return Says()

    made = models(double("small", script=[answer]), look, coder=("small",))
    chosen, waits = made.choose("coder"), []

    def cool() -> None:
        for each in (80.0, 77.0, 75.0):
            celsius[0] = each
            time.sleep(0.05)

    def hear(each: Heard) -> None:
        if isinstance(each, Waits):
            waits.append(each.why)
            if len(waits) == 1:
                threading.Thread(target=cool).start()

    assert made.chat(chosen, request(chosen), hear, NEVER) is not None
    assert waits == ["the graphics card is at 92 °C: it goes on at 76 °C", "here/small is being loaded"]
    assert asked_at == [75.0]


# Memory -----------------------------------------------------------------------------------------------


def test_under_serial_two_tickets_never_have_two_models_in_memory_and_none_is_taken_while_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestrator.models.ledger.LINGER", 0.01)
    server = double("middle", "small")
    made = models(server, coder=("middle",), critic=("small",))
    failed: list[BaseException] = []

    def work(role: str) -> None:
        try:
            for _ in range(12):
                assert chat(made, role)[0] is not None
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(role,)) for role in ("coder", "critic", "coder")]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert not failed and not any(each.is_alive() for each in threads)
    assert server.most_resident == 1 and not server.unloaded_while_answering
    assert len(server.asked) == 36


def test_packed_keeps_what_fits_and_takes_out_what_was_used_longest_ago() -> None:
    server = double("large", "middle", "small")
    made = models(server, policy="packed", coder=("middle",), critic=("small",), writer=("large",))
    chat(made), chat(made, "critic")
    assert server.resident.keys() == {"middle", "small"}
    chat(made, "writer")
    assert server.resident.keys() == {"large"}
    assert server.loads == [("middle", 16_384), ("small", 16_384), ("large", 16_384)]


def test_a_training_run_drains_the_models_and_they_wait_for_it() -> None:
    server = double("small")
    made = models(server, coder=("small",))
    chat(made)
    assert made.hold("run T-1", 20 * GB, NEVER)
    assert not server.resident
    waits: list[str] = []
    stop = threading.Event()
    chosen = made.choose("coder") if not made.obstacle(frozenset({"coder"})) else None

    def hear(each: Heard) -> None:
        if isinstance(each, Waits):
            waits.append(each.why)
            made.release("run T-1")

    chosen = chosen or dataclasses.replace(Chosen("here", "", "small", "", 16_384, None, None, 0.2, 150))
    assert made.chat(chosen, request(chosen), hear, stop) is not None
    assert waits == ["run T-1 holds the memory", "here/small is being loaded"]


def test_a_model_that_somebody_had_loaded_already_is_used_as_it_is() -> None:
    server = double("small")
    server.resident["small"] = Loaded("small", 5 * GB, 0, 32_768)
    made = models(server, coder=("small",))
    assert chat(made)[0] is not None
    assert server.loads == []


def test_a_server_of_another_machine_is_asked_without_a_word_on_memory() -> None:
    server = double("huge")
    made = Models(catalogue(kind="openai", coder=("huge",)), None, lambda _: server, machine)
    assert chat(made)[0] is not None
    assert server.loads == [] and made.holds() == ()


def test_warming_up_has_the_model_in_memory_before_it_is_asked() -> None:
    server = double("small")
    made = models(server, coder=("small",))
    made.warm(["coder"])
    until = time.monotonic() + 10
    while not server.resident and time.monotonic() < until:
        time.sleep(0.01)
    assert server.loads == [("small", 16_384)]


# The picture ------------------------------------------------------------------------------------------


def test_the_picture_shows_who_serves_who_holds_and_what_was_found_out(tmp_path: Path) -> None:
    calibration.keep(
        calibration.Finding(model="small", digest="sha-small", provider="here", at=1, visible=42)
    )
    server = double("small")
    made = models(server, picture=tmp_path / "machine.json", coder=("absent", "small"))
    chat(made)
    made.close()
    picture = pictures.read(tmp_path / "machine.json")
    assert picture is not None and picture.policy == "serial" and picture.reserve == GB
    absent, small = picture.roles[0].candidates
    assert (absent.used, small.used) == (False, True) and "ollama pull" in absent.why and small.bytes > 5 * GB
    assert [(each.who, each.what, each.context) for each in picture.holders] == [
        ("here/small", "model", 16_384)
    ]
    assert picture.devices[0].name == "card"
    assert picture.findings[0].says == ("speed: 42.0 tokens a second to be seen",)
    assert server.closed


def test_the_picture_follows_what_others_load_and_servers_that_no_ticket_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.models.picture.APART", 0.05)
    monkeypatch.setattr("orchestrator.models.picture.STILL", 0.1)
    monkeypatch.setattr("orchestrator.models.watching.FRESH", 0.1)
    server = double("small")
    made = models(server, picture=tmp_path / "machine.json", coder=("small",), quick=("small",))
    made.show()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        picture = pictures.read(tmp_path / "machine.json")
        if picture and picture.roles[1].candidates[0].used:
            break
        time.sleep(0.05)
    server.resident["small"] = Loaded("small", 5 * GB, 0, 4096)
    while time.monotonic() < until:
        picture = pictures.read(tmp_path / "machine.json")
        if picture and picture.holders:
            break
        time.sleep(0.05)
    assert picture is not None and [each.who for each in picture.holders] == ["here/small"]
    made.close()


def test_the_picture_is_written_at_most_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[float] = []
    monkeypatch.setattr(pictures, "write", lambda *_: written.append(time.monotonic()))
    made = models(double("small"), picture=tmp_path / "machine.json", coder=("small",))
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        chat(made)
    between = [b - a for a, b in itertools.pairwise(written)]
    assert between and min(between) >= 0.99
    made.close()
