"""What depends on where the pixels are: copies that do not wait, and how many images to work on at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """`array` as a tensor on `device`; on a CPU they share memory."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def pieces(num_images: int, image: Tensor, *, cpu_bytes: int) -> Iterator[slice]:
    """Slices of `num_images` rows: all at once, but on a CPU as many as `cpu_bytes` hold of float images like `image`."""
    num = max(1, num_images)
    if image.device.type == "cpu":
        num = min(num, max(1, cpu_bytes // (4 * max(1, image.numel()))))
    for start in range(0, num_images, num):
        yield slice(start, min(start + num, num_images))
