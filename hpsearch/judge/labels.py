"""Labels that the images contradict, in two ways.

Image statistics, learned on the other images, are sure of the other label: confident learning in its simplest form (Northcutt,
Jiang, Chuang 2021), by out-of-sample probabilities of the given label. It needs statistics that know the classes, which they
do not where real frames and face swaps come from one encoder: a cross-validated AUC of 0.61 on 5,092 faces of DFDC, and of 0.70
with a network's features besides.

A set that is made of real images and their forgeries holds most pictures twice, once with each label. A picture that stands
there twice with the same label contradicts that.

Axis legend: `n` images, `p` pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.judge.duplicates import near_duplicates
from hpsearch.judge.objectives import auc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.judge.scan import ImageScan

MIN_AUC = 0.8
"""Below it the statistics know too little to contradict anybody."""
MAX_PROBABILITY = 0.02
"""Of the given label, from which it is suspicious."""
MIN_IMAGES = 50
NUM_FOLDS = 5
VERSIONS_CORRELATION = 0.95
"""Of the grey pictures of a real image and its forgery, whose faces differ: of those 5,092 faces, each real with its own fake,
1,645 such pairs are found; the correlation of near-duplicates finds 494. Of 50 labels swapped at random 62 ± 8 % are then in a
pair that is named, and 88 ± 1 % of the named pairs hold a swapped label (10 seeds)."""
MIN_PAIRS, MIN_DIFFERING = 50, 0.9
"""Pairs of versions, and the share of them with both labels, from which a set counts as made of pairs."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Contradicted:
    """What was found."""

    rows: NDArray[np.int64]
    """Images with a suspicious label, the most suspicious first."""
    auc: float
    """Cross-validated AUC of the statistics; NaN: too few images."""


def contradicted_labels(scan: ImageScan, labels_n: NDArray[np.int64], groups: Sequence[str] | None) -> Contradicted:
    """Cross-validates a classifier of image statistics; folds keep groups whole where they are known."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict

    rows_n = np.flatnonzero(scan.readable_n)
    given_n = labels_n[rows_n]
    groups_n = None if groups is None else np.array(groups)[rows_n]
    is_grouped = groups_n is not None and len(np.unique(groups_n)) >= NUM_FOLDS
    if min(np.sum(given_n == label) for label in (0, 1)) < MIN_IMAGES:
        return Contradicted(rows=np.empty(0, dtype=np.int64), auc=float("nan"))
    folds = GroupKFold(NUM_FOLDS) if is_grouped else StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=0)
    classifier = HistGradientBoostingClassifier(random_state=0)
    answers_nk = cross_val_predict(
        classifier, scan.features_nf[rows_n], given_n, groups=groups_n, cv=folds, method="predict_proba"
    )
    value = auc(given_n, answers_nk[:, 1])
    of_given_n = answers_nk[np.arange(len(given_n)), given_n]
    suspicious = np.argsort(of_given_n, kind="stable")
    suspicious = suspicious[of_given_n[suspicious] < MAX_PROBABILITY] if value >= MIN_AUC else suspicious[:0]
    return Contradicted(rows=rows_n[suspicious], auc=value)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Paired:
    """Pictures that stand in the set in two versions."""

    num_pairs: int
    """Of them; too few pairs, or too many of one label, are none."""
    alike_p2: NDArray[np.int64]
    """Those with the same label twice, shape (p, 2)."""


def paired_labels(scan: ImageScan, labels_n: NDArray[np.int64]) -> Paired:
    """Compares the labels of pictures that two images show, where nearly all have both labels; equal files do not count."""
    pairs_p2 = near_duplicates(scan, VERSIONS_CORRELATION)
    pairs_p2 = pairs_p2[scan.digest_n[pairs_p2[:, 0]] != scan.digest_n[pairs_p2[:, 1]]]
    times_n = np.bincount(pairs_p2.ravel(), minlength=len(scan))
    pairs_p2 = pairs_p2[(times_n[pairs_p2] == 1).all(axis=1)]
    alike_p = labels_n[pairs_p2[:, 0]] == labels_n[pairs_p2[:, 1]]
    if len(pairs_p2) < MIN_PAIRS or alike_p.mean() > 1 - MIN_DIFFERING:
        return Paired(num_pairs=0, alike_p2=pairs_p2[:0])
    return Paired(num_pairs=len(pairs_p2), alike_p2=pairs_p2[alike_p])
