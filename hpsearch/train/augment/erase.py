"""Random erasing (Zhong et al. 2020): a rectangle of each image becomes one colour."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_SMALLEST_AREA = 0.02
_LARGEST_ASPECT = 10 / 3


def erase(images_bchw: Tensor, uniforms_bu: Tensor, *, area_max: float) -> Tensor:
    """Fills a rectangle of 2 % to `area_max` of the area and of a random shape, place and colour.

    Where `area_max` is below 2 % the rectangle has that area.
    """
    height, width = images_bchw.shape[2:]
    smallest = min(_SMALLEST_AREA, area_max)
    area_b = smallest + (area_max - smallest) * uniforms_bu[:, 0]
    aspect_b = torch.exp((2.0 * uniforms_bu[:, 1] - 1.0) * math.log(_LARGEST_ASPECT))
    inside_bh = _inside(height, torch.sqrt(area_b * aspect_b), uniforms_bu[:, 2])
    inside_bw = _inside(width, torch.sqrt(area_b / aspect_b), uniforms_bu[:, 3])
    inside = inside_bh[:, None, :, None] * inside_bw[:, None, None, :]
    return (images_bchw * (1 - inside)).add_(inside * uniforms_bu[:, 4:7, None, None])


def _inside(side_px: int, share_b: torch.Tensor, place_b: torch.Tensor) -> Tensor:
    """1 for those of `side_px` pixels in an interval of `share_b` of them, at `place_b` (0: first, 1: last possible)."""
    length_b = torch.round(share_b.clamp(max=1.0) * side_px)
    first_b = torch.floor(place_b * (side_px - length_b + 1))
    steps = torch.arange(side_px, device=share_b.device)
    return ((steps >= first_b[:, None]) & (steps < (first_b + length_b)[:, None])).to(share_b.dtype)
