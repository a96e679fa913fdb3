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
"""Stored images that are sampled at a time on a CPU, as floats: they fit a second-level cache."""
_CPU_GRID_BYTES = 8 << 20
"""Stored images whose positions are computed at a time on a CPU, as floats."""
_SHARP_ENOUGH = 1.1
"""Reductions up to this are left to the bilinear filter alone: the missing blur has a sigma below 0.19 pixels."""


def resized(images_bchw: Tensor, side_px: int) -> Tensor:
    """Images of another side, antialiased; uint8 stays uint8."""
    if images_bchw.shape[-1] == side_px:
        return images_bchw
    # torch resizes 8-bit images on a CPU only, but there 10 times as fast as floats.
    in_floats = images_bchw.device.type != "cpu" and not images_bchw.is_floating_point()
    pixels_bchw = images_bchw.float() if in_floats else images_bchw
    scaled_bchw = F.interpolate(pixels_bchw, (side_px, side_px), mode="bilinear", antialias=True)
    return scaled_bchw.round_().to(torch.uint8) if in_floats else scaled_bchw


def cut(images_bchw: Tensor, maps_b23: NDArray[np.float32], image_px: int) -> Tensor:
    """Pixels that `maps_b23` pick without interpolation, channels_last: crops on the pixel grid, flipped or not."""
    side_px = images_bchw.shape[-1]
    first_b2 = np.rint(((maps_b23[:, :, 2] + 1.0) * side_px - image_px) / 2).astype(np.int64)
    flipped_b2 = maps_b23[:, (0, 1), (0, 1)] < 0
    images_bhwc = images_bchw.permute(0, 2, 3, 1)
    if not flipped_b2.any() and (first_b2 == first_b2[:1]).all():
        left, top = first_b2[0].tolist() if len(first_b2) else (0, 0)
        parts_bhwc = images_bhwc[:, top : top + image_px, left : left + image_px]
    else:
        cut_out = sliced if images_bchw.device.type == "cpu" else gathered
        parts_bhwc = cut_out(images_bhwc, first_b2, flipped_b2, image_px)
    pixels_bhwc = parts_bhwc.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    return pixels_bhwc.permute(0, 3, 1, 2).mul_(1.0 if images_bchw.is_floating_point() else 1 / 255)


def sliced(images_bhwc: Tensor, first_b2: NDArray[np.int64], flipped_b2: NDArray[np.bool_], image_px: int) -> Tensor:
    """Squares from the pixels `first_b2` (x, y) on, mirrored along x and y where `flipped_b2` says so.

    Image by image: on a CPU 8 times as fast as `gathered`.
    """
    parts = []
    for image_hwc, (left, top), (mirrored, upside_down) in zip(
        images_bhwc, first_b2.tolist(), flipped_b2.tolist(), strict=True
    ):
        part_hwc = image_hwc[top : top + image_px, left : left + image_px]
        axes = [axis for axis, flipped in ((0, upside_down), (1, mirrored)) if flipped]
        parts.append(part_hwc.flip(axes) if axes else part_hwc)
    return torch.stack(parts)


def gathered(images_bhwc: Tensor, first_b2: NDArray[np.int64], flipped_b2: NDArray[np.bool_], image_px: int) -> Tensor:
    """The same in one kernel."""
    steps_p = np.arange(image_px)
    steps_b2p = np.where(flipped_b2[:, :, None], steps_p[::-1], steps_p)
    indices_b2p = to_device(first_b2[:, :, None] + steps_b2p, images_bhwc.device)
    images_b11 = torch.arange(len(first_b2), device=images_bhwc.device)[:, None, None]
    return images_bhwc[images_b11, indices_b2p[:, 1, :, None], indices_b2p[:, 0, None, :]]


