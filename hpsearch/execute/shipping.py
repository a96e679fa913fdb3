"""Images of the driver's machine for nodes that do not see them: each gets one copy in its cache, before it trains anything.

An actor beside the driver reads files, a task on each node asks for them by the batch and writes them. What is there with
the right size and time is not sent again, so a copy that was cut short goes on. A copy is complete when it has its name.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.client import ray as client
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hpsearch.data.cache_lock import only_one_builder
from hpsearch.data.folders import walk_files
from hpsearch.data.remote import PARTIAL, require_disk
from hpsearch.errors import ClusterError, HpsearchError, StorageError
from hpsearch.execute.connect import alive, name_of
from hpsearch.execute.messages import last_line

BATCH_BYTES = 32 << 20
"""Of files that are asked for at a time; so much lies in Ray's object store for each node and request."""
BATCH_FILES = 1000
REQUESTS_AHEAD = 2
READERS = 8
"""Requests that are read at the same time beside the driver."""
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of the driver's folder."""

    name: str
    """Path below it."""
    size: int
    """Bytes."""
    modified_ns: int
    """When it was last written."""


class Shipment:
    """One folder of the driver's machine, for the nodes of the cluster.

    Attributes:
        num_files: files of the folder.
    """

    def __init__(self, folder: Path, copy: Path) -> None:
        """Lists `folder`; `copy` is where nodes have it.

        Raises:
            ClusterError: this process is outside of the cluster.
        """
        if client.is_connected():  # type: ignore[no-untyped-call]  # Ray's own has no types
            raise ClusterError(
                f"{folder}: driver:// needs a driver on a node of the cluster, and ray:// connects from outside. Run it on a "
                "node with --address auto, or put the images on a mount or an object store."
            )
        listed = listed_files(folder)
        self.num_files = len(listed)
        self._copy = str(copy)
        self._home = ray.get_runtime_context().get_node_id()
        here = NodeAffinitySchedulingStrategy(self._home, soft=False)
        reader: Any = ray.remote(_Reader)
        self._reader = reader.options(num_cpus=0, max_concurrency=READERS, scheduling_strategy=here).remote(str(folder))
        self._listed = ray.put(listed)

    def begin(self, node: Mapping[str, Any]) -> Any:
        """Starts the copy on one node; a reference to the number of files sent. None: it trains nothing, or is this one."""
        if node["NodeID"] == self._home or not node["Resources"].get("CPU", 0):
            return None
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        receive: Any = ray.remote(_receive).options(num_cpus=0, scheduling_strategy=there, max_retries=0)
        return receive.remote(self._reader, self._listed, self._copy)

    def to_all(self, progress: Callable[[int, int], None]) -> int:
        """Copies to every live node that lacks files, and waits; the number of files that were sent.

        Args:
            progress: told the files that are there, of the nodes together, and all that shall be.

        Raises:
            StorageError: a node cannot keep them; the message has its name.
        """
        begun = {reference: node for node in alive() if (reference := self.begin(node)) is not None}
        pending, sent = list(begun), 0
        while pending:
            ready, pending = ray.wait(pending, num_returns=len(pending), timeout=LOOK_SECONDS)
            for reference in ready:
                sent += _outcome(reference, name_of(begun[reference]))
            progress(ray.get(self._reader.num_read.remote()), len(begun) * self.num_files)
        return sent


def _outcome(reference: Any, name: str) -> int:
    try:
        sent: int = ray.get(reference)
    except RayError as error:
        raise StorageError(f"node {name} has not got the images: {reason_of(error)}") from error
    return sent


def reason_of(error: Exception) -> str:
    """What a task says of its failure: our own words where they are its cause, else Ray's last line."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    return str(cause) if isinstance(cause, HpsearchError) else last_line(error)


def listed_files(folder: Path) -> list[ListedFile]:
    """All files below `folder`; links to directories are followed once, those to nothing are left out."""
    found = []
    for name in walk_files(folder):
        with contextlib.suppress(FileNotFoundError):
            status = (folder / name).stat()
            found.append(ListedFile(name, status.st_size, status.st_mtime_ns))
    return found


class _Reader:
    """Reads files beside the driver, in an actor of several threads."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._num_read = 0

    def read(self, names: Sequence[str]) -> list[bytes]:
        """The content of files."""
        contents = [(self._folder / name).read_bytes() for name in names]
        self._num_read += len(names)
        return contents

    def num_read(self) -> int:
        """Files read so far."""
        return self._num_read

    def skip(self, count: int) -> None:
        """Notes files that need not be read."""
        self._num_read += count


def _receive(reader: Any, listed: Sequence[ListedFile], copy: str) -> int:
    """Brings the copy on this node up to date; the number of files that came."""
    final = Path(copy)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with only_one_builder(final, 0, None):
            return _brought(reader, listed, final)
    except OSError as error:
        raise StorageError(
            f"{error.filename or copy}: {error.strerror}. Free some disk there, or give another directory with "
            "--set data.cache_dir=DIR, one on each node's own disk."
        ) from error


def _brought(reader: Any, listed: Sequence[ListedFile], final: Path) -> int:
    target = final if final.is_dir() else final.with_name(final.name + PARTIAL)
    missing = [file for file in listed if not _is_there(target / file.name, file)]
    reader.skip.remote(len(listed) - len(missing))
    if final.is_symlink() and (missing or target != final):
        raise StorageError(
            f"{final} is the link of a driver to its own images, which are not those that are sent. Remove the link, or give "
            "each node a cache of its own with --set data.cache_dir=DIR, on its own disk."
        )
    target.mkdir(parents=True, exist_ok=True)
    require_disk("the copy of the images", target, sum(file.size for file in missing))
    asked: deque[tuple[Sequence[ListedFile], Any]] = deque()
    for batch in batches(missing):
        asked.append((batch, reader.read.remote([file.name for file in batch])))
        if len(asked) > REQUESTS_AHEAD:
            _write(target, *asked.popleft())
    while asked:
        _write(target, *asked.popleft())
    if target != final:
        target.rename(final)
    return len(missing)


def batches(files: Sequence[ListedFile]) -> list[list[ListedFile]]:
    """`files` in groups of at most `BATCH_FILES` and, where there are several in one, `BATCH_BYTES`."""
    found: list[list[ListedFile]] = []
    num_bytes = 0
    for file in files:
        if not found or len(found[-1]) == BATCH_FILES or num_bytes + file.size > BATCH_BYTES:
            found.append([])
            num_bytes = 0
        found[-1].append(file)
        num_bytes += file.size
    return found


def _is_there(path: Path, file: ListedFile) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_size == file.size and status.st_mtime_ns == file.modified_ns


def _write(target: Path, batch: Sequence[ListedFile], contents: Any) -> None:
    try:
        found = ray.get(contents)
    except RayError as error:
        raise StorageError(f"the driver's machine does not give them: {reason_of(error)}") from error
    for file, content in zip(batch, found, strict=True):
        path = target / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + PARTIAL)
        partial.write_bytes(content)
        os.utime(partial, ns=(time.time_ns(), file.modified_ns))
        partial.replace(path)
