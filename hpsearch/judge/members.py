"""How many networks the exported model averages.

Fresh trainings of the best configurations err differently, so their mean answer is better than each of them (Lakshminarayanan
et al. 2017). They have been trained to confirm the winner anyway; what an ensemble costs is time wherever it is used.

Legend: n images of the set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.judge.intervals import difference_error
from hpsearch.judge.objectives import auc

if TYPE_CHECKING:
    from numpy.typing import NDArray


def num_members(labels_n: NDArray[np.integer], answers: Sequence[NDArray[np.floating]]) -> int:
    """How many of the first candidates to average: 1, unless more have a larger AUC by more than one standard error.

    The error is that of the paired difference to the first candidate alone (DeLong); of several numbers that pass it, the
    one with the largest AUC.

    Args:
        labels_n: 0 or 1.
        answers: P(deepfake) of each image by each candidate, shape (n,), the winner's first; at least one.
    """
    alone_n = np.asarray(answers[0])
    best, best_auc = 1, auc(labels_n, alone_n)
    sum_n = np.array(alone_n, dtype=np.float64)
    for number, answers_n in enumerate(answers[1:], start=2):
        sum_n += answers_n
        mean_n = sum_n / number
        value = auc(labels_n, mean_n)
        if value > best_auc and value - auc(labels_n, alone_n) > difference_error(labels_n, mean_n, alone_n):
            best, best_auc = number, value
    return best
