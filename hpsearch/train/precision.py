"""In which type a trial computes, on which device.

bf16 autocast against fp32 in channels_last, training a 64 px batch of 64 with one thread of an AMD EPYC (Zen 4,
avx512_bf16), torch 2.14.1, best of five while other processes ran: `test_resnet` 919 against 586 images/s, `resnet18` 175
against 84 (evaluation 2,980 against 2,122 and 603 against 336). `test_resnet` came to the same val AUC (0.724 and 0.721
after 6 epochs on 4,092 faces, one seed each). Weights and optimiser stay fp32 in either case.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from hpsearch.config import Precision
from hpsearch.train.allocator import keep_freed_memory

FAST_BF16 = ("avx512_bf16", "amx_bf16", "sve_bf16")
"""CPU instructions with which bf16 is faster than fp32; without them torch emulates it."""


def compute_type(precision: Precision, device: torch.device) -> torch.dtype:
    """The autocast type of a trial: what `precision` says, for `auto` what is faster on this device."""
    if precision == "auto":
        fast = torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else _cpu_has_fast_bf16()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[None]:
    """The context in which networks compute in `dtype`; with fp32 it changes nothing."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)


def tune_device(device: torch.device) -> None:
    """Lets cuDNN measure which convolutions are fastest and fp32 matrix products use TF32; on a CPU, keeps freed memory."""
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")


def _cpu_has_fast_bf16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in FAST_BF16)
