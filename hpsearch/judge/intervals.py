"""Confidence interval of an AUC.

DeLong, DeLong and Clarke-Pearson 1988, "Comparing the areas under two or more correlated receiver operating
characteristic curves", with the placement values computed from mid-ranks (Sun and Xu 2014). The interval is taken on the
logit scale, so that it stays in [0, 1] and does not collapse near 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z_95 = 1.959963984540054


def auc_interval(labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating]) -> tuple[float, float]:
    """Lower and upper end of the 95 % interval of the AUC of `probabilities_n` against `labels_n` (0 or 1), shape (n,).

    Where the classes are separated completely DeLong's variance is 0, which would make the interval a point; AUC and
    standard error are then kept half a pair of images away from the end of the scale. Of a single image of a class nothing is
    known of others: the interval is the whole scale.

    Raises:
        ValueError: no image of a class.
    """
    if min(np.sum(labels_n == 1), np.sum(labels_n == 0)) == 1:
        return 0.0, 1.0
    auc, variance = auc_variance(labels_n, probabilities_n)
    num_pairs = int(np.sum(labels_n == 1)) * int(np.sum(labels_n == 0))
    inside = min(max(auc, 0.5 / num_pairs), 1 - 0.5 / num_pairs)
    deviation = max(float(np.sqrt(variance)), 0.5 / num_pairs)
    logit = np.log(inside / (1 - inside))
    half_width = Z_95 * deviation / (inside * (1 - inside))
    low, high = (1 / (1 + np.exp(-(logit + sign * half_width))) for sign in (-1, 1))
    return min(float(low), auc), max(float(high), auc)


def auc_variance(labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating]) -> tuple[float, float]:
    """AUC (ties half) and DeLong's estimate of its variance.

    Raises:
        ValueError: fewer than two images of a class.
    """
    above_f, below_r = _placements(labels_n, probabilities_n)
    variance = np.var(above_f, ddof=1) / len(above_f) + np.var(below_r, ddof=1) / len(below_r)
    return float(np.mean(above_f)), float(variance)


def difference_error(labels_n: NDArray[np.integer], first_n: NDArray[np.floating], second_n: NDArray[np.floating]) -> float:
    """DeLong's standard error of the difference of two AUCs on the same images; infinite for a single image of a class.

    Raises:
        ValueError: no image of a class.
    """
    if min(np.sum(labels_n == 1), np.sum(labels_n == 0)) == 1:
        return math.inf
    pairs = zip(_placements(labels_n, first_n), _placements(labels_n, second_n), strict=True)
    return float(np.sqrt(sum(np.var(one - other, ddof=1) / len(one) for one, other in pairs)))


def _placements(
    labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of real images below each deepfake, and of deepfakes above each real image."""
    from scipy.stats import rankdata

    fakes_f = probabilities_n[labels_n == 1]
    reals_r = probabilities_n[labels_n == 0]
    num_fakes, num_reals = len(fakes_f), len(reals_r)
    if min(num_fakes, num_reals) < 2:
        raise ValueError(f"an interval needs two images of each class, got {num_fakes} fake and {num_reals} real")
    ranks_n = rankdata(np.concatenate([fakes_f, reals_r]))
    above_f = (ranks_n[:num_fakes] - rankdata(fakes_f)) / num_reals
    below_r = 1 - (ranks_n[num_fakes:] - rankdata(reals_r)) / num_fakes
    return above_f, below_r
