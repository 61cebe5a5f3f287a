"""A double of Ollama: its HTTP API as it is spoken, with a script for a model. Also a program (`--help`)."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripting import Double, Http, Made, Reply, Say, Script, Words, main, prompt_tokens


@dataclass
class Held:
    """A model in the double's memory."""

    made: Made
    context: int

    @property
    def size(self) -> int:
        """Bytes: weights, and a cache that grows with the context."""
        return self.made.size + self.context * 131_072


class ScriptedOllama(Double):
    """Ollama of some version.

    Args:
        script: what its models say.
        models: what it has.
        version: how it behaves: 0.30.0 leaves cached tokens out of its count, below 0.12 it cuts prompts
            silently, from 0.33 it tells what was cached.
        loads: seconds that loading takes.
        most: tokens of context that it really gives, whatever was asked for; 0: as asked for.
        stays: unloading is promised and not done.
    """

    def __init__(
        self,
        script: Script | Reply | Sequence[Say | str] = ("ok",),
        models: Sequence[Made] = (),
        port: int = 0,
        version: str = "0.33.2",
        loads: float = 0.0,
        most: int = 0,
        stays: bool = False,
    ) -> None:
        super().__init__(script, models, port)
        self.version, self.loads, self.most, self.stays = version, loads, most, stays
        self.held: dict[str, Held] = {}
        self._numbers = tuple(int(part) for part in version.split("-")[0].split("."))

    def answer(self, http: Http, path: str, body: dict[str, Any]) -> None:
        """Answer one request."""
        if path == "/api/version":
            http.closed({"version": self.version})
        elif path == "/api/tags":
            http.closed({"models": [self._listed(each) for each in self.models.values()]})
        elif path == "/api/ps":
            with self.lock:
                held = list(self.held.values())
            http.closed({"models": [self._running(each) for each in held]})
        elif path in ("/api/show", "/api/generate", "/api/chat", "/api/embed"):
            made = self.models.get(_tagged(str(body.get("model"))))
            if made is None:
                http.closed({"error": f"model '{body.get('model')}' not found"}, 404)
                return
            getattr(self, "_" + path.rpartition("/")[2])(http, made, body)
        else:
            http.closed({"error": "404 page not found"}, 404)

    def evict(self, model: str) -> None:
        """Let a model go, as when memory is needed for another."""
        with self.lock:
            self.held.pop(_tagged(model), None)

    # The endpoints -----------------------------------------------------------------------------------

    def _listed(self, made: Made) -> dict[str, Any]:
        listed: dict[str, Any] = {
            "name": made.name,
            "model": made.name,
            "modified_at": "2026-05-04T14:56:49.277302595-07:00",
            "size": made.size,
            "digest": made.digest,
            "details": self._details(made),
        }
        if made.remote:
            listed |= {"remote_model": made.name, "remote_host": made.remote}
        return listed

    def _details(self, made: Made) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": "gguf",
            "family": "qwen3",
            "families": ["qwen3"],
            "parameter_size": "8.2B",
            "quantization_level": made.quantization,
        }

    def _running(self, held: Held) -> dict[str, Any]:
        return {
            "name": held.made.name,
            "model": held.made.name,
            "size": held.size,
            "digest": held.made.digest,
            "details": self._details(held.made),
            "expires_at": "2026-05-04T15:01:49.277302595-07:00",
            "size_vram": held.size,
            "context_length": held.context,
        }

    def _show(self, http: Http, made: Made, body: Mapping[str, Any]) -> None:
        own = {f"qwen3.{key}": value for key, value in made.facts.items()}
        can = ["embedding"] if made.embeds else ["completion", *(["thinking"] if made.thinks else [])]
        shown = {
            "license": "a licence " * 100,
            "modelfile": f"FROM {made.name}",
            "template": "{{ .Prompt }}",
            "details": self._details(made),
            "model_info": {
                "general.architecture": "qwen3",
                "general.parameter_count": 8_190_735_360,
                "qwen3.context_length": made.context,
                "tokenizer.ggml.tokens": None,
                **own,
            },
            "capabilities": can,
            "modified_at": "2026-05-04T14:56:49.277302595-07:00",
        }
        if made.remote:
            shown |= {"remote_model": made.name, "remote_host": made.remote}
        http.closed(shown)

    def _generate(self, http: Http, made: Made, body: Mapping[str, Any]) -> None:
        if made.embeds:
            http.closed({"error": f'"{made.name}" does not support generate'}, 400)
            return
        reason = "load"
        if body.get("keep_alive") == 0:
            reason = "unload"
            if not self.stays:  # as the server does it: the answer first, the memory a little later
                threading.Timer(0.05, self.evict, [made.name]).start()
        else:
            self._have(http, made, body)
        http.closed({"model": made.name, "response": "", "done": True, "done_reason": reason})

    def _have(self, http: Http, made: Made, body: Mapping[str, Any]) -> Held:
        """Have a model in memory with the context that is asked for."""
        context = min(
            int((body.get("options") or {}).get("num_ctx", 4096)), made.context, self.most or 1 << 30
        )
        with self.lock:
            held = self.held.get(made.name)
        if held is None or held.context != context:
            if self.loads:
                self.wait(http, self.loads)
            held = Held(made, context)
            with self.lock:
                self.held[made.name] = held
                self.seen.pop(made.name, None)
        return held

    def _chat(self, http: Http, made: Made, body: dict[str, Any]) -> None:
        say = self.next(body)
        if say.fault == "unavailable":
            http.closed({"error": "server busy, please try again. maximum pending requests exceeded"}, 503)
            return
        if say.fault == "evicted":
            self.evict(made.name)
            http.closed({"error": "model runner has unexpectedly stopped, this may be due to a crash"}, 500)
            return
        if body.get("think") and not made.thinks:
            http.closed({"error": f'"{made.name}" does not support thinking'}, 400)
            return
        held = self._have(http, made, body)
        messages = body.get("messages", [])
        prompt, cached = prompt_tokens(messages), self.cached(made.name, messages)
        if prompt > held.context:
            if body.get("truncate") is False and self._numbers >= (0, 12, 4):
                http.closed({"error": "the input length exceeds the context length"}, 400)
                return
            prompt = held.context
        if say.fault == "truncated":
            prompt, cached = prompt // 4, 0
        most = int((body.get("options") or {}).get("num_predict", 1 << 30))
        if not body.get("stream", True):
            http.closed({"error": "this double streams its chats"}, 400)
            return
        self.stream(http, say, most, _Words(made.name, prompt, cached, self._numbers))

    def _embed(self, http: Http, made: Made, body: Mapping[str, Any]) -> None:
        if not made.embeds:
            http.closed({"error": "this server does not support embeddings for this model"}, 501)
            return
        held = self._have(http, made, body)
        given = body.get("input", [])
        texts = [given] if isinstance(given, str) else given
        if any(prompt_tokens([{"content": text}]) > held.context for text in texts):
            http.closed({"error": "the input length exceeds the context length"}, 400)
            return
        vectors = [vector(text) for text in texts if text]
        http.closed({"model": made.name, "embeddings": vectors, "prompt_eval_count": 3})


