"""The order of training images is a pure function of seed and number."""

import numpy as np
import pytest

from hpsearch.data.order import ImageOrder

LABELS = np.array([1] * 80 + [0] * 20)


@pytest.mark.parametrize("balance", [0.0, 0.4, 1.0])
def test_any_part_of_the_order_can_be_asked_for_by_itself(balance: float) -> None:
    whole = ImageOrder(LABELS, seed=3, balance=balance).positions(0, 5000)
    for first, count in ((0, 1), (99, 2), (100, 64), (1000, 2100), (4999, 1)):
        part = ImageOrder(LABELS, seed=3, balance=balance).positions(first, count)
        assert np.array_equal(part, whole[first : first + count])


def test_without_balancing_each_pass_is_a_fresh_permutation() -> None:
    passes = ImageOrder(LABELS, seed=0, balance=0).positions(0, 300).reshape(3, 100)
    for positions in passes:
        assert sorted(positions) == list(range(100))
    assert not np.array_equal(passes[0], passes[1])


@pytest.mark.parametrize("balance", [0.0, 1.0])
def test_another_seed_is_another_order(balance: float) -> None:
    first, second = (ImageOrder(LABELS, seed=seed, balance=balance).positions(0, 100) for seed in (0, 1))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(("balance", "share"), [(0.0, 0.8), (0.5, 2 / 3), (1.0, 0.5)])
def test_classes_come_in_proportion_to_their_share_to_the_power_of_one_minus_balance(balance: float, share: float) -> None:
    positions = ImageOrder(LABELS, seed=0, balance=balance).positions(0, 10_240)
    assert LABELS[positions].mean() == pytest.approx(share, abs=1e-3)


def test_balanced_classes_each_go_through_permutations_of_their_own() -> None:
    positions = ImageOrder(LABELS, seed=0, balance=1).positions(0, 4096)
    for label, members in ((0, range(80, 100)), (1, range(80))):
        of_class = positions[LABELS[positions] == label]
        passes = of_class[: len(of_class) // len(members) * len(members)].reshape(-1, len(members))
        assert all(sorted(one) == list(members) for one in passes)


def test_balanced_classes_do_not_take_turns_regularly() -> None:
    labels = LABELS[ImageOrder(LABELS, seed=0, balance=1).positions(0, 1024)]
    assert 0.4 < np.mean(labels[:-1] != labels[1:]) < 0.6
