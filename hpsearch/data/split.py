"""Splitting validation images off where the data names no split: whole groups, both classes, deterministic in a seed.

Axis legend: `n` counts images, `g` groups.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.dataset import DEEPFAKE, REAL, ImageSet
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def split_off_validation(images: ImageSet, *, val_fraction: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Splits `images` into training and validation images.

    Groups stay whole where they are known. The order in which groups (else images) are offered to the validation set is a
    hash of the seed and their name, so that images added later move few of the others.

    Args:
        images: What to split.
        val_fraction: Share of each class that validates, as near as whole groups allow.
        seed: Another seed gives another split.

    Raises:
        InputError: too few groups or images for both classes on both sides.
    """
    groups = images.names if images.groups is None else images.groups
    is_val_n = chosen_groups(groups, images.labels_n, val_fraction, seed)
    train, val = images.take(np.flatnonzero(~is_val_n)), images.take(np.flatnonzero(is_val_n))
    for part in (train, val):
        if part.num_deepfakes in (0, len(part)):
            what = "images" if images.groups is None else "groups"
            raise InputError(
                f"{len(images):,} images in {len(set(groups)):,} {what} cannot be split into training and validation images "
                f"with real ones and deepfakes in both. Add {what} of both classes, or name the split yourself "
                "(a column `split` with `train` and `val`, or folders train/ and val/)."
            )
    return train, val


def chosen_groups(groups: Sequence[str], labels_n: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Whole groups with about `fraction` of each class, as a mask of shape (n,); in the order of a hash of seed and name."""
    numbers: dict[str, int] = {}
    group_n = np.array([numbers.setdefault(group, len(numbers)) for group in groups])
    reals, fakes = (np.bincount(group_n[labels_n == label], minlength=len(numbers)).tolist() for label in (REAL, DEEPFAKE))
    still_reals, still_fakes = (max(1, round(sum(counts) * fraction)) for counts in (reals, fakes))
    is_val_g: NDArray[np.bool_] = np.zeros(len(numbers), dtype=bool)
    for group in sorted(numbers, key=lambda group: _hash(seed, group)):
        g = numbers[group]
        if abs(still_reals - reals[g]) + abs(still_fakes - fakes[g]) < abs(still_reals) + abs(still_fakes):
            still_reals, still_fakes = still_reals - reals[g], still_fakes - fakes[g]
            is_val_g[g] = True
    is_val_n: NDArray[np.bool_] = is_val_g[group_n]
    return is_val_n


def _hash(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}:{name}".encode(errors="surrogateescape"), digest_size=8).digest()
