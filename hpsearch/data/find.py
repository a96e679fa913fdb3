"""What `--data` may be, and which reader takes it."""

from __future__ import annotations

from pathlib import Path

from hpsearch.data.class_folders import has_class_folders, read_class_folders
from hpsearch.data.competition import competition_root, read_competition, read_template
from hpsearch.data.dataset import Dataset
from hpsearch.data.folders import IMAGE_SUFFIXES, require_exists
from hpsearch.data.labelled_csv import read_csv
from hpsearch.errors import InputError

__all__ = ["find_dataset", "read_template"]

NUM_CLASSES = 2
"""Real and deepfake: two folders of images are taken for them."""
_LAYOUTS = """It must be one of
  DIR with trainset/ and trainset_label.txt (and valset/, valset_label.txt), in DIR itself or in DIR/phase1
  DIR with real/ and fake/ (original/ and deepfake/, 0/ and 1/), or with train/real, train/fake, val/real, val/fake
  FILE.csv with a column of paths (img_name, path, …) and one of labels (target, label, …)"""


def find_dataset(source: Path, *, val_fraction: float, seed: int) -> Dataset:
    """Finds out how `source` is laid and reads its names, paths, labels and groups; no image is opened.

    Args:
        source: A directory or a CSV file.
        val_fraction: Share of the images (whole groups) that validate, where the data names no split.
        seed: Decides that split.

    Raises:
        InputError: anything that is wrong with it; names file, line, rule and remedy.
    """
    require_layout(source)
    if source.is_file():
        return read_csv(source, val_fraction=val_fraction, seed=seed)
    root = _label_root(source)
    if root is not None:
        return read_competition(source, root, val_fraction=val_fraction, seed=seed)
    return read_class_folders(source, val_fraction=val_fraction, seed=seed)


def require_layout(source: Path) -> None:
    """Checks that `source` may be a data set, at a glance: no file is opened and no image folder listed.

    Raises:
        InputError: there is nothing, or nothing that is laid out as data sets are; says what would be taken.
    """
    require_exists(source, "--data")
    if source.is_file():
        if source.suffix.lower() in IMAGE_SUFFIXES:
            raise InputError(f"{source}: one image is no data set. {_LAYOUTS}")
    elif _label_root(source) is None and not has_class_folders(source):
        raise InputError(f"{source}: {_found(source)}. {_LAYOUTS}")


def _label_root(source: Path) -> Path | None:
    root = competition_root(source)
    return None if root is None or has_class_folders(root) else root


def _found(source: Path) -> str:
    entries = sorted(source.iterdir())
    if not entries:
        return "the folder is empty"
    if has_class_folders(source.absolute().parent):
        return f"no layout that hpsearch knows; if this is one of two classes, give {source.absolute().parent}"
    csv_files = [entry.name for entry in entries if entry.suffix == ".csv"]
    if csv_files:
        return f"no layout that hpsearch knows; if {csv_files[0]} holds the labels, give {source / csv_files[0]}"
    folders = [entry.name for entry in entries if entry.is_dir()]
    if len(folders) == NUM_CLASSES:
        either = " or ".join(f"{name}/" for name in folders)
        return f"nothing says whether {either} holds the deepfakes; call the two folders real/ and fake/, or link to them so"
    names = ", ".join(entry.name for entry in entries[:5])
    return f"no layout that hpsearch knows (found {names}{', …' if len(entries) > 5 else ''})"
