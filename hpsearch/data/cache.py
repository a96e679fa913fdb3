"""Decoded images, once per node and size: a memory-mapped uint8 file that all workers of the node share.

`cache_files` says what lies on the disk, `cache_builder` how it comes there.

Axis legend: `n` images.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.cache_builder import build
from hpsearch.data.cache_files import (
    BUILDING,
    ImageCache,
    Progress,
    estimated_bytes,
    is_ready,
    open_ready,
    require_few_unreadable,
)
from hpsearch.data.cache_lock import only_one_builder
from hpsearch.data.decode import RESIZE_RULE
from hpsearch.errors import StorageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ImageCache", "Progress", "address", "estimated_bytes", "open_or_build", "open_ready"]

_logger = logging.getLogger(__name__)
_STAT_THREADS = 8  # a look at a file is a round trip on a network mount
_STAT_CHUNK = 2_000


def open_or_build(
    paths: Sequence[str],
    *,
    px: int,
    cache_dir: Path,
    num_workers: int,
    max_unreadable_fraction: float,
    progress: Progress | None = None,
) -> ImageCache:
    """Opens the cache of `paths`, building it first where it is missing, outdated or was left unfinished.

    One process of the node builds, others that want the same cache wait for it. Looking at the size and time of each file
    takes about 2 µs a file on a local disk; `open_ready` does without.

    Args:
        paths: The image files; at least one.
        px: Side of the cached images.
        cache_dir: Parent of all caches; made if missing.
        num_workers: Processes that decode.
        max_unreadable_fraction: Share of unreadable images that is accepted.
        progress: Called now and then while images are decoded, by this process or by the one that is waited for.

    Raises:
        InputError: more unreadable images than accepted; names the first ten with reasons.
        StorageError: the disk of `cache_dir` is too small, full or not writable.
    """
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{cache_dir}: cannot be made ({error.strerror}). Give another with --set data.cache_dir=DIR."
        ) from error
    directory = cache_dir / f"{px}px-{address(paths, RESIZE_RULE)}"
    if not is_ready(directory, len(paths), px):
        with only_one_builder(directory, len(paths), progress):
            if not is_ready(directory, len(paths), px):
                build(directory, paths, px, num_workers, max_unreadable_fraction, progress)
                _name_outdated(directory)
    cache = open_ready(directory)
    require_few_unreadable(cache.unreadable, len(paths), max_unreadable_fraction)
    return cache


def address(paths: Sequence[str], rule: str) -> str:
    """Names the content of `paths`, by their sizes and times, and what `rule` makes of it."""
    files, contents = hashlib.blake2b(digest_size=6), hashlib.blake2b(rule.encode(), digest_size=8)
    # By the chunk, since every worker comes here: a list of 500,000 paths or times would stay in its memory as holes.
    chunks = [paths[start : start + _STAT_CHUNK] for start in range(0, len(paths), _STAT_CHUNK)]
    with ThreadPoolExecutor(_STAT_THREADS) as threads:
        for number, (joined, sizes_and_times_n2) in enumerate(threads.map(_looked_at, chunks)):
            files.update((b"\0" if number else b"") + joined)
            contents.update(sizes_and_times_n2.tobytes())
    return f"{files.hexdigest()}-{contents.hexdigest()}"


def _looked_at(paths: Sequence[str]) -> tuple[bytes, NDArray[np.int64]]:
    sizes_and_times_n2 = np.array([_size_and_time(path) for path in paths], dtype=np.int64)
    return "\0".join(paths).encode(errors="surrogateescape"), sizes_and_times_n2


def _size_and_time(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path for each of 500,000 files costs seconds
    except (OSError, ValueError):
        return -1, -1  # decoding will say why
    return status.st_size, status.st_mtime_ns


def _name_outdated(directory: Path) -> None:
    files = directory.name.rpartition("-")[0]
    for other in sorted(directory.parent.glob(f"{files}-*")):
        if other.is_dir() and other.name.removesuffix(BUILDING) != directory.name:
            _logger.warning(
                "%s is out of date, since its images have changed; remove it with: "
                "python -m hpsearch.cache --cache-dir %s --remove %s",
                other,
                other.parent,
                other.name,
            )
