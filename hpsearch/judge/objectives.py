"""What the search maximises: one number of a trial's answers on the validation images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.config import Objective

SHIFT, SEEN = "shift", "seen"
"""Parts of the validation images under a shift split: of clusters that training never saw, and of others."""
MIN_IMAGES_OF_A_PART = 20
"""Images of a class below which the AUC of a part is noise (standard error above 0.06 at an AUC of 0.85)."""


def objective_value(
    objective: Objective, labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating], parts: Sequence[str] | None
) -> float:
    """The value of `probabilities_n` = P(deepfake) against `labels_n`; larger is better.

    Args:
        objective: `auc`; `accuracy` at threshold 0.5; `shift_auc`, the AUC of the images of part `shift`;
            `worst_group_auc`, the smallest AUC of a part, see `part_aucs`.
        labels_n: 0 or 1.
        probabilities_n: Finite.
        parts: Part of each image, for the last two.

    Raises:
        InputError: the split has no such parts.
    """
    if objective == "accuracy":
        return float(np.mean((probabilities_n >= 0.5) == (labels_n == 1)))
    if objective == "auc":
        return auc(labels_n, probabilities_n)
    if objective == "shift_auc":
        shifted_n = np.array(parts or ()) == SHIFT
        if parts is None or len(np.unique(labels_n[shifted_n])) < 2:
            raise InputError("search.objective shift_auc needs validation images of both classes; raise judge.shift.")
        return auc(labels_n[shifted_n], probabilities_n[shifted_n])
    values = part_aucs(labels_n, probabilities_n, parts or ())
    if not values:
        raise InputError(
            f"search.objective worst_group_auc needs groups with {MIN_IMAGES_OF_A_PART} validation images of a class; "
            "there are none. Give larger groups in groups.csv, or choose auc."
        )
    return min(values.values())


def sampling_error(objective: Objective, value: float, labels_n: NDArray[np.integer], parts: Sequence[str] | None) -> float:
    """Standard error of `value` from the number of images alone (Hanley and McNeil 1982 for an AUC).

    For the worst group it is the root mean square over the groups that count.
    """
    if objective == "accuracy":
        inside = min(max(value, 0.5 / len(labels_n)), 1 - 0.5 / len(labels_n))
        return float(np.sqrt(inside * (1 - inside) / len(labels_n)))
    counted = [np.ones(len(labels_n), dtype=bool)]
    if objective == "shift_auc":
        counted = [np.array(parts or ()) == SHIFT]
    elif objective == "worst_group_auc":
        counted = list(counted_in_parts(labels_n, parts or ()).values())
    return float(np.sqrt(np.mean([_auc_error(value, labels_n[counted_n]) ** 2 for counted_n in counted])))


def _auc_error(value: float, labels_n: NDArray[np.integer]) -> float:
    num_fakes, num_reals = (max(1, int(np.sum(labels_n == label))) for label in (1, 0))
    inside = min(max(value, 0.5 / (num_fakes * num_reals)), 1 - 0.5 / (num_fakes * num_reals))
    spread = inside * (1 - inside) + (num_fakes - 1) * (inside / (2 - inside) - inside**2)
    spread += (num_reals - 1) * (2 * inside**2 / (1 + inside) - inside**2)
    return float(np.sqrt(spread / (num_fakes * num_reals)))


def part_aucs(labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating], parts: Sequence[str]) -> dict[str, float]:
    """AUC of each part that is large enough, by name, on the images of `counted_in_parts`."""
    counted = counted_in_parts(labels_n, parts)
    return {name: auc(labels_n[counted_n], probabilities_n[counted_n]) for name, counted_n in counted.items()}


def counted_in_parts(labels_n: NDArray[np.integer], parts: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Images that the AUC of each part is of, for parts that are large enough, by name.

    A part with enough images of both classes is scored on its own. One with enough images of a single class is scored
    against all images of the other one, as methods of forgery are.
    """
    counted = {}
    parts_n = np.array(parts)
    for name in np.unique(parts_n):
        inside_n = parts_n == name
        large = [label for label in (0, 1) if np.sum(inside_n & (labels_n == label)) >= MIN_IMAGES_OF_A_PART]
        if large:
            counted[str(name)] = inside_n if len(large) == 2 else (inside_n & (labels_n == large[0])) | (labels_n != large[0])
    return counted


def auc(labels_n: NDArray[np.integer], probabilities_n: NDArray[np.floating]) -> float:
    """Area under the ROC curve, ties counted half; both classes must be there."""
    from scipy.stats import rankdata

    num_fakes = int(np.sum(labels_n == 1))
    num_reals = len(labels_n) - num_fakes
    rank_sum = float(rankdata(probabilities_n)[labels_n == 1].sum())
    return (rank_sum - num_fakes * (num_fakes + 1) / 2) / (num_fakes * num_reals)
