"""How many networks are averaged: as many as help beyond noise."""

import numpy as np

from hpsearch.judge.members import num_members

LABELS_N = np.arange(400) % 2


def answers_of(seed: int, *, noise: float = 0.3, signal: float = 0.2) -> np.ndarray:
    return np.clip(0.5 + signal * (LABELS_N - 0.5) + np.random.default_rng(seed).normal(0, noise, 400), 0, 1)


def test_networks_that_err_independently_are_averaged() -> None:
    assert num_members(LABELS_N, [answers_of(seed) for seed in range(5)]) == 5


def test_one_is_enough_where_the_others_answer_the_same() -> None:
    first_n = answers_of(0)
    assert num_members(LABELS_N, [first_n, 0.9 * first_n, first_n**2]) == 1


def test_what_knows_nothing_is_left_out() -> None:
    good = [answers_of(seed) for seed in range(2)]
    assert num_members(LABELS_N, [*good, answers_of(7, noise=3.0, signal=0.0)]) == 2


def test_only_images_of_the_shift_part_decide_under_a_shift_split() -> None:
    parts = np.where(np.arange(400) < 200, "shift", "seen").tolist()
    seen_only = [np.where(np.arange(400) < 200, answers_of(0), answers_of(seed)) for seed in range(5)]
    assert num_members(LABELS_N, seen_only) > 1
    assert num_members(LABELS_N, seen_only, "shift_auc", parts) == 1
    shift_only = [np.where(np.arange(400) < 200, answers_of(seed), answers_of(0)) for seed in range(5)]
    assert num_members(LABELS_N, shift_only, "shift_auc", parts) > 1


def test_a_single_candidate_stands_alone() -> None:
    assert num_members(LABELS_N, [answers_of(0)]) == 1
