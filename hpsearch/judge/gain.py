"""What is won by answering otherwise, in the objective that trials were compared by, and how sure that is.

Legend: `n` images of the set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.judge.intervals import difference_error
from hpsearch.judge.objectives import SHIFT, auc, counted_in_parts, objective_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.config import Objective


def gain(
    objective: Objective,
    labels_n: NDArray[np.integer],
    answers_n: NDArray[np.floating],
    plain_n: NDArray[np.floating],
    parts: Sequence[str] | None = None,
) -> tuple[float, float]:
    """How much larger the objective is with `answers_n` than with `plain_n`, and the paired standard error of that.

    The error of an AUC is DeLong's, of the images that the objective looks at. For the worst group there is no such formula:
    it is that of the group which is worst with `plain_n`, since the smallest AUC cannot gain more than that group does.

    Returns:
        (0, infinity) where parts are too small to be compared.
    """
    if objective == "accuracy":
        right_n, plain_right_n = ((one >= 0.5) == (labels_n == 1) for one in (answers_n, plain_n))
        won_n = right_n.astype(np.int64) - plain_right_n
        return float(won_n.mean()), float(won_n.std() / math.sqrt(len(won_n)))
    counted_n = _counted(objective, labels_n, plain_n, parts)
    if len(np.unique(labels_n[counted_n])) < 2:
        return 0.0, math.inf
    values = [objective_value(objective, labels_n, one, parts) for one in (answers_n, plain_n)]
    return values[0] - values[1], difference_error(labels_n[counted_n], answers_n[counted_n], plain_n[counted_n])


def _counted(
    objective: Objective, labels_n: NDArray[np.integer], plain_n: NDArray[np.floating], parts: Sequence[str] | None
) -> NDArray[np.bool_]:
    """The images whose AUC is looked at; none where parts are too small."""
    if objective == "auc":
        return np.ones(len(labels_n), dtype=bool)
    if objective == "shift_auc":
        return np.asarray(np.array(parts if parts is not None else [""] * len(labels_n)) == SHIFT)
    by_part = counted_in_parts(labels_n, parts or ())
    nothing_n = np.zeros(len(labels_n), dtype=bool)
    return min(by_part.values(), key=lambda part_n: auc(labels_n[part_n], plain_n[part_n]), default=nothing_n)
