"""What a working memory learned of a person's words, taught to a copy of the core.

Fresh scenes of the recipe are asked about twice: in the core's own questions, so that nothing is forgotten,
and in the person's questions with the memory's answers, where it is sure of one. New words take free places
of the reasoner's vocabulary, new answers free rows of its table; what it sees (`sight` and the encoder) stays
as it is. The copy is given; the core is never touched. Measured before and after on held-out scenes: each
topic of the core's questions, and each rule's agreement with the memory.

First the rows of the new words and answers alone learn: a question without them is read as before, so the old
can only lose where a new answer wins, which is taught against. All else learns where that is not enough, such
as for a question of known words.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from itertools import count as counted

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datagen.draws import Draws
from datagen.scenes import render, scene
from datagen.scenes import words as wordings
from model.adapt.concepts import Concepts
from model.adapt.taught import Key
from model.adapt.wording import PLAIN
from model.encoders import Words
from model.errors import ModelError
from model.hrm.scene import SceneReasoner, Thought

_SURE = 0.6  # the memory's answers that are less likely are not taught
_SHARE = 0.25  # of the questions in a batch that are the person's
_TURNS = 3  # of the core's own questions about each picture
_OTHER = "~"  # no word of any question
_DRAWN = 2048  # scenes at once, of both sides
_ENOUGH, _MOST = 1000, 3  # scenes that fit a rule, and times the pictures that are looked through for them
_STEPS, _NEW, _KEPT = 400, 96, 2048  # steps of the new rows; taught and kept questions in one
_ROW_RATE, _GUARD = 0.02, 10.0  # and how much the kept count
_HELD = 0.97  # of what is taught of each rule, at least, or all else learns too
_BATCH, _RATE = 128, 1e-3
_ROUND = 500
_SHARES = (0.85, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3)  # of the way from the old weights to the new
_LOOKED, _GIVEN_UP = 2000, 0.01  # taught questions that this is judged by, and what they may lose of exact
_STAY = ("encoder.", "sight.", "meaning")  # what it sees
Tell = Callable[[int, float], None]
"""Told the step and the share of the time that is gone."""


class NoRoom(ModelError):
    """The reasoner's tables have no free place for a word or an answer."""


@dataclass(frozen=True)
class Effect:
    """One measure on held-out questions, before and after."""

    task: str
    measure: str
    before: float
    after: float
    rows: int


@dataclass(frozen=True)
class _Set:
    """Questions about pictures, as the reasoner takes them."""

    rows: dict[str, Tensor]  # words, target, latents
    groups: list[str]  # of each row: a topic, or a rule

    def drawn(self, count: int, rng: torch.Generator) -> dict[str, Tensor]:
        """So many rows, drawn."""
        at = torch.randint(len(self.groups), (count,), generator=rng)
        return {name: each[at] for name, each in self.rows.items()}


@dataclass(frozen=True)
class _Said:
    """What a reasoner makes of questions: N of them, in S refinement steps."""

    cells: Tensor  # [S, N, C]
    logits: Tensor  # [S, N, A]


@dataclass(frozen=True)
class _Clock:
    """The CPU time that the learning may take."""

    begin: float
    seconds: float
    told: Tell

    def gone(self) -> float:
        """The share of the time that is gone: 1 and more when it is over."""
        return (time.process_time() - self.begin) / self.seconds

    def tell(self, step: int) -> None:
        """Say how far it is."""
        self.told(step, min(self.gone(), 1.0))


