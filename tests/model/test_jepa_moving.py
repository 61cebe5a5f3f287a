"""Moving scenes: a later frame's latent is predicted from two earlier ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from few_scenes import Few, columns, learner, moving

from model.jepa.views import augment_clip

CLIPS = moving(48)
FUTURE = {"cross": 0.0, "future": 1.0}


def test_a_later_frame_is_found_among_all_frames_once_it_was_learnt() -> None:
    jepa = learner(objective="contrastive", tasks=FUTURE)
    rows = jepa.prepare(CLIPS)
    with torch.no_grad():
        before = jepa.eval().assess(rows, 48)
    step = torch.optim.AdamW(jepa.split().matrices + jepa.split().others, lr=5e-3)
    feed = Few(rows)
    jepa.train()
    for _ in range(50):
        step.zero_grad()
        jepa.advance(feed, 48, {}, 0.0).loss.backward()
        step.step()
    with torch.no_grad():
        after = jepa.eval().assess(rows, 48)
    assert before["future"] < 0.15 < 0.4 < after["future"]


def test_what_is_predicted_depends_on_the_frames_seen_and_not_on_the_last() -> None:
    jepa = learner(tasks=FUTURE).eval()
    frames = torch.from_numpy(CLIPS["frames"])
    other = frames.clone()
    other[:, 3:] = 0
    earlier = frames.clone()
    earlier[:, 2] = 0
    with torch.no_grad():
        predicted, every = jepa.foresee(frames)
        assert predicted.shape == (48, 16) and every.shape == (144, 16)
        assert torch.equal(jepa.foresee(other)[0], predicted)
        assert not torch.allclose(jepa.foresee(earlier)[0], predicted)


def test_all_frames_of_a_clip_are_changed_alike() -> None:
    still = torch.from_numpy(columns(4)["image"])[:, None].expand(-1, 3, -1, -1, -1)
    one, two, three = augment_clip(still, learner().config.augment, torch.Generator().manual_seed(0)).chunk(3)
    assert torch.equal(one, two) and torch.equal(two, three)
    assert not torch.equal(one[0], one[1])


def test_future_and_captions_are_learnt_together_and_gradients_reach_both() -> None:
    jepa = learner(tasks={"cross": 1.0, "words": 1.0, "future": 1.0}, objective="combined")
    step = jepa.advance(Few(jepa.prepare(CLIPS)), 16, {}, 0.0)
    step.loss.backward()
    assert set(step.shown) == {"cross", "words", "future", "gaussian"}
    assert all(each.grad is not None for each in jepa.net.to_future.parameters())


def test_stills_are_refused_where_the_future_is_asked_for() -> None:
    with pytest.raises(ValueError, match="needs the columns frames and caption"):
        learner(tasks=FUTURE).prepare(columns(4))
    few = {**CLIPS, "frames": np.ascontiguousarray(CLIPS["frames"][:, :2])}
    with pytest.raises(ValueError, match="three frames are the least"):
        learner(tasks=FUTURE).prepare(few)
