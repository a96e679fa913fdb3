"""The caches of decoded images that lie on this node, and their removal."""

from __future__ import annotations

import contextlib
import fcntl
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from hpsearch.data.cache_files import BUILDING, INDEX, LOCK, PIXELS, estimated_bytes
from hpsearch.errors import InputError, StorageError

State = Literal["ready", "outdated", "unfinished", "being built"]

_NAME = re.compile(rf"(?P<px>\d+)px-(?P<files>[0-9a-f]+)-[0-9a-f]+({re.escape(BUILDING)})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptCache:
    """One cache on disk."""

    directory: Path
    """Where it lies."""
    px: int
    """Side of its images."""
    num_images: int
    """Images that it holds, or will hold."""
    num_bytes: int
    """Disk that it takes now."""
    used: float
    """When it was opened or written last, seconds since the epoch."""
    state: State
    """`outdated`: the same files have a newer cache, since images were replaced; `unfinished`: the next run goes on with it."""


def kept_caches(cache_dir: Path) -> list[KeptCache]:
    """Every cache in `cache_dir`, the one that was used last first."""
    found = sorted(_described(cache_dir), key=lambda cache: cache.used, reverse=True)
    newest: set[str] = set()
    listed = []
    for cache in found:
        files = cache.directory.name.rpartition("-")[0]
        is_outdated = cache.state == "ready" and files in newest
        newest.update([files] if cache.state == "ready" else [])
        listed.append(replace(cache, state="outdated") if is_outdated else cache)
    return listed


def remove_cache(cache: KeptCache) -> None:
    """Removes a cache; processes that have it open keep what they have mapped.

    Raises:
        InputError: it is being built.
        StorageError: it cannot be removed.
    """
    finished = cache.directory.with_name(cache.directory.name.removesuffix(BUILDING))
    lock_file = finished.with_name(finished.name + LOCK)
    try:
        with lock_file.open("a") as lock:
            if not _locked(lock.fileno()):
                raise InputError(f"{cache.directory} is being built by another process; end that one first.")
            shutil.rmtree(cache.directory)
            lock_file.unlink()
    except OSError as error:
        raise StorageError(f"{cache.directory}: cannot be removed ({error.strerror}). Check its permissions.") from error


def _described(cache_dir: Path) -> Iterator[KeptCache]:
    for directory in cache_dir.iterdir() if cache_dir.is_dir() else ():
        name = _NAME.fullmatch(directory.name)
        if name is None:
            continue
        with contextlib.suppress(FileNotFoundError):  # it was finished or removed meanwhile
            px, pixels = int(name["px"]), (directory / PIXELS).stat()
            yield KeptCache(
                directory=directory,
                px=px,
                num_images=pixels.st_size // estimated_bytes(1, px),
                num_bytes=sum(file.stat().st_blocks * 512 for file in directory.iterdir()),
                used=max(file.stat().st_mtime for file in directory.iterdir()),
                state=_state(directory),
            )


def _state(directory: Path) -> State:
    if not directory.name.endswith(BUILDING):
        return "ready" if (directory / INDEX).is_file() else "unfinished"
    lock_file = directory.with_name(directory.name.removesuffix(BUILDING) + LOCK)
    try:
        with lock_file.open("a") as lock:
            return "unfinished" if _locked(lock.fileno()) else "being built"
    except OSError:
        return "unfinished"


def _locked(descriptor: int) -> bool:
    """Takes a cache's lock, until the descriptor is closed, if nobody holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
