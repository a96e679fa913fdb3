import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hpsearch.errors import InputError
from hpsearch.judge.objectives import auc, objective_value, part_aucs, sampling_error

RANDOM = np.random.default_rng(0)
LABELS_N = np.arange(400) % 2
ANSWERS_N = np.clip(0.5 + 0.2 * (LABELS_N - 0.5) + RANDOM.normal(0, 0.2, 400), 0, 1)
PARTS = ["easy"] * 200 + ["hard"] * 200


def test_auc_is_that_of_sklearn_also_with_ties() -> None:
    rounded_n = ANSWERS_N.round(1)
    assert auc(LABELS_N, rounded_n) == pytest.approx(roc_auc_score(LABELS_N, rounded_n))


def test_shift_auc_looks_at_the_part_that_was_not_trained_on() -> None:
    parts = ["seen"] * 200 + ["shift"] * 200
    wanted = roc_auc_score(LABELS_N[200:], ANSWERS_N[200:])
    assert objective_value("shift_auc", LABELS_N, ANSWERS_N, parts) == pytest.approx(wanted)


def test_the_worst_group_decides() -> None:
    answers_n = ANSWERS_N.copy()
    answers_n[200:] = 1 - answers_n[200:]
    values = part_aucs(LABELS_N, answers_n, PARTS)
    assert objective_value("worst_group_auc", LABELS_N, answers_n, PARTS) == values["hard"] < 0.5 < values["easy"]


def test_a_part_of_one_class_is_scored_against_all_of_the_other() -> None:
    parts = np.where(LABELS_N == 1, np.where(np.arange(400) < 200, "method a", "method b"), "real")
    first_n = (LABELS_N == 0) | (np.arange(400) < 200)
    assert part_aucs(LABELS_N, ANSWERS_N, parts.tolist())["method a"] == pytest.approx(
        roc_auc_score(LABELS_N[first_n], ANSWERS_N[first_n])
    )


def test_small_parts_do_not_count() -> None:
    assert set(part_aucs(LABELS_N, ANSWERS_N, ["few"] * 10 + ["many"] * 390)) == {"many"}
    with pytest.raises(InputError, match="worst_group_auc needs groups with 20"):
        objective_value("worst_group_auc", LABELS_N, ANSWERS_N, [str(number) for number in range(400)])


def test_the_sampling_error_of_the_worst_group_is_of_the_groups_that_count() -> None:
    spread = np.std([noisy_auc(np.arange(100) % 2, seed) for seed in range(400)])
    small = [f"small{number // 2}" for number in range(200)]
    error = sampling_error("worst_group_auc", 0.8, LABELS_N, [*["a"] * 100, *["b"] * 100, *small])
    assert error == pytest.approx(spread, rel=0.15)
    assert error == sampling_error("worst_group_auc", 0.8, LABELS_N[:200], ["a"] * 100 + ["b"] * 100)


def noisy_auc(labels_n: np.ndarray, seed: int) -> float:
    """An AUC of 0.8 but for sampling."""
    return auc(labels_n, np.random.default_rng(seed).normal(1.19 * labels_n))


def test_accuracy_and_auc_look_at_all_images() -> None:
    assert objective_value("accuracy", LABELS_N, ANSWERS_N, None) == pytest.approx(np.mean((ANSWERS_N >= 0.5) == LABELS_N))
    assert objective_value("auc", LABELS_N, ANSWERS_N, PARTS) == pytest.approx(roc_auc_score(LABELS_N, ANSWERS_N))
