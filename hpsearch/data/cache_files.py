"""What a cache of decoded images is on disk: names, states, opening a finished one.

A cache is a directory below `cache_dir`, named by what is in it: size, the list of files, and the size and modification
time of each file, so that an image that is replaced later gives another cache.

    <px>px-<files>-<contents>/            a finished cache
        pixels.u8                         n × px × px × 3 bytes, images in the order of the list
        state.u8                          one byte an image, see `PENDING`, `READABLE`, `UNREADABLE`
        unreadable.jsonl                  one line an unreadable image: row, path, reason
        index.json                        what the cache is, written last
    <px>px-<files>-<contents>.building/   the same files on their way (`cache_builder`)
    <px>px-<files>-<contents>.lock        held by the one process of the node that builds (`cache_lock`)

Axis legend: `n` images, `h`, `w`, `c` height, width and channel. Pixels are uint8, 0–255, RGB, rows of one image together.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import InputError, StorageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXELS, STATE, UNREADABLE_LIST, INDEX = "pixels.u8", "state.u8", "unreadable.jsonl", "index.json"
"""File names inside a cache."""

BUILDING, LOCK = ".building", ".lock"
"""Ends of the names of a cache that is not finished, and of its lock."""

PENDING, READABLE, UNREADABLE = 0, 1, 2
"""State of an image in a cache: not decoded yet, decoded, cannot be decoded (its pixels are 0)."""

Progress = Callable[[int, int], None]
"""Called with the images that are done and all images."""

_NUM_NAMED = 10


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageCache:
    """An open cache: image i of the list that it was opened with is `images_nhwc[i]`."""

    images_nhwc: np.memmap[tuple[int, int, int, int], np.dtype[np.uint8]]
    """Pixels, mapped read-only: shorter side resized to `px`, centre-cropped square."""
    readable_n: NDArray[np.bool_]
    """Whether each image could be decoded; the pixels of the others are 0."""
    unreadable: tuple[tuple[str, str], ...]
    """Path and reason of each image that could not."""
    px: int
    """Side of the images."""
    directory: Path
    """Where the cache lies; `open_ready` takes it."""


def estimated_bytes(num_images: int, px: int) -> int:
    """Disk that the cache of `num_images` at `px` takes."""
    return num_images * px * px * 3


def open_ready(directory: Path) -> ImageCache:
    """Opens a finished cache as it is, without a look at the files it was made of; milliseconds at any size.

    Raises:
        StorageError: there is no finished cache in `directory`.
    """
    try:
        index = json.loads((directory / INDEX).read_text())
        num_images, px = int(index["num_images"]), int(index["px"])
        with contextlib.suppress(OSError):  # a cache on a read-only mount is as good; the time only says when it was used
            os.utime(directory / INDEX)
        return ImageCache(
            images_nhwc=np.memmap(directory / PIXELS, np.uint8, "r", shape=(num_images, px, px, 3)),
            readable_n=np.fromfile(directory / STATE, np.uint8) == READABLE,
            unreadable=tuple((path, reason) for _, path, reason in read_unreadable(directory)),
            px=px,
            directory=directory,
        )
    except (OSError, ValueError, KeyError) as error:
        raise StorageError(f"{directory}: not a finished image cache ({error}). Remove it; it will be built again.") from error


def read_unreadable(directory: Path) -> list[tuple[int, str, str]]:
    """Row, path and reason of the unreadable images of a cache, finished or not; a torn last line is left out."""
    found: dict[int, tuple[int, str, str]] = {}
    file = directory / UNREADABLE_LIST
    for line in file.read_text(errors="surrogateescape").splitlines() if file.exists() else ():
        with contextlib.suppress(json.JSONDecodeError):
            row, path, reason = json.loads(line)
            found[row] = (row, path, reason)
    return [found[row] for row in sorted(found)]


def require_few_unreadable(unreadable: Sequence[tuple[str, str]], num_images: int, max_fraction: float) -> None:
    """Checks the share of unreadable images.

    Raises:
        InputError: it is above `max_fraction`; names the first ten with reasons.
    """
    if len(unreadable) <= max_fraction * num_images:
        return
    named = "\n".join(f"  {path}: {reason}" for path, reason in unreadable[:_NUM_NAMED])
    more = f"\n  and {len(unreadable) - _NUM_NAMED:,} more" if len(unreadable) > _NUM_NAMED else ""
    raise InputError(
        f"{len(unreadable):,} of {num_images:,} images cannot be read; at most {max_fraction:.2%} are accepted. Replace them, "
        f"remove them from the label file, or accept more with --set data.max_unreadable_fraction=SHARE.\n{named}{more}"
    )


def is_ready(directory: Path, num_images: int, px: int) -> bool:
    """Whether a whole cache of the right size lies in `directory`; one that was cut is built again."""
    try:
        sizes = [(directory / name).stat().st_size for name in (PIXELS, STATE)]
        complete = sizes == [estimated_bytes(num_images, px), num_images]
        return complete and json.loads((directory / INDEX).read_text())["num_images"] == num_images
    except (OSError, ValueError, KeyError, TypeError):
        return False
