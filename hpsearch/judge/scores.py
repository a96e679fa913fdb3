"""A set of images in figures: its scores with the interval of the AUC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.judge.intervals import auc_interval
from hpsearch.layout import SplitResult
from hpsearch.metrics import score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def split_result(labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating], note: str = "") -> SplitResult:
    """Scores of `probabilities_n` = P(deepfake) against `labels_n`, shape (n,); `note` is what a reader must know.

    Raises:
        ValueError: fewer than two images of a class, or a probability that is not finite.
    """
    scores = score(labels_n, probabilities_n)
    result = SplitResult(
        auc=scores.auc,
        auc_ci95=list(auc_interval(labels_n, probabilities_n)),
        accuracy=scores.accuracy,
        majority_accuracy=scores.majority_accuracy,
        tpr_at_fpr=scores.tpr_at_fpr,
        num_images=scores.num_images,
    )
    if note:
        result["note"] = note
    return result
