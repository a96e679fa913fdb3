"""The errors that a user can meet, each with the exit code of the command line that ends with it.

A message says what was given, the rule that it breaks, and what to do next.
"""

from __future__ import annotations

EXIT_DONE = 0
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
