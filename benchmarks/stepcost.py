"""What a training step costs, beside plain re-implementations of the same computation, in the same process.

    python benchmarks/stepcost.py [--steps 15] [--only reasoner|jepa]

`reasoner`: a step of the tiny recursive reasoner on Sudoku 6x6 (hidden 128, two layers, 2 x 4 cycles, batch
64; deep supervision with a carry, the gradient through all of the last cycle). `jepa`: a step with a slow
teacher on pictures of 32 pixels (64 patches, a ViT 128 wide and four blocks deep, batch 64): the teacher's
latents of hidden patches are predicted from those seen. The plain ones are written as the public references
are: float32 weights under bf16 autocast, an RMS norm of single operations, separate query, key and value,
loops over the parameters for the averages.

Before anything is timed, both get equal weights and equal rows: in fp32 their losses and gradients must
agree, in bf16 their losses within what it leaves. Then they take turns, one step each; the figures are the
medians of the CPU time, and their ratio. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datagen.puzzles import sudoku
from model import optim
from model.config import Optimizer
from model.devices import numbers, settle
from model.encoders import VisionConfig
from model.feed import RowFeed
from model.hrm.config import HrmConfig
from model.hrm.learner import HrmLearner
from model.jepa.config import JepaConfig, parse
from model.jepa.learner import JepaLearner
from model.jepa.views import augment

CPU = torch.device("cpu")
BATCH = 64
DEPTH = 4  # blocks of the ViT
AVERAGE = 0.999
SETTINGS = Optimizer(name="adamw", lr=1e-3, plain_lr=1e-3, weight_decay=0.1, average=AVERAGE)


Kind = Literal["bf16", "fp32"]


# The plain reasoner


def rms_norm(x: Tensor) -> Tensor:
    kind = x.dtype
    x = x.float()
    return (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)).to(kind)


class SwiGlu(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class PlainBlock(nn.Module):
    def __init__(self, cells: int, hidden: int, expansion: float) -> None:
        super().__init__()
        self.tokens = SwiGlu(cells, round(cells * expansion))
        self.channels = SwiGlu(hidden, round(hidden * expansion))

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.tokens(x.transpose(1, 2)).transpose(1, 2)
        x = rms_norm(x + mixed)
        return rms_norm(x + self.channels(x))


class PlainReasoner(nn.Module):
    """The tiny recursive model with token mixing."""

    def __init__(self, config: HrmConfig) -> None:
        super().__init__()
        cells = config.grid.cells
        self.h_cycles, self.l_cycles = config.h_cycles, config.l_cycles
        self.embed = nn.Embedding(config.vocabulary, config.hidden)
        self.blocks = nn.ModuleList(
            PlainBlock(cells, config.hidden, config.expansion) for _ in range(config.layers)
        )
        self.head = nn.Linear(config.hidden, config.vocabulary, bias=False)
        self.halt = nn.Linear(config.hidden, 1)
        self.register_buffer("y0", torch.zeros(config.hidden))
        self.register_buffer("z0", torch.zeros(config.hidden))

    def take(self, product: HrmLearner) -> None:
        """The product's weights."""
        net, state = product.net, {}
        state["embed.weight"], state["head.weight"] = net.embed, net.head
        state["halt.weight"], state["halt.bias"] = net.halt, net.halt_bias
        state["y0"], state["z0"] = net.y0, net.z0
        for place, block in enumerate(net.networks[0]):
            for name, mlp in (("tokens", block.mixers[0].mlp), ("channels", block.mlp)):
                state[f"blocks.{place}.{name}.gate_up.weight"] = mlp.up
                state[f"blocks.{place}.{name}.down.weight"] = mlp.down
        self.load_state_dict({name: each.detach().clone() for name, each in state.items()})

    def level(self, x: Tensor, given: Tensor) -> Tensor:
        x = x + given
        for block in self.blocks:
            x = block(x)
        return x

    def cycle(self, asked: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        for _ in range(self.l_cycles):
            z = self.level(z, y + asked)
        return self.level(y, z), z

    def forward(self, question: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        asked = self.embed(question).to(y.dtype)
        with torch.no_grad():
            for _ in range(self.h_cycles - 1):
                y, z = self.cycle(asked, y, z)
        y, z = self.cycle(asked, y, z)
        return y, z, self.head(y).float(), self.halt(y.mean(1)).squeeze(-1).float()


class PlainReasonerStep:
    """A step of deep supervision: halted puzzles are replaced, then one refinement is learned from."""

    def __init__(self, net: PlainReasoner, data: Mapping[str, Tensor], config: HrmConfig) -> None:
        self.net, self.data, self.config = net, data, config
        self.optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.1, betas=(0.9, 0.95))
        self.average = {name: each.detach().clone() for name, each in net.named_parameters()}
        cells = config.grid.cells
        self.question, self.answer = torch.zeros(2, BATCH, cells, dtype=torch.int64)
        self.y, self.z = torch.zeros(2, BATCH, cells, config.hidden, dtype=torch.bfloat16)
        self.steps = torch.zeros(BATCH, dtype=torch.int64)
        self.halted = torch.ones(BATCH, dtype=torch.bool)
        self.at = 0

    def loss(self, kind: Kind) -> Tensor:
        rows = torch.arange(self.at, self.at + BATCH) % len(self.data["question"])
        self.at += int(self.halted.sum())
        fresh = self.halted.view(-1, 1)
        self.question = torch.where(fresh, self.data["question"][rows].long(), self.question)
        self.answer = torch.where(fresh, self.data["answer"][rows].long(), self.answer)
        fresh = self.halted.view(-1, 1, 1)
        latent = torch.bfloat16 if kind == "bf16" else torch.float32
        y = torch.where(fresh, self.net.y0, self.y).to(latent)
        z = torch.where(fresh, self.net.z0, self.z).to(latent)
        steps = torch.where(self.halted, 0, self.steps) + 1
        with numbers(kind, CPU):
            y, z, logits, halt = self.net(self.question, y, z)
        loss = F.cross_entropy(logits.flatten(0, 1), self.answer.flatten(), reduction="none")
        loss = loss.view_as(self.answer).mean(-1).mean()
        with torch.no_grad():
            right = (logits.argmax(-1) == self.answer).all(-1)
            least = torch.randint(1, self.config.halt_steps + 1, (BATCH,))
            least = torch.where(torch.rand(BATCH) < self.config.exploration, least, 1)
            self.halted = (steps >= self.config.halt_steps) | ((halt > 0) & (steps >= least))
        self.y, self.z, self.steps = y.detach(), z.detach(), steps
        return loss + self.config.halt_weight * F.binary_cross_entropy_with_logits(halt, right.float())

    def __call__(self) -> None:
        self.loss("bf16").backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        follow(self.average, self.net, AVERAGE)


@torch.no_grad()
def follow(average: dict[str, Tensor], net: nn.Module, decay: float) -> None:
    for name, each in net.named_parameters():
        average[name] = (1 - decay) * each + decay * average[name]


# The product's step, as the training loop does it


class ProductStep:
    def __init__(self, learner: Any, data: Mapping[str, Tensor]) -> None:
        self.learner, self.feed = learner.train(), RowFeed(data, 0, CPU)
        self.stepper = optim.Stepper(SETTINGS, learner)
        learning = [each for each in learner.named_parameters() if each[1].requires_grad]
        self.average = optim.Average(learning, AVERAGE)
        with numbers("bf16", CPU):
            self.state = learner.begin(self.feed, BATCH)
        self.step = 0

    def loss(self, kind: Kind) -> Tensor:
        with numbers(kind, CPU):
            step = self.learner.advance(self.feed, BATCH, self.state, 0.5)
        self.state = step.state
        return step.loss

    def __call__(self) -> None:
        self.loss("bf16").backward()
        self.stepper.clip()
        self.stepper.step(1.0)
        self.learner.stepped(0.5)
        self.average.follow(self.step)
        self.step += 1


def reasoner() -> tuple[ProductStep, PlainReasonerStep]:
    config = HrmConfig.model_validate(
        {
            "vocabulary": 7,
            "grid": {"rows": 6, "columns": 6, "box_rows": 2, "box_columns": 3},
            "mixing": ["tokens"],
        }
    )
    made = sudoku.make(6, 0, 0, 4096)
    data = {name: torch.from_numpy(made[name]) for name in ("question", "answer")}
    torch.manual_seed(0)
    learner = HrmLearner(config)
    with torch.no_grad():  # a block begins as the identity: nothing would be compared
        for name, each in learner.net.named_parameters():
            if name.endswith("down"):
                each.normal_(std=0.5 * each.shape[1] ** -0.5)
    net = PlainReasoner(config)
    net.take(learner)
    rows = len(data["question"])
    order = RowFeed({"row": torch.arange(rows)}, 0, CPU).take(rows)["row"]
    plain = PlainReasonerStep(net, {name: each[order] for name, each in data.items()}, config)
    return ProductStep(learner, data), plain


def reasoner_pairs() -> dict[str, str]:
    """The product's names of parameters to those of the plain one."""
    pairs = {f"net.{name}": f"{name}.weight" for name in ("embed", "head", "halt")}
    for place in range(2):
        for ours, theirs in (("mixers.0.mlp", "tokens"), ("mlp", "channels")):
            for one, two in (("up", "gate_up"), ("down", "down")):
                pairs[f"net.networks.0.{place}.{ours}.{one}"] = f"blocks.{place}.{theirs}.{two}.weight"
    return pairs


# The plain JEPA


class PlainAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        batch, count, width = x.shape
        q, k, v = (
            each(x).view(batch, count, self.heads, -1).transpose(1, 2) for each in (self.q, self.k, self.v)
        )
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, count, width))


