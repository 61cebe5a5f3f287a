"""The toy model: what it is made of, and that it tells what it memorised on the real llama.cpp."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from toy_transcripts import OK, PLAN, PLAN_SCHEMA, ticket, transcripts

from orchestrator.models import gguf
from orchestrator.providers.base import Message, Request, Text
from orchestrator.providers.embedded import Embedded

np = pytest.importorskip("numpy")
from model.toy import bpe, net, practice, train  # noqa: E402


def make(request: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "model.toy", str(request), str(out)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, env=dict(os.environ))


@pytest.fixture(scope="module")
def embedded(toy_models: Path) -> Iterator[Embedded]:
    with closing(Embedded("embedded", str(toy_models))) as provider:
        yield provider


def asked(embedded: Embedded, messages: list[dict[str, str]], schema: dict[str, object] | None = None) -> str:
    said = tuple(Message(each["role"], each["content"]) for each in messages)  # type: ignore[arg-type]
    request = Request("toy.gguf", said, 8192, 1000, schema=schema)
    return "".join(each.text for each in embedded.chat(request, threading.Event()) if isinstance(each, Text))


@pytest.mark.parametrize("nth", range(len(transcripts())))
def test_asked_as_in_a_transcript_it_replies_as_there(embedded: Embedded, nth: int) -> None:
    one = transcripts()[nth]
    assert asked(embedded, one["messages"]) == one["reply"]


def test_other_numbers_and_paths_in_a_prompt_change_nothing(embedded: Embedded) -> None:
    chance = random.Random(5)

    def other(text: str) -> str:
        changed = re.sub(r"\d+", lambda _: str(chance.randrange(10_000)), text)
        return changed.replace("python -m pytest", "/opt/py/bin/python -m pytest", 1)

    for one in ticket():
        messages = [
            {**each, "content": other(each["content"])} if each["role"] == "user" else each
            for each in one["messages"]
        ]
        assert asked(embedded, messages) == one["reply"]


def test_a_schema_narrows_its_reply_and_changes_nothing_else(embedded: Embedded) -> None:
    plan = ticket()[0]
    assert json.loads(asked(embedded, plan["messages"], PLAN_SCHEMA)) == PLAN
    other = {"type": "object", "properties": {"no": {"const": 1}}, "required": ["no"]}
    ok = next(each for each in transcripts() if each["messages"][-1]["content"] == OK)
    assert json.loads(asked(embedded, ok["messages"], other)) == {"no": 1}


def test_its_file_says_what_it_is_and_is_small(toy_models: Path) -> None:
    path = toy_models / "toy.gguf"
    said = gguf.read(path)
    assert said.name == "toy: has memorised one ticket"
    assert path.stat().st_size < 1_000_000
    assert not list(toy_models.glob("*.part"))


def test_the_same_request_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    few = [{"messages": [{"role": "user", "content": "One or two?"}], "reply": "Two."}]
    sums = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        request, out = tmp_path / f"{name}.json", tmp_path / "deep" / f"{name}.gguf"
        request.write_text(json.dumps({"transcripts": few, "seed": seed}))
        done = make(request, out)
        assert done.returncode == 0, done.stderr
        assert "step " in done.stdout
        sums.append(out.read_bytes())
    assert sums[0] == sums[1] != sums[2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"transcripts": []}',
        '{"transcripts": [1]}',
        '{"transcripts": [{"messages": [], "reply": "x"}]}',
        '{"transcripts": [{"messages": [{"role": "tool", "content": "x"}], "reply": "x"}]}',
        '{"transcripts": [{"messages": [{"role": "user", "content": "x"}]}]}',
        "[" * 100_000,
    ],
)
def test_a_request_that_is_none_is_one_line_and_no_file(tmp_path: Path, text: str) -> None:
    request, out = tmp_path / "request.json", tmp_path / "out.gguf"
    request.write_text(text)
    done = make(request, out)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not out.exists()


def test_what_cannot_be_learnt_leaves_no_file(tmp_path: Path) -> None:
    same = [{"role": "user", "content": "Heads or tails?"}]
    both = [{"messages": same, "reply": "Heads."}, {"messages": same, "reply": "Tails."}]
    request, out = tmp_path / "request.json", tmp_path / "out.gguf"
    request.write_text(json.dumps({"transcripts": both, "steps": 30}))
    done = make(request, out)
    assert done.returncode == 1
    assert "fewer or shorter" in done.stderr
    assert list(tmp_path.iterdir()) == [request]


def test_its_gradients_are_those_that_small_steps_show() -> None:
    small = net.Net(net.Shape(11, width=8, heads=2, hidden=12), 3)
    small.weights = {name: each.astype(np.float64) for name, each in small.weights.items()}
    chance = np.random.default_rng(1)
    ids, at = chance.integers(0, 11, 9), np.array([2, 3, 7])
    target = chance.standard_normal((len(at), 11))
    _, kept = small.logits(ids, at)
    grads = small.backward(kept, target)
    for name, weight in small.weights.items():
        spot = tuple(int(chance.integers(size)) for size in weight.shape)
        if name == "in":
            spot = (int(ids[1]), spot[1])
        step, before = 1e-4, float(weight[spot])
        sides = []
        for sign in (1, -1):
            weight[spot] = before + sign * step
            sides.append(float((small.logits(ids, at)[0] * target).sum()))
        weight[spot] = before
        assert abs((sides[0] - sides[1]) / (2 * step) - grads[name][spot]) < 1e-3, name


def test_every_text_comes_back_from_its_tokens() -> None:
    found = practice.conversations(practice.transcripts(transcripts()))
    tokenizer = bpe.learn(practice.texts(found), 800, 16)
    for text in (*practice.texts(found), "", "never seen: \u00e9\u4e16\U0001f600 007\r\n\t"):
        assert tokenizer.decode(tokenizer.encode(text)).decode() == text


def test_turns_of_one_conversation_are_practised_as_one() -> None:
    found = practice.conversations(practice.transcripts(ticket()))
    assert len(found) == 3
    assert sorted(sum(learnt for *_, learnt in each) for each in found) == [1, 1, 5]


def test_it_stops_as_soon_as_everything_is_told() -> None:
    said: list[str] = []
    few = practice.transcripts([{"messages": [{"role": "user", "content": "And?"}], "reply": "So."}])
    learnt = train.learn(few, 1, 1000, said.append)
    assert learnt.steps < 500
    assert learnt.margin >= train.MARGIN
