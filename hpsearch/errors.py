"""The errors that a user can meet, each with the exit code of the command line that ends with it.

A message says what was given, the rule that it breaks, and what to do next.
"""

from __future__ import annotations

import errno

STORAGE_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOTCONN})
"""Disk full, quota, read-only, I/O error, mount gone: the fault of no trial and of no program."""
EXIT_DONE = 0
EXIT_PROBLEM = 1
"""Of a command that looks for problems, which can so stand in a script before another: it has found some."""
EXIT_INTERRUPTED = 130


class HpsearchError(Exception):
    """Root of every error that hpsearch raises on purpose."""

    exit_code: int = 1


class InputError(HpsearchError):
    """An option, a label file, a space file or a model file is wrong; found before any training."""

    exit_code = 2


class NoUsableTrialError(HpsearchError):
    """The search ended without one trial that could be retrained."""

    exit_code = 3


class ClusterError(HpsearchError):
    """The cluster cannot do what was asked: not reachable, too small, versions differ, a node without data."""

    exit_code = 4


class StorageError(ClusterError):
    """A run directory or cache cannot be written or read: disk full, mount gone, another driver holds it."""


class DivergedError(HpsearchError):
    """A loss or a metric of a trial is not finite."""


class InfeasibleError(HpsearchError):
    """A configuration cannot be trained at all: it does not fit the memory, or its network cannot be built."""


def storage_error(error: OSError) -> StorageError | None:
    """What `error` says of the disk, for a user; None where it is about something else."""
    if error.errno not in STORAGE_ERRNOS:
        return None
    where = error.filename or "a file of the run"
    return StorageError(f"cannot write or read {where}: {error.strerror}. Free the disk, or mount it again.")
