"""Labels that the images contradict: where image statistics, learned on the other images, are sure of the other label.

Confident learning in its simplest form (Northcutt, Jiang, Chuang 2021): out-of-sample probabilities of the given label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
