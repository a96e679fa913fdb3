"""A process's share of its GPU's memory, and work that needs more."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from hpsearch.errors import DivergedError, InfeasibleError
from hpsearch.train.memory import CONTEXT_BYTES, infeasible_without_memory, keep_to_share

GIB = 2**30


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Fractions that torch was limited to, on a GPU of 60 GiB."""
    found: list[float] = []
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=60 * GIB))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", found.append)
    return found


def test_who_shares_a_gpu_keeps_to_its_share_less_what_cuda_takes(limits: list[float]) -> None:
    keep_to_share(0.25)
    keep_to_share(0.001)
    assert limits == [pytest.approx(0.25 - CONTEXT_BYTES / (60 * GIB)), 0.01]


@pytest.mark.parametrize("gpus", [0.0, 1.0, 2.0])
def test_whole_gpus_have_no_limit(gpus: float, limits: list[float]) -> None:
    keep_to_share(gpus)
    assert limits == []


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nGPU 0 has ..."), MemoryError()]
)
def test_work_that_memory_does_not_hold_is_infeasible(error: Exception) -> None:
    reason = str(error).partition("\n")[0] or "MemoryError"
    with (
        pytest.raises(InfeasibleError, match=rf"does not fit the memory \({reason}\)\. Choose"),
        infeasible_without_memory(),
    ):
        raise error


@pytest.mark.parametrize("error", [DivergedError("nan"), InfeasibleError("too large"), ValueError("no such layer")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, infeasible_without_memory():
        raise error
    assert caught.value is error


def test_it_brings_no_torch() -> None:
    code = "import sys; from hpsearch.train.memory import is_out_of_memory; assert not is_out_of_memory(ValueError()); "
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)
