"""The reasoner over latents: a question in words and the latents of a picture go in, an answer comes out.

It stands on a vision encoder, which a JEPA learned (`encoder` of the request) or which is learned here.
Frozen, the encoder is asked once for each picture, before the training. Its weights are part of the learner's
own, so a checkpoint is whole without the folder that they came from.
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
from torch.func import functional_call

from model.encoders import PAD, WORDS_BYTES, Vision, VisionConfig, Words
from model.hrm import carry
from model.hrm.config import HrmConfig, Part, Share, lists_to_tuples
from model.hrm.mixers import weight
from model.hrm.net import Core, working_type
from model.jepa.learner import JepaLearner
from model.jepa.views import scaled
from model.learner import Batch, Columns, DataInfo, Feed, Learner, Split, State, Step

_BATCH = 256  # pictures at once, where none is learned from
_ANSWER = 32  # bytes of an answer, at most


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
    hidden: int = Field(default=96, ge=8, le=4096)
    layers: int = Field(default=2, ge=1, le=16)
    heads: int = Field(default=4, ge=1, le=64)
    expansion: float = Field(default=2.0, gt=0.0, le=8.0)
    h_cycles: int = Field(default=1, ge=1, le=16)
    l_cycles: int = Field(default=2, ge=1, le=32)
    halt_steps: int = Field(default=4, ge=1, le=64)
    exploration: Share = 0.4
    halt_bias: float = Field(default=-4.0, ge=-10.0, le=0.0)
    halt_weight: float = Field(default=0.5, ge=0.0, le=10.0)

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, raw: object) -> object:
        return lists_to_tuples(raw)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.core()
        return self

    @property
    def frozen(self) -> bool:
        """Whether the encoder stays as it is."""
        return "encoder" in self.freeze

    def core(self) -> HrmConfig:
        """The recursion: words and patches are one line of cells, mixed by attention."""
        same = ("hidden", "layers", "heads", "expansion", "h_cycles", "l_cycles", "halt_steps", "halt_bias")
        body = {name: getattr(self, name) for name in same}
        line = {"rows": 1, "columns": self.length + self.vision.patches}
        return HrmConfig.model_validate(
            {"vocabulary": self.words, "blank": None, "grid": line, "mixing": ["attention"], **body}
        )


@dataclass(frozen=True)
class Thought:
    """What a refinement step gives."""

    logits: Tensor  # [B, A], fp32
    halt: Tensor | None  # [B], fp32: log-odds that the answer is right
    change: Tensor  # [B], fp32: how far the answer's latent moved, as a share of its length before


class _Line(Core):
    """The recursion over one line of cells."""

    def forward(
        self, asked: Tensor, y: Tensor, z: Tensor, h_cycles: int, l_cycles: int
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        y, z = self.think(asked, y, z, h_cycles, l_cycles)
        return y, z, self.sure(y)


class SceneReasoner(Learner):
    """Columns `image` uint8 [N, S, S, 3], `question` and `answer` as text, uint8 [N, L] padded with zeros."""

    vocabulary: Tensor  # the tokenizer of questions, as bytes
    known: Tensor  # uint8 [answers, 32]: the text of each answer
    learned: Tensor  # whether the encoder's weights come from a training

    def __init__(self, config: SceneConfig, encoder: Vision | None = None) -> None:
        super().__init__()
        self.config = config
        core = config.core()
        self.encoder = encoder or Vision(config.vision)
        self.encoder.requires_grad_(not config.frozen)
        self.core = _Line(core)
        self.embed = nn.Parameter(torch.randn(config.words, config.hidden))
        self.places = nn.Parameter(torch.randn(core.grid.cells, config.hidden) * 0.02)
        self.project = weight(config.hidden, config.vision.width)
        self.head = weight(config.answers, config.hidden)
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
        """`words` [N, L], `target` [N] (-1: an answer never seen in training), and `latents` or `image`."""
        missing = [name for name in ("image", "question", "answer") if name not in columns]
        if missing:
            raise ValueError(f"the data set has no column {' and '.join(missing)}")
        if self.config.frozen and not bool(self.learned):
            raise ValueError("a frozen encoder must be one that has learned: the request names none")
        image, size = columns["image"], self.config.vision.size
        if image.dtype != np.uint8 or image.shape[1:] != (size, size, 3):
            raise ValueError(f"pictures of {size} x {size} x 3 bytes are needed, not {image.shape[1:]}")
        asked, said = _texts(columns["question"]), _texts(columns["answer"])
        if not bool(self.vocabulary.any()):
            self.vocabulary.copy_(Words.train(asked, self.config.words).held())
            self.known.copy_(self._listed(said))
        numbers = {text: number for number, text in enumerate(self.answers())}
        found = {"words": self.asked(asked), "target": torch.tensor([numbers.get(text, -1) for text in said])}
        pictures = torch.from_numpy(image)
        if not self.config.frozen:
            return {**found, "image": pictures}
        with torch.no_grad():
            self.encoder.eval()
            return {**found, "latents": self.seen(pictures).to(torch.bfloat16)}

    def begin(self, feed: Feed, batch: int) -> State:
        """A batch of which every row is done; the first step draws all of it."""
        config, device = self.config, self.embed.device
        problems = {
            "words": torch.zeros(batch, config.length, dtype=torch.int64, device=device),
            "target": torch.zeros(batch, dtype=torch.int64, device=device),
        }
        if config.frozen:
            patches, width = config.vision.patches, config.vision.width
            problems["latents"] = torch.zeros(batch, patches, width, dtype=torch.bfloat16, device=device)
        else:
            size = config.vision.size
            problems["image"] = torch.zeros(batch, size, size, 3, dtype=torch.uint8, device=device)
        return carry.begin(problems, *self._fresh(batch))

    def advance(self, feed: Feed, batch: int, state: State, progress: float) -> Step:
        """One refinement step of each question; those done are replaced first."""
        done, config = carry.done(state), self.config
        if len(done):
            least = carry.waits(len(done), config.exploration, config.halt_steps, feed.rng)
            latents = self._fresh(len(done))
            state = carry.replaced(state, done, dict(feed.take(len(done))), latents, least)
        y, z, sure = self._thought(self._asked(state), state["y"], state["z"])
        logits, target = self._answers(y), state["target"]
        loss = F.cross_entropy(logits, target)
        right = (logits.argmax(1) == target).float().detach()
        total, shown = loss, {"loss": loss.detach(), "exact": right.mean()}
        if sure is not None:
            total = total + config.halt_weight * F.binary_cross_entropy_with_logits(sure, right)
        return Step(total, shown, carry.onward(state, y, z, sure, config.halt_steps))

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

    def answer(self, data: Batch, steps: int) -> tuple[Tensor, Tensor | None]:
        """Logits of the answers [B, A] after so many steps, and the halting value [B]."""
        *_, last = self.thoughts(data, steps)
        return last.logits, last.halt

    def thoughts(self, data: Batch, steps: int) -> Iterator[Thought]:
        """Each of so many refinement steps of `words` [B, L] over `latents` [B, P, W] or `image`."""
        asked = self._asked(data)
        y, z = self._fresh(len(asked))
        for _ in range(max(1, steps)):
            before = y.float().flatten(1)
            y, z, sure = self._thought(asked, y, z)
            moved = torch.linalg.vector_norm(y.float().flatten(1) - before, dim=1)
            length = torch.linalg.vector_norm(before, dim=1).clamp(min=1e-9)
            yield Thought(self._answers(y), sure, moved / length)

    def asked(self, questions: list[str]) -> Tensor:
        """Questions as numbers of words, int64 [B, L] on the CPU; ValueError before it has learned any."""
        return Words.parse(self.vocabulary, self.config.words).encode(questions, self.config.length)

    def seen(self, pictures: Tensor) -> Tensor:
        """The encoder's latents of pictures, uint8 [B, S, S, 3]: [B, P, W]."""
        parts = [self.encoder(scaled(part)) for part in torch.split(pictures, _BATCH)]
        return torch.cat(parts)

    def answers(self) -> list[str]:
        """The answers it knows, in the order of its logits."""
        return [text for text in _texts(self.known.cpu().numpy()) if text]

    def split(self) -> Split:
        """Matrices of the recursion, the projection and a learning encoder; all else."""
        maps = [*self.core.networks.named_parameters(), ("project", self.project)]
        maps += [(name, each) for name, each in self.encoder.named_parameters() if "pos_embed" not in name]
        inner = {id(each) for _, each in maps if each.ndim == 2}
        learning = [each for each in self.parameters() if each.requires_grad]
        return Split(
            matrices=[each for each in learning if id(each) in inner],
            others=[each for each in learning if id(each) not in inner],
        )

    def activation_bytes(self, batch: int) -> int:
        """As of the reasoner over boards, and some 16 rows for each layer of a learning encoder."""
        config, core = self.config, self.config.core()
        width = config.hidden * 10 + round(6 * config.hidden * config.expansion)
        numbers = core.grid.cells * (config.l_cycles + 1) * config.layers * width
        if not config.frozen:
            numbers += 16 * config.vision.patches * config.vision.width * config.vision.depth
        return 4 * batch * numbers

    def _fresh(self, rows: int) -> tuple[Tensor, Tensor]:
        cells, dtype = len(self.places), working_type(self.embed.device)
        y, z = (each.to(dtype).expand(rows, cells, -1) for each in (self.core.y0, self.core.z0))
        return y, z

    def _thought(self, asked: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """One refinement step, its weights cast once; autocast is off inside."""
        dtype = working_type(self.embed.device)
        weights = {name: each.to(dtype) for name, each in self.core.named_parameters()}
        cycles = self.config.h_cycles, self.config.l_cycles
        with torch.autocast(asked.device.type, enabled=False):
            found: tuple[Tensor, Tensor, Tensor | None] = functional_call(
                self.core, weights, (asked.to(dtype), y.to(dtype), z.to(dtype), *cycles)
            )
        return found

    def _asked(self, data: Batch) -> Tensor:
        """Words and patches as one line of latents [B, L + P, D]."""
        seen = data["latents"].float() if "latents" in data else self.encoder(scaled(data["image"]))
        seen = F.layer_norm(seen.float(), seen.shape[-1:])
        words = F.embedding(data["words"], self.embed) * (data["words"] != PAD)[:, :, None]
        return torch.cat((words, F.linear(seen, self.project).to(words.dtype)), 1) + self.places

    def _answers(self, y: Tensor) -> Tensor:
        return F.linear(y.mean(1), self.head).float()

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


def _texts(column: np.ndarray) -> list[str]:
    return [row.tobytes().rstrip(b"\0").decode("utf-8", "replace") for row in column]
