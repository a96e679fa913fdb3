"""Keeps memory that torch frees inside the process, so that the next step finds it again."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Names of the settings in glibc's <malloc.h>."""


def keep_freed_memory() -> bool:
    """Tells the C library to hand freed memory back to the system rarely; True where it listens (glibc).

    By default glibc returns each large tensor when it is freed and asks for it again at the next step, page by page:
    some 100 to 300 page faults for each training image on a CPU. Without them a step at 64 px, batch 64, one thread,
    took 1.31 instead of 1.59 ms an image (`test_resnet`) and 9.1 instead of 11.1 (`resnet18`), and used no more memory.
    Call it before training on a CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_THRESHOLD: 32 << 20, _TOP_PAD: 64 << 20}
    return all(mallopt(setting, value) == 1 for setting, value in settings.items())
