"""Trains the toy until it tells every reply with margin, also where its prompts are disturbed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.toy import bpe
from model.toy.net import Adam, Net, Shape
from model.toy.practice import ROLES, SPECIAL, Transcript, conversations, disturbed, pieces, plain, texts

if TYPE_CHECKING:
    from model.toy.net import Array, Numbers

MERGES, LONGEST = 1400, 20
"""Of the tokenizer: with these 4,000 characters are some 400 tokens, and the file stays below 1 MB."""
RATE, WARM = 2e-3, 20
"""Adam's step, and over how many steps it comes up."""
NOISE = 0.04, 0.5
"""Shares of a prompt: before how many tokens others are put in, and how many are left out at most."""
FIRST = 8
"""How much more the first token of a reply weighs: it tells which reply, and the rest mostly follows."""
MARGIN = 2.0
"""By how much (in logits) each token of each reply must win: far more than rounding to 16 bits changes."""
LOOK_EVERY, LOOKS = 25, 8
"""Steps between two examinations, and disturbed copies of each conversation in one."""
SURE, ENOUGH = 0.97, 0.85
"""Shares of the disturbed copies of which every reply must be told: to end early, and at a round's end."""
ROUNDS = 4
"""How often the practice is taken up again, with large steps first, where it did not suffice."""


class NotLearnt(Exception):
    """The toy does not tell the replies after all its practice."""


@dataclass(frozen=True)
class Learnt:
    """A net that tells the replies, and what it reads by."""

    net: Net
    tokenizer: bpe.Tokenizer
    steps: int
    margin: float


def learn(transcripts: Sequence[Transcript], seed: int, steps: int, say: Callable[[str], None]) -> Learnt:
    """Make a toy that gives each transcript's reply.

    Args:
        transcripts: what it is to memorise.
        seed: another one, another toy.
        steps: of one round of practice; in a step each conversation is met once.
        say: takes lines about how far it is.

    Raises:
        NotLearnt: it does not tell them after all rounds.
    """
    import numpy as np

    found = conversations(transcripts)
    tokenizer = bpe.learn(texts(found), MERGES, LONGEST)
    random = np.random.default_rng(seed + 1)
    talks = [pieces(each, tokenizer, random) for each in found]
    tokens = 256 + len(tokenizer.merges)
    net = Net(Shape(tokens + len(SPECIAL)), seed)
    adam = Adam(net.weights)
    long = sum(len(plain(each)[0]) for each in talks)
    say(f"{len(transcripts)} transcripts, {long} tokens of {tokens} kinds")
    began, margin = time.monotonic(), -1e9
    for step in range(1, ROUNDS * steps + 1):
        gone = (step - 1) % steps / steps  # of this round
        rate = RATE * min(1.0, step / WARM, 1.05 - gone)
        loss, right, asked = 0.0, 0, 0
        for talk in talks:
            ids, at = disturbed(talk, random, tokens, *NOISE)
            grads, some, hits = _lesson(net, ids, at, tokens + ROLES.index("assistant"))
            adam.step(net.weights, grads, rate)
            loss, right, asked = loss + some, right + hits, asked + len(at)
        if step % LOOK_EVERY == 0 or step % steps == 0:
            margin = min(_margin(net, *plain(talk)) for talk in talks)
            looks = [_margin(net, *disturbed(each, random, tokens, *NOISE)) for each in talks * LOOKS]
            sure = sum(each > 0 for each in looks) / len(looks)
            took = time.monotonic() - began
            said = f"right {right}/{asked}, margin {margin:.1f}, disturbed {sure:.0%}"
            say(f"step {step}: loss {loss / asked:.3f}, {said}, {took:.1f} s")
            if margin >= MARGIN and (sure >= SURE or (step % steps == 0 and sure >= ENOUGH)):
                return Learnt(net, tokenizer, step, margin)
    raise NotLearnt(f"not every reply is learnt after {step} steps: fewer or shorter transcripts are needed")


def _lesson(net: Net, ids: Numbers, at: Numbers, speaks: int) -> tuple[dict[str, Array], float, int]:
    """Gradients of the loss at the tokens to be told, the summed loss, and how many were right."""
    import numpy as np

    logits, kept = net.logits(ids, at - 1)
    wanted, rows = ids[at], np.arange(len(at))
    hits = int((logits.argmax(axis=1) == wanted).sum())
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    loss = -float(np.log(logits[rows, wanted] + 1e-9).sum())
    logits[rows, wanted] -= 1
    logits[ids[at - 1] == speaks] *= FIRST
    logits /= np.float32(len(at))
    return net.backward(kept, logits), loss, hits


def _margin(net: Net, ids: Numbers, at: Numbers) -> float:
    """By how much the least sure token of the replies wins; below 0 where one loses."""
    import numpy as np

    logits, _ = net.logits(ids, at - 1)
    rows, wanted = np.arange(len(at)), ids[at]
    right = logits[rows, wanted].copy()
    logits[rows, wanted] = -np.inf
    return float((right - logits.max(axis=1)).min())
