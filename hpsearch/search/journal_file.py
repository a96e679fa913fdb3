"""A journal's lines in one local or network file: locked, flushed to disk, never half-written."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

from hpsearch.errors import StorageError

RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Waits between tries to write to a disk that is full or gone: about a minute in all."""

_held_here: set[Path] = set()
"""Journals of this process: POSIX locks do not refuse the process that holds them."""


class FileStore:
    """Appends to a file under an exclusive lock.

    The lock is a POSIX record lock on a file beside the journal: it ends with the process, however that dies, and children
    forked from the driver do not inherit it.

    A file that is open outlives its directory: what is written to it after its file system was unmounted may be lost, and
    after that was mounted again it may be another file. So each write first looks whether the path still is the open file.
    """

    def __init__(self, path: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Locks and opens `path`; it is made where it does not exist.

        Raises:
            StorageError: another driver holds it, or it cannot be opened.
        """
        self._path = path
        self._sleep = sleep
        self._lock_path = _lock_path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                self._lock_fd = self._locked()
            except BaseException:
                os.close(self._fd)
                raise
            self._num_bytes = os.fstat(self._fd).st_size
        except OSError as error:
            raise StorageError(
                f"{path}: cannot open this journal ({error.strerror}). Check the directory and its disk."
            ) from error

    def _locked(self) -> int:
        if self._lock_path in _held_here:
            raise StorageError(f"{self._path}: this process already drives this study. Close it before opening it again.")
        lock_fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            holder = _holder(os.read(lock_fd, 4096))
            os.close(lock_fd)
            raise StorageError(
                f"{self._path}: another driver holds this study: {holder}. Wait until it ends, or stop it; "
                f"to look on, use `python -m hpsearch.status`. If that machine is gone for good, its lock may stay (NFSv3): "
                f"remove {self._lock_path}."
            ) from error
        os.ftruncate(lock_fd, 0)
        os.write(lock_fd, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        _held_here.add(self._lock_path)
        return lock_fd

    def read(self) -> bytes:
        """The whole file."""
        return self._path.read_bytes()

    def cut(self, num_bytes: int) -> None:
        """Drops all but the first `num_bytes`."""
        os.ftruncate(self._fd, num_bytes)
        os.fsync(self._fd)
        self._num_bytes = num_bytes

    def append(self, data: bytes) -> None:
        """Appends `data` and waits until it is on disk; what was written in part is cut off, and after a while tried again.

        Raises:
            StorageError: the disk stayed full or away.
        """
        for wait_seconds in (*RETRY_SECONDS, None):
            try:
                self._settle(data)
                self._write(data)
                return
            except OSError as error:
                if wait_seconds is None:
                    raise StorageError(
                        f"{self._path}: cannot write ({error.strerror}), also after {sum(RETRY_SECONDS):.0f} s. "
                        f"Make room or bring the disk back, then run the same command again; nothing written is lost."
                    ) from error
                self._sleep(wait_seconds)

    def _write(self, data: bytes) -> None:
        try:
            written = 0
            while written < len(data):
                written += os.write(self._fd, data[written:])
            os.fsync(self._fd)
        except OSError:
            with contextlib.suppress(OSError):  # else the next try cuts it off
                os.ftruncate(self._fd, self._num_bytes)
            raise
        self._num_bytes += len(data)

    def _settle(self, data: bytes) -> None:
        """Finds the file at its path again, and cuts off what an earlier try has left of `data`."""
        if not os.path.samestat(self._path.stat(), os.fstat(self._fd)) or self._lock_path not in _held_here:
            self._reopen()
        num_bytes = os.fstat(self._fd).st_size
        if num_bytes == self._num_bytes:
            return
        if num_bytes < self._num_bytes or not data.startswith(os.pread(self._fd, num_bytes - self._num_bytes, self._num_bytes)):
            raise StorageError(
                f"{self._path}: has {num_bytes:,} bytes and not the {self._num_bytes:,} written here: another file lies in its "
                f"place, or something else writes to it. Bring the right one back, then run the same command again."
            )
        os.ftruncate(self._fd, self._num_bytes)

    def _reopen(self) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_APPEND)
        old_fds = [self._fd]
        if self._lock_path in _held_here:  # closed before it is taken again: closing any descriptor releases the lock
            old_fds.append(self._lock_fd)
            _held_here.discard(self._lock_path)
        for old_fd in old_fds:
            with contextlib.suppress(OSError):
                os.close(old_fd)
        self._fd = fd
        self._lock_fd = self._locked()

    def close(self) -> None:
        """Closes the file and releases the lock."""
        if self._lock_path in _held_here:
            os.close(self._fd)
            os.close(self._lock_fd)
            _held_here.discard(self._lock_path)


def is_driven(path: Path) -> bool:
    """Whether a process of this machine holds the journal at `path`; asks without taking the lock."""
    lock_path = _lock_path(path)
    if lock_path in _held_here:  # closing any descriptor of a file would release the lock of this very process
        return True
    try:
        lock_fd = os.open(lock_path, os.O_RDWR)
    except OSError:
        return False
    try:
        # struct flock of Linux on 64 bits: type, whence, start, length, process.
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(lock_fd, fcntl.F_GETLK, asked)
        return bool(struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(lock_fd)


def _lock_path(path: Path) -> Path:
    """The lock lies beside the real file, by whatever name that was given."""
    real_path = path.resolve()
    return real_path.with_name(real_path.name + ".lock")


def _holder(text: bytes) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):
        return "a process that has not said its name yet"
