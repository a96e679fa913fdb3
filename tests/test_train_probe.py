"""A probe's memory is its own."""

import dataclasses

import pytest
import torch

from hpsearch.train.probe import probe
from hpsearch.train.settings import TrialSettings

SMALL = TrialSettings(backbone="test_resnet", image_px=32, batch_size=4)


def test_a_probe_begins_a_new_peak_of_the_gpus_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class BegunError(Exception):
        pass

    def begin() -> None:
        raise BegunError

    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", begin)
    with pytest.raises(BegunError):
        probe(SMALL, 32, device="cuda", precision="fp32")


def test_without_a_gpu_it_tells_what_the_process_took() -> None:
    found = probe(SMALL, 32, device="cpu", precision="fp32")
    assert found.images_per_second > 0
    assert found.peak_bytes > 50 * 2**20


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_small_network_after_a_large_one_has_the_smaller_peak() -> None:
    large = dataclasses.replace(SMALL, backbone="resnet18", image_px=128, batch_size=64)
    first, second = (probe(one, one.image_px, device="cuda", precision="fp32") for one in (large, SMALL))
    assert second.peak_bytes < first.peak_bytes / 4
