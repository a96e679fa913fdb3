"""From the tables and folders that were found to image sets: groups attached, both classes checked, notes collected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hpsearch.data.dataset import Dataset, ImageSet, SplitBy, Template, fingerprint
from hpsearch.data.split import split_off_validation
from hpsearch.data.tables import read_table
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNNAMED = "no validation images were named"
"""How the note begins that says how they were split off."""

GROUP_FILE = "groups.csv"
"""Optional file beside the images or their label files: image name and group."""


def image_set(names: Sequence[str], paths: Sequence[str], labels_n: NDArray[np.int64], where: str) -> ImageSet:
    """An image set without groups.

    Args:
        names: As in the label file.
        paths: Absolute.
        labels_n: 0 or 1.
        where: The file or folder that they come from, for the message.

    Raises:
        InputError: no images, or one class only.
    """
    if not names:
        raise InputError(f"{where}: there are no images. Add some of both classes.")
    images = ImageSet(names=names, paths=paths, labels_n=labels_n, groups=None)
    if images.num_deepfakes in (0, len(images)):
        only = "deepfakes (label 1)" if images.num_deepfakes else "real images (label 0)"
        raise InputError(
            f"{where}: all {len(images):,} images are {only}; a detector needs both classes. Add images of the other class."
        )
    return images


def read_groups(directory: Path) -> dict[str, str]:
    """Image name → group, from the group file in `directory`; empty where there is none.

    Raises:
        InputError: the file is wrong, see `read_table`.
    """
    file = directory / GROUP_FILE
    if not file.is_file():
        return {}
    table = read_table(file, required=("name", "group"))
    return dict(zip(table.names, table.values["group"], strict=True))


def with_groups(images: ImageSet, groups: dict[str, str]) -> ImageSet:
    """`images` with the group of each, found by its name or by its last part; an image without one is its own group."""
    if not groups:
        return images
    found = [groups.get(name) or groups.get(PurePosixPath(name).name) or name for name in images.names]
    return ImageSet(names=images.names, paths=images.paths, labels_n=images.labels_n, groups=found)


def assemble(
    source: Path,
    train: ImageSet,
    val: ImageSet | None,
    template: Template | None = None,
    *,
    notes: Sequence[str],
    val_fraction: float,
    seed: int,
) -> Dataset:
    """The data set of `train` and `val`; where `val` is None, it is split off `train`.

    Raises:
        InputError: the split is not possible, see `split_off_validation`.
    """
    all_notes = [*notes]
    split_by: SplitBy = "data"
    if val is None:
        split_by = "image" if train.groups is None else "group"
        train, val = split_off_validation(train, val_fraction=val_fraction, seed=seed)
        by = f"by {split_by}, seed {seed}"
        all_notes.append(f"{UNNAMED}: {len(val):,} were split off the training images, {by}")
    all_notes += _group_notes(train, val)
    return Dataset(
        source=str(source),
        train=train,
        val=val,
        template=template,
        notes=tuple(all_notes),
        fingerprint=fingerprint(train, val, template),
        split_by=split_by,
    )


def _group_notes(train: ImageSet, val: ImageSet) -> list[str]:
    if train.groups is None or val.groups is None:
        return []
    train_groups, val_groups = Counter(train.groups), Counter(val.groups)
    notes = [f"groups: {len(train_groups):,} in training, {len(val_groups):,} in validation"]
    alone = sum(g == n for images in (train, val) for g, n in zip(images.groups or (), images.names, strict=True))
    if alone:
        notes.append(f"{alone:,} images have no group in {GROUP_FILE}; each counts as its own")
    both = len(train_groups.keys() & val_groups.keys())
    if both:
        notes.append(f"{both:,} groups are in training and in validation alike, so validation scores will be too good")
    return notes
