"""Distributed hyperparameter search for image-deepfake detectors.

The package is read in the order of its flow: `data`, `model`, `train`, `judge`, `search`, `execute`, `final`, `report`, `run`.
Importing it loads neither torch nor ray.

Example:
    detector = hpsearch.load("runs/faces/best")
    print(detector.score("face.jpg"))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpsearch.final.scorer import Scorer

__version__ = "0.1.0"


def load(directory: str | Path, device: str = "", *, plugins: Sequence[str] = ()) -> Scorer:
    """The detector that a run has exported; its `score(path)` is P(deepfake) of an image file.

    Args:
        directory: The run directory, or its `best` folder; `s3://BUCKET/PREFIX/NAME` is fetched into this machine's cache.
        device: `cpu`, `cuda`, `cuda:1`; empty: a GPU where there is one.
        plugins: Your own modules that the model needs; nothing else that it names is imported.

    Raises:
        hpsearch.errors.InputError: no export there, its files do not fit each other, it needs a plugin that is not named, or
            there is no such device.
        hpsearch.errors.StorageError: the object store does not answer.
    """
    from hpsearch.final.export import export_at
    from hpsearch.final.scorer import Scorer  # brings torch, which `import hpsearch` does without
    from hpsearch.job.place import exported
    from hpsearch.train.chosen_device import chosen_device

    return Scorer.load(export_at(exported(str(directory))), chosen_device(device), plugins=plugins)
