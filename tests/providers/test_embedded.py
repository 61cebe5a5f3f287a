"""llama.cpp in a child process, on real GGUF files that the tests made themselves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from toy_made import endless, vectors
from toy_transcripts import PLAN_SCHEMA, ticket

from orchestrator.providers.base import Chunk, Final, Message, ProviderError, Request, Text, Thought
from orchestrator.providers.embedded import Embedded

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")


@pytest.fixture
def folder(tmp_path: Path, toy_models: Path) -> Path:
    made = tmp_path / "models"
    made.mkdir()
    shutil.copy(toy_models / "toy.gguf", made / "toy.gguf")
    return made


@pytest.fixture
def embedded(folder: Path) -> Iterator[Embedded]:
    with closing(Embedded("embedded", str(folder))) as provider:
        yield provider


THINKS = (
    "{%- for message in messages %}{%- if message.role == 'assistant' %}{%- set content = message.content %}"
    "{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1].lstrip('\\n') %}"
    "{%- endif %}"
    "{{- '<|assistant|>' + content + '<|end|>' }}{%- else %}"
    "{{- '<|' + message.role + '|>' + message.content + '<|end|>' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|assistant|>' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}"
    "{%- else %}{{- '<think>\\n' }}{%- endif %}{%- endif %}"
)
"""A chat template as thinking models have it."""


def turn(nth: int, model: str = "toy.gguf", most: int = 1000) -> Request:
    said = tuple(Message(each["role"], each["content"]) for each in ticket()[nth]["messages"])
    return Request(model, said, 8192, most)


def unending(model: str = "endless.gguf") -> Request:
    return Request(model, (Message("user", "some words and other words"),), 16_384, 15_000)


def hear(provider: Embedded, request: Request) -> list[Chunk]:
    return list(provider.chat(request, threading.Event()))


def text(chunks: list[Chunk]) -> str:
    return "".join(each.text for each in chunks if isinstance(each, Text))


def children() -> list[psutil.Process]:
    """The children of this process that run llama.cpp."""
    found = []
    for each in psutil.Process().children():
        try:
            if any("embedded_child" in word for word in each.cmdline()):
                found.append(each)
        except psutil.Error:
            continue
    return found


def until(true: Callable[[], bool], within: float = 20.0) -> float:
    """Seconds until something is so."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within
        time.sleep(0.01)
    return time.monotonic() - began


