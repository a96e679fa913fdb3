"""One function decides what an exception inside a stretch means."""

import errno

import pytest
import torch

from hpsearch.errors import ClusterError, DivergedError, InfeasibleError, InputError, StorageError
from hpsearch.execute.outcome import Verdict, judge_exception
from hpsearch.search.types import Outcome


def judged(error: Exception, cause: Exception | None = None) -> Verdict:
    try:
        raise error from cause
    except Exception as caught:
        return judge_exception(caught)


@pytest.mark.parametrize(
    ("error", "outcome", "restart"),
    [
        (DivergedError("loss is nan"), Outcome.DIVERGED, False),
        (InfeasibleError("one image does not fit"), Outcome.INFEASIBLE, True),
        (torch.OutOfMemoryError("CUDA out of memory."), Outcome.INFEASIBLE, True),
        (MemoryError(), Outcome.INFEASIBLE, True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), Outcome.INFEASIBLE, True),
        (RuntimeError("CUDA error: device-side assert triggered"), Outcome.FAILED, True),
        (ValueError("no such layer"), Outcome.FAILED, False),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.jpg"), Outcome.FAILED, False),
    ],
)
def test_exception_becomes_the_trial_s_outcome(error: Exception, outcome: Outcome, restart: bool) -> None:
    verdict = judged(error)
    assert (verdict.outcome, verdict.restart_worker, verdict.error) == (outcome, restart, None)


def test_out_of_memory_is_found_below_the_error_that_it_caused() -> None:
    verdict = judged(RuntimeError("evaluation failed"), torch.OutOfMemoryError("CUDA out of memory."))
    assert (verdict.outcome, verdict.restart_worker) == (Outcome.INFEASIBLE, True)


def test_full_disk_stops_the_search_and_names_the_file() -> None:
    verdict = judged(OSError(errno.ENOSPC, "No space left on device", "/runs/a/checkpoint.pt"))
    assert verdict.outcome is None
    assert verdict.is_storage
    assert isinstance(verdict.error, StorageError)
    assert "/runs/a/checkpoint.pt" in str(verdict.error)


@pytest.mark.parametrize("error", [InputError("no weights"), ClusterError("no GPU"), StorageError("mount gone")])
def test_errors_that_no_trial_caused_stop_the_search_as_they_are(error: Exception) -> None:
    verdict = judged(error)
    assert verdict.outcome is None
    assert verdict.error is error


def test_message_is_one_line_and_the_traceback_is_kept() -> None:
    verdict = judged(ValueError("two\n  lines"))
    assert verdict.message == "ValueError: two lines"
    assert "test_execute_outcome" in verdict.trace
