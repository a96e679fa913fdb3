"""The competition's layout: `phase1/trainset` with `trainset_label.txt`, `valset` alike, `phase2` with a template."""

from __future__ import annotations

from pathlib import Path

from hpsearch.data.assemble import assemble, image_set, read_groups, with_groups
from hpsearch.data.dataset import Dataset, ImageSet, Template
from hpsearch.data.folders import Listings, find_images, note_unlabelled, require_exists
from hpsearch.data.tables import read_table
from hpsearch.errors import InputError

TRAIN = (("trainset_label.txt", "train_label.txt", "trainset_label.csv", "train_label.csv"), ("trainset", "train"))
"""Names of the training labels and of their image folder, the competition's own first."""

VAL = (("valset_label.txt", "val_label.txt", "valset_label.csv", "val_label.csv"), ("valset", "val"))
"""Names of the validation labels and of their image folder."""

_TEMPLATE_END = "_nolabel.txt"


def competition_root(source: Path) -> Path | None:
    """The folder of `source` that holds the label files (`source` itself or `phase1`), or None for another layout."""
    for root in (source / "phase1", source):
        label_files = [root / name for name in (*TRAIN[0], *VAL[0])]
        if any(file.is_file() for file in label_files) or (root / "trainset").is_dir():
            return root
    return None


def read_competition(source: Path, root: Path, *, val_fraction: float, seed: int) -> Dataset:
    """Reads the data set whose label files are in `root`.

    Raises:
        InputError: a label file or its images are missing or wrong.
    """
    notes: list[str] = []
    listings = Listings()
    groups = read_groups(root)
    train = with_groups(_read_split(root, *TRAIN, listings, notes), groups)
    has_val = any((root / name).exists() for names in VAL for name in names)
    val = with_groups(_read_split(root, *VAL, listings, notes), groups) if has_val else None
    notes += note_unlabelled(train.paths if val is None else [*train.paths, *val.paths], listings)
    template = _find_template(root, notes)
    return assemble(source, train, val, template, notes=notes, val_fraction=val_fraction, seed=seed)


def read_template(file: Path, images: Path) -> Template:
    """Reads the names that a submission must score.

    Args:
        file: CSV with a column of image names; other columns are ignored.
        images: Folder that the names are relative to.

    Raises:
        InputError: the file or an image is missing, or the file is wrong, see `read_table`.
    """
    require_exists(file, "--template")
    require_exists(images, "--images")
    table = read_table(file, required=("name",))
    paths = find_images(table, (images, file.parent), Listings())
    return Template(file=file, names=table.names, paths=paths)


def _read_split(
    root: Path, label_names: tuple[str, ...], folder_names: tuple[str, ...], listings: Listings, notes: list[str]
) -> ImageSet:
    file = next((root / name for name in label_names if (root / name).is_file()), None)
    folder = next((root / name for name in folder_names if (root / name).is_dir()), None)
    if file is None:
        raise InputError(f"{root}: no label file; looked for {', '.join(label_names)}. Put one of them there.")
    if folder is None:
        raise InputError(
            f"{root}: no folder with the images of {file.name}; looked for {', '.join(folder_names)}. Put one there."
        )
    table = read_table(file, required=("name", "label"))
    labels_n = table.labels()
    paths = find_images(table, (folder, root, root.parent), listings)
    notes.append(table.note)
    return image_set(table.names, paths, labels_n, str(file))


def _find_template(root: Path, notes: list[str]) -> Template | None:
    phase2 = root / "phase2" if (root / "phase2").is_dir() else root.parent / "phase2"
    images = {file: file.with_name(file.name.removesuffix(_TEMPLATE_END)) for file in sorted(phase2.glob(f"*{_TEMPLATE_END}"))}
    complete = [file for file in images if images[file].is_dir()]
    notes += [f"{file.name}: left out, since the folder of its images is missing" for file in images if file not in complete]
    if not complete:
        return None
    chosen, *others = complete
    template = read_template(chosen, images[chosen])
    notes.append(f"{chosen.name}: template of a submission, {len(template):,} images")
    if others:
        notes.append(
            f"{', '.join(file.name for file in others)}: not scored by this run, which takes the first template by name; the "
            "finished model scores others with `python -m hpsearch.predict --model RUN --template FILE --images DIR --out CSV`"
        )
    return template
