import numpy as np
import pytest

from hpsearch.metrics import score


def test_scores_of_a_case_worked_by_hand() -> None:
    labels_n = np.array([0, 0, 0, 1, 1])
    scores = score(labels_n, np.array([0.1, 0.4, 0.6, 0.6, 0.9]))
    assert scores.auc == pytest.approx((3 + 2.5) / 6)
    assert scores.accuracy == pytest.approx(4 / 5)
    assert scores.majority_accuracy == pytest.approx(3 / 5)
    assert scores.tpr_at_fpr == {"0.01": 0.5, "0.005": 0.5, "0.001": 0.5}
    assert scores.num_images == 5


def test_true_positive_rate_is_read_at_each_false_positive_rate() -> None:
    reals_r, fakes_f = np.linspace(0, 0.999, 1000), np.array([0.9885, 0.9925, 0.9965, 0.9995])
    scores = score(np.repeat([0, 1], [1000, 4]), np.concatenate([reals_r, fakes_f]))
    assert scores.tpr_at_fpr == {"0.01": 0.75, "0.005": 0.5, "0.001": 0.25}


def test_one_class_only_is_refused() -> None:
    with pytest.raises(ValueError, match="both classes"):
        score(np.ones(3, dtype=int), np.full(3, 0.5))


def test_a_probability_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        score(np.array([0, 1]), np.array([0.5, np.nan]))
