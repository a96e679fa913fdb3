"""The one place that decides what an exception inside a stretch means."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from hpsearch.errors import DivergedError, HpsearchError, InfeasibleError, StorageError, storage_error
from hpsearch.search.types import Outcome
from hpsearch.train.memory import is_out_of_memory, torch_class


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What follows from an exception inside a stretch."""

    outcome: Outcome | None
    """How the trial ends; None: the trial is not to blame, and the search stops with `error`."""
    message: str
    """One line for the journal."""
    trace: str
    """Traceback, for the log."""
    restart_worker: bool = False
    """Whether the process may be spoiled for the next trial: memory or the device's context."""
    error: HpsearchError | None = None
    """What the search stops with, where the trial is not to blame."""

    @property
    def is_storage(self) -> bool:
        """Whether waiting may help."""
        return isinstance(self.error, StorageError)


def judge_exception(error: Exception) -> Verdict:
    """What `error`, raised inside a stretch, means for the trial, the worker and the search."""
    trace = "".join(traceback.format_exception(error))
    message = _one_line(error)
    if isinstance(error, DivergedError):
        return Verdict(outcome=Outcome.DIVERGED, message=message, trace=trace)
    if isinstance(error, InfeasibleError) or is_out_of_memory(error):
        return Verdict(outcome=Outcome.INFEASIBLE, message=message, trace=trace, restart_worker=True)
    if isinstance(error, OSError) and (storage := storage_error(error)) is not None:
        return Verdict(outcome=None, message=message, trace=trace, error=storage)
    if isinstance(error, HpsearchError):
        return Verdict(outcome=None, message=message, trace=trace, error=error)
    return Verdict(outcome=Outcome.FAILED, message=message, trace=trace, restart_worker=_is_device_error(error))


def _is_device_error(error: Exception) -> bool:
    return isinstance(error, torch_class("AcceleratorError")) or "CUDA error" in str(error)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
