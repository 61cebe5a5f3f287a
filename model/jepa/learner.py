"""How a JEPA learns from scenes and their captions: predictions between latents, and one objective's remedy.

Tasks (each with its weight): a scene's text latent from its picture's and the reverse (`cross`), latents of
masked words from the picture's latent and the words that are left (`words`), latents of hidden patches from
those seen (`patches`). Nothing predicts a pixel or a word. Targets are encoded from the whole input.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.blocks import chosen
from model.encoders import MASK, PAD, UNKNOWN, Words
from model.jepa import objectives
from model.jepa.config import JepaConfig, parse
from model.jepa.net import Jepa, Towers
from model.jepa.views import augment, augment_clip, mask_words, scaled
from model.learner import Batch, Columns, DataInfo, Feed, Learner, Split, State, Step

_MOST_SCALE = 4.6  # log of the largest inverse temperature, 100, as in CLIP
_ASSESS_BATCH = 512


class JepaLearner(Learner):
    """The learner of `jepa`."""

    def __init__(self, config: JepaConfig) -> None:
        super().__init__()
        self.config = config
        self.net = Jepa(config)
        self.remedy = objectives.REMEDIES[config.objective]
        self.teacher: Towers | None = None
        if self.remedy.teacher:
            self.teacher = copy.deepcopy(self.net.towers).requires_grad_(False)
        self.register_buffer("rarity", torch.ones(config.text.vocabulary))

    rarity: Tensor  # how often a word is asked for, against the others: the rarer, the more

    @property
    def known(self) -> Tensor:
        """Which numbers [V] stand for words that were ever seen."""
        return self.rarity > 0

    def prepare(self, columns: Columns) -> dict[str, Tensor]:
        """Pictures as they are, captions as numbers of words; the first captions seen make the tokenizer."""
        kind = "frames" if self.config.tasks.future else "image"
        image, caption = columns.get(kind), columns.get("caption")
        size = self.config.vision.size
        if image is None or caption is None:
            raise ValueError(f"a JEPA with these tasks needs the columns {kind} and caption")
        if image.dtype != np.uint8 or image.shape[-3:] != (size, size, 3):
            raise ValueError(f"pictures of {size} x {size} x 3 bytes are needed, not {image.shape[1:]}")
        if image.ndim != (5 if kind == "frames" else 4) or (kind == "frames" and image.shape[1] < 3):
            raise ValueError(f"{kind} of shape {image.shape[1:]} can't be used; three frames are the least")
        if caption.dtype != np.uint8 or caption.ndim != 2:
            raise ValueError("captions are needed as bytes, padded with zeros")
        texts = [row.tobytes().rstrip(b"\0").decode("utf-8", "replace") for row in caption]
        text = self.config.text
        if not bool(self.net.vocabulary.any()):
            words = Words.train(texts, text.vocabulary)
            self.net.vocabulary.copy_(words.held())
            ids = words.encode(texts, text.length)
            counts = torch.bincount(ids.flatten(), minlength=text.vocabulary).float()
            rarity = (len(ids) / counts.clamp(min=1)).clamp(max=_RAREST)
            rarity[[PAD, UNKNOWN, MASK]] = 0
            self.rarity.copy_(rarity)
        else:
            ids = self.words().encode(texts, text.length)
        longest = int((ids != PAD).sum(1).max()) if len(ids) else text.length
        scenes = np.unique(columns.get("key", caption), axis=0, return_inverse=True)[1].reshape(-1)
        return {
            kind: torch.from_numpy(image),
            "caption": ids[:, : max(1, longest)],
            "scene": torch.from_numpy(scenes.astype(np.int64)),  # equal ones are the same scene
        }

    def words(self) -> Words:
        """The tokenizer in the weights."""
        return Words.parse(self.net.vocabulary, self.config.text.vocabulary)

    def begin(self, feed: Feed, batch: int) -> State:
        """Nothing is carried from step to step."""
        return {}

    def advance(self, feed: Feed, batch: int, state: State, progress: float) -> Step:
        """One batch of scenes; `shown` holds each task's part of the loss."""
        rows, how = feed.take(batch), self.config.augment
        if self.config.tasks.future:
            stride = int(torch.randint(1, (rows["frames"].shape[1] + 1) // 2, (), generator=feed.rng))
            pictures = augment_clip(rows["frames"][:, : 2 * stride + 1 : stride], how, feed.rng)
        else:
            pictures = augment(rows["image"], how, feed.rng)
        loss, parts = self.loss(pictures, rows["caption"], feed.rng)
        return Step(loss, {name: part.detach() for name, part in parts.items()})

    def loss(self, pictures: Tensor, ids: Tensor, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and its parts, for words [B, L] and pictures float [B, 3, S, S].

        Of moving scenes, the pictures are [3B, 3, S, S]: all first frames, all second, all third. Captions go
        with the first.
        """
        net, tasks, count = self.net, self.config.tasks, len(ids)
        patches = net.towers.vision(pictures)
        seen = net.towers.picture(patches)
        image, to_seen = seen[:count], seen
        to_patches: Tensor | None = patches
        if self.teacher is not None:
            to_patches = None  # of hidden ones alone, where nothing else is asked for
            if tasks.cross or tasks.future:
                with torch.no_grad():
                    to_patches = self.teacher.vision.targets(pictures)
                    to_seen = self.teacher.picture(to_patches)
        parts: dict[str, Tensor] = {}
        latents = [image]
        if tasks.cross:
            text = to_text = net.towers.caption(net.towers.text(ids), ids)
            latents.append(text)
            if self.teacher is not None:
                with torch.no_grad():
                    to_text = self.teacher.caption(self.teacher.text(ids), ids)
            there = self._near(net.to_text(image), to_text, net.scale)
            parts["cross"] = there + self._near(net.to_picture(text), to_seen[:count], net.scale)
        if tasks.words:
            parts["words"] = self._masked_words(image, ids, rng)
        if tasks.patches:
            to_patches = None if to_patches is None else to_patches[:count]
            parts["patches"] = self._hidden_patches(pictures[:count], to_patches, rng)
        if tasks.future:
            parts["future"] = self._later(seen, to_seen)
        weights = tasks.model_dump()
        if self.remedy.gaussian:
            shape = (self.config.latent, self.config.directions)
            directions = torch.randn(shape, generator=rng).to(image.device)
            terms = [objectives.sigreg(each, directions) for each in latents]
            parts["gaussian"] = torch.stack(terms).sum()
            weights["gaussian"] = self.config.gaussian
        return torch.stack([weights[name] * part for name, part in parts.items()]).sum(), parts

    def _near(self, predicted: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
        if self.remedy.contrast:
            return objectives.contrast(predicted, targets, self._heat(scale))
        return objectives.distance(predicted, targets)

    @staticmethod
    def _heat(scale: Tensor) -> Tensor:
        return scale.clamp(max=_MOST_SCALE).exp()

    def _masked_words(self, image: Tensor, ids: Tensor, rng: torch.Generator) -> Tensor:
        """Latents of some masked words, rare ones first, from the picture's latent and the words left.

        Always by contrast, whatever the objective: words' own latents are learnt, and would all become one.
        The target is what the word itself is, not the word amid its caption: such latents tell captions apart
        by whatever is easiest, and the others of the batch need not be known by their shapes.
        """
        net = self.net
        hidden, asked = mask_words(ids, self.rarity, self.config.masked, rng)
        left = net.towers.text(ids.masked_fill(hidden, MASK))
        at = asked[:, :, None]
        place = left.gather(1, at.expand(-1, -1, left.shape[2]))
        found = net.to_words(image[:, None], place)
        real = hidden.gather(1, asked).flatten()
        found, wanted = found.flatten(0, 1)[real], ids.gather(1, asked).flatten()[real]
        every = net.words(net.towers.text.words.weight)
        return objectives.choice(found, every, wanted, self._heat(net.words_scale), self.known)

    def _hidden_patches(self, pictures: Tensor, targets: Tensor | None, rng: torch.Generator) -> Tensor:
        """Latents of all hidden patches from the mean of those seen and the hidden one's place.

        `targets` [B, P, W] are of all patches; where there are none, the teacher makes those of hidden ones.
        """
        net, count = self.net, self.config.vision.patches
        order = torch.rand(len(pictures), count, generator=rng).argsort(1).to(pictures.device)
        kept = max(1, round(self.config.seen * count))
        keep, gone = order[:, :kept], order[:, kept:]
        context = net.towers.vision(pictures, keep).mean(1)
        found = net.to_patches(context[:, None], net.places, gone)
        if targets is None:
            assert self.teacher is not None
            wanted = self.teacher.vision.targets(pictures, gone)
        else:
            wanted = chosen(targets, gone)
        wanted = wanted.flatten(0, 1)
        wanted = functional.layer_norm(wanted.float(), wanted.shape[1:])
        return self._near(found.flatten(0, 1), wanted, net.patches_scale)

    def _later(self, seen: Tensor, targets: Tensor) -> Tensor:
        """The third frame's latent from the first's and the second's, all [3B, D].

        By contrast it must be told from the frames already seen, so that staying as one is does not win.
        """
        net = self.net
        first, second, _ = seen.chunk(3)
        found = net.to_future(torch.cat([first, second], dim=1))
        third = targets.chunk(3)[2]
        if not self.remedy.contrast:
            return objectives.distance(found, third)
        own = torch.arange(len(found), device=found.device)
        every = torch.cat([third, second, first])
        return objectives.choice(found, every, own, self._heat(net.future_scale))

    @torch.no_grad()
    def stepped(self, progress: float) -> None:
        """The teacher follows: a moving average of the towers, their running statistics included."""
        if self.teacher is None:
            return
        slow = [*self.teacher.parameters(), *self.teacher.buffers()]
        fast = [*self.net.towers.parameters(), *self.net.towers.buffers()]
        moves = [each.is_floating_point() for each in slow]  # counts of batches are copied
        near = [each for each, move in zip(slow, moves, strict=True) if move]
        far = [each for each, move in zip(fast, moves, strict=True) if move]
        torch._foreach_lerp_(near, far, 1 - self.config.follow)
        for kept, new, move in zip(slow, fast, moves, strict=True):
            if not move:
                kept.copy_(new)

    def latents(self, data: Batch) -> dict[str, Tensor]:
        """Published latents float32 [N, D] of `image` and `text`, and `text_from_image`, `image_from_text`.

        Encoded in evaluation mode, without augmentation; a probe reads `image`.
        """
        found: dict[str, list[Tensor]] = {name: [] for name in _LATENTS}
        net = self.net
        device = net.scale.device
        pictures = data["frames"][:, 0] if "frames" in data else data["image"]
        for part, ids in zip(
            torch.split(pictures, _ASSESS_BATCH), torch.split(data["caption"], _ASSESS_BATCH), strict=True
        ):
            image = net.towers.picture(net.towers.vision(scaled(part.to(device))))
            ids = ids.to(device)
            text = net.towers.caption(net.towers.text(ids), ids)
            made = (image, text, net.to_text(image), net.to_picture(text))
            for name, rows in zip(_LATENTS, made, strict=True):
                found[name].append(rows.float())
        return {name: torch.cat(rows) for name, rows in found.items()}

    def foresee(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted latents [N, D] of each clip's last frame; all latents [3 * N, D], last frames first.

        Frames are bytes [N, F, S, S, 3]; the first and the one halfway to the last are what is seen.
        """
        stride = (frames.shape[1] - 1) // 2
        found = []
        for frame in (2 * stride, stride, 0):
            parts = torch.split(frames[:, frame].to(self.net.scale.device), _ASSESS_BATCH)
            towers = self.net.towers
            found.append(torch.cat([towers.picture(towers.vision(scaled(each))) for each in parts]))
        last, middle, first = found
        return self.net.to_future(torch.cat([first, middle], dim=1)), torch.cat([last, middle, first])

    def assess(self, data: Batch, rows: int) -> dict[str, float]:
        """`loss` of all tasks, `recall` among the different scenes of these rows, and the signs of collapse.

        `rank` of the picture latents and `text_rank` fall where latents lie along few directions; `spread`,
        the mean deviation of a picture latent's dimensions, where all fall onto one point: what is left of
        them there is rounding, which has any rank. Of moving scenes also `future`: how many last frames are
        found by their predicted latents among all frames of all clips.
        """
        part = {name: each[:rows] for name, each in data.items()}
        found = self.latents(part)
        rng = torch.Generator().manual_seed(0)
        losses = []
        for start in range(0, len(part["caption"]), _ASSESS_BATCH):
            stop = start + _ASSESS_BATCH
            if self.config.tasks.future:
                frames = part["frames"][start:stop]
                stride = (frames.shape[1] - 1) // 2
                pictures = torch.cat([scaled(frames[:, turn * stride]) for turn in range(3)])
            else:
                pictures = scaled(part["image"][start:stop])
            losses.append(float(self.loss(pictures, part["caption"][start:stop], rng)[0]))
        alone = _firsts(part["scene"])
        pairs = {name: rows[alone.to(rows.device)] for name, rows in found.items()}
        measures = {
            "loss": sum(losses) / len(losses),
            "rank": rank(found["image"]),
            "text_rank": rank(found["text"]),
            "spread": float(found["image"].std(0).mean()),
            "recall": _found(pairs["text_from_image"], pairs["text"]) / 2
            + _found(pairs["image_from_text"], pairs["image"]) / 2,
        }
        if self.config.tasks.future:
            measures["future"] = _found(*self.foresee(part["frames"]))
        return measures

    def split(self) -> Split:
        """Hidden matrices apart from embeddings, norms, biases and scalars."""
        embeddings = {self.net.towers.text.words.weight, self.net.towers.text.places}
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            plain = parameter.ndim != 2 or parameter in embeddings or name.endswith(("pos_embed", "places"))
            (others if plain else matrices).append(parameter)
        return Split(matrices, others)

    def activation_bytes(self, batch: int) -> int:
        """Some 16 rows of numbers as wide as the tokens, by layer and token; scores, logits, turned latents.

        Counted against what autograd keeps: within a fifth over depths, patches, tasks and objectives.
        """
        vision, text, tasks = self.config.vision, self.config.text, self.config.tasks
        looks = 1 + (tasks.patches > 0) + 2 * (tasks.future > 0)
        reads = (tasks.cross > 0) + (tasks.words > 0)
        patches, words = vision.patches, text.length
        numbers = looks * vision.depth * patches * (16 * vision.width + 2 * vision.heads * patches)
        numbers += reads * text.depth * words * (16 * text.width + 2 * text.heads * words)
        numbers += looks * 6 * vision.size**2 * 3
        if self.remedy.gaussian:
            numbers += (1 + (tasks.cross > 0)) * self.config.directions * objectives.POINTS
        logits = 4 * batch * batch
        if tasks.words:
            logits += 3 * batch * self.config.masked * text.vocabulary
        return 4 * (batch * numbers + logits)


_LATENTS = ("image", "text", "text_from_image", "image_from_text")
_RAREST = 200.0


def build(options: dict[str, Any], info: DataInfo) -> JepaLearner:
    """The learner that the options describe; ValueError in one line where they can't be."""
    return JepaLearner(parse(options))


def _firsts(scenes: Tensor) -> Tensor:
    """Row numbers of the first of each scene, for numbers [N]: of equal scenes either caption is right."""
    numbers: list[int] = scenes.tolist()
    seen = {number: row for row, number in reversed(list(enumerate(numbers)))}
    return torch.tensor(sorted(seen.values()), dtype=torch.int64)


def _found(predicted: Tensor, targets: Tensor) -> float:
    """The share of predictions [N, D] that are nearest, by cosine, to the target of their own number."""
    like = functional.normalize(predicted) @ functional.normalize(targets).T
    return float((like.argmax(1) == torch.arange(len(like), device=like.device)).float().mean())


def rank(latents: Tensor) -> float:
    """The effective rank (RankMe) of latents [N, D]; 1 where they are all alike, or not all finite."""
    from model.measures import spectrum

    rows = latents.double().cpu().numpy()
    return spectrum.effective_rank(rows) if np.isfinite(rows).all() else 1.0
