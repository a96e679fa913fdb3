"""Choosing by `auc` or by `shift_auc` where the forgeries of the test come from places that nobody has trained on.

The images are planted. Each comes from a studio, which has a background, a camera (blur and noise) and a tool that forges; the
tool leaves noise on a forgery that is stronger than the camera's in some studios and weaker in others. So noise tells real
from forged in studios that were trained on, and says nothing of a new one. All forgeries also have a faint seam around the
face, as blending leaves it. Configurations that blur and add noise in training leave little of those traces to the network, and
lose by it on images like those trained on.

Each configuration is trained twice: on all training images, as `auc` has it, and without the kinds of images that the
product's shift split takes out, as `shift_auc` has it. What each objective chooses is scored on the holdout, whose studios are
all new, by the model that was trained on all training images: only the choice differs.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from hpsearch.config import Objective
from hpsearch.data.dataset import DEEPFAKE, REAL, Dataset, ImageSet, fingerprint
from hpsearch.data.processes import map_in_processes
from hpsearch.data.sample_scene import Source, draw_scene
from hpsearch.data.training_data import open_training_data
from hpsearch.files import replacing
from hpsearch.judge.objectives import auc, objective_value
from hpsearch.judge.scan import scan
from hpsearch.judge.splits import SplitRules, judged
from hpsearch.train.settings import TrialSettings
from hpsearch.train.trial import TrialTrainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.data.training_data import TrainingData

OBJECTIVES: tuple[Objective, ...] = ("auc", "shift_auc")
"""What is compared."""
SIGMAS_PX = (0.4, 0.9, 1.6, 2.6)
"""Gaussian blurs of the cameras."""
NOISES = (1.0, 3.0, 8.0, 20.0)
"""Their noise: standard deviation, of 255."""
TRACE = 1.8
"""Factor, or divisor, of the noise in a forgery."""
NUM_HELD = 4
"""Studios that only the holdout has, of one for each blur and noise."""
NUM_IMAGES = {"train": 1000, "val": 240, "holdout": 400}
"""Images of each part, half of them forged."""
SEAM = 0.09
"""How much darker the seam is that all forgeries share, of a brightness from 0 to 1."""
SEAM_WIDTH = 0.15
"""Its half width, in half faces."""
STRENGTHS = (0.0, 0.5, 1.0)
"""Probability of blur and of noise in the configurations that are trained."""
PX = 64
EPOCHS = 10
BATCH_SIZE = 32
LEARNING_RATE = 3e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class Studio:
    """Where images come from: a background, a camera, and a tool that forges."""

    number: int
    """Its place on the grid of blurs and noises."""
    background_2c: NDArray[np.float64]
    """Two colours that the background goes between."""
    roughness: float
    """Exponent of the background's spectrum."""
    sigma_px: float
    """Blur of the camera."""
    noise: float
    """Its noise, of 255."""
    trace: float
    """Factor by which forging changes the noise."""

    @classmethod
    def draw(cls, seed: int, rng: np.random.Generator, *, is_held: bool) -> Studio:
        """One of those of the planted set `seed`: of the holdout, or of all else."""
        grid = list(itertools.product(SIGMAS_PX, NOISES))
        order = np.random.default_rng((seed, 2**31)).permutation(len(grid))
        number = int(rng.choice(order[:NUM_HELD] if is_held else order[NUM_HELD:]))
        own = np.random.default_rng((seed, 2**31, number))
        background = Source.draw(own)
        sigma_px, noise = grid[number]
        return cls(
            number=number,
            background_2c=background.background_2c,
            roughness=background.roughness,
            sigma_px=sigma_px,
            noise=noise,
            trace=TRACE if own.random() < 0.5 else 1 / TRACE,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """One configuration."""

    strength: float
    """Probability of blur and of noise."""
    values: dict[Objective, float]
    """What trials would be compared by."""
    holdout: float
    """AUC on studios that nobody trained on, of the model trained on all training images."""


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
        tried.append(Tried(strength=strength, values=values, holdout=holdouts["auc"]))
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


def planted_set(directory: Path, seed: int, *, num_workers: int) -> Dataset:
    """The planted set of `seed`, drawn into `directory` unless it is there.

    No person is shown twice; the holdout has studios of its own.
    """
    directory.mkdir(parents=True, exist_ok=True)
    parts: dict[str, ImageSet] = {}
    first = 0
    for part, count in NUM_IMAGES.items():
        numbers = range(first, first + count)
        names = tuple(f"{part}-{number}.png" for number in numbers)
        paths = tuple(str(directory / name) for name in names)
        labels_n = np.array([_label(number) for number in numbers])
        tasks = [(path, seed, number, part == "holdout") for path, number in zip(paths, numbers, strict=True)]
        for _ in map_in_processes(draw, [task for task in tasks if not Path(task[0]).exists()], num_workers=num_workers):
            pass
        parts[part] = ImageSet(names=names, paths=paths, labels_n=labels_n, groups=None)
        first += count
    return Dataset(
        source=str(directory),
        train=parts["train"],
        val=parts["val"],
        holdout=parts["holdout"],
        template=None,
        notes=(),
        fingerprint=fingerprint(parts["train"], parts["val"], None, parts["holdout"]),
    )


def draw(path: str, seed: int, number: int, is_held: bool) -> None:
    """Draws one image of the planted set, in a worker process."""
    from PIL import Image

    rng = np.random.default_rng((seed, number))
    is_forged = _label(number) == DEEPFAKE
    studio = Studio.draw(seed, rng, is_held=is_held)
    person = dataclasses.replace(Source.draw(rng), background_2c=studio.background_2c, roughness=studio.roughness)
    scene_hwc, y_hw, x_hw = draw_scene(person, rng)
    if is_forged:
        radius = rng.uniform(0.6, 0.95)
        seam_hw = np.exp(-(((np.hypot(y_hw, x_hw) - radius) / SEAM_WIDTH) ** 2))
        scene_hwc = (scene_hwc - SEAM * seam_hw[..., None]).astype(np.float32)
    small_hwc = ndimage.zoom(scene_hwc, (PX / len(scene_hwc), PX / len(scene_hwc), 1), order=1)
    blurred_hwc = ndimage.gaussian_filter(small_hwc, (studio.sigma_px, studio.sigma_px, 0))
    deviation = studio.noise * (studio.trace if is_forged else 1.0)
    noisy_hwc = 255 * blurred_hwc + deviation * rng.standard_normal(small_hwc.shape)
    with replacing(Path(path)) as partial:
        Image.fromarray(np.rint(np.clip(noisy_hwc, 0, 255)).astype(np.uint8)).save(partial, "PNG")


def _label(number: int) -> int:
    return DEEPFAKE if number % 2 else REAL


def as_text(seeds: Mapping[int, Sequence[Tried]]) -> str:
    """One line a seed and objective, then the paired difference with its standard error."""
    lines = [f"{'seed':<6}{'objective':<11}{'p chosen':>9}{'value':>8}{'holdout':>9}"]
    gains = []
    for seed, tried in seeds.items():
        by = {objective: chosen(tried, objective) for objective in OBJECTIVES}
        gains.append(by["shift_auc"].holdout - by["auc"].holdout)
        for objective, one in by.items():
            lines.append(f"{seed:<6}{objective:<11}{one.strength:>9g}{one.values[objective]:>8.3f}{one.holdout:>9.3f}")
    mean, count = statistics.mean(gains), len(gains)
    error = statistics.stdev(gains) / count**0.5 if count > 1 else math.nan
    lines.append(f"gain of shift_auc on the holdout: {mean:+.3f} ± {error:.3f} (standard error, {count} seeds)")
    return "\n".join(lines)
