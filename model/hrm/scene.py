"""The reasoner over pictures: a question in words and the latents of a picture go in, an answer comes out.

It stands on a vision encoder, which a JEPA learned (`encoder` of the request) or which is learned here.
Frozen, the encoder is asked once for each picture, before the training. Its weights are part of the learner's
own, so a checkpoint is whole without the folder that they came from.

Where the data say what stands where (`objects`), it is told so in training beside the answers, for the first
`look` of the training this alone; and each picture is asked about many times, by questions drawn from
`objects` as the recipe draws its one. Of held-out pictures the data's own questions alone are asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from datagen.draws import Draws
from datagen.scenes import words as wordings
from datagen.scenes.scene import CELL, PRESENT
from model.encoders import WORDS_BYTES, Vision, VisionConfig, Words
from model.hrm.config import Part, Share, lists_to_tuples
from model.hrm.mixers import weight
from model.hrm.ops import norm
from model.hrm.scene_net import KINDS, PLACES, Reading, Sight, Thinking, words_seen
from model.jepa.learner import JepaLearner
from model.jepa.views import scaled
from model.learner import Batch, Columns, DataInfo, Feed, Learner, Split, State, Step

_BATCH = 256  # pictures at once, where none is learned from
_ANSWER = 32  # bytes of an answer, at most
_DRAWN = 16  # questions of each picture
_HARD = np.array(
    [
        ("count", "position", "colour", "size", "shape", "count-of", "exists", "relation").index(topic)
        for topic in wordings.TOPICS
    ]
)
"""How late each topic is learned."""
_SEEING = 0.3  # weight of what stands where, once questions are asked


class SceneConfig(Part):
    """A reasoner over pictures and questions; `hidden` to `halt_weight` as in `HrmConfig`."""

    task: str = Field(default="scene", pattern="^scene$")
    vision: VisionConfig = VisionConfig()
    """The encoder's build; the same as in the request's `encoder` where one is given."""
    freeze: tuple[Literal["encoder"], ...] = ("encoder",)
    """What does not learn."""
    words: int = Field(default=96, ge=8, le=1024)
    length: int = Field(default=24, ge=1, le=96)
    """The most words of a question that are read."""
    answers: int = Field(default=64, ge=2, le=1024)
    """The most different answers; fewer are used where the data have fewer."""
    questions: int = Field(default=4, ge=1, le=_DRAWN)
    """How many questions of each picture are asked in a step, where they can be drawn."""
    look: Share = 0.1
    """For this share of the training it learns to see alone, where the data say what stands where."""
    sight: int = Field(default=256, ge=8, le=4096)
    """The width of what is made of the patches of a place."""
    cells: int = Field(default=4, ge=1, le=64)
    hidden: int = Field(default=96, ge=8, le=4096)
    layers: int = Field(default=1, ge=1, le=16)
    heads: int = Field(default=4, ge=1, le=64)
    expansion: float = Field(default=2.0, gt=0.0, le=8.0)
    h_cycles: int = Field(default=1, ge=1, le=16)
    l_cycles: int = Field(default=1, ge=1, le=32)
    halt_steps: int = Field(default=2, ge=1, le=64)
    halt_bias: float = Field(default=-2.0, ge=-10.0, le=0.0)
    halt_weight: float = Field(default=0.2, ge=0.0, le=10.0)

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, raw: object) -> object:
        return lists_to_tuples(raw)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError("heads: hidden must be a multiple of it")
        if self.vision.size // self.vision.patch < 3:
            raise ValueError("vision: a picture of three patches a side is the least")
        return self

    @property
    def frozen(self) -> bool:
        """Whether the encoder stays as it is."""
        return "encoder" in self.freeze


@dataclass(frozen=True)
class Thought:
    """What a refinement step gives."""

    cells: Tensor  # [B, cells * hidden], fp32: what the answer is read from
    logits: Tensor  # [B, A], fp32
    halt: Tensor  # [B], fp32: log-odds that the answer is right
    change: Tensor  # [B], fp32: how far the answer's latent moved, as a share of its length before


class SceneReasoner(Learner):
    """Columns `image` uint8 [N, S, S, 3], `question` and `answer` as text, uint8 [N, L] padded with zeros."""

    vocabulary: Tensor  # the tokenizer of questions, as bytes
    known: Tensor  # uint8 [answers, 32]: the text of each answer
    learned: Tensor  # whether the encoder's weights come from a training

    def __init__(self, config: SceneConfig, encoder: Vision | None = None) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder or Vision(config.vision)
        self.encoder.requires_grad_(not config.frozen)
        hidden, heads = config.hidden, config.heads
        self.sight = Sight(config.vision.size // config.vision.patch, config.vision.width, config.sight)
        self.meaning = nn.Parameter(torch.randn(sum(KINDS), hidden))
        self.project = weight(hidden, config.sight)
        self.embed = nn.Parameter(torch.randn(config.words, hidden))
        self.reading = Reading(config.length, config.cells, hidden, hidden, heads)
        self.core = Thinking(config.cells, hidden, heads, config.expansion, config.layers)
        self.head = weight(config.answers, config.cells * hidden)
        self.halt = nn.Parameter(torch.zeros(1, hidden))
        self.halt_bias = nn.Parameter(torch.full((1,), config.halt_bias))
        self.register_buffer("vocabulary", torch.zeros(WORDS_BYTES, dtype=torch.uint8))
        self.register_buffer("known", torch.zeros(config.answers, _ANSWER, dtype=torch.uint8))
        self.register_buffer("learned", torch.tensor(encoder is not None))

    def train(self, mode: bool = True) -> Self:
        """A frozen encoder stays in evaluation mode: its running statistics are its own."""
        super().train(mode)
        if self.config.frozen:
            self.encoder.eval()
        return self

    def prepare(self, columns: Columns) -> dict[str, Tensor]:
        """`words` [N, L], `target` [N] (-1: an answer never seen in training), and `latents` or `image`.

        The first rows are those to learn from. Where they have `objects`, also `stands` [N, 9, 3], and
        `drawn` [N, Q, L] with `drawn_target` [N, Q]: more questions of the same pictures.
        """
        missing = [name for name in ("image", "question", "answer") if name not in columns]
        if missing:
            raise ValueError(f"the data set has no column {' and '.join(missing)}")
        if self.config.frozen and not bool(self.learned):
            raise ValueError("a frozen encoder must be one that has learned: the request names none")
        image, size = columns["image"], self.config.vision.size
        if image.dtype != np.uint8 or image.shape[1:] != (size, size, 3):
            raise ValueError(f"pictures of {size} x {size} x 3 bytes are needed, not {image.shape[1:]}")
        asked, said = _texts(columns["question"]), _texts(columns["answer"])
        first, more = not bool(self.vocabulary.any()), {}
        if first:
            drawn = _drawn(columns["objects"]) if "objects" in columns else ([], [])
            self.vocabulary.copy_(Words.train([*asked, *drawn[0]], self.config.words).held())
            self.known.copy_(self._listed([*said, *drawn[1]]))
            if "objects" in columns:
                more = {
                    "drawn": self.asked(drawn[0]).view(len(asked), -1, self.config.length).to(torch.int16),
                    "drawn_target": self._numbers(drawn[1]).view(len(asked), -1),
                    "stands": torch.from_numpy(stands(columns["objects"])),
                }
        found = {"words": self.asked(asked), "target": self._numbers(said), **more}
        pictures = torch.from_numpy(image)
        if not self.config.frozen:
            return {**found, "image": pictures}
        with torch.no_grad():
            self.encoder.eval()
            return {**found, "latents": self.seen(pictures).to(torch.bfloat16)}

    def begin(self, feed: Feed, batch: int) -> State:
        """Nothing is carried from step to step."""
        return {}

    def advance(self, feed: Feed, batch: int, state: State, progress: float) -> Step:
        """All refinement steps of some questions of each picture, or, at first, what stands where alone."""
        rows, config = feed.take(batch), self.config
        latents = self._latents(rows)
        with torch.autocast(latents.device.type, enabled=False):
            inner, told = self.sight(latents.float())
            loss, shown = latents.new_zeros((), dtype=torch.float32), {}
            if "stands" in rows:
                parts = zip(torch.split(told, list(KINDS), -1), rows["stands"].long().unbind(-1), strict=True)
                seeing = [F.cross_entropy(odds.flatten(0, 1), true.flatten()) for odds, true in parts]
                loss = torch.stack(seeing).sum()
                shown["seeing"] = loss.detach()
                if progress < config.look:
                    return Step(loss, shown)
            words, target = rows["words"], rows["target"]
            if "drawn" in rows:
                shape = len(target), config.questions
                at = torch.randint(rows["drawn"].shape[1], shape, generator=feed.rng).to(target.device)
                own = torch.arange(len(target), device=target.device)[:, None]
                words = rows["drawn"][own, at].flatten(0, 1).long()
                target = rows["drawn_target"][own, at].flatten()
            answering, right = [], torch.zeros_like(loss)
            for thought in self._thoughts(words, inner, told, config.halt_steps):
                right = (thought.logits.argmax(1) == target).float().detach()
                halting = F.binary_cross_entropy_with_logits(thought.halt, right)
                answering.append(F.cross_entropy(thought.logits, target) + config.halt_weight * halting)
            answered = torch.stack(answering).mean()
        return Step(loss * _SEEING + answered, {**shown, "loss": answered.detach(), "exact": right.mean()})

    def assess(self, data: Batch, rows: int) -> dict[str, float]:
        """`loss` and `exact`, the share of questions answered rightly, after all refinement steps."""
        loss = right = 0.0
        target = data["target"][:rows]
        for start in range(0, len(target), _BATCH):
            part = {name: each[start : min(start + _BATCH, rows)] for name, each in data.items()}
            logits, _ = self.answer(part, self.config.halt_steps)
            loss += float(F.cross_entropy(logits, part["target"], ignore_index=-1, reduction="sum"))
            right += float((logits.argmax(1) == part["target"]).sum())
        count = max(1, len(target))
        return {"loss": loss / count, "exact": right / count}

    def answer(self, data: Batch, steps: int) -> tuple[Tensor, Tensor]:
        """Logits of the answers [B, A] after so many steps, and the halting value [B]."""
        *_, last = self.thoughts(data, steps)
        return last.logits, last.halt

    def thoughts(self, data: Batch, steps: int) -> Iterator[Thought]:
        """Each of so many refinement steps of `words` [B, L] over `latents` [B, P, W] or `image`."""
        latents = self._latents(data)
        with torch.autocast(latents.device.type, enabled=False):
            inner, told = self.sight(latents.float())
            yield from self._thoughts(data["words"], inner, told, steps)

    def asked(self, questions: list[str]) -> Tensor:
        """Questions as numbers of words, int64 [B, L] on the CPU; ValueError before it has learned any."""
        return Words.parse(self.vocabulary, self.config.words).encode(questions, self.config.length)

    def seen(self, pictures: Tensor) -> Tensor:
        """The encoder's latents of pictures, uint8 [B, S, S, 3]: [B, P, W]."""
        return torch.cat([self.encoder(scaled(part)) for part in torch.split(pictures, _BATCH)])

    def answers(self) -> list[str]:
        """The answers it knows, in the order of its logits."""
        return [text for text in _texts(self.known.cpu().numpy()) if text]

    def split(self) -> Split:
        """Matrices between latents, and of a learning encoder; all else."""
        plain = ("embed", "meaning", "head", "halt", "reading.order", "reading.ask", "core.y0", "core.z0")
        tables = ("sight.gain", "sight.place", "sight.tell")
        found = Split(matrices=[], others=[])
        for name, each in self.named_parameters():
            apart = name in (*plain, *tables) or "pos_embed" in name or min(each.shape) <= self.config.cells
            if each.requires_grad:
                (found.matrices if each.ndim == 2 and not apart else found.others).append(each)
        return found

    def activation_bytes(self, batch: int) -> int:
        """Some 12 numbers of the hidden width for each cell and call, and word; the same of an encoder."""
        config = self.config
        width = config.hidden * 10 + round(6 * config.hidden * config.expansion)
        calls = (config.l_cycles + 1) * config.h_cycles * config.layers * config.halt_steps
        numbers = config.questions * (config.cells * calls + config.length) * width
        numbers += PLACES * (6 * config.sight + 4 * config.vision.width)
        if not config.frozen:
            numbers += 16 * config.vision.patches * config.vision.width * config.vision.depth
        return 4 * batch * numbers

    def _latents(self, data: Batch) -> Tensor:
        """[B, P, W]."""
        return data["latents"] if "latents" in data else self.encoder(scaled(data["image"]))

    def _thoughts(self, words: Tensor, inner: Tensor, told: Tensor, steps: int) -> Iterator[Thought]:
        """Refinement steps of words [B * R, L], R questions of each of the pictures of what was seen."""
        config = self.config
        beliefs = torch.cat([part.softmax(-1) for part in torch.split(told, list(KINDS), -1)], -1)
        view = self.core.view(norm(beliefs @ self.meaning + F.linear(inner, self.project)))
        asked = self.reading(F.embedding(words, self.embed), words_seen(words))
        y, z = (each.expand(len(asked), -1, -1) for each in (self.core.y0, self.core.z0))
        for _ in range(max(1, steps)):
            before = y
            for _ in range(config.h_cycles):
                y, z = self.core.cycle(asked, y, z, view, config.l_cycles)
            halt = F.linear(y.mean(1), self.halt, self.halt_bias).squeeze(-1)
            cells = y.flatten(1)
            yield Thought(cells, F.linear(cells, self.head), halt, _moved(before, y))

    def _numbers(self, said: list[str]) -> Tensor:
        """The number of each answer, int64 [N]; -1 of one that it does not know."""
        numbers = {text: number for number, text in enumerate(self.answers())}
        return torch.tensor([numbers.get(text, -1) for text in said])

    def _listed(self, said: list[str]) -> Tensor:
        """The answers of the training data, in the order of the alphabet, as bytes."""
        different = sorted(set(said))
        if len(different) > self.config.answers:
            raise ValueError(
                f"there are {len(different)} different answers, the model has {self.config.answers}"
            )
        rows = [text.encode().ljust(_ANSWER, b"\0") for text in different]
        if any(len(row) > _ANSWER or not row.strip(b"\0") for row in rows):
            raise ValueError(f"an answer is empty or longer than {_ANSWER} bytes")
        table = torch.zeros_like(self.known, device="cpu")
        table[: len(rows)] = torch.frombuffer(bytearray(b"".join(rows)), dtype=torch.uint8).view(-1, _ANSWER)
        return table


