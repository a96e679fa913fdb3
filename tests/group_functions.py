"""Functions that several workers run together in tests; workers import this module by name."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.data.training_data import LabelledImages, TrainingData
from hpsearch.train.peers import Peers
from hpsearch.train.settings import TrialSettings
from hpsearch.train.trial import TrialTrainer

POINTS = (48, 96)


def train_together(root: str, backbone: str, die_at: int | None = None, peers: Peers | None = None) -> Iterator[dict[str, int]]:
    """Trains a small network to the end; returns each evaluation's answers. Worker 1 dies once, after `die_at` images."""
    settings = TrialSettings(
        backbone=backbone,
        image_px=32,
        batch_size=9,  # no multiple of the workers
        images_per_trial=POINTS[-1],
        lr=1e-3,
        augment={"hflip": {"p": 0.5}, "noise": {"p": 0.5}},
    )
    data = TrainingData(train=_images(40, 0), val=_images(30, 1))
    trainer = TrialTrainer(settings, data, seed=3, precision="fp32", checkpoint=Path(root) / "checkpoint.pt", peers=peers)
    if peers is not None:
        peers.require_same(trainer.images_seen, "images")
    yield {"images": trainer.images_seen}
    answers = {}
    for result in trainer.run(POINTS):
        answers[result.images] = result.probabilities_n.tolist()
        if die_at == result.images and peers is not None and peers.rank == 1 and _is_first(Path(root) / "died"):
            os._exit(9)
        yield {"images": result.images}
    return answers


def count_differently(peers: Peers) -> Iterator[dict[str, int]]:
    """Workers that do not agree."""
    peers.require_same(peers.rank, "images trained")
    yield {}


def _images(num: int, seed: int) -> LabelledImages:
    rng = np.random.default_rng(seed)
    labels_n = np.arange(num) % 2
    images_nhwc: Any = rng.integers(0, 160, (num, 36, 36, 3))
    images_nhwc[:, 12:24, 12:24] += 40 * labels_n[:, None, None, None]
    return LabelledImages(images_nhwc=images_nhwc.astype(np.uint8), labels_n=labels_n, indices_n=np.arange(num))


def _is_first(marker: Path) -> bool:
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
