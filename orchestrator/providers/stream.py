"""What every provider's stream keeps to: thinking apart from text, one `Final`, and nothing lost silently.

A server's counts are held against what was sent: a prompt that it cannot have seen whole is `truncated`, and
so is one that was pushed out of the context while the reply grew.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace

from orchestrator.providers.base import Chunk, Final, Message, ProviderError, Request, Text, Thought, Usage

_OPEN, _CLOSE = "<think>", "</think>"

_CHARS_PER_TOKEN = 7
"""More characters than any common tokenizer takes for a token on average (code 3 to 4, prose 4 to 5)."""

_TELLING = 256
"""Tokens below which a count proves nothing: templates and short texts vary too much."""

_LONGEST_TOKEN = 128
"""Characters of the longest tokens in use, which are runs of blanks."""

_RUN = re.compile(r"(.)\1+", re.DOTALL)


def least(messages: Sequence[Message]) -> int:
    """Tokens that a prompt takes at the very least; 0 where nothing is certain.

    Runs of one character count as one: tokenizers have tokens for long runs of blanks, dashes and the like.
    """
    sure = sum(len(_RUN.sub(r"\1", each.content)) for each in messages) // _CHARS_PER_TOKEN
    return sure if sure >= _TELLING else 0


def fits(request: Request) -> None:
    """Refuse a prompt that cannot fit, before it is sent.

    Raises:
        ProviderError: truncated.
    """
    if (sure := least(request.messages)) > request.context:
        raise ProviderError(
            "truncated",
            f"the prompt takes {sure} tokens at least, {request.model} has a context of {request.context}",
        )


def whole(new: Usage, before: Usage) -> Usage:
    """Two reports of the counts as one: what the newer does not tell is kept."""

    def pick(a: int | None, b: int | None) -> int | None:
        return b if a is None else a

    return Usage(
        pick(new.prompt, before.prompt), pick(new.cached, before.cached), pick(new.reply, before.reply)
    )


class Told:
    """What was heard of one reply so far. Its clock starts when it is made."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._began = time.monotonic()
        self._first: float | None = None
        self._chars = 0
        self._state = "start"  # of text: start (may open a thought), thought, after (its blank lines), text
        self._held = ""  # the beginning of what may become a tag
        self._empty = True

    def thought(self, text: str) -> list[Chunk]:
        """A piece of thinking that the server marked as such."""
        self._more(text)
        if self._state == "start" and not self._held:
            self._state = "after"  # the server tells them apart itself
        return [Thought(text)]

    def text(self, text: str) -> list[Chunk]:
        """A piece of the reply. Where it opens with a thought between tags, that is told as one.

        Raises:
            ProviderError: length, where the server goes on far beyond what was asked for.
        """
        self._more(text)
        out: list[Chunk] = []
        self._held += text
        if self._state == "start":
            bare = self._held.lstrip()
            if _OPEN.startswith(bare[: len(_OPEN)]) and len(bare) < len(_OPEN):
                return []
            opens = bare.startswith(_OPEN)
            self._state = "thought" if opens else "text"
            if opens:
                self._held = bare[len(_OPEN) :]
        if self._state == "thought":
            inside, close, rest = self._held.partition(_CLOSE)
            if not close:
                keep = _partial(inside, _CLOSE)
                inside, rest = inside[: len(inside) - keep], inside[len(inside) - keep :]
            if inside:
                out.append(Thought(inside))
            self._held = rest
            if not close:
                return out
            self._state = "after"
        if self._state == "after":
            self._held = self._held.lstrip("\r\n")
            if self._held:
                self._state = "text"
        if self._held:
            self._empty = self._empty and not self._held.strip()
            out.append(Text(self._held))
            self._held = ""
        return out

    def end(self, usage: Usage, cut: bool, counts: bool = False, context: int = 0) -> list[Chunk]:
        """What was held back, and the `Final`. One that was cut may be empty: all of it went into thinking.

        Args:
            usage: the server's counts.
            cut: whether it ended at its limit.
            counts: whether the count of the prompt is known to be of all of it, cached or not, so that it can
                be held against what was sent.
            context: tokens it really had, 0 where nobody knows: prompt and reply together cannot be more.

        Raises:
            ProviderError: empty; truncated.
        """
        if counts:
            self._judge(usage, context)
        out: list[Chunk] = []
        if self._held:
            inside = self._state == "thought"
            self._empty = self._empty and (inside or not self._held.strip())
            out.append(Thought(self._held) if inside else Text(self._held))
        if self._empty and not cut:
            what = "with its thinking alone" if self._first is not None else "with nothing"
            raise ProviderError("empty", f"{self._request.model} replied {what}")
        now = time.monotonic() - self._began
        timed = replace(
            usage, first=round(now if self._first is None else self._first, 3), seconds=round(now, 3)
        )
        return [*out, Final(timed, cut)]

    def _more(self, text: str) -> None:
        if self._first is None:
            self._first = time.monotonic() - self._began
        self._chars += len(text)
        if self._chars > self._request.most * _LONGEST_TOKEN + 65_536:
            model, most = self._request.model, self._request.most
            raise ProviderError(
                "length", f"{model} went on far beyond the {most} tokens it was given, and was ended"
            )

    def _judge(self, usage: Usage, context: int) -> None:
        if not usage.prompt:
            return
        model, sure = self._request.model, least(self._request.messages)
        if usage.prompt < sure:
            raise ProviderError(
                "truncated", f"{model} saw {usage.prompt} tokens of a prompt of {sure} at least: it was cut"
            )
        if (
            context and usage.prompt + (usage.reply or 0) > context + 1
        ):  # the last token is made, and never read again
            raise ProviderError(
                "truncated",
                f"{model} took {usage.prompt} tokens and wrote {usage.reply or 0} in a context of {context}: "
                "the beginning was pushed out",
            )


def _partial(text: str, tag: str) -> int:
    """How many characters at the end of a text may be the beginning of a tag."""
    return next((size for size in range(len(tag) - 1, 0, -1) if text.endswith(tag[:size])), 0)
