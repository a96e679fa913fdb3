"""A folder for each class (`real/` and `fake/`), directly in the source or below folders of splits (`train/real`, …)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpsearch.data.assemble import assemble, image_set, read_groups, with_groups
from hpsearch.data.dataset import DEEPFAKE, LABEL_WORDS, REAL, Dataset, ImageSet
from hpsearch.data.folders import sub_folders, walk_images
from hpsearch.errors import InputError

TRAIN_FOLDERS = ("train", "training", "trainset")
"""What the folder of training images may be called."""

VAL_FOLDERS = ("val", "valid", "validation", "valset")
"""What the folder of validation images may be called."""

_CLASSES = {REAL: ("real", "real images"), DEEPFAKE: ("fake", "deepfakes")}
"""Label → the usual name of its folder, and what lies there."""


def has_class_folders(source: Path) -> bool:
    """Whether `source`, or one of its folders of splits, holds folders of classes.

    `real/` or `fake/` alone are taken for one of a pair; other words (`LABEL_WORDS`) only where both classes have one, since
    `0/` or `original/` alone may be anything.
    """
    folders = sub_folders(source)
    splits = [folders[name] for name in (*TRAIN_FOLDERS, *VAL_FOLDERS) if name in folders]
    return any(_are_classes(sub_folders(folder)) for folder in (source, *splits))


def read_class_folders(source: Path, *, val_fraction: float, seed: int) -> Dataset:
    """Reads the images below the class folders of `source`; names are paths relative to it.

    Raises:
        InputError: a class folder is missing or empty, or there are only validation images.
    """
    folders = sub_folders(source)
    groups = read_groups(source)
    if _are_classes(folders):
        others = [folder.name for name, folder in folders.items() if name not in LABEL_WORDS and not name.startswith(".")]
        notes = [f"{', '.join(others)}: not used"] if others else []
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


def _are_classes(folders: dict[str, Path]) -> bool:
    labels = {LABEL_WORDS[name] for name in folders if name in LABEL_WORDS}
    return len(labels) == len(_CLASSES) or any(usual in folders for usual, _ in _CLASSES.values())


def _other_splits(folders: dict[str, Path]) -> list[Path]:
    unknown = [folder for name, folder in folders.items() if name not in (*TRAIN_FOLDERS, *VAL_FOLDERS)]
    return [folder for folder in unknown if _are_classes(sub_folders(folder))]


def _read_classes(source: Path, parent: Path, notes: list[str]) -> ImageSet:
    folders = sub_folders(parent)
    names: list[str] = []
    labels: list[int] = []
    for label, (usual, what) in _CLASSES.items():
        of_class = [folder for name, folder in folders.items() if LABEL_WORDS.get(name) == label]
        if not of_class:
            raise InputError(f"{parent}: there is no folder {usual}/ in it; both real/ and fake/ are needed. Add it.")
        for folder in of_class:
            found = walk_images(folder)
            if not found:
                raise InputError(f"{folder}: no images in it. Put images there (JPEG, PNG, WebP, BMP, TIFF or GIF).")
            prefix = folder.relative_to(source).as_posix()
            names += [f"{prefix}/{name}" for name in found]
            labels += [label] * len(found)
            notes.append(f"{prefix}/: {len(found):,} {what} (label {label})")
    root = source.absolute()
    return image_set(names, [f"{root}/{name}" for name in names], np.array(labels, dtype=np.int64), str(parent))