def consolidate_words(
    scratch: SceneReasoner,
    memory: Concepts,
    *,
    seed: int = 0,
    core_seconds: float = 60.0,
    rows: int = 4000,
    pictures: int = 6000,
    tell: Tell = lambda step, gone: None,
) -> list[Effect]:
    """Teach a copy of the core's reasoner what the memory knows; what that did to held-out questions.

    The rows learn in a fixed number of steps; all weights for what is left of the seconds of CPU time. It is
    taught from `pictures` fresh ones, more where a rule fits few, and measured on `rows` others: three
    questions of the core's own about each, one of the person's.

    Raises:
        NoRoom: the reasoner has no free place for a word or an answer.
        ModelError: the memory has no rule, or is sure of no fresh scene.
    """
    begin = time.process_time()
    if not memory.rules:
        raise ModelError("this memory has no lessons to make a part of the core")
    grow(scratch, [each.text for each in memory.kept], [each.answer for each in memory.kept])
    held_own, held_new = _asked(scratch, memory, seed, 1, rows)
    before = _measured(scratch, held_own), _measured(scratch, held_new)
    own, new = _asked(scratch, memory, seed, 0, pictures)
    clock = _Clock(begin, core_seconds * 0.95, tell)
    _teach_rows(scratch, own, new, seed, clock.tell)
    if min(_measured(scratch, new).values()) < _HELD:
        was = {name: each.clone() for name, each in scratch.state_dict().items()}
        _teach(scratch, own, new, seed, clock)
        _no_further(scratch, was, new)
    after = _measured(scratch, held_own), _measured(scratch, held_new)
    found = []
    for task, then, now, held in zip(("old", "new"), before, after, (held_own, held_new), strict=True):
        for group in sorted(then):
            found.append(
                Effect(f"{task}: {group}", "exact", then[group], now[group], held.groups.count(group))
            )
    return found


def grow(reasoner: SceneReasoner, texts: Sequence[str], answers: Sequence[str]) -> None:
    """Give new words and answers a place of their own; NoRoom where there is none. In place: for copies."""
    config = reasoner.config
    known = Words.parse(reasoner.vocabulary, config.words).listed()
    for text in texts:
        known += [word for word in Words.parts(text) if word not in known]
    if len(known) > config.words:
        raise NoRoom(f"there is room for {config.words} words, and {len(known)} are needed")
    table = reasoner.answers()
    new = [each for each in dict.fromkeys(answers) if each not in table]
    if len(table) + len(new) > config.answers:
        raise NoRoom(f"there is room for {config.answers} answers, and {len(table) + len(new)} are needed")
    with torch.no_grad():
        reasoner.vocabulary.copy_(Words(known).held())
        for row, each in enumerate(new, len(table)):
            coded = each.encode()
            reasoner.known[row] = 0
            reasoner.known[row, : len(coded)] = torch.tensor(list(coded), dtype=torch.uint8)
            reasoner.head[row] = reasoner.head[: len(table)].mean(0)  # untrained, all pushed it away


def _asked(reasoner: SceneReasoner, memory: Concepts, seed: int, side: int, count: int) -> tuple[_Set, _Set]:
    """The core's own questions and the person's about fresh pictures; side 1 is held out of all learning.

    The core's own of `count` pictures or a few more; to learn rules that fit few, more are looked through.
    """
    chance = np.random.default_rng([seed, side])
    own: list[tuple[Tensor, list[str], list[str], list[str]]] = []
    found: dict[Key, list[tuple[Tensor, str, str]]] = {key: [] for key in sorted(memory.rules)}
    seen = 0
    for start, pictures, objects in _pictures(seed, side, reasoner.config.vision.size):
        with torch.no_grad():
            latents = reasoner.seen(torch.from_numpy(pictures).to(reasoner.embed.device))
        tables = memory.reader.read(latents)
        latents = latents.to(torch.bfloat16)
        for turn in range(_TURNS if seen < count else 0):
            draws = Draws(f"words for good/{side}/{turn}", seed, start, start + len(objects))
            asked, said, topics = wordings.questions(draws, objects)
            names = [wordings.TOPICS[at] for at in topics]
            own.append((latents, wordings.texts(asked), wordings.texts(said), names))
        for key, rows in found.items():
            for at, text, answer in _taught(memory, key, tables, chance, loosely=not side):
                rows.append((latents[at], text, answer))
        seen += len(objects)
        least = min(map(len, found.values()))
        if seen >= count and (side or least >= _ENOUGH or seen >= _MOST * count):
            break
    told = [(*row, " ".join(key[1:])) for key, rows in found.items() for row in rows]
    if not told:
        raise ModelError("the memory is sure of no fresh scene: it needs more lessons first")
    latents = torch.cat([each[0] for each in own])
    texts, answers, groups = (list(chain.from_iterable(each[at] for each in own)) for at in (1, 2, 3))
    seen_new, *said_new = (list(each) for each in zip(*told, strict=True))
    return (
        _set(reasoner, latents, texts, answers, groups),
        _set(reasoner, torch.stack(seen_new), *said_new),
    )


