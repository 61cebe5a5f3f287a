"""What a working memory learned of a person's words, taught to a copy of the core.

Fresh scenes of the recipe are asked about twice: in the core's own questions with their true answers, so that
nothing is forgotten, and in the person's questions with the memory's answers, where it is sure of one. New
words take free places of the reasoner's vocabulary, new answers free rows of its table; what it sees (`sight`
and the encoder) stays as it is. The copy is given; the core is never touched. Measured before and after on
held-out scenes: each topic of the core's questions, and each rule's agreement with the memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
from model.hrm.scene import SceneReasoner

_SURE = 0.6  # the memory's answers that are less likely are not taught
_SHARE = 0.25  # of the questions in a batch that are the person's
_TURNS = 3  # of the core's own questions about each picture
_OTHER = "~"  # no word of any question
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

    Deterministic but for how many steps the seconds of CPU time allow. It is taught from `pictures` fresh
    ones, and measured on `rows` others: three questions of the core's own about each, one of the person's.

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
    left = core_seconds - (time.process_time() - begin)
    was = {name: each.clone() for name, each in scratch.state_dict().items()}
    _teach(scratch, own, new, seed, left * 0.95, tell)
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
            reasoner.head[row] = reasoner.head[: len(table)].mean(
                0
            )  # an untrained row was pushed away by all


def _asked(reasoner: SceneReasoner, memory: Concepts, seed: int, side: int, count: int) -> tuple[_Set, _Set]:
    """The core's own questions and the person's about fresh pictures; side 1 is held out of all learning."""
    pictures, objects = _pictures(seed, side, count, reasoner.config.vision.size)
    with torch.no_grad():
        latents = reasoner.seen(torch.from_numpy(pictures).to(reasoner.embed.device))
    tables = memory.reader.read(latents)
    latents = latents.to(torch.bfloat16)
    asked, said, groups = [], [], []
    for turn in range(_TURNS):
        drawn = wordings.questions(Draws(f"words for good/{side}/{turn}", seed, 0, len(objects)), objects)
        asked += wordings.texts(drawn[0])
        said += wordings.texts(drawn[1])
        groups += [wordings.TOPICS[at] for at in drawn[2]]
    own = _set(reasoner, latents.repeat(len(asked) // len(objects), 1, 1), asked, said, groups)
    chance = np.random.default_rng([seed, side])
    found: list[tuple[int, str, str, str]] = []
    for key in sorted(memory.rules):
        found += _taught(memory, key, tables, chance, loosely=not side)
    if not found:
        raise ModelError("the memory is sure of no fresh scene: it needs more lessons first")
    places, texts, answers, rules = (list(each) for each in zip(*found, strict=True))
    return own, _set(reasoner, latents[places], texts, answers, rules)


def _pictures(seed: int, side: int, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """So many fresh pictures of scenes of one side, and their objects."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    start = 0
    while sum(len(objects) for _, objects in found) < count:
        draws = Draws("words for good", seed, start, start + 2048)
        drawn = scene.draw(draws, 1, scene.MOST)
        painted = render.draw(draws, drawn.objects, scene.spots(draws, drawn, size), size)
        keep = drawn.split == side
        found.append((painted[keep], drawn.objects[keep]))
        start += 2048
    return np.concatenate([each for each, _ in found])[:count], np.concatenate([each for _, each in found])[
        :count
    ]


def _taught(
    memory: Concepts, key: Key, tables: np.ndarray, chance: np.random.Generator, *, loosely: bool
) -> list[tuple[int, str, str, str]]:
    """Pictures by number, a question of a rule's, the memory's answer where it is sure of it, and the rule.

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
            found.append((at, text, best, " ".join(key[1:])))
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


def _teach(reasoner: SceneReasoner, own: _Set, new: _Set, seed: int, seconds: float, tell: Tell) -> None:
    """Steps until the seconds of CPU time are gone: the new answers, and to say the old as before.

    What it said before of its own questions is kept as it was said, with its doubts (Li and Hoiem, arXiv
    1606.09282): truth that it can't see would only disturb the rest.
    """
    config = reasoner.config
    learning = [each for name, each in reasoner.named_parameters() if not name.startswith(_STAY)]
    own.rows["odds"] = _said(reasoner, own).softmax(-1)
    for name, each in reasoner.named_parameters():
        each.requires_grad_(not name.startswith(_STAY))
    stepper = torch.optim.AdamW(learning, lr=_RATE, weight_decay=0.0)
    rng = torch.Generator().manual_seed(seed)
    begin, step = time.process_time(), 0
    while (gone := (time.process_time() - begin) / max(seconds, 1e-3)) < 1:
        for group in stepper.param_groups:
            group["lr"] = _RATE * min(1.0, (step + 1) / 20) * (1 - gone)
        given = round(_BATCH * _SHARE)
        told, kept = new.drawn(given, rng), own.drawn(_BATCH - given, rng)
        both = {name: torch.cat([told[name], kept[name]]) for name in ("words", "target", "latents")}
        losses = []
        for thought in reasoner.thoughts(both, config.halt_steps):
            right = (thought.logits.argmax(1) == both["target"]).float()
            halting = F.binary_cross_entropy_with_logits(thought.halt, right)
            fresh = F.cross_entropy(thought.logits[:given], told["target"])
            same = F.cross_entropy(thought.logits[given:], kept["odds"])
            losses.append(fresh * _SHARE + same * (1 - _SHARE) + config.halt_weight * halting)
        stepper.zero_grad()
        torch.autograd.backward(torch.stack(losses).mean())
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        stepper.step()
        step += 1
        tell(step, gone)
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
def _said(reasoner: SceneReasoner, held: _Set) -> Tensor:
    """Logits [N, A] of all its questions, after all refinement steps."""
    reasoner.eval()
    found = []
    for start in range(0, len(held.groups), _ROUND):
        part = {name: each[start : start + _ROUND] for name, each in held.rows.items()}
        found.append(reasoner.answer(part, reasoner.config.halt_steps)[0])
    return torch.cat(found)


def _measured(reasoner: SceneReasoner, held: _Set) -> dict[str, float]:
    """The share of each group's questions that are answered rightly."""
    right = (_said(reasoner, held).argmax(1) == held.rows["target"]).tolist()
    groups = sorted(set(held.groups))
    return {
        group: float(np.mean([ok for ok, own in zip(right, held.groups, strict=True) if own == group]))
        for group in groups
    }
