"""What the data room hands on: labelled images by name and path, and the template of a submission.

Axis legend: `n` counts images of one set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

REAL, DEEPFAKE = 0, 1
"""The two labels."""

SplitBy = Literal["data", "group", "image"]
"""The data named them; hpsearch split them off by group; or image by image, since nothing else was known."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageSet:
    """Labelled images, in the order of their label file."""

    names: tuple[str, ...]
    """As in the label file; a submission uses such names."""
    paths: tuple[str, ...]
    """Absolute path of each image."""
    labels_n: NDArray[np.int64]
    """1 = deepfake, 0 = real."""
    groups: tuple[str, ...] | None
    """Identity or source of each image where a group file says it."""
    parts: tuple[str, ...] | None = None
    """Part of the set that each image is also scored in, for objectives that look at parts."""

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: Iterable[int]) -> ImageSet:
        """The images at `indices`, in that order."""
        chosen = [int(index) for index in indices]
        return ImageSet(
            names=tuple(self.names[i] for i in chosen),
            paths=tuple(self.paths[i] for i in chosen),
            labels_n=self.labels_n[chosen],
            groups=None if self.groups is None else tuple(self.groups[i] for i in chosen),
            parts=None if self.parts is None else tuple(self.parts[i] for i in chosen),
        )

    def joined(self, other: ImageSet) -> ImageSet:
        """These images and then those of `other`; groups where both have them, parts of neither."""
        both = self.groups is not None and other.groups is not None
        return ImageSet(
            names=self.names + other.names,
            paths=self.paths + other.paths,
            labels_n=np.concatenate([self.labels_n, other.labels_n]),
            groups=(*(self.groups or ()), *(other.groups or ())) if both else None,
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
    column: str
    """Its column of image names, as written there."""
    names: tuple[str, ...]
    """The names, in the template's order."""
    paths: tuple[str, ...]
    """Absolute path of each image."""

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


def fingerprint(train: ImageSet, val: ImageSet, template: Template | None, holdout: ImageSet | None = None) -> str:
    """Hash of what identifies a data set: names, labels, groups and splits, but neither paths nor pixels."""
    digest = hashlib.blake2b(digest_size=16)
    for images in (train, val) if holdout is None else (train, val, holdout):
        digest.update("\0".join(images.names).encode(errors="surrogateescape"))
        digest.update(images.labels_n.astype(np.uint8).tobytes())
        digest.update("\0".join((images.groups or ()) + (images.parts or ())).encode(errors="surrogateescape"))
        digest.update(b"\1")
    digest.update("\0".join(template.names if template else ()).encode(errors="surrogateescape"))
    return digest.hexdigest()
