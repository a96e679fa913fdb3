"""Building an image cache: decode in processes, note what is done along the way, and rename when all is there.

Kill it at any moment: the next builder goes on from the last note (`_NOTE_SECONDS` of work are lost at most). Workers write
their pixels themselves (`processes`).

Axis legend: `n` images.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.cache_files import (
    BUILDING,
    INDEX,
    PENDING,
    PIXELS,
    READABLE,
    STATE,
    UNREADABLE,
    UNREADABLE_LIST,
    Progress,
    estimated_bytes,
    read_unreadable,
    require_few_unreadable,
)
from hpsearch.data.decode import RESIZE_RULE, UnreadableImageError, decode
from hpsearch.data.processes import map_in_processes
from hpsearch.errors import InputError, StorageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_logger = logging.getLogger(__name__)
_NOTE_SECONDS = 2.0
_IMAGES_PER_TASK = 32  # about 20 ms at 224 px: small beside a note, large beside the 0.1 ms that a task costs
_FULL = (errno.ENOSPC, errno.EDQUOT)

Unreadable = list[tuple[int, str, str]]
"""Row, path and reason of images that cannot be decoded."""


def build(
    directory: Path, paths: Sequence[str], px: int, num_workers: int, max_unreadable_fraction: float, progress: Progress | None
) -> None:
    """Builds the cache of `paths` in `directory`, going on from what an earlier builder left. Hold the lock.

    Raises:
        InputError: more unreadable images than accepted, as soon as that is certain; nothing is left behind.
        StorageError: too little disk before it starts, or a full one on the way; nothing is left behind.
        ClusterError: a worker process was killed.
    """
    building = directory.with_name(directory.name + BUILDING)
    try:
        state_n = _resumed_state(building, len(paths), px)
        _require_disk(building, int(np.count_nonzero(state_n == PENDING)), px)
        if not building.exists():
            _make_files(building, state_n, px)
        _decode_pending(building, paths, px, state_n, num_workers, max_unreadable_fraction, progress)
        _finish(building, directory, len(paths), px)
    except InputError:
        shutil.rmtree(building)
        raise
    except OSError as error:
        if error.errno in _FULL:
            shutil.rmtree(building, ignore_errors=True)
        raise _storage_error(building, estimated_bytes(len(paths), px), error.strerror or str(error)) from error


def _resumed_state(building: Path, num_images: int, px: int) -> NDArray[np.uint8]:
    """State of each image as an earlier builder noted it; all pending where there is none, or none that fits."""
    pixels, state = building / PIXELS, building / STATE
    try:
        whole = pixels.stat().st_size == estimated_bytes(num_images, px) and state.stat().st_size == num_images
    except FileNotFoundError:
        whole = False
    if not whole:
        shutil.rmtree(building, ignore_errors=True)
        return np.zeros(num_images, np.uint8)
    state_n = np.fromfile(state, np.uint8)
    with_reason = [row for row, _, _ in read_unreadable(building)]
    state_n[(state_n == UNREADABLE) & ~np.isin(np.arange(num_images), with_reason)] = PENDING
    return state_n


def _make_files(building: Path, state_n: NDArray[np.uint8], px: int) -> None:
    building.mkdir()
    with (building / PIXELS).open("wb") as file:
        file.truncate(estimated_bytes(len(state_n), px))
    state_n.tofile(building / STATE)


def _require_disk(building: Path, num_pending: int, px: int) -> None:
    needed = estimated_bytes(num_pending, px)
    if shutil.disk_usage(building.parent).free < needed:
        shutil.rmtree(building, ignore_errors=True)
        raise _storage_error(building, needed, f"{num_pending:,} images at {px} px do not fit")


def _decode_pending(
    building: Path,
    paths: Sequence[str],
    px: int,
    state_n: NDArray[np.uint8],
    num_workers: int,
    max_unreadable_fraction: float,
    progress: Progress | None,
) -> None:
    pending = np.flatnonzero(state_n == PENDING)
    needed = estimated_bytes(len(pending), px) / 2**20
    _logger.info("decoding %d of %d images at %d px into %s, %.0f MiB", len(pending), len(paths), px, building, needed)
    unreadable = read_unreadable(building)
    chunks = (pending[start : start + _IMAGES_PER_TASK].tolist() for start in range(0, len(pending), _IMAGES_PER_TASK))
    tasks = ((building / PIXELS, px, rows, [paths[row] for row in rows]) for rows in chunks)
    num_workers = min(num_workers, -(-len(pending) // _IMAGES_PER_TASK))
    with _Notes(building, state_n) as notes, closing(map_in_processes(decode_rows, tasks, num_workers=num_workers)) as results:
        for rows, failed in results:
            notes.add(rows, failed)
            unreadable += failed
            if len(unreadable) > max_unreadable_fraction * len(paths):
                require_few_unreadable([each[1:] for each in sorted(unreadable)], len(paths), max_unreadable_fraction)
            if progress:
                progress(int(np.count_nonzero(state_n)), len(paths))


class _Notes:
    """Writes down which images are done, pixels first, so that a note never says more than the disk holds."""

    def __init__(self, building: Path, state_n: NDArray[np.uint8]) -> None:
        self._building = building
        self._state_n = state_n
        self._noted = time.monotonic()

    def __enter__(self) -> _Notes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or not issubclass(kind, OSError | InputError):  # after those nothing is kept
            self._write()

    def add(self, rows: Sequence[int], failed: Unreadable) -> None:
        """Marks `rows` as done and those in `failed` as unreadable."""
        with (self._building / UNREADABLE_LIST).open("a", errors="surrogateescape") as file:
            file.writelines(f"{json.dumps(each)}\n" for each in failed)
        self._state_n[rows] = READABLE
        self._state_n[[row for row, _, _ in failed]] = UNREADABLE
        if time.monotonic() - self._noted > _NOTE_SECONDS:
            self._write()

    def _write(self) -> None:
        _sync(self._building / PIXELS)
        with (self._building / STATE).open("r+b") as file:
            file.write(self._state_n.tobytes())
        self._noted = time.monotonic()


def decode_rows(pixels: Path, px: int, rows: list[int], paths: list[str]) -> tuple[list[int], Unreadable]:
    """Decodes `paths` into `rows` of the file `pixels`, in a worker process.

    Returns:
        The rows, and those of them that are unreadable with path and reason.
    """
    unreadable: Unreadable = []
    with pixels.open("r+b") as file:
        for row, path in zip(rows, paths, strict=True):
            try:
                image_hwc = decode(path, px)
            except UnreadableImageError as error:
                unreadable.append((row, path, error.reason))
                continue
            file.seek(row * image_hwc.nbytes)
            file.write(image_hwc.tobytes())
    return rows, unreadable


def _finish(building: Path, directory: Path, num_images: int, px: int) -> None:
    index = {"num_images": num_images, "px": px, "rule": RESIZE_RULE}
    (building / INDEX).write_text(json.dumps(index))
    for file in building.iterdir():
        _sync(file)
    if directory.exists():
        shutil.rmtree(directory)  # it was not whole, or it would have been opened
    building.rename(directory)
    _sync(directory.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _storage_error(building: Path, needed: int, reason: str) -> StorageError:
    cache_dir = building.parent
    others = [f"\n  {path.name} ({size:,} bytes)" for path, size in _other_caches(cache_dir, building)]
    removal = f"\nOther caches there; python -m hpsearch.cache --cache-dir {cache_dir} --remove NAME removes one:"
    return StorageError(
        f"{cache_dir}: {reason}; the image cache needs {needed:,} bytes there{_free(cache_dir)}. "
        f"Free some, or give a directory on a larger disk with --set data.cache_dir=DIR.{removal * bool(others)}"
        + "".join(others)
    )


def _free(directory: Path) -> str:
    try:
        return f" and {shutil.disk_usage(directory).free:,} are free"
    except OSError:  # the disk itself is gone
        return ""


def _other_caches(cache_dir: Path, building: Path) -> list[tuple[Path, int]]:
    found = [(file.parent, file.stat().st_blocks * 512) for file in sorted(cache_dir.glob(f"*px-*/{PIXELS}"))]
    return [(path, size) for path, size in found if path != building]
