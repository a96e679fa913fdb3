from __future__ import annotations

import pytest
import torch
from torch import nn

from hpsearch.model.detector import Detector
from hpsearch.train import precision
from hpsearch.train.precision import autocast, compute_type, tune_device

CPU = torch.device("cpu")


@pytest.mark.parametrize(("capability", "expected"), [("avx512_bf16", torch.bfloat16), ("avx2", torch.float32)])
def test_auto_takes_bf16_on_cpus_that_have_instructions_for_it(
    capability: str, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True})
    assert compute_type("auto", CPU) is expected


def test_precision_that_is_asked_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_cpu_has_fast_bf16", lambda: False)
    assert compute_type("bf16", CPU) is torch.bfloat16
    assert compute_type("fp32", CPU) is torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_computes_in_the_chosen_type(dtype: torch.dtype) -> None:
    with autocast(CPU, dtype):
        assert nn.Conv2d(3, 4, 3)(torch.rand(1, 3, 8, 8)).dtype is dtype


class OneLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def get_classifier(self) -> nn.Module:
        return self.fc

    def forward(self, images_bchw: torch.Tensor) -> torch.Tensor:
        return self.fc(images_bchw.mean((2, 3)).to(torch.get_autocast_dtype("cpu")))


def test_logits_stay_fp32_under_autocast_so_that_scores_do_not_tie() -> None:
    detector = Detector(OneLayer(), ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))
    with autocast(CPU, torch.bfloat16):
        logits_bk = detector(torch.rand(500, 3, 4, 4))
    assert logits_bk.dtype is torch.float32
    assert len(logits_bk[:, 1].unique()) > 300


def test_a_gpu_may_try_out_convolutions_and_multiply_in_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    before = torch.get_float32_matmul_precision()
    try:
        tune_device(torch.device("cuda"))
        assert torch.backends.cudnn.benchmark
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_auto_takes_bf16_on_gpus_that_have_it() -> None:
    expected = torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float32
    assert compute_type("auto", torch.device("cuda")) is expected
