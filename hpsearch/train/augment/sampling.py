"""Moves pixels: cuts on the pixel grid, and one bilinear pass for every other affine map.

Maps are those of `geometry`. Images come in as uint8 in [0, 255] or float in [0, 1], channels_last or not, square;
they go out as float32 in [0, 1].

Legend: b images, c colours, h and w pixels; 2 x and y.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from hpsearch.train.augment.device import pieces, to_device

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.train.augment.geometry import Outside

_CPU_BYTES = 1 << 20
"""Float pixels that are worked on at a time on a CPU: with their copies they fit a second-level cache."""
_SHARP_ENOUGH = 1.1
"""Reductions up to this are left to the bilinear filter alone: the missing blur has a sigma below 0.19 pixels."""


def resized(images_bchw: Tensor, side_px: int) -> Tensor:
    """Images of another side, antialiased; uint8 stays uint8."""
    if images_bchw.shape[-1] == side_px:
        return images_bchw
    scaled = F.interpolate(images_bchw.float(), (side_px, side_px), mode="bilinear", antialias=True, align_corners=False)
    return scaled if images_bchw.is_floating_point() else scaled.round_().clamp_(0, 255).to(torch.uint8)


def cut(images_bchw: Tensor, maps_b23: NDArray[np.float32], image_px: int) -> Tensor:
    """Pixels that `maps_b23` pick without interpolation, channels_last: crops on the pixel grid, flipped or not."""
    side_px = images_bchw.shape[-1]
    first_b2 = np.rint(((maps_b23[:, :, 2] + 1.0) * side_px - image_px) / 2).astype(np.int64)
    images_bhwc = images_bchw.permute(0, 2, 3, 1)
    if (first_b2 == first_b2[:1]).all():
        left, top = first_b2[0].tolist() if len(first_b2) else (0, 0)
        parts_bhwc = images_bhwc[:, top : top + image_px, left : left + image_px]
    else:
        # Slices and one copy: on a CPU 5 times as fast as indexing.
        corners = zip(images_bhwc, first_b2.tolist(), strict=True)
        parts_bhwc = torch.stack([image[top : top + image_px, left : left + image_px] for image, (left, top) in corners])
    pixels_bhwc = parts_bhwc.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    mirrored_b, upside_down_b = maps_b23[:, 0, 0] < 0, maps_b23[:, 1, 1] < 0
    for axis, flipped_b in ((2, mirrored_b), (1, upside_down_b)):
        if flipped_b.any():
            indices = to_device(np.flatnonzero(flipped_b), images_bchw.device)
            pixels_bhwc.index_copy_(0, indices, pixels_bhwc.index_select(0, indices).flip(axis))
    return pixels_bhwc.permute(0, 3, 1, 2).mul_(1.0 if images_bchw.is_floating_point() else 1 / 255)


def sampled(images_bchw: Tensor, maps_b23: NDArray[np.float32], image_px: int, outside: Outside) -> Tensor:
    """One bilinear pass along `maps_b23`, after a small blur where a map reduces the image; planar.

    On a CPU a few images at a time, which then stay in its cache: at 128 px this halves the time.
    """
    num_images = len(images_bchw)
    sampled_bchw = torch.empty(num_images, 3, image_px, image_px, device=images_bchw.device)
    scale = 1.0 if images_bchw.is_floating_point() else 1 / 255
    for rows in pieces(num_images, images_bchw[:1], cpu_bytes=_CPU_BYTES):
        piece_bchw = _sampled_at_once(images_bchw[rows], maps_b23[rows], image_px, outside)
        torch.mul(piece_bchw, scale, out=sampled_bchw[rows])
    return sampled_bchw


def _sampled_at_once(images_bchw: Tensor, maps_b23: NDArray[np.float32], image_px: int, outside: Outside) -> Tensor:
    pixels_bchw = _prefiltered(images_bchw, maps_b23, image_px)
    grid_bhw2 = _grid(to_device(maps_b23, images_bchw.device), image_px)
    if outside == "black":
        _keep_off_black(grid_bhw2, maps_b23, images_bchw.shape[-1])
    padding = {"black": "zeros", "reflect": "reflection", "edge": "border"}[outside]
    return F.grid_sample(pixels_bchw.float(), grid_bhw2, mode="bilinear", padding_mode=padding, align_corners=False)


def _keep_off_black(grid_bhw2: Tensor, maps_b23: NDArray[np.float32], side_px: int) -> None:
    """Moves positions of images that show nothing outside to the outermost pixels' centres at most, in place.

    Black is blended in from there on, half a pixel before the border.
    """
    outermost = 1 - 1 / side_px
    reach_b = (np.abs(maps_b23[:, :, :2]).sum(axis=2) + np.abs(maps_b23[:, :, 2])).max(axis=1)
    is_touched_b = (reach_b > outermost) & (reach_b < 1 + 1e-5)
    if is_touched_b.any():
        limits_b111 = np.where(is_touched_b, outermost, np.inf).astype(np.float32)[:, None, None, None]
        limits = to_device(limits_b111, grid_bhw2.device)
        torch.minimum(torch.maximum(grid_bhw2, -limits), limits, out=grid_bhw2)


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
    if factors_b2.max(initial=0.0) <= _SHARP_ENOUGH:
        return images_bchw
    weights_b2 = np.where(factors_b2 > _SHARP_ENOUGH, np.clip((factors_b2**2 - 1) / 12, 0.0, 0.25), 0.0)
    weights = to_device(weights_b2.astype(np.float32), images_bchw.device)
    pixels_bchw = images_bchw.to(torch.float32, copy=True)
    for axis, dim in ((0, 3), (1, 2)):
        # Each pixel exchanges the share w of their difference with its neighbours, and nothing across the border.
        exchange = pixels_bchw.diff(dim=dim).mul_(weights[:, axis, None, None, None])
        num = exchange.shape[dim]
        pixels_bchw.narrow(dim, 0, num).add_(exchange)
        pixels_bchw.narrow(dim, 1, num).sub_(exchange)
    return pixels_bchw


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
