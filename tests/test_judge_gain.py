"""What other answers gain is told in the objective that trials were compared by."""

import math

import numpy as np
import pytest

from hpsearch.judge.gain import gain
from hpsearch.judge.intervals import difference_error
from hpsearch.judge.objectives import objective_value

LABELS_N = np.arange(400) % 2
PARTS = np.where(np.arange(400) < 200, "a", "b").tolist()


def answers_of(seed: int, spread_a: float, spread_b: float) -> np.ndarray:
    spread_n = np.where(np.arange(400) < 200, spread_a, spread_b)
    return 0.5 + 0.2 * (LABELS_N - 0.5) + spread_n * np.random.default_rng(seed).normal(0, 1, 400)


def test_what_the_better_group_gains_is_no_gain_of_the_worst_one() -> None:
    plain_n = answers_of(0, 0.4, 0.2)
    other_n = np.where(np.arange(400) < 200, plain_n, answers_of(1, 0.4, 0.01))
    gained, error = gain("worst_group_auc", LABELS_N, other_n, plain_n, PARTS)
    assert (gained, error) == (0.0, 0.0)
    assert gain("auc", LABELS_N, other_n, plain_n)[0] > 0.03


def test_the_error_of_the_worst_group_is_that_of_the_group_that_was_worst() -> None:
    plain_n, other_n = answers_of(0, 0.4, 0.2), answers_of(1, 0.1, 0.2)
    gained, error = gain("worst_group_auc", LABELS_N, other_n, plain_n, PARTS)
    values = [objective_value("worst_group_auc", LABELS_N, one, PARTS) for one in (other_n, plain_n)]
    assert gained == values[0] - values[1] > 0
    assert error == difference_error(LABELS_N[:200], other_n[:200], plain_n[:200])


def test_accuracies_are_compared_image_by_image() -> None:
    plain_n = np.where(np.arange(400) < 100, 1.0 - LABELS_N, LABELS_N)
    gained, error = gain("accuracy", LABELS_N, LABELS_N.astype(float), plain_n)
    assert gained == 0.25
    assert error == pytest.approx(math.sqrt(0.25 * 0.75 / 400))


@pytest.mark.parametrize("objective", ["shift_auc", "worst_group_auc"])
def test_parts_that_are_too_small_say_nothing(objective: str) -> None:
    parts = [f"p{number}" for number in range(400)]
    found = gain(objective, LABELS_N, answers_of(0, 0.1, 0.1), answers_of(1, 0.3, 0.3), parts)  # type: ignore[arg-type]
    assert found == (0.0, math.inf)