class PlainLayer(nn.Module):
    def __init__(self, width: int, heads: int, ratio: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = PlainAttention(width, heads)
        self.fc1, self.fc2 = nn.Linear(width, int(width * ratio)), nn.Linear(int(width * ratio), width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class PlainVit(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, config.width, config.patch, config.patch)
        self.places = nn.Parameter(torch.zeros(1, config.patches, config.width))
        self.layers = nn.ModuleList(
            PlainLayer(config.width, config.heads, config.ratio) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-6)

    def forward(self, pictures: Tensor, keep: Tensor | None = None) -> Tensor:
        x = self.patch(pictures).flatten(2).transpose(1, 2) + self.places
        if keep is not None:
            x = x.gather(1, keep[:, :, None].expand(-1, -1, x.shape[2]))
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class PlainJepa(nn.Module):
    """A context encoder, the slow teacher's target encoder, and a predictor."""

    def __init__(self, config: JepaConfig) -> None:
        super().__init__()
        width = config.vision.width
        self.encoder = PlainVit(config.vision)
        self.target = PlainVit(config.vision).requires_grad_(False)
        self.inner, self.outer = nn.Linear(width, config.hidden), nn.Linear(config.hidden, width)
        self.place = nn.Linear(width, config.hidden, bias=False)
        self.places = nn.Parameter(torch.zeros(config.vision.patches, width))

    def take(self, product: JepaLearner) -> None:
        """The product's weights."""
        state: dict[str, Tensor] = {"places": product.net.places}
        ours = dict(product.named_parameters())
        for name, theirs in jepa_pairs(product.config.vision.depth).items():
            state[theirs] = ours[name]
        for place in range(product.config.vision.depth):
            stem = f"net.towers.vision.net.blocks.{place}.attn.qkv"
            for kind in ("weight", "bias"):
                thirds = ours[f"{stem}.{kind}"].chunk(3)
                for name, part in zip("qkv", thirds, strict=True):
                    state[f"encoder.layers.{place}.attn.{name}.{kind}"] = part
        state |= {f"target{name[7:]}": each for name, each in state.items() if name.startswith("encoder")}
        self.load_state_dict({name: each.detach().clone() for name, each in state.items()})


def jepa_pairs(depth: int) -> dict[str, str]:
    """The product's names of parameters to the plain one's; without query, key and value, which it splits."""
    vision = "net.towers.vision.net"
    pairs = {f"{vision}.pos_embed": "encoder.places"}
    parts = {"patch_embed.proj": "patch", "norm": "norm"}
    for place in range(depth):
        for ours, theirs in (
            ("norm1", "norm1"),
            ("norm2", "norm2"),
            ("attn.proj", "attn.proj"),
            ("mlp.fc1", "fc1"),
            ("mlp.fc2", "fc2"),
        ):
            parts[f"blocks.{place}.{ours}"] = f"layers.{place}.{theirs}"
    for ours, theirs in parts.items():
        for kind in ("weight", "bias"):
            pairs[f"{vision}.{ours}.{kind}"] = f"encoder.{theirs}.{kind}"
    for name in ("inner.weight", "inner.bias", "outer.weight", "outer.bias", "place.weight"):
        pairs[f"net.to_patches.{name}"] = name
    return pairs


class PlainJepaStep:
    """Patches are hidden, the teacher's latents of them predicted, and the teacher follows."""

    def __init__(self, net: PlainJepa, data: Mapping[str, Tensor], config: JepaConfig) -> None:
        self.net, self.config, self.feed = net, config, RowFeed(data, 0, CPU)
        learning = [each for each in net.parameters() if each.requires_grad]
        self.optimizer = torch.optim.AdamW(learning, lr=1e-3, weight_decay=0.1, betas=(0.9, 0.95))
        self.average = {name: each.detach().clone() for name, each in net.named_parameters()}

    def loss(self, kind: Kind) -> Tensor:
        net, config = self.net, self.config
        pictures = augment(self.feed.take(BATCH)["image"], config.augment, self.feed.rng)
        order = torch.rand(BATCH, config.vision.patches, generator=self.feed.rng).argsort(1)
        kept = round(config.seen * config.vision.patches)
        keep, gone = order[:, :kept], order[:, kept:]
        with numbers(kind, CPU):
            context = net.encoder(pictures, keep).mean(1)[:, None]
            found = net.outer(net.inner(context) * net.place(net.places[gone])).float()
            with torch.no_grad():
                target = net.target(pictures)
                target = target.gather(1, gone[:, :, None].expand(-1, -1, target.shape[2]))
                target = F.layer_norm(target.float(), target.shape[2:])
        return F.mse_loss(found, target)

    def __call__(self) -> None:
        self.loss("bf16").backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            for slow, fast in zip(self.net.target.parameters(), self.net.encoder.parameters(), strict=True):
                slow.mul_(self.config.follow).add_((1 - self.config.follow) * fast)
        follow(self.average, self.net, AVERAGE)


class PatchesAlone(JepaLearner):
    """The product's task of hidden patches, without the captions that it always learns beside."""

    def loss(self, pictures: Tensor, ids: Tensor, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        return self._hidden_patches(pictures, None, rng), {}


def jepa() -> tuple[ProductStep, PlainJepaStep]:
    config = parse(
        {
            "objective": "ema",
            "vision": {"size": 32, "patch": 4, "width": 128, "depth": DEPTH, "heads": 4, "stem": "patch"},
            "text": {"width": 8, "heads": 1, "depth": 1, "length": 4, "vocabulary": 8},  # none of it is used
            "pool": "mean",
            "latent": 128,
            "tasks": {"patches": 1.0},
        }
    )
    torch.manual_seed(0)
    learner = PatchesAlone(config)
    data = {
        "image": torch.randint(0, 256, (1024, 32, 32, 3), dtype=torch.uint8),
        "caption": torch.full((1024, 4), 3),
    }
    net = PlainJepa(config)
    net.take(learner)
    return ProductStep(learner, data), PlainJepaStep(net, data, config)


# Sameness and time


def same(
    build: Callable[[], tuple[ProductStep, Any]], pairs: Mapping[str, str]
) -> tuple[ProductStep, Any, dict[str, float]]:
    """Both steps, and how near they are from equal weights and rows; ends the program where they differ."""
    product, plain = build()
    one, two = product.loss("fp32"), plain.loss("fp32")
    one.backward()
    two.backward()
    mine = dict(product.learner.named_parameters())
    other = dict(plain.net.named_parameters())
    angles = {}
    for name, twin in pairs.items():
        a, b = mine[name].grad, other[twin].grad
        if a is None or b is None:
            sys.exit(f"no gradient for {name}: {a is not None} here, {b is not None} in the plain one")
        angles[name] = float(F.cosine_similarity(a.flatten().double(), b.flatten().double(), dim=0))
    worst = min(angles, key=lambda name: angles[name])
    product, plain = build()
    rough = abs(product.loss("bf16").item() / plain.loss("bf16").item() - 1)
    gap = abs(one.item() / two.item() - 1)
    near = {
        "loss": one.item(),
        "plain_loss": two.item(),
        "least_cosine_of_gradients": angles[worst],
        "apart_in_bf16": rough,
    }
    if gap > 1e-4 or angles[worst] < 0.999 or rough > 0.02:
        sys.exit(f"not the same computation: {near}, {worst}")
    return *build(), near


def measure(product: Callable[[], None], plain: Callable[[], None], steps: int) -> dict[str, float]:
    """Median CPU time of a step of each, taking turns, after three for warming up."""
    times: dict[str, list[float]] = {"product": [], "plain": []}
    turns = [("product", product), ("plain", plain)]
    for step in range(steps + 3):
        for name, run in turns if step % 2 else reversed(turns):
            begun = time.process_time()
            run()
            if step >= 3:
                times[name].append((time.process_time() - begun) * 1000)
    ours, theirs = statistics.median(times["product"]), statistics.median(times["plain"])
    ratios = [a / b for a, b in zip(times["product"], times["plain"], strict=True)]
    return {
        "product_core_ms": round(ours, 1),
        "plain_core_ms": round(theirs, 1),
        "ratio": round(ours / theirs, 3),
        "median_of_ratios": round(statistics.median(ratios), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=15, help="steps of each that are timed")
    parser.add_argument("--only", choices=["reasoner", "jepa"])
    options = parser.parse_args()
    settle(1, attention="auto")
    found: dict[str, Any] = {"batch": BATCH, "steps": options.steps, "torch": torch.__version__}
    parts = {"reasoner": (reasoner, reasoner_pairs()), "jepa": (jepa, jepa_pairs(DEPTH))}
    for name, (build, pairs) in parts.items():
        if options.only in (None, name):
            product, plain, near = same(build, pairs)
            found[name] = {**near, **measure(product, plain, options.steps)}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