def sampled(images_bchw: Tensor, maps_b23: NDArray[np.float32], image_px: int, outside: Outside) -> Tensor:
    """One bilinear pass along `maps_b23`, after a small blur where a map reduces the image; planar."""
    sampled_bchw = torch.empty(len(images_bchw), 3, image_px, image_px, device=images_bchw.device)
    blur_b2 = _missing_blur(maps_b23, images_bchw.shape[-1], image_px)
    for rows in pieces(len(images_bchw), images_bchw[:1], cpu_bytes=_CPU_GRID_BYTES):
        grid_bhw2 = _grid(to_device(maps_b23[rows], images_bchw.device), image_px)
        if outside == "black":
            _keep_off_black(grid_bhw2, maps_b23[rows], images_bchw.shape[-1])
        _sample(images_bchw[rows], blur_b2[rows], grid_bhw2, outside, sampled_bchw[rows])
    return sampled_bchw


def _sample(
    images_bchw: Tensor, blur_b2: NDArray[np.float32], grid_bhw2: Tensor, outside: Outside, sampled_bchw: Tensor
) -> None:
    """Fills `sampled_bchw`; on a CPU a few images at a time, which halves the time at 128 px: gathers miss no cache."""
    padding = {"black": "zeros", "reflect": "reflection", "edge": "border"}[outside]
    scale = 1.0 if images_bchw.is_floating_point() else 1 / 255
    for rows in pieces(len(images_bchw), images_bchw[:1], cpu_bytes=_CPU_BYTES):
        pixels_bchw = images_bchw[rows].float()
        if blur_b2[rows].any():
            pixels_bchw = _blurred(pixels_bchw, to_device(blur_b2[rows], images_bchw.device))
        piece_bchw = F.grid_sample(pixels_bchw, grid_bhw2[rows], mode="bilinear", padding_mode=padding, align_corners=False)
        torch.mul(piece_bchw, scale, out=sampled_bchw[rows])


def _missing_blur(maps_b23: NDArray[np.float32], side_px: int, image_px: int) -> NDArray[np.float32]:
    """The weight w of three taps (w, 1 − 2w, w) along x and y that each image needs before it is reduced, (b, 2).

    An antialiased reduction by s has a triangle filter of variance s²/6, the bilinear pass one of 1/6; the taps' variance
    2w makes up the difference. Right up to s = 2; images are stored so that s ≤ 1.5.
    """
    squares_b2 = np.square(maps_b23[:, :, :2]).sum(axis=2) * np.float32((side_px / image_px) ** 2)
    return np.where(squares_b2 > _SHARP_ENOUGH**2, np.clip((squares_b2 - 1) / 12, 0.0, 0.25), 0.0).astype(np.float32)


def _blurred(pixels_bchw: Tensor, weights_b2: Tensor) -> Tensor:
    """Each pixel exchanges the share w of their difference with its neighbours, and nothing across the border."""
    blurred_bchw = pixels_bchw.clone()
    for axis, dim in ((0, 3), (1, 2)):
        exchange = blurred_bchw.diff(dim=dim).mul_(weights_b2[:, axis, None, None, None])
        num = exchange.shape[dim]
        blurred_bchw.narrow(dim, 0, num).add_(exchange)
        blurred_bchw.narrow(dim, 1, num).sub_(exchange)
    return blurred_bchw


def _keep_off_black(grid_bhw2: Tensor, maps_b23: NDArray[np.float32], side_px: int) -> None:
    """Moves positions of images that show nothing outside to the outermost pixels' centres at most, in place.

    Black is blended in from there on, half a pixel before the border.
    """
    outermost = 1 - 1 / side_px
    reach_b = (np.abs(maps_b23[:, :, :2]).sum(axis=2) + np.abs(maps_b23[:, :, 2])).max(axis=1)
    touched = np.flatnonzero((reach_b > outermost) & (reach_b < 1 + 1e-5))
    if touched.size:
        indices = to_device(touched, grid_bhw2.device)
        grid_bhw2.index_copy_(0, indices, grid_bhw2.index_select(0, indices).clamp_(-outermost, outermost))


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
