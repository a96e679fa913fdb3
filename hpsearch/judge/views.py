"""Test-time augmentation: an image seen several times, the answers averaged as probabilities.

A view is a change of the stored image (uint8, before the rule of size and crop): itself, one of its four corners of 7/8 of
the side, and each of these mirrored. Which views a model is used with is chosen on validation images, see `chosen_views`.

Legend: b images of a batch, n images of the set, c colours, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from hpsearch.judge.gain import gain

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.config import Objective

Views = Literal["none", "flip", "crops", "flip_crops"]
"""`none`: the image alone; with its mirror image; with its corners; with all of their mirror images."""

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))
WHOLE, MIRRORED = "whole", "mirrored"
_CORNER_NAMES = tuple(f"corner{row}{column}" for row, column in CORNERS)
SINGLE_VIEWS: Mapping[Views, tuple[str, ...]] = {
    "none": (WHOLE,),
    "flip": (WHOLE, MIRRORED),
    "crops": (WHOLE, *_CORNER_NAMES),
    "flip_crops": (WHOLE, MIRRORED, *_CORNER_NAMES, *(f"{MIRRORED} {name}" for name in _CORNER_NAMES)),
}
"""What each kind of views averages, by name."""
ALL_VIEWS = SINGLE_VIEWS["flip_crops"]


def view(images_bchw: Tensor, name: str) -> Tensor:
    """One view of square images, by its name in `ALL_VIEWS`."""
    where = name.removeprefix(MIRRORED).strip()
    if where in _CORNER_NAMES:
        row, column = CORNERS[_CORNER_NAMES.index(where)]
        side = images_bchw.shape[-1]
        corner = side * 7 // 8
        top, left = (place * (side - corner) for place in (row, column))
        images_bchw = images_bchw[:, :, top : top + corner, left : left + corner]
    return images_bchw.flip(3) if name.startswith(MIRRORED) else images_bchw


def chosen_views(
    labels_n: NDArray[np.integer],
    answers: Mapping[str, NDArray[np.floating]],
    objective: Objective = "auc",
    parts: Sequence[str] | None = None,
) -> Views:
    """The kind of views to use a model with.

    The simplest one, unless another raises the objective by more than one standard error of the paired difference, see
    `gain`: with four kinds to choose from, noise alone would else choose something.

    Args:
        labels_n: 0 or 1.
        answers: Name in `ALL_VIEWS` → P(deepfake) of each image in that view, shape (n,); `whole` at least. Kinds that
            need a view which is not there are not chosen.
        objective: What trials were compared by.
        parts: Part of each image, for objectives that look at parts.
    """
    best: Views = "none"
    plain_n = averaged(answers, "none")
    best_gain = 0.0
    for kind, names in SINGLE_VIEWS.items():
        if not answers.keys() >= set(names):
            continue
        answers_n = averaged(answers, kind)
        gained, error = gain(objective, labels_n, answers_n, plain_n, parts)
        if gained > best_gain and gained > error:
            best, best_gain = kind, gained
    return best


def averaged(answers: Mapping[str, NDArray[np.floating]], kind: Views) -> NDArray[np.float64]:
    """Mean probability over the views of `kind`, shape (n,)."""
    return np.asarray(np.mean([answers[name] for name in SINGLE_VIEWS[kind]], axis=0), dtype=np.float64)
