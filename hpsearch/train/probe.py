"""What one configuration costs on this machine: speed and memory of a few steps on random images."""

from __future__ import annotations

import math
import resource
import time
from dataclasses import dataclass

import numpy as np
import torch

from hpsearch.config import Precision
from hpsearch.data.training_data import LabelledImages, TrainingData
from hpsearch.train.settings import TrialSettings
from hpsearch.train.trial import TrialTrainer

NUM_BATCHES = 4
"""Batches that are timed, after one that warms up; only one where that takes longer than `LONG_SECONDS`."""
LONG_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What was measured."""

    images_per_second: float
    """Training: augmentation, forward, backward and step."""
    peak_bytes: int
    """Memory: of the GPU where it ran on one, else the most that the process has taken since it began, whatever it did."""


def probe(settings: TrialSettings, stored_px: int, *, device: str, precision: Precision, seconds: float = 0.0) -> Probe:
    """Trains `settings` from random weights for a few batches of random images stored at `stored_px`.

    Where `seconds` is given, for about as long at least.

    Raises:
        InfeasibleError: it cannot be built or does not fit the memory.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    num_images = settings.batch_size
    random = np.random.default_rng(0)
    images = LabelledImages(
        images_nhwc=random.integers(0, 256, (num_images, stored_px, stored_px, 3), dtype=np.uint8),
        labels_n=np.arange(num_images, dtype=np.int64) % 2,
        indices_n=np.arange(num_images),
    )
    trainer = TrialTrainer(settings, TrainingData(train=images, val=images), seed=0, device=device, precision=precision)
    began = time.perf_counter()
    next(iter(trainer.run((num_images,))))
    num_batches = NUM_BATCHES if time.perf_counter() - began < LONG_SECONDS else 1
    *_, result = trainer.run(((1 + num_batches) * num_images,))
    more = math.ceil(seconds * result.images_per_second / num_images)
    if more > num_batches:
        *_, result = trainer.run((trainer.images_seen + more * num_images,))
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Probe(images_per_second=result.images_per_second, peak_bytes=int(peak))
