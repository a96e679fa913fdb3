"""A set of images in figures: its scores with the interval of the AUC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.judge.figures import balanced_accuracy, brier_score, equal_error_rate
from hpsearch.judge.intervals import auc_interval
from hpsearch.layout import SplitResult
from hpsearch.metrics import score

if TYPE_CHECKING:
    from numpy.typing import NDArray


def split_result(labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating], note: str = "") -> SplitResult:
    """Scores of `probabilities_n` = P(deepfake) against `labels_n`, shape (n,); `note` is what a reader must know.

    Raises:
        ValueError: fewer than two images of a class, or a probability that is not finite.
    """
    scores = score(labels_n, probabilities_n)
    result = SplitResult(
        auc=scores.auc,
        auc_ci95=auc_interval(labels_n, probabilities_n),
        accuracy=scores.accuracy,
        majority_accuracy=scores.majority_accuracy,
        tpr_at_fpr=scores.tpr_at_fpr,
        num_images=scores.num_images,
    )
    result["eer"] = equal_error_rate(labels_n, probabilities_n)
    result["balanced_accuracy"] = balanced_accuracy(labels_n, probabilities_n)
    result["brier"] = brier_score(labels_n, probabilities_n)
    result["num_real"] = int(np.sum(labels_n == 0))
    if note:
        result["note"] = note
    return result
