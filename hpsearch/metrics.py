"""Scores of a detector: AUC, true-positive rates at small false-positive rates, accuracy beside the majority class.

Labels are 1 for a deepfake and 0 for a real image; probabilities are P(deepfake).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FPR_POINTS = (1e-2, 5e-3, 1e-3)
"""False-positive rates at which the competition reports the true-positive rate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Scores of one set of images."""

    auc: float
    """Area under the ROC curve, ties counted half."""
    accuracy: float
    """Fraction right at threshold 0.5."""
    majority_accuracy: float
    """Accuracy of always answering the larger class."""
    tpr_at_fpr: dict[str, float]
    """True-positive rate at each of `FPR_POINTS`; keys are written `0.01`, `0.005`, `0.001`."""
    num_images: int
    """Images scored."""


def score(labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating]) -> Scores:
    """Scores `probabilities_n` (floats in [0, 1], finite) against `labels_n` (0 or 1), both of shape (n,).

    Raises:
        ValueError: one class only, or a probability that is not finite.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    if not np.isfinite(probabilities_n).all():
        raise ValueError("a probability is not finite")
    fake_fraction = float(np.mean(labels_n))
    if fake_fraction in (0.0, 1.0):
        raise ValueError("AUC needs images of both classes")
    fpr_t, tpr_t, _ = roc_curve(labels_n, probabilities_n, drop_intermediate=False)
    return Scores(
        auc=float(roc_auc_score(labels_n, probabilities_n)),
        accuracy=float(np.mean((probabilities_n >= 0.5) == (labels_n == 1))),
        majority_accuracy=max(fake_fraction, 1.0 - fake_fraction),
        tpr_at_fpr={f"{point:g}": float(tpr_t[fpr_t <= point].max()) for point in FPR_POINTS},
        num_images=len(labels_n),
    )
