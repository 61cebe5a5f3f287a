"""Who is held to the contract of `orchestrator/providers/base.py`: one line in CONTENDERS for each.

A contender takes pytest's request, for fixtures, and is a context manager that gives a Bench: a provider
beside a server, and what may be asked of it. It may call `pytest.skip` with a reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from scripted_ollama import ScriptedOllama
from scripted_openai import Flavour, ScriptedOpenAI
from scripting import Made, Say
from toy_made import untrained
from toy_transcripts import COUNT, HELLO, OK, PLAIN

from orchestrator.providers.base import Message, Provider, Request
from orchestrator.providers.embedded import Embedded
from orchestrator.providers.ollama import Ollama
from orchestrator.providers.openai import OpenAI

SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Bench:
    """A provider, and requests whose replies have a known nature.

    Attributes:
        short: a reply within its limit, ended by the model.
        long: a reply of some seconds, more than 20 tokens long, and far under `most`.
        schema: a reply under SCHEMA.
        embedder: a model that makes vectors; '' where there is none.
        same: whether the same request gives the same reply, byte by byte.
    """

    provider: Provider
    short: Request
    long: Request
    schema: Request
    embedder: str = ""
    same: bool = True

    @property
    def model(self) -> str:
        """The model of the requests."""
        return self.short.model


Contender = Callable[[pytest.FixtureRequest], AbstractContextManager[Bench]]


def asking(model: str, text: str, context: int = 4096, most: int = 400) -> Request:
    """A request with a system message that is always the same."""
    return Request(model, (Message("system", PLAIN), Message("user", text)), context, most)


def _says(body: Mapping[str, Any], nth: int) -> Say:
    asked = body["messages"][-1]["content"]
    if "format" in body or "response_format" in body:
        return Say(json.dumps({"ok": True}))
    if "count" in asked:
        return Say(" ".join(str(number) for number in range(1, 200)), "I count.", piece=6, delay=0.008)
    return Say(f"Hello: {asked}", "What is asked here?")


_MODELS = (Made("small:latest", context=8192, thinks=True), Made("vectors:latest", context=512, embeds=True))


_COUNT = "Now count from 1 to 200, in digits with blanks between them, and leave out none."


def _bench(
    provider: Provider, model: str, embedder: str = "", same: bool = True, long: str = _COUNT
) -> Bench:
    return Bench(
        provider,
        asking(model, HELLO),
        asking(model, long, most=2000),
        replace(asking(model, OK), schema=SCHEMA),
        embedder,
        same,
    )


@contextmanager
def _scripted_ollama(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with ScriptedOllama(_says, _MODELS) as double, closing(Ollama("ollama", double.where)) as provider:
        yield _bench(provider, "small:latest", "vectors:latest")


def _scripted_openai(flavour: Flavour) -> Contender:
    one = flavour == "llama.cpp"  # it serves the one model that it was started with
    models = _MODELS[:1] if one else _MODELS

    @contextmanager
    def contender(request: pytest.FixtureRequest) -> Iterator[Bench]:
        with (
            ScriptedOpenAI(_says, models, flavour=flavour, context=8192) as double,
            closing(OpenAI("server", double.where)) as provider,
        ):
            yield _bench(provider, "small:latest", "" if one else "vectors:latest")

    return contender


_SERVE = """
import json, os, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.ctx_shift = sys.argv[1], 8192, 1, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.warmup, params.verbosity = False, 1
params.hostnames, params.port = ["127.0.0.1"], 0
server = xllamacpp.Server(params)
print(json.dumps(server.listening_address), flush=True)
sys.stdin.read()
os._exit(0)
"""


@contextmanager
def _llama_server(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """The real llama.cpp server over its real HTTP, with a toy for a model."""
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed")
    model = request.getfixturevalue("toy_models") / "toy.gguf"
    command = [sys.executable, "-c", _SERVE, str(model)]
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null, text=True) as served:
        try:
            assert served.stdout is not None
            with closing(OpenAI("server", json.loads(served.stdout.readline()))) as provider:
                yield _bench(provider, str(model), long=COUNT)
        finally:
            served.kill()


@contextmanager
def _embedded(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """llama.cpp in a child process, with a toy for a model; untrained ones for vectors and a long reply."""
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed")
    folder = request.getfixturevalue("toy_models")
    with closing(Embedded("embedded", str(untrained(folder)))) as provider:
        bench = _bench(provider, "toy.gguf", "vectors.gguf")
        yield replace(bench, long=replace(bench.long, model="endless.gguf", most=800))


@contextmanager
def _live_ollama(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """The smallest models of a real server."""
    where = os.environ.get("OLLAMA_HOST")
    if not where:
        pytest.skip("OLLAMA_HOST is not set: there is no live Ollama to hold to it")
    with closing(Ollama("live", where)) as provider:
        has = [provider.look(each.name) for each in provider.models() if not each.remote]
        talks = min((each for each in has if not each.embeds), key=lambda each: each.bytes, default=None)
        vectors = min((each for each in has if each.embeds), key=lambda each: each.bytes, default=None)
        if talks is None:
            pytest.skip(f"the Ollama at {where} has no model")
        bench = _bench(provider, talks.name, vectors.name if vectors else "", same=False)
        if talks.thinks:
            low = {name: replace(getattr(bench, name), think=False) for name in ("short", "long", "schema")}
            bench = replace(bench, **low)
        yield bench


CONTENDERS: dict[str, Contender] = {
    "embedded": _embedded,
    "llama-server": _llama_server,
    "scripted-ollama": _scripted_ollama,
    "scripted-llama-server": _scripted_openai("llama.cpp"),
    "scripted-vllm": _scripted_openai("vllm"),
    "scripted-lm-studio": _scripted_openai("lmstudio"),
    "live-ollama": _live_ollama,
}
