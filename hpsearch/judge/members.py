"""How many networks the exported model averages.

Fresh trainings of the best configurations err differently, so their mean answer is better than each of them (Lakshminarayanan
et al. 2017). They have been trained to confirm the winner anyway; what an ensemble costs is time wherever it is used.

Legend: n images of the set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.judge.gain import gain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.config import Objective


def num_members(
    labels_n: NDArray[np.integer],
    answers: Sequence[NDArray[np.floating]],
    objective: Objective = "auc",
    parts: Sequence[str] | None = None,
) -> int:
    """How many of the first candidates to average: 1, unless more raise the objective by more than one standard error.

    The error is that of the paired difference to the first candidate alone, see `gain`; of several numbers that pass it, the
    one that gains most.

    Args:
        labels_n: 0 or 1.
        answers: P(deepfake) of each image by each candidate, shape (n,), the winner's first; at least one.
        objective: What trials were compared by.
        parts: Part of each image, for objectives that look at parts.
    """
    alone_n = np.asarray(answers[0])
    best, best_gain = 1, 0.0
    sum_n = np.array(alone_n, dtype=np.float64)
    for number, answers_n in enumerate(answers[1:], start=2):
        sum_n += answers_n
        mean_n = sum_n / number
        gained, error = gain(objective, labels_n, mean_n, alone_n, parts)
        if gained > best_gain and gained > error:
            best, best_gain = number, gained
    return best
