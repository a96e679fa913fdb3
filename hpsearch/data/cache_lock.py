"""One builder of a cache at a time on a node; others wait and show how far it is.

Axis legend: `n` images.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from hpsearch.data.cache_files import BUILDING, LOCK, PENDING, STATE, Progress
from hpsearch.errors import StorageError

_logger = logging.getLogger(__name__)
_POLL_SECONDS = 0.1
_SAY_AFTER_SECONDS = 1.0


@contextlib.contextmanager
def only_one_builder(directory: Path, num_images: int, progress: Progress | None) -> Iterator[None]:
    """Holds the lock of the cache `directory`; the kernel frees it should this process die.

    Args:
        directory: The finished cache's path; the lock lies beside it.
        num_images: For `progress`.
        progress: Called with the other process's progress while it is waited for.

    Raises:
        StorageError: the lock file cannot be written, or its file system has no locks.
    """
    file = directory.with_name(directory.name + LOCK)
    with contextlib.ExitStack() as held:
        try:
            lock = held.enter_context(file.open("a+"))
            if not _try_to_lock(lock):
                _wait(lock, directory, num_images, progress)
            lock.truncate(0)
            lock.write(f"process {os.getpid()} of {os.uname().nodename}")
            lock.flush()
        except OSError as error:
            raise StorageError(f"{file}: cannot be locked ({error.strerror}). Give another data.cache_dir.") from error
        yield


def _wait(lock: TextIO, directory: Path, num_images: int, progress: Progress | None) -> None:
    started = shown = time.monotonic()
    said = False
    while not _try_to_lock(lock):
        time.sleep(_POLL_SECONDS)
        now = time.monotonic()
        if not said and now - started > _SAY_AFTER_SECONDS:
            lock.seek(0)
            _logger.info("waiting for %s, which builds the image cache %s", lock.read() or "another process", directory)
            said = True
        if progress and now - shown > _SAY_AFTER_SECONDS:
            progress(_num_done(directory), num_images)
            shown = now


def _try_to_lock(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _num_done(directory: Path) -> int:
    try:
        state_n = np.fromfile(directory.with_name(directory.name + BUILDING) / STATE, np.uint8)
    except OSError:  # it has not begun, or has just finished
        return 0
    return int(np.count_nonzero(state_n != PENDING))