class _Words(Words):
    kind = "application/x-ndjson"

    def __init__(self, model: str, prompt: int, cached: int, version: tuple[int, ...]) -> None:
        self._model, self._prompt, self._cached, self._version = model, prompt, cached, version

    def _line(self, **parts: Any) -> bytes:
        line = {"model": self._model, "created_at": "2026-05-04T14:56:49.277302Z", **parts}
        return json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"

    def piece(self, thinking: bool, text: str) -> bytes:
        said = {"role": "assistant", "content": "" if thinking else text}
        return self._line(message=said | ({"thinking": text} if thinking else {}), done=False)

    def done(self, reply: int, cut: bool) -> bytes:
        counts = {"prompt_eval_count": self._prompt, "eval_count": reply}
        if self._version[:2] == (0, 30):
            counts["prompt_eval_count"] -= self._cached
        elif self._version >= (0, 33):
            counts["prompt_eval_cached_count"] = self._cached
        return self._line(
            message={"role": "assistant", "content": ""},
            done=True,
            done_reason="length" if cut else "stop",
            total_duration=5_000_000,
            load_duration=1_000_000,
            prompt_eval_duration=2_000_000,
            eval_duration=2_000_000,
            **counts,
        )

    def error(self, message: str) -> bytes:
        return json.dumps({"error": message}).encode() + b"\n"

    def wrong(self) -> bytes:
        return self._line(message={"role": "assistant", "content": ["not", "a", "text"]}, done="no")


def vector(text: str) -> list[float]:
    """Some vector of unit length, the same for the same text."""
    import hashlib
    import math

    raw = [byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()[:8]]
    size = math.sqrt(sum(each * each for each in raw))
    return [each / size for each in raw]


def _tagged(model: str) -> str:
    return model if ":" in model else f"{model}:latest"


if __name__ == "__main__":
    main(lambda script, port: ScriptedOllama(script, port=port), __doc__)
