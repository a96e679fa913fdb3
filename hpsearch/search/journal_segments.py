"""A journal's lines on an object store, where nothing can be appended: numbered objects, each written once.

What is appended together is one object. Its number must be free: two drivers that took each other for dead cannot both go on.
The lines are also kept in a file of this machine, for whoever reads them here; the objects are what counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hpsearch.errors import StorageError
from hpsearch.object_store import ConflictError, ObjectStore
from hpsearch.search.journal_file import RETRY_SECONDS, FileStore
from hpsearch.search.journal_lease import Lease

FOLDER = "journal/"
NUM_STREAMS = 16
"""Objects on their way at the same time: they are small, so that round trips are what takes time."""


class SegmentStore:
    """Appends objects under a lease."""

    def __init__(self, objects: ObjectStore, copy: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Takes the lease, and locks this machine's copy of the lines.

        Raises:
            StorageError: another driver holds the study, or the store cannot be reached.
        """
        self._objects = objects
        self._sleep = sleep
        self._copy = FileStore(copy)
        try:
            self._lease = Lease(objects, sleep=sleep)
        except BaseException:
            self._copy.close()
            raise
        self._count = 0

    def read(self) -> bytes:
        """Everything that was appended; the copy is brought up to date."""
        data = read_segments(self._objects)
        self._count = len(data)
        lines = b"".join(data)
        self._copy.cut(0)
        self._copy.append(lines)
        return lines

    def cut(self, num_bytes: int) -> None:
        """Objects are written whole, so that there is never anything to cut.

        Raises:
            StorageError: somebody has damaged the last one.
        """
        raise StorageError(f"{self._objects.address}: the last object below {FOLDER} is damaged. Restore it, or remove it.")

    def append(self, data: bytes) -> None:
        """Writes `data` as the next object, and waits until the store has it; where that fails, tries again for a while.

        Raises:
            StorageError: another driver has written, or the store stayed away.
        """
        for wait_seconds in (*RETRY_SECONDS, None):
            self._lease.require()
            try:
                self._write(data)
                break
            except StorageError:
                if wait_seconds is None:
                    raise
                self._sleep(wait_seconds)
            except ConflictError as error:
                raise StorageError(
                    f"{self._objects.address}: another driver has written to this study meanwhile. Let one go on; it has "
                    "everything up to here."
                ) from error
        self._count += 1
        self._copy.append(data)

    def _write(self, data: bytes) -> None:
        name = _name(self._count)
        try:
            self._objects.write(name, data, only_if_new=True)
        except ConflictError:
            written = self._objects.read(name)
            if written is None or written.data != data:  # else it was this very call, and the answer was lost
                raise

    def close(self) -> None:
        """Gives the lease back."""
        self._copy.close()
        self._lease.close()


def read_segments(objects: ObjectStore) -> list[bytes]:
    """The content of all objects, in order.

    Raises:
        StorageError: one of them is gone, or the store cannot be reached.
    """
    names = objects.names(FOLDER)
    with ThreadPoolExecutor(NUM_STREAMS) as pool:
        found = list(pool.map(objects.read, names))
    for number, (name, content) in enumerate(zip(names, found, strict=True)):
        if name != _name(number) or content is None:
            raise StorageError(f"{objects.address}: {_name(number)} is gone. Restore it, or begin a new study.")
    return [content.data for content in found if content is not None]


def _name(number: int) -> str:
    return f"{FOLDER}{number:08d}.jsonl"
