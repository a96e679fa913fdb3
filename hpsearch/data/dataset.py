"""What the data room hands on: labelled images by name and path, and the template of a submission.

Axis legend: `n` counts images of one set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from hpsearch.data.cache_order import CacheOrder
from hpsearch.data.string_column import StringColumn

if TYPE_CHECKING:
    from numpy.typing import NDArray

REAL, DEEPFAKE = 0, 1
"""The two labels."""

LABEL_WORDS = {
    **dict.fromkeys(("real", "original", "authentic", "genuine", "0"), REAL),
    **dict.fromkeys(("fake", "deepfake", "manipulated", "synthetic", "generated", "1"), DEEPFAKE),
}
"""What people call them, in any case, in label files and as names of folders."""

SplitBy = Literal["data", "group", "image"]
"""The data named them; hpsearch split them off by group; or image by image, since nothing else was known."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageSet:
    """Labelled images, in the order of their label file; strings are kept as columns, whatever they are given as."""

    names: Sequence[str]
    """As in the label file; a submission uses such names."""
    paths: Sequence[str]
    """Absolute path of each image."""
    labels_n: NDArray[np.int64]
    """1 = deepfake, 0 = real."""
    groups: Sequence[str] | None
    """Identity or source of each image where a group file says it."""
    parts: Sequence[str] | None = None
    """Part of the set that each image is also scored in, for objectives that look at parts."""

    def __post_init__(self) -> None:
        _keep_as_columns(self, "names", "paths", "groups", "parts")

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: Iterable[int]) -> ImageSet:
        """The images at `indices`, in that order."""
        chosen_n = np.fromiter(indices, np.int64)
        return ImageSet(
            names=StringColumn.of(self.names).take(chosen_n),
            paths=StringColumn.of(self.paths).take(chosen_n),
            labels_n=self.labels_n[chosen_n],
            groups=None if self.groups is None else StringColumn.of(self.groups).take(chosen_n),
            parts=None if self.parts is None else StringColumn.of(self.parts).take(chosen_n),
        )

    def joined(self, other: ImageSet) -> ImageSet:
        """These images and then those of `other`; groups where both have them, parts of neither."""
        no_groups = self.groups is None or other.groups is None
        return ImageSet(
            names=StringColumn.of(self.names) + other.names,
            paths=StringColumn.of(self.paths) + other.paths,
            labels_n=np.concatenate([self.labels_n, other.labels_n]),
            groups=None if no_groups else StringColumn.of(self.groups or ()) + (other.groups or ()),
        )

    @property
    def num_deepfakes(self) -> int:
        """Images with label 1."""
        return int(self.labels_n.sum())


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """The images that a submission must score, without labels."""

    file: Path
    """The template file."""
    names: Sequence[str]
    """The names, in the template's order."""
    paths: Sequence[str]
    """Absolute path of each image."""

    def __post_init__(self) -> None:
        _keep_as_columns(self, "names", "paths")

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Dataset:
    """All that was found at one `--data`."""

    source: str
    """What was asked for."""
    train: ImageSet
    """Images to train on."""
    val: ImageSet
    """Images that trials are compared on."""
    template: Template | None
    """Images to predict for a submission, where there are any."""
    notes: tuple[str, ...]
    """What a reader should know: which columns and files were used, what was left out."""
    fingerprint: str
    """Hash of names, labels, groups and splits; the same wherever the files lie."""
    holdout: ImageSet | None = None
    """Images that nothing is chosen on; None: none were asked for."""
    split_by: SplitBy = "data"
    """What decided which images validate."""
    cache_order: CacheOrder = field(init=False)
    """Where the images of train, val and holdout lie in the cache; workers get it with the data set and compute nothing."""

    def __post_init__(self) -> None:
        sets = [self.train, self.val, *([] if self.holdout is None else [self.holdout])]
        object.__setattr__(self, "cache_order", CacheOrder.of([images.paths for images in sets]))


def _keep_as_columns(owner: ImageSet | Template, *names: str) -> None:
    for name in names:
        strings = getattr(owner, name)
        if strings is not None:
            object.__setattr__(owner, name, StringColumn.of(strings))  # the owner is frozen from here on


def fingerprint(train: ImageSet, val: ImageSet, template: Template | None, holdout: ImageSet | None = None) -> str:
    """Hash of what identifies a data set: names, labels, groups and splits, but neither paths nor pixels."""
    digest = hashlib.blake2b(digest_size=16)
    for images in (train, val) if holdout is None else (train, val, holdout):
        digest.update("\0".join(images.names).encode(errors="surrogateescape"))
        digest.update(images.labels_n.astype(np.uint8).tobytes())
        digest.update("\0".join((*(images.groups or ()), *(images.parts or ()))).encode(errors="surrogateescape"))
        digest.update(b"\1")
    digest.update("\0".join(template.names if template else ()).encode(errors="surrogateescape"))
    return digest.hexdigest()
