"""Which fresh trainings become one model together: the winner's and those of finalists that it does not clearly beat.

They exist because finalists are trained again with fresh seeds, so an ensemble of them costs no training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.final.finalists import Confirmation, Training
from hpsearch.final.members import see_alike
from hpsearch.judge.members import num_members

if TYPE_CHECKING:
    from hpsearch.config import Objective, Params
    from hpsearch.final.retrain import Retrained


def chosen_members(
    confirmation: Confirmation,
    trainings: Mapping[Training, Retrained],
    *,
    has_model: Callable[[Training], bool],
    params: Callable[[int], Params],
    most: int,
    max_parameters: int,
    objective: Objective,
) -> tuple[Training, ...]:
    """The trainings whose answers the exported model averages; the winner's first one alone where more do not help.

    Args:
        confirmation: What the fresh trainings say; the winner has one with a model.
        trainings: Those that ended well.
        has_model: Whether a training's model is still there.
        params: Configuration of a trial.
        most: How many at most.
        max_parameters: Of all networks together.
        objective: What trials were compared by.
    """
    first = Training(trial=confirmation.winner, repeat=1)
    chosen, num_parameters = [first], trainings[first].num_parameters
    for one in _by_promise(confirmation):
        if len(chosen) == most:
            break
        if one in chosen or one not in trainings or not has_model(one):
            continue
        if not np.array_equal(trainings[one].labels_n, trainings[first].labels_n):  # an image was repaired in between
            continue
        total = num_parameters + trainings[one].num_parameters
        if total <= max_parameters and see_alike(params(one.trial), params(first.trial)):
            chosen.append(one)
            num_parameters = total
    answers = [trainings[one].probabilities_n for one in chosen]
    return tuple(chosen[: num_members(trainings[first].labels_n, answers, objective, trainings[first].parts)])


def _by_promise(confirmation: Confirmation) -> list[Training]:
    """Fresh trainings of the winner, then of the others that are not dropped, the best lower bound first."""
    alive = [one for one in confirmation.standings if not one.dropped]
    order = sorted(alive, key=lambda one: (one.trial != confirmation.winner, -one.lower))
    repeats = max(len(one.values) for one in confirmation.standings)
    return [Training(trial=one.trial, repeat=repeat) for one in order for repeat in range(1, repeats + 1)]
