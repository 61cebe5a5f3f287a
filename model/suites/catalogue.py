"""What each metric of a suite means, in one line: for reports and for `docs/evaluation.md`."""

from __future__ import annotations

from datagen.scenes.words import TOPICS

SAYS = {
    "exact": "puzzles or questions answered rightly, after as many refinement steps as in training",
    "cells": "cells filled in rightly, of those that had to be",
    "exact_first_step": "the same after the first refinement step",
    "exact_more_steps": "the same after more refinement steps than in training",
    "exact_rollouts": "puzzles solved by the noisy rollout the model is surest of",
    "halt_auroc": "does it know which answers are right? 0.5: no, 1: always",
    "halt_brier": "squared error of how sure it is; less is better",
    "halt_calibration_error": "distance of how sure it is from how often it is right; less is better",
    "blind": "right by the answer most often right of a question, without the picture: the control",
    "over_blind": "what seeing the picture added",
    "exact_kept": "right among the four in five that it is surest of",
    "sure_calibration_error": "distance of how sure it is, once fitted, from how often it is right; 15 bins",
    "sure_auroc": "does it know which answers are right? 0.5: no, 1: always",
    "probe_mean": "mean of the five probes",
    "probe_count": "number of objects, read by a line from the image's latent",
    "probe_shape": "the first object's shape, read likewise",
    "probe_colour": "the first object's colour",
    "probe_position": "the first object's place",
    "probe_size": "the first object's size",
    "knn_mean": "the same five by the twenty nearest images",
    "untrained_probe_mean": "the five probes on a model that learned nothing: the control",
    "over_untrained": "what training added to the probes",
    "rank": "directions that image latents use (RankMe)",
    "text_rank": "directions that text latents use (RankMe)",
    "still_dimensions": "image latents' dimensions that hardly change; less is better",
    "recall_image_to_text": "images that find their caption first among 256",
    "recall_text_to_image": "captions that find their image first among 256",
    "recall_image_to_text_at_5": "images whose caption is among the first five",
    "recall_text_to_image_at_5": "captions whose image is among the first five",
    "energy_auroc": "true pairs of image and caption told from mismatched ones",
    "caption_mean": "mean of these five; blind: 0.5",
    "caption_count": "the true caption preferred to one with another number",
    "caption_shape": "... with one shape swapped",
    "caption_colour": "... with one colour swapped",
    "caption_position": "... with one place swapped",
    "caption_size": "... with one size swapped",
    "contradiction": "'left of' and 'right of' told apart; blind: 0.5",
}


def says(name: str) -> str:
    """The line of a metric; bins of difficulty are made up from their name."""
    for start, text in (("exact_guesses_", "guesses of a solver"), ("exact_length_", "cells of path")):
        if name.startswith(start):
            return f"puzzles solved, of those with {name.removeprefix(start).replace('_', ' ')} {text}"
    if name.removeprefix("exact_").replace("_", "-") in TOPICS:
        return (
            f"answered rightly, of the questions of the topic {name.removeprefix('exact_').replace('_', '-')}"
        )
    return SAYS.get(name, "")
