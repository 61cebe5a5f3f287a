"""A double of an OpenAI-compatible server: llama-server, vLLM or LM Studio. Also a program (`--help`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from scripted_ollama import vector
from scripting import Double, Http, Made, Reply, Say, Script, Words, main, prompt_tokens

Flavour = Literal["llama.cpp", "vllm", "lmstudio"]


class ScriptedOpenAI(Double):
    """A server of one kind.

    Args:
        script: what its models say.
        models: what it has.
        flavour: whose server it is.
        context: tokens that it was started with.
    """

    def __init__(
        self,
        script: Script | Reply | Sequence[Say | str] = ("ok",),
        models: Sequence[Made] = (),
        port: int = 0,
        flavour: Flavour = "llama.cpp",
        context: int = 32768,
    ) -> None:
        super().__init__(script, models, port)
        self.flavour, self.context = flavour, context
        self.awake = {name for name in self.models if flavour != "lmstudio"}

    def answer(self, http: Http, path: str, body: dict[str, Any]) -> None:
        """Answer one request."""
        own = {"llama.cpp": "/props", "vllm": "/version", "lmstudio": "/api/v0/models"}[self.flavour]
        if path == "/v1/models":
            http.closed(
                {"object": "list", "data": [self._listed(each, False) for each in self.models.values()]}
            )
        elif path == own == "/props":
            http.closed(
                {"default_generation_settings": {"n_ctx": self.context}, "build_info": "b9999-0000000"}
            )
        elif path == own == "/version":
            http.closed({"version": "0.19.0"})
        elif path == own:
            http.closed({"data": [self._listed(each, True) for each in self.models.values()]})
        elif path in ("/v1/chat/completions", "/v1/embeddings"):
            made = self.models.get(str(body.get("model")))
            if made is None and self.flavour == "llama.cpp":
                made = next(iter(self.models.values()))  # it answers for whatever name it is given
            if made is None:
                said = {
                    "message": f"The model `{body.get('model')}` does not exist.",
                    "type": "NotFoundError",
                }
                http.closed({"error": {**said, "code": 404}}, 404)
            elif path == "/v1/embeddings":
                self._embed(http, made, body)
            else:
                self._chat(http, made, body)
        else:
            http.closed({"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}, 404)

    def _listed(self, made: Made, own: bool) -> dict[str, Any]:
        listed: dict[str, Any] = {"id": made.name, "object": "model", "owned_by": self.flavour}
        if self.flavour == "llama.cpp":
            listed["meta"] = {"n_ctx_train": made.context, "n_params": 8_190_735_360, "size": made.size}
        elif self.flavour == "vllm":
            listed["max_model_len"] = self.context
        elif own:
            awake = made.name in self.awake
            listed |= {"state": "loaded" if awake else "not-loaded", "max_context_length": made.context}
            listed |= {"quantization": made.quantization, "type": "embeddings" if made.embeds else "llm"}
            if awake:
                listed["loaded_context_length"] = self.context
        return listed

    def _chat(self, http: Http, made: Made, body: Mapping[str, Any]) -> None:
        self.awake.add(made.name)
        if not body.get("stream"):
            said = {"index": 0, "message": {"role": "assistant", "content": "o"}, "finish_reason": "length"}
            http.closed({"choices": [said], "usage": {"prompt_tokens": 3, "completion_tokens": 1}})
            return
        say = self.next(body)
        if say.fault in ("unavailable", "evicted"):
            said = {"message": "Loading model", "type": "unavailable_error", "code": 503}
            http.closed({"error": said}, 503)
            return
        messages = body.get("messages", [])
        prompt, cached = prompt_tokens(messages), self.cached(made.name, messages)
        if prompt > self.context:
            said = {
                "message": "the request exceeds the available context size, try increasing it",
                "code": 400,
            }
            http.closed({"error": {**said, "type": "exceed_context_size_error"}}, 400)
            return
        if say.fault == "truncated":
            prompt, cached = prompt // 4, 0
        counted = bool((body.get("stream_options") or {}).get("include_usage"))
        self.stream(
            http, say, int(body.get("max_tokens", 1 << 30)), _Words(made.name, prompt, cached, counted)
        )

    def _embed(self, http: Http, made: Made, body: Mapping[str, Any]) -> None:
        if not made.embeds:
            said = {"message": "This server does not support embeddings.", "type": "not_supported_error"}
            http.closed({"error": {**said, "code": 501}}, 501)
            return
        if any(prompt_tokens([{"content": text}]) > self.context for text in body["input"]):
            said = {"message": "input is larger than the max context size. skipping", "code": 400}
            http.closed({"error": said}, 400)
            return
        made_of = [{"index": i, "embedding": vector(text)} for i, text in enumerate(body["input"])]
        http.closed({"object": "list", "data": made_of[::-1], "model": made.name})


class _Words(Words):
    kind = "text/event-stream"

    def __init__(self, model: str, prompt: int, cached: int, counted: bool) -> None:
        self._model, self._prompt, self._cached, self._counted = model, prompt, cached, counted

    def _event(self, delta: Any, reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return self._data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]})

    def _data(self, value: Mapping[str, Any]) -> bytes:
        return b"data: " + json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"

    def piece(self, thinking: bool, text: str) -> bytes:
        return self._event({"reasoning_content" if thinking else "content": text})

    def done(self, reply: int, cut: bool) -> bytes:
        said = self._event({}, "length" if cut else "stop")
        if self._counted:
            usage = {"prompt_tokens": self._prompt, "completion_tokens": reply}
            details = {"prompt_tokens_details": {"cached_tokens": self._cached}}
            said += self._data({"choices": [], "usage": usage | details})
        return said + b"data: [DONE]\n\n"

    def error(self, message: str) -> bytes:
        return self._data({"error": {"message": message, "type": "server_error", "code": 500}})

    def wrong(self) -> bytes:
        return self._event("not an object")


if __name__ == "__main__":
    main(lambda script, port: ScriptedOpenAI(script, port=port), __doc__)
