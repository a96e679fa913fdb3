"""One CSV file with a column of paths and one of labels, optionally of groups and of splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpsearch.data.assemble import assemble, image_set, read_groups, with_groups
from hpsearch.data.dataset import Dataset, ImageSet
from hpsearch.data.folders import Listings, find_images, note_unlabelled
from hpsearch.data.tables import Table, read_table, shown

SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "": "train"}
"""Values of a split column, in any case, → what they mean; `test` is left out."""


def read_csv(file: Path, *, val_fraction: float, seed: int) -> Dataset:
    """Reads the data set of `file`; its paths are absolute, or relative to its folder or the `images` folder there.

    Raises:
        InputError: the file is wrong or an image is missing, with the line.
    """
    table = read_table(file, required=("name", "label"), optional=("group", "split"))
    labels_n = table.labels()
    splits = _splits(table)
    root = file.absolute().parent
    listings = Listings()
    paths = find_images(table, (root, root / "images", root / file.stem), listings)
    images = _with_groups(image_set(table.names, paths, labels_n, str(file)), table, root)
    notes = [table.note, *note_unlabelled(paths, listings)]
    if "test" in splits:
        notes.append(f"{file.name}: {splits.count('test'):,} rows of split `test` are left out")
    train = _of_split(images, splits, "train", file)
    val = _of_split(images, splits, "val", file) if "val" in splits else None
    return assemble(file, train, val, notes=notes, val_fraction=val_fraction, seed=seed)


def _splits(table: Table) -> list[str]:
    values = [value.lower() for value in table.values.get("split", [""] * len(table))]
    for row, value in enumerate(values):
        if value not in SPLITS:
            table.fail(row, f"split {shown(value)}; it must be train, val or test. Correct this line")
    return [SPLITS[value] for value in values]


def _with_groups(images: ImageSet, table: Table, root: Path) -> ImageSet:
    if "group" not in table.values:
        return with_groups(images, read_groups(root))
    return with_groups(images, dict(zip(table.names, table.values["group"], strict=True)))


def _of_split(images: ImageSet, splits: list[str], split: str, file: Path) -> ImageSet:
    part = images.take(np.flatnonzero(np.array(splits) == split))
    checked = image_set(part.names, part.paths, part.labels_n, f"{file}, split {split}")
    return ImageSet(names=checked.names, paths=checked.paths, labels_n=checked.labels_n, groups=part.groups)