def test_nothing_is_started_or_loaded_before_a_model_is_asked_for(folder: Path) -> None:
    code = (
        "import sys; from orchestrator.providers.embedded import Embedded\n"
        f"e = Embedded('embedded', {str(folder)!r})\n"
        "assert e.health().ok and [each.name for each in e.models()] == ['toy.gguf']\n"
        "assert not {'xllamacpp', 'numpy', 'httpx'} & set(sys.modules), sys.modules\n"
        "e.close()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_a_turn_is_streamed_as_it_comes_and_ends_once(embedded: Embedded) -> None:
    chunks = hear(embedded, turn(3))
    assert text(chunks) == ticket()[3]["reply"]
    assert len(chunks) > 20
    assert [isinstance(each, Final) for each in chunks].count(True) == 1
    final = chunks[-1]
    assert isinstance(final, Final)
    assert not final.cut
    assert final.usage.prompt
    assert final.usage.reply == len(chunks)  # each token is a piece, but the last, which says that it ends


def test_from_the_second_turn_on_most_of_the_prompt_comes_from_the_cache(embedded: Embedded) -> None:
    shares = []
    for nth in range(2, len(ticket())):
        usage = hear(embedded, turn(nth))[-1].usage  # type: ignore[union-attr]
        assert usage.prompt is not None
        assert usage.cached is not None
        shares.append((usage.cached, usage.prompt))
    assert shares[0][0] < shares[0][1] / 2  # or the others show nothing
    later = shares[1:]
    assert sum(cached for cached, _ in later) >= 0.85 * sum(prompt for _, prompt in later), shares


def test_another_conversation_between_two_turns_does_not_cost_the_cache(embedded: Embedded) -> None:
    hear(embedded, turn(4))
    hear(embedded, turn(0))  # the planner speaks
    usage = hear(embedded, turn(5))[-1].usage  # type: ignore[union-attr]
    assert usage.cached is not None
    assert usage.cached > 0.8 * (usage.prompt or 0)


def test_a_schema_holds_even_a_model_that_knows_nothing_of_it(embedded: Embedded, folder: Path) -> None:
    endless(folder / "endless.gguf")
    schema = {
        "type": "object",
        "properties": {"verdict": {"enum": ["accept", "revise"]}},
        "required": ["verdict"],
    }
    chunks = hear(embedded, replace(unending(), schema=schema, most=200))
    assert json.loads(text(chunks))["verdict"] in ("accept", "revise")
    plan = text(hear(embedded, replace(turn(0), schema=PLAN_SCHEMA)))
    assert plan == ticket()[0]["reply"]


def test_thinking_is_told_apart_from_the_reply(embedded: Embedded, folder: Path) -> None:
    endless(folder / "thinks.gguf", THINKS)
    assert embedded.look("thinks.gguf").thinks
    assert not embedded.look("toy.gguf").thinks
    request = replace(unending("thinks.gguf"), most=30, think=True)
    thought = hear(embedded, request)
    assert any(isinstance(each, Thought) for each in thought), thought
    assert not any(isinstance(each, Thought) for each in hear(embedded, replace(request, think=False)))


def test_a_call_is_stopped_in_mid_generation_at_once_and_the_child_goes_on(
    embedded: Embedded, folder: Path
) -> None:
    endless(folder / "endless.gguf")
    stop, heard = threading.Event(), 0
    stopped = 0.0
    for chunk in embedded.chat(unending(), stop):
        assert not isinstance(chunk, Final)
        heard += 1
        if heard == 20:
            stop.set()
            stopped = time.monotonic()
    assert heard < 1000
    assert time.monotonic() - stopped < 0.5
    (child,) = children()
    assert isinstance(hear(embedded, replace(unending(), most=5))[-1], Final)
    assert children() == [child]


def test_a_child_that_does_not_heed_stop_is_left_at_once_and_ended_later(
    embedded: Embedded, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform == "win32":
        pytest.skip("a process cannot be held still")
    monkeypatch.setattr("orchestrator.providers.embedded_link.GRACE", 0.2)
    endless(folder / "endless.gguf")
    stop = threading.Event()
    stream = embedded.chat(unending(), stop)
    next(stream)
    (child,) = children()
    child.send_signal(signal.SIGSTOP)  # as still as one that reads a long prompt on a slow machine
    stop.set()
    began = time.monotonic()
    assert not any(isinstance(each, Final) for each in stream)
    assert time.monotonic() - began < 0.5
    until(lambda: not children())
    assert isinstance(hear(embedded, replace(unending(), most=5))[-1], Final)  # by a new one


@posix
def test_a_child_that_is_killed_is_told_and_the_next_call_has_a_new_one(
    embedded: Embedded, folder: Path
) -> None:
    endless(folder / "endless.gguf")
    stream = embedded.chat(unending(), threading.Event())
    next(stream)
    (child,) = children()
    child.send_signal(signal.SIGKILL)
    with pytest.raises(ProviderError) as caught:
        list(stream)
    assert caught.value.kind == "transport"
    assert "SIGKILL" in str(caught.value)
    assert not embedded.loaded()
    assert isinstance(hear(embedded, replace(unending(), most=5))[-1], Final)
    (other,) = children()
    other.send_signal(signal.SIGKILL)  # while nobody asks
    until(lambda: not embedded.loaded())
    assert isinstance(hear(embedded, replace(unending(), most=5))[-1], Final)


@posix
@pytest.mark.parametrize("doing", ["generating", "waiting", "starting"])
def test_a_child_ends_within_a_second_of_an_engine_that_was_killed(folder: Path, doing: str) -> None:
    endless(folder / "endless.gguf")
    code = (
        "import sys, threading; from orchestrator.providers.embedded import Embedded\n"
        "from orchestrator.providers.embedded_link import Link\n"
        "from orchestrator.providers.base import Message, Request\n"
        f"e, stop, doing = Embedded('embedded', {str(folder)!r}), threading.Event(), {doing!r}\n"
        "if doing == 'starting':\n"
        "    Link.ready = lambda self, within, stop: (print(self.pid, flush=True), stop.wait())\n"
        "e.load('endless.gguf', 16384, -1, stop)\n"
        "pid = next(iter(e._links.values())).pid\n"
        "if doing == 'generating':\n"
        "    ask = Request('endless.gguf', (Message('user', 'words'),), 16384, 15000)\n"
        "    for nth, _ in enumerate(e.chat(ask, stop)):\n"
        "        nth == 20 and print(pid, flush=True)\n"
        "print(pid, flush=True)\n"
        "stop.wait()\n"
    )
    engine = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert engine.stdout is not None
        child = psutil.Process(int(engine.stdout.readline()))
    finally:
        engine.kill()
        engine.wait()
        if engine.stdout:
            engine.stdout.close()
    # `starting` has a Python to load first, which on a busy machine takes longer than its end.
    assert until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE) < (
        10.0 if doing == "starting" else 1.5
    )


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_a_child_listens_on_nothing_that_anybody_can_reach(embedded: Embedded, tmp_path: Path) -> None:
    before = set(Path(os.environ.get("TMPDIR", "/tmp")).glob("jetbox-llama-*"))
    embedded.load("toy.gguf", 4096, -1, threading.Event())
    (child,) = children()
    assert not child.net_connections("inet")
    listed = [each.laddr for each in child.net_connections("unix") if each.laddr]
    assert all(not Path(str(each)).is_absolute() for each in listed), listed
    assert not set(Path(os.environ.get("TMPDIR", "/tmp")).glob("jetbox-llama-*")) - before
    assert Path(f"/proc/{child.pid}/cwd").resolve().exists()  # it stays in no folder that is gone


def test_a_prompt_that_does_not_fit_is_an_error_and_nothing_is_dropped(embedded: Embedded) -> None:
    rules = Message("system", "Rules: " + " ".join(f"{nth} x" for nth in range(3000)))
    with pytest.raises(ProviderError) as caught:
        hear(embedded, Request("toy.gguf", (rules, Message("user", "And?")), 1024, 100))
    assert caught.value.kind == "truncated"


def test_a_context_that_is_smaller_than_the_childs_own_is_kept_to_as_well(embedded: Embedded) -> None:
    embedded.load("toy.gguf", 8192, -1, threading.Event())
    assert isinstance(hear(embedded, turn(6))[-1], Final)
    with pytest.raises(ProviderError) as caught:
        hear(embedded, replace(turn(6), context=300))
    assert caught.value.kind == "truncated"


def test_a_reply_that_fills_the_context_ends_there_as_cut(embedded: Embedded, folder: Path) -> None:
    endless(folder / "endless.gguf")
    final = hear(embedded, replace(unending(), context=512, most=5000))[-1]
    assert isinstance(final, Final)
    assert final.cut
    assert (final.usage.prompt or 0) + (final.usage.reply or 0) <= 513


def test_a_larger_context_is_had_by_loading_anew(embedded: Embedded) -> None:
    stop = threading.Event()
    assert embedded.load("toy.gguf", 1024, -1, stop).context == 1024
    assert isinstance(hear(embedded, replace(turn(6), context=8192))[-1], Final)
    (held,) = embedded.loaded()
    assert held.context == 8192
    assert held.bytes > 500_000
    assert len(children()) == 1
    with pytest.raises(ProviderError) as caught:
        embedded.load("toy.gguf", 32_768, -1, stop)
    assert caught.value.kind == "refused"
    assert "16384" in str(caught.value)


def test_a_model_leaves_memory_when_told_and_by_itself_after_its_time(embedded: Embedded) -> None:
    embedded.load("toy.gguf", 1024, -1, threading.Event())
    embedded.unload("toy.gguf", threading.Event())
    assert not embedded.loaded()
    assert not children()
    embedded.load("toy.gguf", 1024, 0.2, threading.Event())
    until(lambda: not children())
    assert not embedded.loaded()


def test_closing_ends_every_child_and_none_is_started_after(folder: Path) -> None:
    shutil.copy(folder / "toy.gguf", folder / "other.gguf")
    provider = Embedded("embedded", str(folder))
    for model in ("toy.gguf", "other.gguf"):
        provider.load(model, 1024, 60.0, threading.Event())
    assert len(children()) == 2
    provider.close()
    assert not children()
    with pytest.raises(ProviderError):
        provider.load("toy.gguf", 1024, -1, threading.Event())
    assert not children()


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda sound: b"",
    "no GGUF": lambda sound: b"hello " * 1000,
    "cut off": lambda sound: sound[: len(sound) // 2],
    "an architecture that nobody knows": lambda sound: sound.replace(
        b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0lambs"
    ),
    "tensors that are not there": lambda sound: sound.replace(b"blk.0.attn_q.weight", b"blk.0.attn_w.weight"),
    "a tokenizer that nobody knows": lambda sound: sound.replace(b"superbpe", b"supercpe"),
    "merges that cannot be": lambda sound: sound.replace(b"tokenizer.ggml.merges", b"tokenizer.ggml.nerges"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_one_clear_line_and_leaves_nothing(
    embedded: Embedded, folder: Path, what: str
) -> None:
    sound = (folder / "toy.gguf").read_bytes()
    broken = BROKEN[what](sound)
    assert broken != sound
    (folder / "broken.gguf").write_bytes(broken)
    with pytest.raises(ProviderError) as caught:
        embedded.load("broken.gguf", 1024, -1, threading.Event())
    assert caught.value.kind == "refused", caught.value
    assert "broken.gguf" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not children()
    assert [each.name for each in embedded.models()] == ["broken.gguf", "toy.gguf"]


@pytest.mark.parametrize("name", ["../toy.gguf", "/etc/passwd", "a/../../toy.gguf", "", "a\0b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(embedded: Embedded, name: str) -> None:
    with pytest.raises(ProviderError) as caught:
        embedded.look(name)
    assert caught.value.kind == "refused"


def test_a_digest_is_of_the_files_bytes_and_made_again_when_they_change(
    embedded: Embedded, folder: Path
) -> None:
    import hashlib

    path = folder / "toy.gguf"
    first = embedded.look("toy.gguf")
    assert first.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert first.context == 16_384
    assert first.quantization == "F16"
    path.write_bytes(path.read_bytes().replace(b"one ticket", b"two ticket"))
    assert embedded.look("toy.gguf").digest != first.digest


def test_vectors_come_from_a_model_that_makes_them_and_from_no_other(
    embedded: Embedded, folder: Path
) -> None:
    vectors(folder / "vectors.gguf")
    assert embedded.look("vectors.gguf").embeds
    one, two, again = embedded.embed("vectors.gguf", ["some words", "other text", "some words"])
    assert one == pytest.approx(again)
    assert one != pytest.approx(two)
    with pytest.raises(ProviderError) as caught:
        embedded.embed("vectors.gguf", ["more words " * 20_000])
    assert caught.value.kind == "truncated"
    with pytest.raises(ProviderError, match="makes no embeddings"):
        embedded.embed("toy.gguf", ["text"])


def test_without_the_wheel_the_cure_is_told(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    health = embedded.health()
    assert not health.ok
    assert "pip install 'jetbox[embedded]'" in health.why
    with pytest.raises(ProviderError, match=r"jetbox\[embedded\]"):
        embedded.load("toy.gguf", 1024, -1, threading.Event())
    assert not children()
