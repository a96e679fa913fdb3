"""Decoded training and validation images of one data set at one size, from the node's cache.

Axis legend: `r` rows of the cache, `n` images of one set, `h`, `w`, `c` height, width and channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.cache import ImageCache, Progress, open_or_build
from hpsearch.data.dataset import Dataset, ImageSet
from hpsearch.data.remote import is_remote, local_copy
from hpsearch.data.string_column import StringColumn
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, weakref_slot=True)
class LabelledImages:
    """One set of decoded images: image i is `images_nhwc[indices_n[i]]`, its label `labels_n[i]`."""

    images_nhwc: NDArray[np.uint8]
    """Pixels, 0–255, RGB, square; mapped from the cache, whose rows hold the images of other sets too."""
    labels_n: NDArray[np.int64]
    """Label of each image of this set: 1 = deepfake, 0 = real; as long as `indices_n`."""
    indices_n: NDArray[np.int64]
    """Row of each image of this set; unreadable images are left out."""
    parts: Sequence[str] | None = None
    """Part of the set that each image is also scored in, see `ImageSet.parts`."""

    def __len__(self) -> int:
        return len(self.indices_n)

    @property
    def px(self) -> int:
        """Side of the images."""
        return int(self.images_nhwc.shape[1])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainingData:
    """What a trial trains on and is evaluated on."""

    train: LabelledImages
    """Images to train on."""
    val: LabelledImages
    """Images that trials are compared on."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """Path and reason of each image that could not be decoded."""
    holdout: LabelledImages | None = None
    """Images that nothing is chosen on; None: none were asked for."""


def open_training_data(
    dataset: Dataset,
    *,
    px: int,
    cache_dir: Path,
    num_workers: int,
    max_unreadable_fraction: float,
    progress: Progress | None = None,
) -> TrainingData:
    """Opens the decoded images of `dataset` at `px`, building the node's cache where it is missing.

    Images of an object store are fetched first where this node has no copy of them. All images lie in one cache, in the order
    of their paths, so that another split of the same images uses it too.

    Raises:
        InputError: too many unreadable images, or only one class left.
        StorageError: see `open_or_build`.
    """
    if is_remote(dataset.source):
        local_copy(dataset.source, cache_dir, progress)
    order, held = dataset.cache_order, dataset.holdout
    cache = open_or_build(
        order.paths,
        px=px,
        cache_dir=cache_dir,
        num_workers=num_workers,
        max_unreadable_fraction=max_unreadable_fraction,
        progress=progress,
    )
    return TrainingData(
        train=_labelled(dataset.train, cache, order.rows[0], "training"),
        val=_labelled(dataset.val, cache, order.rows[1], "validation"),
        unreadable=cache.unreadable,
        holdout=None if held is None else _labelled(held, cache, order.rows[2], "holdout"),
    )


def _labelled(images: ImageSet, cache: ImageCache, row_n: NDArray[np.int64], what: str) -> LabelledImages:
    readable_n = cache.readable_n[row_n]
    labels_n = images.labels_n[readable_n]
    if len(np.unique(labels_n)) < 2:
        raise InputError(
            f"of the {len(images):,} {what} images, {len(labels_n):,} can be read, and those are of one class. "
            "Replace the unreadable ones, or lower data.max_unreadable_fraction to see them."
        )
    if readable_n.all():  # then nothing is copied: every worker of the node reads the same arrays
        return LabelledImages(images_nhwc=cache.images_nhwc, labels_n=images.labels_n, indices_n=row_n, parts=images.parts)
    parts = None if images.parts is None else StringColumn.of(images.parts).take(np.flatnonzero(readable_n))
    return LabelledImages(images_nhwc=cache.images_nhwc, labels_n=labels_n, indices_n=row_n[readable_n], parts=parts)
