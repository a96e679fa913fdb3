"""Which fresh trainings may be averaged with the winner's: those that are there, fit together and within the limit."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpsearch.config import Params
from hpsearch.final.finalists import Confirmation, Standing, Training
from hpsearch.final.retrain import Retrained
from hpsearch.job.members import chosen_members

LABELS_N = np.arange(400) % 2
PARAMS: Params = {"backbone": "resnet18", "image_px": 32}


def retrained(seed: int) -> Retrained:
    probabilities_n = np.clip(0.5 + 0.2 * (LABELS_N - 0.5) + np.random.default_rng(seed).normal(0, 0.3, 400), 0, 1)
    return Retrained(labels_n=LABELS_N, probabilities_n=probabilities_n, value=0.6, curve=[], num_parameters=10)


def standing(trial: int, num_values: int, *, lower: float, dropped: bool = False) -> Standing:
    return Standing(trial=trial, first_score=0.6, values=(0.6,) * num_values, mean=0.6, lower=lower, dropped=dropped)


CONFIRMATION = Confirmation(
    standings=(
        standing(1, 1, lower=0.1),
        standing(2, 2, lower=0.4),
        standing(3, 2, lower=0.3),
        standing(4, 1, lower=0.2, dropped=True),
    ),
    winner=2,
    optimism=None,
    noise=0.01,
    num_trainings=6,
)
TRAININGS = {
    Training(trial=trial, repeat=repeat): retrained(10 * trial + repeat)
    for trial, repeat in ((1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1))
}


def chosen(*, params: Mapping[int, Params] | None = None, **changes: Any) -> list[tuple[int, int]]:
    arguments: dict[str, Any] = {
        "has_model": lambda one: True,
        "most": 10,
        "max_parameters": 1000,
        "objective": "auc",
        **changes,
    }
    known = params or {}
    found = chosen_members(CONFIRMATION, TRAININGS, params=lambda trial: known.get(trial, PARAMS), **arguments)
    return [(one.trial, one.repeat) for one in found]


def test_the_winners_come_first_and_beaten_finalists_not_at_all() -> None:
    assert chosen() == [(2, 1), (2, 2), (3, 1), (3, 2), (1, 1)]


def test_no_more_than_asked_for() -> None:
    assert chosen(most=3) == [(2, 1), (2, 2), (3, 1)]
    assert chosen(most=1) == [(2, 1)]


def test_all_networks_together_stay_within_the_limit() -> None:
    assert chosen(max_parameters=35) == [(2, 1), (2, 2), (3, 1)]


def test_a_training_whose_model_is_gone_is_left_out() -> None:
    assert chosen(has_model=lambda one: one.trial != 3) == [(2, 1), (2, 2), (1, 1)]


def test_members_are_chosen_by_the_objective_of_the_study() -> None:
    assert len(chosen(objective="auc")) > 1
    assert chosen(objective="shift_auc") == [(2, 1)]  # these trainings tell of no shift part


def test_networks_that_see_other_pixels_are_left_out() -> None:
    others: dict[int, Params] = {3: {**PARAMS, "image_px": 64}, 1: {**PARAMS, "augment.hflip.p": 0.5}}
    assert chosen(params=others) == [(2, 1), (2, 2), (1, 1)]
