"""How the files of a run reach all its processes: over a mount that all nodes share, or by copies on an object store.

In the second case the run directory of a process is a copy on its own disk, at the same path on every node. A process fetches
what it needs before it reads, and sends what it has written before it says so to anybody.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from hpsearch.object_store import ObjectStore

NUM_STREAMS = 16
"""Files on their way at the same time."""
NOT_SENT = (".tune", "probe", "journal", "driver.json")
"""How names at the top begin that are of no use to others, or kept in the store by other means."""
CHECKPOINT = "checkpoint.pt"
"""Sent and fetched by its own name only: they come and go, and most are large."""


class RunFiles(Protocol):
    """The files of one run, for one of its processes."""

    def fetch(self, file: Path) -> None:
        """Makes `file` what was sent last; it is gone where nothing was."""
        ...

    def fetch_below(self, directory: Path) -> None:
        """Brings all that was sent of `directory`, but no checkpoints."""
        ...

    def send(self, file: Path) -> None:
        """Lets others fetch `file` as it is now."""
        ...

    def send_below(self, directory: Path) -> None:
        """Lets others fetch what has changed in `directory` since this process sent or fetched it, but no checkpoints."""
        ...

    def remove(self, file: Path) -> None:
        """Removes `file` for everybody; one that is not there is no fault."""
        ...

    def remove_below(self, directory: Path) -> None:
        """Removes `directory` for everybody."""
        ...


class SharedFiles:
    """A run directory on a mount: what one process writes all others see."""

    def fetch(self, file: Path) -> None:
        """Nothing to do."""

    def fetch_below(self, directory: Path) -> None:
        """Nothing to do."""

    def send(self, file: Path) -> None:
        """Nothing to do."""

    def send_below(self, directory: Path) -> None:
        """Nothing to do."""

    def remove(self, file: Path) -> None:
        """Removes `file`; where it cannot be removed it costs space only."""
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)

    def remove_below(self, directory: Path) -> None:
        """Removes `directory`; what cannot be removed costs space only."""
        shutil.rmtree(directory, ignore_errors=True)


class MirroredFiles:
    """A run directory whose files are copied to and from an object store."""

    def __init__(self, objects: ObjectStore, root: Path) -> None:
        """Copies between `objects` and the absolute path `root`, which is the same on all nodes."""
        self.objects = objects
        self.root = root
        self._known: dict[str, tuple[int, int]] = {}

    def fetch(self, file: Path) -> None:
        """Makes `file` what was sent last; it is gone where nothing was.

        Raises:
            StorageError: the store does not answer.
            OSError: this disk does not take it.
        """
        file.parent.mkdir(parents=True, exist_ok=True)  # of the copy, which is begun by whichever process needs it first
        if self.objects.download(self._name(file), file):
            self._known[self._name(file)] = _state(file)
        else:
            file.unlink(missing_ok=True)

    def fetch_below(self, directory: Path) -> None:
        """Brings all that was sent of `directory`, but no checkpoints.

        Raises:
            StorageError: the store does not answer.
            OSError: this disk does not take it.
        """
        prefix = "" if directory == self.root else self._name(directory) + "/"
        self._in_parallel(self.root / name for name in self.objects.names(prefix) if _is_sent(name))

    def _in_parallel(self, files: Iterable[Path]) -> None:
        with ThreadPoolExecutor(NUM_STREAMS) as pool:
            list(pool.map(self.fetch, files))

    def send(self, file: Path) -> None:
        """Lets others fetch `file` as it is now.

        Raises:
            StorageError: the store does not take it.
        """
        state = _state(file)
        self.objects.upload(file, self._name(file))
        self._known[self._name(file)] = state

    def send_below(self, directory: Path) -> None:
        """Lets others fetch what has changed in `directory` since this process sent or fetched it, but no checkpoints.

        Raises:
            StorageError: the store does not take it.
        """
        files = [file for file in directory.rglob("*") if file.is_file() and _is_sent(self._name(file))]
        changed = [file for file in files if self._known.get(self._name(file)) != _state(file)]
        with ThreadPoolExecutor(NUM_STREAMS) as pool:
            list(pool.map(self.send, changed))

    def remove(self, file: Path) -> None:
        """Removes `file` for everybody; one that is not there is no fault."""
        file.unlink(missing_ok=True)
        self.objects.remove(self._name(file))

    def remove_below(self, directory: Path) -> None:
        """Removes `directory` for everybody."""
        shutil.rmtree(directory, ignore_errors=True)
        for name in self.objects.names(self._name(directory) + "/"):
            self.objects.remove(name)

    def _name(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()


def _state(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_size


def _is_sent(name: str) -> bool:
    parts = name.split("/")
    if ".." in parts or name.startswith(NOT_SENT):
        return False
    return parts[-1] != CHECKPOINT and not parts[-1].endswith((".partial", ".lock"))
