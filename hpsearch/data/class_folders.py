"""Folders `real/` and `fake/`, directly in the source or below folders of splits (`train/real`, `val/fake`, …)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpsearch.data.assemble import assemble, image_set, read_groups, with_groups
from hpsearch.data.dataset import DEEPFAKE, REAL, Dataset, ImageSet
from hpsearch.data.folders import sub_folders, walk_images
from hpsearch.errors import InputError

CLASS_FOLDERS = {"real": REAL, "fake": DEEPFAKE}
"""Folder name, in any case, → label of all images below it."""

TRAIN_FOLDERS = ("train", "training", "trainset")
"""What the folder of training images may be called."""

VAL_FOLDERS = ("val", "valid", "validation", "valset")
"""What the folder of validation images may be called."""


def has_class_folders(source: Path) -> bool:
    """Whether `source`, or one of its folders of splits, holds `real/` or `fake/`."""
    folders = sub_folders(source)
    splits = [folders[name] for name in (*TRAIN_FOLDERS, *VAL_FOLDERS) if name in folders]
    return any(sub_folders(folder).keys() & CLASS_FOLDERS.keys() for folder in (source, *splits))


def read_class_folders(source: Path, *, val_fraction: float, seed: int) -> Dataset:
    """Reads the images below the class folders of `source`; names are paths relative to it.

    Raises:
        InputError: a class folder is missing or empty, or there are only validation images.
    """
    folders = sub_folders(source)
    groups = read_groups(source)
    if folders.keys() & CLASS_FOLDERS.keys():
        notes: list[str] = []
        train, val = _read_classes(source, source, notes), None
    else:
        notes = [f"{folder.name}: not used" for folder in _other_splits(folders)]
        train_folder = next((folders[name] for name in TRAIN_FOLDERS if name in folders), None)
        val_folder = next((folders[name] for name in VAL_FOLDERS if name in folders), None)
        if train_folder is None:
            raise InputError(f"{source}: there are validation images, but no folder train/ with real/ and fake/ in it. Add it.")
        train = _read_classes(source, train_folder, notes)
        val = None if val_folder is None else with_groups(_read_classes(source, val_folder, notes), groups)
    return assemble(source, with_groups(train, groups), val, notes=notes, val_fraction=val_fraction, seed=seed)


def _other_splits(folders: dict[str, Path]) -> list[Path]:
    unknown = [folder for name, folder in folders.items() if name not in (*TRAIN_FOLDERS, *VAL_FOLDERS)]
    return [folder for folder in unknown if sub_folders(folder).keys() & CLASS_FOLDERS.keys()]


def _read_classes(source: Path, parent: Path, notes: list[str]) -> ImageSet:
    folders = sub_folders(parent)
    names: list[str] = []
    labels: list[int] = []
    for class_name, label in CLASS_FOLDERS.items():
        if class_name not in folders:
            raise InputError(f"{parent}: there is no folder {class_name}/ in it; both real/ and fake/ are needed. Add it.")
        folder = folders[class_name]
        found = walk_images(folder)
        if not found:
            raise InputError(f"{folder}: no images in it. Put images there (JPEG, PNG, WebP, BMP, TIFF or GIF).")
        prefix = folder.relative_to(source).as_posix()
        names += [f"{prefix}/{name}" for name in found]
        labels += [label] * len(found)
        notes.append(f"{prefix}/: {len(found):,} images, label {label}")
    root = source.absolute()
    return image_set(names, [f"{root}/{name}" for name in names], np.array(labels, dtype=np.int64), str(parent))