def build(options: dict[str, Any], info: DataInfo) -> SceneReasoner:
    """A reasoner over pictures; with the vision of the JEPA at `info.encoder`, where that is there."""
    if info.encoder is None or not info.encoder.exists():  # a checkpoint is whole without it
        return SceneReasoner(SceneConfig.model_validate(options))
    from model import learners

    jepa, _ = learners.restore(info.encoder)
    if not isinstance(jepa, JepaLearner):
        raise ValueError(f"{info.encoder} holds no encoder of pictures")
    config = SceneConfig.model_validate(options)
    if config.vision != jepa.config.vision:
        raise ValueError(f"vision must be that of the encoder: {jepa.config.vision.model_dump()}")
    return SceneReasoner(config, jepa.net.towers.vision)


def stands(objects: np.ndarray) -> np.ndarray:
    """Shape, colour and size in each place, from 1, or 0: uint8 [N, 9, 3] of uint8 [N, M, 5]."""
    found = np.zeros((len(objects), PLACES, len(KINDS)), np.uint8)
    rows, which = np.nonzero(objects[..., PRESENT])
    found[rows, objects[rows, which, CELL]] = objects[rows, which, : len(KINDS)] + 1
    return found


def _drawn(objects: np.ndarray) -> tuple[list[str], list[str]]:
    """Sixteen questions of each picture, and their answers, picture by picture; each the harder of two."""
    asked, said = [], []
    for number in range(_DRAWN):
        pair = [
            wordings.questions(Draws("reasoner/question", 2 * number + each, 0, len(objects)), objects)
            for each in range(2)
        ]
        harder = _HARD[pair[1][2]] > _HARD[pair[0][2]]
        asked.append(_texts(np.where(harder[:, None], pair[1][0], pair[0][0])))
        said.append(_texts(np.where(harder[:, None], pair[1][1], pair[0][1])))
    both = [[text for row in zip(*columns, strict=True) for text in row] for columns in (asked, said)]
    return both[0], both[1]


@torch.no_grad()
def _moved(before: Tensor, after: Tensor) -> Tensor:
    before, after = before.float().flatten(1), after.float().flatten(1)
    length = torch.linalg.vector_norm(before, dim=1).clamp(min=1e-9)
    change: Tensor = torch.linalg.vector_norm(after - before, dim=1) / length
    return change


def _texts(column: np.ndarray) -> list[str]:
    return [row.tobytes().rstrip(b"\0").decode("utf-8", "replace") for row in column]
