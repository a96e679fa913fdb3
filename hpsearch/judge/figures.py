"""Figures beside the AUC: equal error rate, balanced accuracy, Brier score, calibration, shift of the classes' shares."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUM_BINS = 15
"""Bins of equally many images, of the expected calibration error."""
MIN_TO_CALIBRATE = 10
"""Images of a class in each half: a few that are told apart would put the temperature at the end of its range."""
_LOG_TEMPERATURES = (-3.0, 3.0)
_BIASES = (-10.0, 10.0)
_SMALLEST = 1e-6


def equal_error_rate(labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating]) -> float:
    """Share of wrong answers at the threshold where as many of each class are wrong, between two thresholds if need be."""
    from sklearn.metrics import roc_curve

    fpr_t, tpr_t, _ = roc_curve(labels_n, probabilities_n, drop_intermediate=False)
    excess_t = fpr_t - (1 - tpr_t)
    after = int(np.argmax(excess_t >= 0))
    before = max(after - 1, 0)
    step = excess_t[after] - excess_t[before]
    share = -excess_t[before] / step if step > 0 else 0.0
    return float(fpr_t[before] + share * (fpr_t[after] - fpr_t[before]))


def balanced_accuracy(labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating]) -> float:
    """Mean of the shares of both classes that are right at threshold 0.5."""
    right_n = (probabilities_n >= 0.5) == (labels_n == 1)
    return float(np.mean([right_n[labels_n == label].mean() for label in (0, 1)]))


def brier_score(labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating]) -> float:
    """Mean squared difference of probability and truth (Brier 1950)."""
    return float(np.mean((probabilities_n - labels_n) ** 2))


def calibration_error(labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating]) -> float:
    """Expected calibration error over bins of equally many images."""
    order_n = np.argsort(probabilities_n, kind="stable")
    bins = [rows for rows in np.array_split(order_n, NUM_BINS) if len(rows)]
    return float(sum(len(rows) * abs(probabilities_n[rows].mean() - labels_n[rows].mean()) for rows in bins) / len(order_n))


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """How far probabilities mean what they say; fitted on one half of the images, measured on the other."""

    temperature: float
    """What logits are best divided by (Guo et al. 2017); above 1 where the model is too sure."""
    bias: float
    """What is then best added to them; below 0 where training showed it a larger share of deepfakes."""
    brier: float
    """Brier score as answered."""
    brier_calibrated: float
    """Brier score with temperature and bias."""
    ece: float
    """Expected calibration error as answered."""
    ece_calibrated: float
    """Expected calibration error with temperature and bias."""
    num_images: int
    """Images that it was measured on."""


def calibrate(labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating], names: Sequence[str]) -> Calibration | None:
    """Fits temperature and bias on about half of the images, whole names together, and measures them on the rest.

    The bias is for the share of deepfakes of all the images, which that of a half may differ from.

    Args:
        labels_n: 0 or 1.
        probabilities_n: P(deepfake).
        names: Group of each image, or its name; a hash of it decides the half.

    Returns:
        None where a half has fewer than `MIN_TO_CALIBRATE` images of a class.
    """
    is_fold_n = np.array([hashlib.blake2b(name.encode(errors="surrogateescape")).digest()[0] % 2 == 0 for name in names])
    for half_n in (is_fold_n, ~is_fold_n):
        if np.bincount(labels_n[half_n], minlength=2).min() < MIN_TO_CALIBRATE:
            return None
    temperature, bias = fitted_calibration(labels_n[is_fold_n], probabilities_n[is_fold_n])
    bias += _logit(labels_n.mean()) - _logit(labels_n[is_fold_n].mean())
    rest_n, answers_n = labels_n[~is_fold_n], probabilities_n[~is_fold_n]
    calibrated_n = calibrated(answers_n, temperature, bias)
    return Calibration(
        temperature=temperature,
        bias=bias,
        brier=brier_score(rest_n, answers_n),
        brier_calibrated=brier_score(rest_n, calibrated_n),
        ece=calibration_error(rest_n, answers_n),
        ece_calibrated=calibration_error(rest_n, calibrated_n),
        num_images=len(rest_n),
    )


def fitted_calibration(labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating]) -> tuple[float, float]:
    """Temperature and bias of the smallest cross-entropy."""
    from scipy.optimize import minimize

    def cross_entropy(point: NDArray[np.float64]) -> float:
        answers_n = calibrated(probabilities_n, float(np.exp(point[0])), float(point[1]))
        return float(-np.mean(np.log(np.where(labels_n == 1, answers_n, 1 - answers_n))))

    found = minimize(cross_entropy, np.zeros(2), bounds=(_LOG_TEMPERATURES, _BIASES), method="L-BFGS-B")
    return float(np.exp(found.x[0])), float(found.x[1])


def calibrated(probabilities_n: NDArray[np.floating], temperature: float, bias: float) -> NDArray[np.float64]:
    """Probabilities whose logits are divided by `temperature`, `bias` then added; kept off 0 and 1."""
    inside_n = np.clip(probabilities_n.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    odds_against_n = (1 / inside_n - 1) ** (1 / temperature) * np.exp(-bias)
    return np.asarray(np.clip(1 / (1 + odds_against_n), _SMALLEST, 1 - _SMALLEST))


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


def deepfake_share(probabilities_n: NDArray[np.floating], reference_share: float) -> float:
    """Share of deepfakes among images without labels, by expectation maximisation (Saerens, Latinne, Decaestecker 2002).

    Right as far as the images of each class look like those that the probabilities were calibrated on.

    Args:
        probabilities_n: Calibrated P(deepfake) of each image.
        reference_share: Share of deepfakes that the probabilities are calibrated to.

    Raises:
        InputError: the reference has one class only.
    """
    if not 0 < reference_share < 1:
        raise InputError(f"a share of deepfakes of {reference_share:g} has one class only; give images of both classes.")
    odds_n = np.clip(probabilities_n, _SMALLEST, 1 - _SMALLEST) / (1 - np.clip(probabilities_n, _SMALLEST, 1 - _SMALLEST))
    share = reference_share
    for _ in range(1000):
        factor = (share / (1 - share)) / (reference_share / (1 - reference_share))
        new = float(np.clip(np.mean(odds_n * factor / (1 + odds_n * factor)), _SMALLEST, 1 - _SMALLEST))
        if abs(new - share) < 1e-7:
            return new
        share = new
    return share
