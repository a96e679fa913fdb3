"""Finding image files: one listing of each directory, never one look at each file."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hpsearch.config import nearest
from hpsearch.data.tables import Table, shown
from hpsearch.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
"""Files that count as images where nothing else names them."""

_NUM_SHOWN = 3


class Listings:
    """The file names of directories, each directory read once."""

    def __init__(self) -> None:
        self._files: dict[str, frozenset[str]] = {}

    def files(self, directory: str) -> frozenset[str]:
        """Names of the files directly in `directory`; none where there is no such directory.

        Raises:
            InputError: the directory may not be read.
        """
        if directory not in self._files:
            self._files[directory] = frozenset(_file_names(directory))
        return self._files[directory]

    def find(self, name: str, roots: Sequence[str]) -> str | None:
        """Absolute path of the file that `name` means: absolute itself, or relative to the first of `roots` that has it."""
        for root in roots:
            path = name if name.startswith("/") else f"{root}/{name}"
            parent, _, base = path.rpartition("/")
            if base in self.files(parent or "/"):
                return path
        return self.find(name.replace("\\", "/"), roots) if "\\" in name else None


def find_images(table: Table, roots: Sequence[Path], listings: Listings) -> tuple[str, ...]:
    """Absolute path of each image that `table` names.

    Args:
        table: The rows.
        roots: Directories that relative names may be relative to, the likeliest first.
        listings: Directories read so far.

    Raises:
        InputError: a row without an image, with its line, and the count of such rows.
    """
    root_texts = [str(root.absolute()) for root in roots]
    paths = [listings.find(name, root_texts) for name in table.names]
    missing = [row for row, path in enumerate(paths) if path is None]
    if missing:
        row = missing[0]
        searched = " or ".join(root_texts)
        more = f" {len(missing):,} of {len(table):,} rows have no image." if len(missing) > 1 else ""
        there = _some_files(listings.files(root_texts[0]))
        table.fail(
            row,
            f"no image {shown(table.names[row])} in {searched} ({there}).{more} "
            "Every row needs its image: add the file or remove the row",
        )
    return tuple(path for path in paths if path is not None)


def note_unlabelled(paths: Sequence[str], listings: Listings) -> list[str]:
    """A note with the count of images that lie beside `paths`, in the same folders, and are not among them."""
    named: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        folder, _, file = path.rpartition("/")
        named[folder].add(file)
    left_out = {
        folder: sum(is_image(file) and file not in known for file in listings.files(folder)) for folder, known in named.items()
    }
    folders = [folder.rpartition("/")[2] for folder, count in left_out.items() if count]
    where = ", ".join(folders[:_NUM_SHOWN]) + (", …" if len(folders) > _NUM_SHOWN else "")
    return [f"{sum(left_out.values()):,} images have no label and are left out (in {where})"] if folders else []


def is_image(file_name: str) -> bool:
    """Whether `file_name` looks like an image that a person put there."""
    return file_name.lower().endswith(IMAGE_SUFFIXES) and not file_name.startswith(".")


def walk_images(root: Path) -> list[str]:
    """Every image below `root`, as sorted paths relative to it; links to directories are followed once."""
    return [path for path in walk_files(root) if is_image(path.rpartition("/")[2])]


def walk_files(root: Path) -> list[str]:
    """Every file below `root`, as sorted paths relative to it; links to directories are followed once."""
    return sorted(_walk(str(root), "", set()))


def sub_folders(directory: Path) -> dict[str, Path]:
    """Directories directly in `directory` by lower-case name."""
    with _listed(str(directory)) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    return {name.lower(): directory / name for name in names}


def require_exists(path: Path, what: str) -> None:
    """Checks that `path` exists.

    Raises:
        InputError: it does not; names the nearest thing that does.
    """
    if path.exists():
        return
    parent = next(above for above in path.absolute().parents if above.exists())
    missing = path.absolute().relative_to(parent).parts[0]
    names = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
    raise InputError(f"{what} {path}: there is no {missing!r} in {parent}{nearest(missing, names)} Give a path that exists.")


def _file_names(directory: str) -> Iterator[str]:
    try:
        with _listed(directory) as entries:
            yield from (entry.name for entry in entries if entry.is_file())
    except (OSError, ValueError):  # no such directory, or a name that cannot be one
        return


def _walk(root: str, below: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    with _listed(f"{root}/{below}") as entries:
        status = Path(root, below).stat()
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.is_dir():
                yield from _walk(root, f"{below}{entry.name}/", seen)
            else:
                yield f"{below}{entry.name}"


@contextmanager
def _listed(directory: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    try:
        entries = os.scandir(directory)
    except PermissionError as error:
        raise InputError(f"{directory}: its files may not be listed ({error.strerror}). Check its permissions.") from error
    with entries:
        yield entries


def _some_files(names: frozenset[str]) -> str:
    if not names:
        return "there are no files"
    shown_names = ", ".join(sorted(names)[:_NUM_SHOWN])
    return f"{len(names):,} files there, such as {shown_names}"