def _pictures(seed: int, side: int, size: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Fresh pictures of scenes of one side, without an end: where they begin, they, and their objects."""
    for start in counted(0, _DRAWN):
        draws = Draws("words for good", seed, start, start + _DRAWN)
        drawn = scene.draw(draws, 1, scene.MOST)
        painted = render.draw(draws, drawn.objects, scene.spots(draws, drawn, size), size)
        keep = drawn.split == side
        yield start, painted[keep], drawn.objects[keep]


def _taught(
    memory: Concepts, key: Key, tables: np.ndarray, chance: np.random.Generator, *, loosely: bool
) -> list[tuple[int, str, str]]:
    """Pictures by number, a question of a rule's, and the memory's answer, where it is sure of it.

    Loosely: words that only carry the sentence are now and then others, so that it is not learned by heart.
    """
    texts = sorted({memory.kept[at].text for at in memory.rules[key]})
    asked = [texts[at] for at in chance.integers(len(texts), size=len(tables))]
    fitting = [at for at, fits in enumerate(memory.fits(key, tables, asked)) if fits]
    told = memory.told(key, tables[fitting], [asked[at] for at in fitting])
    found = []
    for at, odds in zip(fitting, told, strict=True):
        best = max(odds, key=lambda each: odds[each])
        if odds[best] >= _SURE:
            text = _loosened(asked[at], chance) if loosely else asked[at]
            found.append((at, text, best))
    return found


def _loosened(text: str, chance: np.random.Generator) -> str:
    """A question some of whose plain words are now unknown ones, every other time."""
    if chance.random() < 0.5:
        return text
    return " ".join(_OTHER if word in PLAIN and chance.random() < 0.5 else word for word in Words.parts(text))


def _set(
    reasoner: SceneReasoner, latents: Tensor, texts: list[str], answers: list[str], groups: list[str]
) -> _Set:
    numbers = {text: number for number, text in enumerate(reasoner.answers())}
    target = torch.tensor([numbers.get(each, -1) for each in answers], device=latents.device)
    return _Set(
        {"words": reasoner.asked(texts).to(latents.device), "target": target, "latents": latents}, groups
    )


def _teach_rows(
    reasoner: SceneReasoner, own: _Set, new: _Set, seed: int, tell: Callable[[int], None]
) -> None:
    """The rows of words and answers that none of the core's own questions has; all else stays, bit for bit.

    What its own questions come to does not depend on them, but for whether a new answer wins.
    """
    config, embed, head = reasoner.config, reasoner.embed, reasoner.head
    words, answers = (_only(each, new, own) for each in ("words", "target"))
    said = _said(reasoner, own)
    learned = torch.zeros(len(head), dtype=torch.bool, device=head.device)
    learned[answers] = True
    old = said.logits[..., ~learned].logsumexp(-1)
    reasoner.requires_grad_(False)
    embed.requires_grad_(True)
    head.requires_grad_(True)
    stepper = torch.optim.Adam((embed, head), lr=_ROW_RATE)
    rng = torch.Generator().manual_seed(seed)
    for step in range(_STEPS):
        for group in stepper.param_groups:
            group["lr"] = _ROW_RATE * min(1.0, (step + 1) / 20) * (1 - step / _STEPS)
        told = new.drawn(_NEW, rng)
        losses = [
            F.cross_entropy(thought.logits, told["target"]) + config.halt_weight * _halting(thought, told)
            for thought in reasoner.thoughts(told, config.halt_steps)
        ]
        at = torch.randint(len(own.groups), (_KEPT,), generator=rng)
        wins = F.softplus((said.cells[:, at] @ head[answers].T).logsumexp(-1) - old[:, at])
        stepper.zero_grad()
        torch.autograd.backward(torch.stack(losses).mean() + (_GUARD * wins.mean() if len(answers) else 0.0))
        for table, free in ((embed, words), (head, answers)):
            assert table.grad is not None
            kept = torch.ones(len(table), dtype=torch.bool, device=table.device)
            kept[free] = False
            table.grad[kept] = 0  # and Adam leaves it where it is
        stepper.step()
        tell(step)
    reasoner.requires_grad_(False)


def _only(name: str, new: _Set, own: _Set) -> Tensor:
    """The numbers of words or answers that are in the new questions alone."""
    here, there = (torch.unique(each.rows[name]) for each in (new, own))
    found: Tensor = here[~torch.isin(here, there)]
    return found


def _halting(thought: Thought, asked: dict[str, Tensor]) -> Tensor:
    """How wrong it is about being right."""
    right = (thought.logits.argmax(1) == asked["target"]).float()
    return F.binary_cross_entropy_with_logits(thought.halt, right)


def _teach(reasoner: SceneReasoner, own: _Set, new: _Set, seed: int, clock: _Clock) -> None:
    """Steps of all but what it sees until the time is gone: the new answers, and the old as before.

    What it said before of its own questions is kept as it was said, with its doubts (Li and Hoiem, arXiv
    1606.09282): truth that it can't see would only disturb the rest.
    """
    config = reasoner.config
    learning = [each for name, each in reasoner.named_parameters() if not name.startswith(_STAY)]
    own.rows["odds"] = _said(reasoner, own).logits[-1].softmax(-1)
    for each in learning:
        each.requires_grad_(True)
    stepper = torch.optim.AdamW(learning, lr=_RATE, weight_decay=0.0)
    rng = torch.Generator().manual_seed(seed)
    begin, step = clock.gone(), 0
    while (gone := clock.gone()) < 1:
        for group in stepper.param_groups:
            group["lr"] = _RATE * min(1.0, (step + 1) / 20) * (1 - gone) / (1 - begin)
        given = round(_BATCH * _SHARE)
        told, kept = new.drawn(given, rng), own.drawn(_BATCH - given, rng)
        both = {name: torch.cat([told[name], kept[name]]) for name in ("words", "target", "latents")}
        losses = []
        for thought in reasoner.thoughts(both, config.halt_steps):
            fresh = F.cross_entropy(thought.logits[:given], told["target"])
            same = F.cross_entropy(thought.logits[given:], kept["odds"])
            halting = config.halt_weight * _halting(thought, both)
            losses.append(fresh * _SHARE + same * (1 - _SHARE) + halting)
        stepper.zero_grad()
        torch.autograd.backward(torch.stack(losses).mean())
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        stepper.step()
        step += 1
        clock.tell(_STEPS + step)
    reasoner.requires_grad_(False)


@torch.no_grad()
def _no_further(reasoner: SceneReasoner, was: dict[str, Tensor], new: _Set) -> None:
    """Go back towards what it was for as long as each rule holds: what the new needs not, the old keeps.

    Weights between both ends do what each of them can (Wortsman et al., arXiv 2109.01903).
    """
    end = {name: each.clone() for name, each in reasoner.state_dict().items()}
    at = range(0, len(new.groups), max(1, len(new.groups) // _LOOKED))  # rules stand one after the other
    some = _Set({name: each[list(at)] for name, each in new.rows.items()}, [new.groups[each] for each in at])
    wanted = {group: right - _GIVEN_UP for group, right in _measured(reasoner, some).items()}

    def go(share: float) -> None:
        for name, each in reasoner.state_dict().items():
            if each.is_floating_point():
                each.copy_(was[name] + share * (end[name] - was[name]))

    kept = 1.0
    for share in _SHARES:
        go(share)
        found = _measured(reasoner, some)
        if any(found[group] < least for group, least in wanted.items()):
            break
        kept = share
    go(kept)


@torch.no_grad()
def _said(reasoner: SceneReasoner, held: _Set) -> _Said:
    """What it makes of all questions of a set."""
    reasoner.eval()
    cells, logits = [], []
    for start in range(0, len(held.groups), _ROUND):
        part = {name: each[start : start + _ROUND] for name, each in held.rows.items()}
        thoughts = list(reasoner.thoughts(part, reasoner.config.halt_steps))
        cells.append(torch.stack([each.cells for each in thoughts]))
        logits.append(torch.stack([each.logits for each in thoughts]))
    return _Said(torch.cat(cells, 1), torch.cat(logits, 1))


def _measured(reasoner: SceneReasoner, held: _Set) -> dict[str, float]:
    """The share of each group's questions that are answered rightly."""
    right = (_said(reasoner, held).logits[-1].argmax(1) == held.rows["target"]).tolist()
    groups = sorted(set(held.groups))
    return {
        group: float(np.mean([ok for ok, own in zip(right, held.groups, strict=True) if own == group]))
        for group in groups
    }
