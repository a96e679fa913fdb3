import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hpsearch.judge.intervals import auc_interval, auc_variance, difference_error


def draw(rng: np.random.Generator, num_images: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    labels_n = rng.permutation(np.arange(num_images) % 2)
    return labels_n, 1 / (1 + np.exp(-(rng.normal(size=num_images) + shift * labels_n)))


def test_auc_counts_ties_half_like_scikit_learn() -> None:
    labels_n, probabilities_n = draw(np.random.default_rng(0), 400, 1.0)
    rounded_n = probabilities_n.round(1)
    assert auc_variance(labels_n, rounded_n)[0] == pytest.approx(roc_auc_score(labels_n, rounded_n), abs=1e-12)


@pytest.mark.parametrize(("shift", "true_auc"), [(1.0, 0.760250), (3.0, 0.983053)])
def test_interval_covers_the_true_auc_in_95_of_100_samples(shift: float, true_auc: float) -> None:
    rng = np.random.default_rng(1)
    intervals = [auc_interval(*draw(rng, 300, shift)) for _ in range(600)]
    covered = np.mean([low <= true_auc <= high for low, high in intervals])
    assert 0.92 <= covered <= 0.98


def test_interval_of_separated_classes_is_no_point_and_stays_below_one() -> None:
    low, high = auc_interval(np.repeat([0, 1], 50), np.linspace(0, 1, 100))
    assert 0.9 < low < 1.0
    assert high == 1.0


def test_of_one_image_of_a_class_nothing_is_known_of_others() -> None:
    labels_n = np.array([1, 0, 0])
    assert auc_interval(labels_n, np.array([0.1, 0.2, 0.3])) == (0.0, 1.0)
    assert difference_error(labels_n, np.array([0.1, 0.2, 0.3]), np.array([0.9, 0.2, 0.3])) == math.inf


def test_a_missing_class_is_refused() -> None:
    with pytest.raises(ValueError, match="two images of each class, got 0 fake"):
        auc_interval(np.array([0, 0]), np.array([0.1, 0.2]))
