import hashlib
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest

from hpsearch.errors import InputError
from hpsearch.job.figures import prior_shift
from hpsearch.judge.figures import (
    balanced_accuracy,
    brier_score,
    calibrate,
    calibrated,
    calibration_error,
    deepfake_share,
    equal_error_rate,
)

RANDOM = np.random.default_rng(0)


def answers(count: int, share: float = 0.5, *, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and calibrated probabilities; logits multiplied by `scale` are too sure of themselves."""
    labels_n = (np.arange(count) < share * count).astype(np.int64)
    evidence_n = RANDOM.normal(np.where(labels_n == 1, 1.0, -1.0), np.sqrt(2))
    logits_n = evidence_n + np.log(share / (1 - share))
    return labels_n, 1 / (1 + np.exp(-scale * logits_n))


def answers_at(trained_share: float, *, share: float) -> tuple[np.ndarray, np.ndarray]:
    """20,000 labels, `share` of them deepfakes, and the answers of a network that was trained at `trained_share`."""
    labels_n = (np.arange(20_000) < share * 20_000).astype(np.int64)
    evidence_n = RANDOM.normal(np.where(labels_n == 1, 1.0, -1.0), 1.0)
    return labels_n, 1 / (1 + np.exp(-2 * evidence_n - np.log(trained_share / (1 - trained_share))))


class Images:
    """A hundred images, so many of them deepfakes."""

    def __init__(self, num_deepfakes: int) -> None:
        self.num_deepfakes = num_deepfakes

    def __len__(self) -> int:
        return 100


def test_equal_error_rate_of_separated_shuffled_and_known_answers() -> None:
    labels_n = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert equal_error_rate(labels_n, np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9])) == 0
    assert equal_error_rate(labels_n, np.array([0.1, 0.2, 0.3, 0.7, 0.4, 0.75, 0.8, 0.9])) == pytest.approx(0.25)
    assert equal_error_rate(labels_n, np.full(8, 0.5)) == pytest.approx(0.5)


def test_balanced_accuracy_does_not_reward_the_larger_class() -> None:
    assert balanced_accuracy(np.array([1] * 9 + [0]), np.ones(10)) == 0.5


def test_brier_score_is_the_mean_squared_error() -> None:
    assert brier_score(np.array([1, 0]), np.array([0.8, 0.4])) == pytest.approx((0.04 + 0.16) / 2)


def test_calibrated_answers_have_a_small_calibration_error_and_sure_ones_a_large_one() -> None:
    assert calibration_error(*answers(20_000)) < 0.02
    assert calibration_error(*answers(20_000, scale=4)) > 0.08


def test_the_temperature_undoes_too_sure_answers_on_images_that_it_was_not_fitted_on() -> None:
    labels_n, probabilities_n = answers(20_000, scale=3)
    found = calibrate(labels_n, probabilities_n, [f"image {number}" for number in range(20_000)])
    assert found is not None
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.ece_calibrated < 0.02 < found.ece
    assert found.brier_calibrated < found.brier
    assert 9_000 < found.num_images < 11_000


def test_few_images_of_a_class_give_no_calibration() -> None:
    labels_n = np.arange(30) % 2
    assert calibrate(labels_n, 0.1 + 0.8 * labels_n, [f"image {number}" for number in range(30)]) is None


def test_one_class_in_a_half_gives_no_calibration() -> None:
    assert calibrate(np.array([0, 1]), np.array([0.2, 0.7]), ["same", "same"]) is None


def test_temperature_1_without_bias_changes_nothing() -> None:
    probabilities_n = np.array([0.01, 0.5, 0.99])
    np.testing.assert_allclose(calibrated(probabilities_n, 1.0, 0.0), probabilities_n)


def test_a_bias_moves_answers_and_keeps_their_order() -> None:
    moved_n = calibrated(np.array([0.01, 0.5, 0.99]), 2.0, -1.0)
    assert moved_n[1] == pytest.approx(1 / (1 + np.e))
    assert (np.diff(moved_n) > 0).all()


def test_the_bias_undoes_the_share_of_deepfakes_that_was_trained_on() -> None:
    labels_n, trained_at_80_n = answers_at(0.8, share=0.4)
    found = calibrate(labels_n, trained_at_80_n, [f"image {number}" for number in range(20_000)])
    assert found is not None
    assert found.bias == pytest.approx(np.log(0.4 / 0.6) - np.log(0.8 / 0.2), abs=0.15)
    assert found.ece_calibrated < 0.02 < 0.1 < found.ece


def test_a_half_with_another_share_of_deepfakes_does_not_move_the_bias() -> None:
    labels_n, probabilities_n = answers_at(0.5, share=0.5)
    one_name = "image 0" if hashlib.blake2b(b"image 0").digest()[0] % 2 == 0 else "image 1"
    names = [one_name if label and number % 2 else f"image {number}" for number, label in enumerate(labels_n)]
    found = calibrate(labels_n, probabilities_n, names)
    assert found is not None
    assert found.bias == pytest.approx(0.0, abs=0.15)


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_the_template_s_share_is_found_by_a_network_trained_at_another_share(share: float) -> None:
    labels_n, val_n = answers_at(0.8, share=0.4)
    calibration = calibrate(labels_n, val_n, [f"image {number}" for number in range(20_000)])
    assert calibration is not None
    _, template_n = answers_at(0.8, share=share)
    dataset = SimpleNamespace(train=Images(80), val=Images(40))
    found = prior_shift(dataset, {"calibration": asdict(calibration)}, template_n)  # type: ignore[arg-type]
    assert found == {"train": 0.8, "val": 0.4, "template": pytest.approx(share, abs=0.03)}


def test_without_a_calibration_nothing_is_said_of_the_template() -> None:
    dataset = SimpleNamespace(train=Images(80), val=Images(40))
    assert prior_shift(dataset, {}, np.array([0.5])) == {"train": 0.8, "val": 0.4}  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_share_of_deepfakes_is_found_without_labels(share: float) -> None:
    labels_n, _ = answers(20_000, share)
    evidence_n = RANDOM.normal(np.where(labels_n == 1, 1.0, -1.0), np.sqrt(2))
    calibrated_to_half_n = 1 / (1 + np.exp(-evidence_n))
    assert deepfake_share(calibrated_to_half_n, 0.5) == pytest.approx(share, abs=0.03)


def test_a_reference_of_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="has one class only"):
        deepfake_share(np.array([0.5]), 1.0)
