"""What a GPU says of itself: how busy it is, and how much of its memory is taken, by whichever process."""

from __future__ import annotations

import functools
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuUse:
    """One reading."""

    uuid: str
    """Which GPU; trials that share one name the same."""
    name: str
    """Its model."""
    busy_fraction: float
    """Share of the last second or less in which a kernel ran."""
    used_bytes: int
    """Memory taken, by all its processes."""
    total_bytes: int
    """Memory that it has."""


def gpu_use() -> GpuUse | None:
    """A reading of this process's first GPU, in a millisecond or so; None where the driver does not tell."""
    import torch

    if not _tells():
        return None
    properties = torch.cuda.get_device_properties(0)
    free, total = torch.cuda.mem_get_info(0)
    return GpuUse(
        uuid=str(properties.uuid),
        name=properties.name,
        busy_fraction=torch.cuda.utilization(0) / 100,
        used_bytes=total - free,
        total_bytes=total,
    )


@functools.cache
def _tells() -> bool:
    """Whether this machine has NVML, and a GPU that answers it: part of one (MIG) and virtual ones may not."""
    import torch

    try:
        torch.cuda.utilization(0)
    except Exception:  # NVML's own errors, whose classes are there only where NVML is
        return False
    return True
