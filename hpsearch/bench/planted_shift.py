"""Choosing by `auc` or by `shift_auc` where the forgeries of the test come from places that nobody has trained on.

On planted images (`bench.planted_set`), configurations that blur and add noise in training leave little of the forging tools'
traces to the network, and lose by it on images like those trained on.

Each configuration is trained twice: on all training images, as `auc` has it, and without the kinds of images that the
product's shift split takes out, as `shift_auc` has it. What each objective chooses is scored on the holdout, whose studios are
all new. The first gain compares models that were trained on all training images: only the choice differs. The second one
compares models as each objective's search has trained them, so that `shift_auc` also pays for the images that it took out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.bench.planted_set import PX, planted_set
from hpsearch.config import Objective
from hpsearch.data.training_data import open_training_data
from hpsearch.judge.objectives import auc, objective_value
from hpsearch.judge.scan import scan
from hpsearch.judge.splits import SplitRules, judged
from hpsearch.train.settings import TrialSettings
from hpsearch.train.trial import TrialTrainer

if TYPE_CHECKING:
    from hpsearch.data.dataset import Dataset
    from hpsearch.data.training_data import TrainingData

OBJECTIVES: tuple[Objective, ...] = ("auc", "shift_auc")
"""What is compared."""
STRENGTHS = (0.0, 0.5, 1.0)
"""Probability of blur and of noise in the configurations that are trained."""
EPOCHS = 10
BATCH_SIZE = 32
LEARNING_RATE = 3e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """One configuration."""

    strength: float
    """Probability of blur and of noise."""
    values: dict[Objective, float]
    """What trials would be compared by."""
    holdouts: dict[Objective, float]
    """AUC on studios that nobody trained on, of the model trained as each objective has it: `auc` on all training images."""


def chosen(tried: Sequence[Tried], objective: Objective) -> Tried:
    """What a search by `objective` ends with."""
    return max(tried, key=lambda one: one.values[objective])


def run_seed(seed: int, *, cache_dir: Path, num_workers: int, tell: Callable[[str], None]) -> list[Tried]:
    """Plants one set and trains every configuration as each objective has it.

    Args:
        seed: Of images, splits and trainings.
        cache_dir: Where images and decoded images are kept.
        num_workers: Processes that draw and decode.
        tell: Told what is under way.
    """
    tell(f"seed {seed}: drawing")
    dataset = planted_set(cache_dir / f"planted-{seed}", seed, num_workers=num_workers)
    data = {objective: _split(dataset, objective, seed, cache_dir, num_workers) for objective in OBJECTIVES}
    tried = []
    for strength in STRENGTHS:
        values, holdouts = {}, {}
        for objective in OBJECTIVES:
            tell(f"seed {seed}: p = {strength:g}, {objective}")
            values[objective], holdouts[objective] = _train(data[objective], objective, strength, seed)
        tried.append(Tried(strength=strength, values=values, holdouts=holdouts))
    return tried


def _split(dataset: Dataset, objective: Objective, seed: int, cache_dir: Path, num_workers: int) -> TrainingData:
    rules = SplitRules(val_fraction=0.2, holdout=0.0, shift=0.25, objective=objective, seed=seed)
    split = judged(dataset, rules, partial(scan, cache_dir=cache_dir, num_workers=num_workers))
    return open_training_data(split, px=PX, cache_dir=cache_dir, num_workers=num_workers, max_unreadable_fraction=0.0)


def _train(data: TrainingData, objective: Objective, strength: float, seed: int) -> tuple[float, float]:
    """The objective's value and the AUC on the holdout."""
    assert data.holdout is not None, "the planted set has one"
    trainer = TrialTrainer(_settings(strength), data, seed=seed)
    (result,) = trainer.run((EPOCHS * len(data.train),))
    value = objective_value(objective, data.val.labels_n, result.probabilities_n, data.val.parts)
    return value, auc(data.holdout.labels_n, trainer.probabilities(data.holdout))


def _settings(strength: float) -> TrialSettings:
    return TrialSettings(
        backbone="test_resnet",
        image_px=PX,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        optimizer="adamw",
        lr=LEARNING_RATE,
        augment={"hflip": {"p": 0.5}, "blur": {"p": strength, "sigma_max": 2.5}, "noise": {"p": strength, "std_max": 20.0}},
    )


def as_text(seeds: Mapping[int, Sequence[Tried]]) -> str:
    """One line a seed and objective, then the paired differences with their standard errors."""
    lines = [f"{'seed':<6}{'objective':<11}{'p chosen':>9}{'value':>8}{'holdout':>9}{'as searched':>13}"]
    same_images, as_searched = [], []
    for seed, tried in seeds.items():
        by = {objective: chosen(tried, objective) for objective in OBJECTIVES}
        for objective, one in by.items():
            figures = (
                f"{one.strength:>9g}{one.values[objective]:>8.3f}{one.holdouts['auc']:>9.3f}{one.holdouts[objective]:>13.3f}"
            )
            lines.append(f"{seed:<6}{objective:<11}{figures}")
        same_images.append(by["shift_auc"].holdouts["auc"] - by["auc"].holdouts["auc"])
        as_searched.append(by["shift_auc"].holdouts["shift_auc"] - by["auc"].holdouts["auc"])
    lines.append(f"gain of shift_auc on the holdout, both trained on all training images: {_mean_and_error(same_images)}")
    lines.append(f"each trained as its search has it: {_mean_and_error(as_searched)}")
    return "\n".join(lines)


def _mean_and_error(gains: Sequence[float]) -> str:
    error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else math.nan
    return f"{statistics.mean(gains):+.3f} ± {error:.3f} (standard error, {len(gains)} seeds)"
