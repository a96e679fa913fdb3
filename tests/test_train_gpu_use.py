"""Readings of a GPU; none where there is none, or where its driver does not tell."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from hpsearch.train.gpu_use import GpuUse, _tells, gpu_use


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    _tells.cache_clear()
    yield
    _tells.cache_clear()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_there_is_no_reading() -> None:
    assert gpu_use() is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_tells_its_name_and_its_memory() -> None:
    reading = gpu_use()
    assert reading is not None
    assert reading.name == torch.cuda.get_device_name(0)
    assert 0 <= reading.busy_fraction <= 1
    assert 0 < reading.used_bytes <= reading.total_bytes


def test_torchs_readings_are_taken_as_fractions_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: 83)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (30, 80))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="ab", name="H100"))
    assert gpu_use() == GpuUse(uuid="ab", name="H100", busy_fraction=0.83, used_bytes=50, total_bytes=80)


def test_a_part_of_a_gpu_that_tells_nothing_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def utilization(device: int) -> int:
        asked.append(device)
        raise RuntimeError("NVML: Not Supported")

    monkeypatch.setattr(torch.cuda, "utilization", utilization)
    assert [gpu_use(), gpu_use()] == [None, None]
    assert asked == [0]
