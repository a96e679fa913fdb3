"""What a process may take of its GPU's memory, and what tells that it was not enough.

Importing this brings no torch, which would cost seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hpsearch.errors import InfeasibleError

CONTEXT_BYTES = 600 * 2**20
"""GPU memory that a process takes beside what torch counts: CUDA's context and the kernels it loads."""
SMALLEST_FRACTION = 0.01
"""Of a GPU that is left to torch at least."""
ALLOCATION_MESSAGES = ("out of memory", "can't allocate memory", "cannot allocate memory")
"""How torch words a failed allocation where it has no class of its own for it."""


def keep_to_share(gpus: float) -> None:
    """Limits what torch takes of this process's GPU to its share; without that the first to come take what others need.

    Args:
        gpus: GPUs of this process; a fraction shares one. 1 and more, and 0, set no limit.
    """
    if not 0 < gpus < 1:
        return
    import torch

    total_bytes = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(max(SMALLEST_FRACTION, gpus - CONTEXT_BYTES / total_bytes))


@contextmanager
def infeasible_without_memory() -> Iterator[None]:
    """Lets the work inside fail with an `InfeasibleError` where memory is not enough for it."""
    try:
        yield
    except InfeasibleError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InfeasibleError(
            f"it does not fit the memory ({reason}). Choose a smaller image_px or backbone, or a larger share of the GPU "
            "(resources.gpus_per_trial)."
        ) from error


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether `error`, or what it followed from, is a failed allocation, on a GPU or the host."""
    while error is not None:
        if isinstance(error, (MemoryError, torch_class("OutOfMemoryError"))):
            return True
        if isinstance(error, RuntimeError) and any(words in str(error).lower() for words in ALLOCATION_MESSAGES):
            return True
        error = error.__cause__
    return False


def torch_class(name: str) -> type[BaseException] | tuple[()]:
    """Torch's exception of that name; none before torch is loaded, when nobody can hold one."""
    return getattr(sys.modules.get("torch"), name, ())
