"""The OpenAI chat dialect: a request as its body, and the chunks of a streamed reply as what they mean.

It is what llama.cpp speaks in its own process as much as over HTTP, so both providers read it here. What
comes in is another program's word: anything that is no chunk is an error of kind `mid-stream`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.providers.answers import count, failure, text
from orchestrator.providers.base import Chunk, ProviderError, Request, Text, Thought, Usage
from orchestrator.providers.stream import Told, whole


@dataclass(frozen=True)
class Ended:
    """The server's reason for ending the reply: `stop`, `length`, or its own word."""

    reason: str


Piece = Thought | Text | Ended | Usage


def body(request: Request) -> dict[str, Any]:
    """A request in the OpenAI dialect. llama.cpp's own fields are in it, which others pass over.

    Thinking is asked for by the template's variables: `enable_thinking` as Qwen and its kin have it,
    `reasoning_effort` as gpt-oss has it. `context` is not in it: a server of this kind has one, fixed when it
    was started.
    """
    said: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": each.role, "content": each.content} for each in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.most,
        "temperature": request.temperature,
        "seed": request.seed,
        "cache_prompt": True,
    }
    if request.stop:
        said["stop"] = list(request.stop)
    if request.schema is not None:
        named = {"name": "reply", "strict": True, "schema": dict(request.schema)}
        said["response_format"] = {"type": "json_schema", "json_schema": named}
    if isinstance(request.think, bool):
        said["chat_template_kwargs"] = {"enable_thinking": request.think}
    elif request.think is not None:
        said["reasoning_effort"] = request.think
        said["chat_template_kwargs"] = {"reasoning_effort": request.think}
    return said


def read_chunk(data: Mapping[str, Any]) -> list[Piece]:
    """What one chunk says: pieces of thinking and text, the end, and counts, in this order.

    Raises:
        ProviderError: it is the server's own error, or no chunk of a chat.
    """
    if data.get("error") is not None:
        raise failure(data["error"])
    choices = data.get("choices")
    if not isinstance(choices, list):
        raise ProviderError("mid-stream", "the server sent something that is no chunk of a chat")
    pieces: list[Piece] = []
    if choices:  # the last chunk may have counts alone
        choice = choices[0]
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if not isinstance(delta, dict | None) or not isinstance(choice, dict):
            raise ProviderError("mid-stream", "the server sent a chunk whose `delta` cannot be read")
        delta = delta or {}
        thought = text(delta, "reasoning_content") or text(delta, "reasoning")
        if thought:
            pieces.append(Thought(thought))
        if said := text(delta, "content"):
            pieces.append(Text(said))
        if (reason := choice.get("finish_reason")) is not None:
            pieces.append(Ended(str(reason)[:40]))
    if (usage := _usage(data)) is not None:
        pieces.append(usage)
    return pieces


class Reply:
    """Folds chunks into the stream of a provider, with its last word at `end` alone.

    Hand in each chunk as it comes, and call `end` when the stream is over.
    """

    def __init__(self, request: Request) -> None:
        self._told = Told(request)
        self._reason: str | None = None
        self._usage = Usage()

    @property
    def ended(self) -> bool:
        """Whether the server gave its reason to end; counts may still follow."""
        return self._reason is not None

    def hear(self, data: Mapping[str, Any]) -> list[Chunk]:
        """What one chunk adds to the stream.

        Raises:
            ProviderError: mid-stream, truncated, length.
        """
        out: list[Chunk] = []
        for piece in read_chunk(data):
            if isinstance(piece, Thought):
                out += self._told.thought(piece.text)
            elif isinstance(piece, Text):
                out += self._told.text(piece.text)
            elif isinstance(piece, Ended):
                self._reason = piece.reason
            else:
                self._usage = whole(piece, self._usage)
        return out

    def end(self, counts: bool = False, context: int = 0) -> list[Chunk]:
        """What is left, and the one `Final`. The arguments are as in `Told.end`.

        Raises:
            ProviderError: mid-stream where the server never gave a reason to end; empty; truncated.
        """
        if self._reason is None:
            raise ProviderError("mid-stream", "the server ended its reply without saying that it is complete")
        if self._reason in ("content_filter", "error", "abort"):
            raise ProviderError("mid-stream", f"the server ended its reply with `{self._reason}`")
        return self._told.end(self._usage, cut=self._reason == "length", counts=counts, context=context)


def _usage(data: Mapping[str, Any]) -> Usage | None:
    """Counts by OpenAI's names, else by llama.cpp's: the prompt is what was read and what was cached."""
    usage, timings = data.get("usage"), data.get("timings")
    if isinstance(usage, dict):
        details = usage.get("prompt_tokens_details")
        cached = count(details.get("cached_tokens")) if isinstance(details, dict) else None
        if cached is None and isinstance(timings, dict):
            cached = count(timings.get("cache_n"))
        return Usage(count(usage.get("prompt_tokens")), cached, count(usage.get("completion_tokens")))
    if isinstance(timings, dict):
        read, kept = count(timings.get("prompt_n")), count(timings.get("cache_n"))
        prompt = None if read is None or kept is None else read + kept
        return Usage(prompt, kept, count(timings.get("predicted_n")))
    return None
