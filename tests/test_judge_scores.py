import numpy as np
import pytest

from hpsearch.judge.scores import split_result

LABELS_N = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
ANSWERS_N = np.array([0.1, 0.2, 0.3, 0.7, 0.4, 0.75, 0.8, 0.9, 0.9, 0.9])


def test_a_set_is_told_with_its_errors_and_how_many_images_are_real() -> None:
    found = split_result(LABELS_N, ANSWERS_N)
    assert (found["num_images"], found["num_real"]) == (10, 4)
    assert found["auc"] == pytest.approx(23 / 24)
    assert found["eer"] == pytest.approx(1 / 5, abs=0.06)
    assert found["brier"] == pytest.approx(np.mean((ANSWERS_N - LABELS_N) ** 2))
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 5 / 6) / 2)
    assert "note" not in found


def test_a_note_is_kept() -> None:
    assert split_result(LABELS_N, ANSWERS_N, note="chosen on them")["note"] == "chosen on them"
