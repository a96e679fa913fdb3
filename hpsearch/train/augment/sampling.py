"""Moves pixels: cuts on the pixel grid, and one bilinear pass for every other affine map.

Maps are those of `geometry`. Images come in as uint8 in [0, 255] or float in [0, 1], channels_last or not, square;
they go out as float32 in [0, 1], planar.

Legend: b images, c colours, h and w pixels; 2 x and y.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from hpsearch.train.augment.transfer import to_device

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.train.augment.geometry import Outside

_SHARP_ENOUGH = 1.1
"""Reductions up to this are left to the bilinear filter alone: the missing blur has a sigma below 0.19 pixels."""


def resized(images_bchw: Tensor, side_px: int) -> Tensor:
    """Images of another side, antialiased; uint8 stays uint8."""
    if images_bchw.shape[-1] == side_px:
        return images_bchw
    scaled = F.interpolate(images_bchw.float(), (side_px, side_px), mode="bilinear", antialias=True, align_corners=False)
    return scaled if images_bchw.is_floating_point() else scaled.round_().clamp_(0, 255).to(torch.uint8)


def cut(images_bchw: Tensor, maps_b23: NDArray[np.float32], image_px: int) -> Tensor:
    """Pixels that `maps_b23` pick without interpolation: crops on the pixel grid, flipped or not.

    One copy per image on a CPU (7 times as fast as indexing there), one gather on other devices.
    """
    side_px = images_bchw.shape[-1]
    first_b2 = np.rint(((maps_b23[:, :, 2] + 1.0) * side_px - image_px) / 2).astype(np.int64)
    flipped_b2 = maps_b23[:, (0, 1), (0, 1)] < 0
    if images_bchw.device.type == "cpu":
        cut_bchw = torch.empty(len(images_bchw), 3, image_px, image_px)
        for target, image, (left, top), (mirror, turn) in zip(
            cut_bchw, images_bchw, first_b2.tolist(), flipped_b2.tolist(), strict=True
        ):
            part = image[:, top : top + image_px, left : left + image_px]
            axes = [axis for axis, flip in ((2, mirror), (1, turn)) if flip]
            target.copy_(part.flip(axes) if axes else part)
        return _unit_range(cut_bchw, images_bchw)
    steps = np.arange(image_px)
    indices_b2p = first_b2[:, :, None] + np.where(flipped_b2[:, :, None], steps[::-1], steps)
    indices = to_device(indices_b2p, images_bchw.device)
    batch = torch.arange(len(images_bchw), device=images_bchw.device)[:, None, None]
    cut_bhwc = images_bchw.permute(0, 2, 3, 1)[batch, indices[:, 1, :, None], indices[:, 0, None, :]]
    return _unit_range(cut_bhwc.permute(0, 3, 1, 2).float(), images_bchw)


def sampled(images_bchw: Tensor, maps_b23: NDArray[np.float32], image_px: int, outside: Outside) -> Tensor:
    """One bilinear pass along `maps_b23`, after a small blur where a map reduces the image."""
    side_px = images_bchw.shape[-1]
    pixels_bchw = _prefiltered(images_bchw, maps_b23, image_px)
    padding = {"black": "zeros", "reflect": "reflection", "edge": "border"}[outside]
    if outside == "black":
        # One repeated pixel around, so that black begins outside the image and does not shine into its outermost pixels.
        pixels_bchw = _edge_repeated(pixels_bchw)
        maps_b23 = maps_b23 * np.float32(side_px / (side_px + 2))
    grid_bhw2 = _grid(to_device(maps_b23, images_bchw.device), image_px)
    pixels_bchw = pixels_bchw.float()
    sampled_bchw = F.grid_sample(pixels_bchw, grid_bhw2, mode="bilinear", padding_mode=padding, align_corners=False)
    return _unit_range(sampled_bchw, images_bchw)


def reduction(maps_b23: NDArray[np.float32], side_px: int, image_px: int) -> NDArray[np.float32]:
    """By how much each map reduces the stored image along its x and y, shape (b, 2); below 1: it enlarges."""
    factors_b2: NDArray[np.float32] = np.linalg.norm(maps_b23[:, :, :2], axis=2) * np.float32(side_px / image_px)
    return factors_b2


def _prefiltered(images_bchw: Tensor, maps_b23: NDArray[np.float32], image_px: int) -> Tensor:
    """Blurs the images that are reduced, by three taps (w, 1 − 2w, w) along x and y.

    An antialiased reduction by s has a triangle filter of variance s²/6, the bilinear pass one of 1/6; the taps' variance
    2w makes up the difference. Right up to s = 2; images are stored so that s ≤ 1.5.
    """
    factors_b2 = reduction(maps_b23, images_bchw.shape[-1], image_px)
    rows = np.flatnonzero(factors_b2.max(axis=1) > _SHARP_ENOUGH)
    if not rows.size:
        return images_bchw
    weights_b2 = np.clip((factors_b2[rows] ** 2 - 1) / 12, 0.0, 0.25)
    taps_b23 = np.stack([weights_b2, 1 - 2 * weights_b2, weights_b2], axis=2)
    kernels_b33 = to_device(taps_b23[:, 1, :, None] * taps_b23[:, 0, None, :], images_bchw.device)
    pixels_bchw = images_bchw.to(torch.float32, copy=True)
    indices = to_device(rows, images_bchw.device)
    chosen_nchw = F.pad(pixels_bchw.index_select(0, indices), (1, 1, 1, 1), mode="replicate")
    num = 3 * len(rows)
    blurred = F.conv2d(
        chosen_nchw.reshape(1, num, *chosen_nchw.shape[2:]), kernels_b33.repeat_interleave(3, 0)[:, None], groups=num
    )
    return pixels_bchw.index_copy_(0, indices, blurred.view(len(rows), 3, *images_bchw.shape[2:]))


def _edge_repeated(images_bchw: Tensor) -> Tensor:
    num, _, height, width = images_bchw.shape
    padded_bhwc = torch.empty(num, height + 2, width + 2, 3, device=images_bchw.device)
    padded_bhwc[:, 1:-1, 1:-1] = images_bchw.permute(0, 2, 3, 1)
    padded_bhwc[:, 1:-1, 0], padded_bhwc[:, 1:-1, -1] = padded_bhwc[:, 1:-1, 1], padded_bhwc[:, 1:-1, -2]
    padded_bhwc[:, 0], padded_bhwc[:, -1] = padded_bhwc[:, 1], padded_bhwc[:, -2]
    return padded_bhwc.permute(0, 3, 1, 2)


def _grid(maps_b23: Tensor, image_px: int) -> Tensor:
    """Positions of all output pixels, (b, h, w, 2).

    `affine_grid` takes as long on a CPU as the sampling itself; a product of matrices would be in TF32 where the user
    allows that, and miss by a tenth of a pixel.
    """
    num = len(maps_b23)
    steps = torch.arange(image_px, device=maps_b23.device).mul_(2).add_(1 - image_px) / image_px
    first_row = steps[:, None] * maps_b23[:, None, :, 0] + maps_b23[:, None, :, 2]
    per_row = maps_b23[:, None, :, 1].expand(num, image_px, 2)
    grid = torch.addcmul(first_row.view(num, 1, -1), steps[None, :, None], per_row.reshape(num, 1, -1))
    return grid.view(num, image_px, image_px, 2)


def _unit_range(pixels_bchw: Tensor, source_bchw: Tensor) -> Tensor:
    return pixels_bchw if source_bchw.is_floating_point() else pixels_bchw.mul_(1 / 255)
