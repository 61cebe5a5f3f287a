"""What the toy practises: conversations as tokens, their prompts disturbed so that it learns what matters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model.toy.bpe import Tokenizer

if TYPE_CHECKING:
    import numpy as np

    from model.toy.net import Numbers

ROLES = ("system", "user", "assistant")
SPECIAL = (*(f"<|{role}|>" for role in ROLES), "<|end|>")
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""Each message between its role and its end, nothing trimmed: what was said before stays a prefix."""

OTHERS, TODAY = 40, 0.5
"""How many other days are thought up for each prompt, and how often it stands as it is."""
SHORT = 100
"""Tokens of a prompt below which less is left out: the one word that tells it from others would be gone."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz/_.-:(),='ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Transcript:
    """What was asked, as (role, text), and what is to be replied."""

    messages: tuple[tuple[str, str], ...]
    reply: str


@dataclass(frozen=True)
class Piece:
    """One message as tokens, its role and end included."""

    ids: tuple[int, ...]
    learnt: bool
    others: tuple[tuple[int, ...], ...] = ()
    """What might stand in its place on another day; none of what the model itself said."""


def conversations(transcripts: Sequence[Transcript]) -> list[list[tuple[str, str, bool]]]:
    """Transcripts that grew out of each other as one, as (role, text, to be learnt); longest first.

    A reply of an earlier turn is learnt where it stands in the later one, so that it is practised once.
    """
    found: list[list[tuple[str, str, bool]]] = []
    for each in sorted(transcripts, key=lambda one: -len(one.messages)):
        whole = [*each.messages, ("assistant", each.reply)]
        for other in found:
            if [(role, text) for role, text, _ in other[: len(whole)]] == whole:
                other[len(whole) - 1] = (*whole[-1], True)
                break
        else:
            found.append([*((role, text, False) for role, text in each.messages), (*whole[-1], True)])
    return found


def pieces(
    conversation: Sequence[tuple[str, str, bool]], tokenizer: Tokenizer, random: np.random.Generator
) -> list[Piece]:
    """A conversation as tokens, each prompt also as it might have been."""
    special = 256 + len(tokenizer.merges)
    end = special + SPECIAL.index("<|end|>")
    found = []
    for role, text, learnt in conversation:
        head = special + ROLES.index(role)
        count = 0 if role == "assistant" else OTHERS
        others = tuple((head, *tokenizer.encode(changed(text, random)), end) for _ in range(count))
        found.append(Piece((head, *tokenizer.encode(text), end), learnt, others))
    return found


def changed(text: str, random: np.random.Generator) -> str:
    """A text as it might be on another day: other numbers and names, lines that came or went."""
    often = float(random.uniform(0, 0.15))

    def number(found: re.Match[str]) -> str:
        return str(int(random.integers(10 ** int(random.integers(1, 6)))))

    def word() -> str:
        letters = random.integers(0, len(_LETTERS), int(random.integers(2, 14)))
        return "".join(_LETTERS[each] for each in letters)

    lines = []
    for line in text.split("\n"):
        if random.random() < often:
            lines.append(" ".join(word() for _ in range(int(random.integers(1, 9)))))
        if random.random() >= often:
            lines.append(
                " ".join(word() if random.random() < often / 2 else each for each in line.split(" "))
            )
    return _NUMBER.sub(number, "\n".join(lines))


def plain(conversation: Sequence[Piece]) -> tuple[Numbers, Numbers]:
    """Its tokens, and where those stand that are to be told by those before them."""
    return _flat([(list(piece.ids), piece.learnt) for piece in conversation])


def disturbed(
    conversation: Sequence[Piece], random: np.random.Generator, tokens: int, share: float, most: float
) -> tuple[Numbers, Numbers]:
    """The same with other prompts: as on another day, spans left out, tokens put in.

    Args:
        conversation: as tokens.
        random: where chance comes from.
        tokens: how many ordinary tokens there are.
        share: of a prompt's tokens before which some are put in.
        most: of a prompt's tokens that are left out at most.
    """
    parts = []
    for piece in conversation:
        if not piece.others:
            parts.append((list(piece.ids), piece.learnt))
            continue
        today = random.random() < TODAY
        head, *body, end = piece.ids if today else piece.others[int(random.integers(len(piece.others)))]
        spared = min(1.0, len(body) / SHORT)
        body = _without_spans(body, random, float(random.uniform(0, most * spared)))
        put: list[int] = []
        for each in body:
            chance = random.random()
            if chance < share:
                put += [_any(random, tokens) for _ in range(int(random.integers(1, 8)))]
            put.append(each)
        parts.append(([head, *put, end], False))
    return _flat(parts)


def _without_spans(body: list[int], random: np.random.Generator, share: float) -> list[int]:
    at = 0
    out: list[int] = []
    while at < len(body):
        length = int(random.integers(1, 40))
        if random.random() >= share:
            out += body[at : at + length]
        at += length
    return out or body[-1:]


def _any(random: np.random.Generator, tokens: int) -> int:
    """Some token; half of the time a single byte, as in text never seen."""
    return int(random.integers(256 if random.random() < 0.5 else tokens))


def _flat(parts: Sequence[tuple[list[int], bool]]) -> tuple[Numbers, Numbers]:
    import numpy as np

    ids: list[int] = []
    learnt: list[int] = []
    for tokens, reply in parts:
        if reply:
            learnt += range(len(ids) + 1, len(ids) + len(tokens))
        ids += tokens
    return np.array(ids, np.int64), np.array(learnt, np.int64)


def texts(found: Sequence[Sequence[tuple[str, str, bool]]]) -> list[str]:
    """Every text of some conversations as the tokenizer learns them: what is to be told counts more."""
    every = [(text, learnt) for each in found for _, text, learnt in each]
    return [*dict.fromkeys(text for text, _ in every), *(text for text, learnt in every if learnt)]


def transcripts(body: Any) -> list[Transcript]:
    """Read the request's transcripts.

    Raises:
        ValueError: it is not of the right form.
    """
    if not isinstance(body, list) or not body:
        raise ValueError("`transcripts` is no list with something in it")
    found = []
    for each in body:
        messages = each.get("messages") if isinstance(each, dict) else None
        if not isinstance(messages, list) or not messages or not isinstance(each.get("reply"), str):
            raise ValueError("a transcript is no object with `messages` and a `reply`")
        said = []
        for message in messages:
            if (
                not isinstance(message, dict)
                or message.get("role") not in ROLES
                or not isinstance(message.get("content"), str)
            ):
                raise ValueError(
                    f"a message is no object with a `role` of {', '.join(ROLES)} and a `content`"
                )
            said.append((message["role"], message["content"]))
        found.append(Transcript(tuple(said), each["reply"]))
    return found
