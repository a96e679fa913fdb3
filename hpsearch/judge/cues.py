"""What single facts of a file tell of its label: a detector that reads them needs no face.

Each cue is turned into the share of deepfakes among images of the same value (tables) or of the same fortieth (numbers),
learned on four fifths and applied to the rest, so that also a cue that is telling in the middle of its range is seen, and
a meaningless one comes out at 0.5 (or below, where versions of one picture have different labels).

Axis legend: `n` images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.judge.intervals import auc_interval
from hpsearch.judge.objectives import auc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.judge.scan import ImageScan

NUM_BINS = 40
NUM_FOLDS = 5
SMOOTHING = 5.0
"""Images of the average share that each value starts with."""
MIN_IMAGES = 10
"""Of a class in a split; below it a cue's AUC says nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cue:
    """One cue in one split."""

    name: str
    """What is looked at."""
    split: str
    """Where."""
    auc: float
    """Of the cue alone."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end of its 95 % interval."""


def cue_aucs(scan: ImageScan, labels_n: NDArray[np.int64], split_n: NDArray[np.str_]) -> tuple[Cue, ...]:
    """Every cue in every split with enough images of both classes, the most telling first."""
    found = []
    for split in dict.fromkeys(split_n.tolist()):
        rows = np.flatnonzero((split_n == split) & scan.readable_n)
        if min(np.sum(labels_n[rows] == label) for label in (0, 1)) < MIN_IMAGES:
            continue
        for name, values_n in _values(scan.take(rows)).items():
            answers_n = encoded(values_n, labels_n[rows])
            low, high = auc_interval(labels_n[rows], answers_n)
            found.append(Cue(name=name, split=str(split), auc=auc(labels_n[rows], answers_n), low=low, high=high))
    return tuple(sorted(found, key=lambda cue: -cue.auc))


def _values(scan: ImageScan) -> dict[str, NDArray[np.int64]]:
    """Cue → bin of each image."""
    return {
        "file size": _bins(scan.bytes_n),
        "resolution": _categories(scan.width_n * 100_003 + scan.height_n),
        "format and quantisation tables": _categories(scan.tables_n),
        "JPEG quality (mean of the tables)": _bins(scan.table_mean_n),
        "brightness": _bins(scan.brightness_n),
        "sharpness": _bins(scan.sharpness_n),
    }


def _categories(values_n: NDArray[np.generic]) -> NDArray[np.int64]:
    return np.asarray(np.unique(values_n, return_inverse=True)[1], dtype=np.int64)


def _bins(values_n: NDArray[np.generic]) -> NDArray[np.int64]:
    edges = np.unique(np.quantile(values_n.astype(np.float64), np.linspace(0, 1, NUM_BINS + 1)[1:-1]))
    return np.asarray(np.searchsorted(edges, values_n.astype(np.float64), side="right"), dtype=np.int64)


def encoded(bins_n: NDArray[np.int64], labels_n: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of deepfakes among the images of the same bin in the other folds, shape (n,)."""
    from sklearn.model_selection import StratifiedKFold

    answers_n = np.empty(len(labels_n))
    size = int(bins_n.max()) + 1
    for learned, applied in StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=0).split(bins_n, labels_n):
        counts = np.bincount(bins_n[learned], minlength=size)
        fakes = np.bincount(bins_n[learned], weights=labels_n[learned], minlength=size)
        # One share for all folds: a fold's own would tell on its rest.
        shares = (fakes + SMOOTHING * labels_n.mean()) / (counts + SMOOTHING)
        answers_n[applied] = shares[bins_n[applied]]
    return answers_n
