"""Who drives a study on an object store: an object that the driver writes anew every few seconds, and removes at the end."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable

from hpsearch.errors import StorageError
from hpsearch.object_store import ConflictError, ObjectStore, StoredObject

log = logging.getLogger(__name__)

LEASE = "driver.json"
"""Name of the object."""
BEAT_SECONDS = 5.0
"""How often it is written."""
LEASE_SECONDS = 30.0
"""So old, it is that of a driver that was killed."""


class Lease:
    """The right to write a study's journal, held until `close` or until another driver has taken it."""

    def __init__(self, objects: ObjectStore, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Takes the lease; that of a killed driver is waited for until it is old enough.

        Raises:
            StorageError: another driver is alive, or the store does not answer.
        """
        self._objects = objects
        self._id = uuid.uuid4().hex
        self._beats = 0
        self._lost = False
        self._tag = self._taken(sleep)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    def _taken(self, sleep: Callable[[float], None]) -> str:
        first = held = self._objects.read(LEASE)
        while held is not None and held.age_seconds <= LEASE_SECONDS:
            if first is None or held.tag != first.tag:
                raise self._refused(held)
            sleep(BEAT_SECONDS / 5)
            held = self._objects.read(LEASE)
        try:
            return self._write(held)
        except ConflictError:
            raise self._refused(self._objects.read(LEASE)) from None

    def _write(self, over: StoredObject | None) -> str:
        return self._objects.write(LEASE, self._content(), only_if_new=over is None, only_over=over.tag if over else "")

    def _content(self) -> bytes:
        self._beats += 1
        words = {"pid": os.getpid(), "host": socket.gethostname(), "id": self._id, "beats": self._beats}
        return json.dumps(words).encode()

    def _refused(self, held: StoredObject | None) -> StorageError:
        return StorageError(
            f"{self._objects.address}: another driver holds this study: {holder(held)}. Wait until it ends, or stop it; to "
            "look on, use `python -m hpsearch.status`."
        )

    def require(self) -> None:
        """Checks that the lease is still held, as far as this process knows.

        Raises:
            StorageError: another driver has it.
        """
        if self._lost:
            raise self._refused(self._objects.read(LEASE))

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            try:
                self._tag = self._objects.write(LEASE, self._content(), only_over=self._tag)
            except ConflictError:
                if not self._is_mine():
                    self._lost = True
                    return
            except StorageError as error:
                log.warning("the lease could not be renewed: %s", error)

    def _is_mine(self) -> bool:
        """Whether the lease is this driver's after all: the answer to a write may have been lost."""
        try:
            held = self._objects.read(LEASE)
        except StorageError:
            return True
        if held is None or json.loads(held.data)["id"] != self._id:
            return False
        self._tag = held.tag
        return True

    def close(self) -> None:
        """Lets another driver in at once."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(StorageError):  # else it grows old by itself
            if not self._lost and self._is_mine():
                self._objects.remove(LEASE)


def holder(held: StoredObject | None) -> str:
    """Whose lease it is."""
    if held is None:
        return "one that has just ended"
    words = json.loads(held.data)
    return f"process {words['pid']} on {words['host']}"


def is_held(objects: ObjectStore) -> bool:
    """Whether a driver is at work; asks without taking the lease."""
    held = objects.read(LEASE)
    return held is not None and held.age_seconds <= LEASE_SECONDS
