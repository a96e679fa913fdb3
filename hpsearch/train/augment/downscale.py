"""Reduces images and enlarges them again, each with its own factor and kernels.

Two ways give the same up to rounding: on a CPU one image after the other by torch's resizes of 8-bit images, which take
160 µs at 128 px; elsewhere all at once as one matrix for rows and columns, which on a CPU takes 440 µs.

Legend: b images, c colours, h and w pixels, s pixels of the reduced image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

_KERNELS = ("nearest-exact", "bilinear", "bicubic")
_OUT_OF_REACH = 4.0
"""Further than any kernel reaches."""


def downscale(images_bchw: Tensor, uniforms_bu: Tensor, *, factor_min: float) -> Tensor:
    """Reduces by a factor drawn from [factor_min, 1] and enlarges again, each with one of three kernels.

    The kernels are nearest, bilinear and bicubic (Keys 1981 with a = −1/2); the latter two are antialiased.
    """
    side_px = images_bchw.shape[-1]
    factors_b = factor_min + (1.0 - factor_min) * uniforms_bu[:, 0]
    sizes_b = torch.round(factors_b * side_px).clamp_(min=1)
    kernels_b2 = torch.floor(uniforms_bu[:, 1:3] * len(_KERNELS))
    by = resized_there_and_back if images_bchw.device.type == "cpu" else multiplied_there_and_back
    return by(images_bchw, sizes_b, kernels_b2)


def resized_there_and_back(images_bchw: Tensor, sizes_b: Tensor, kernels_b2: Tensor) -> Tensor:
    """Images reduced to `sizes_b` pixels with the first of their kernels and enlarged with the second, in 8 bits."""
    side_px = images_bchw.shape[-1]
    values_bchw = (images_bchw * 255).round_().to(torch.uint8)
    done_bchw = torch.empty_like(images_bchw)
    for image, (size, kernels) in enumerate(zip(sizes_b.int().tolist(), kernels_b2.int().tolist(), strict=True)):
        value_1chw = values_bchw[image : image + 1]
        for to_px, kernel in zip((size, side_px), kernels, strict=True):
            value_1chw = F.interpolate(value_1chw, (to_px, to_px), mode=_KERNELS[kernel], antialias=kernel > 0)
        done_bchw[image] = value_1chw[0]
    return done_bchw.mul_(1 / 255)


def multiplied_there_and_back(images_bchw: Tensor, sizes_b: Tensor, kernels_b2: Tensor) -> Tensor:
    """The same without rounding; both steps are linear and separable, so together they are one matrix of h × h."""
    matrices = _there_and_back(sizes_b, kernels_b2, images_bchw.shape[-1])
    # Colours between rows and columns, so that both products take all three at once.
    pixels_bhcw = images_bchw.transpose(1, 2)
    rows_done = torch.bmm(pixels_bhcw.flatten(1, 2), matrices.transpose(1, 2))
    done = torch.bmm(matrices, rows_done.view(len(images_bchw), images_bchw.shape[-1], -1))
    return done.view(pixels_bhcw.shape).transpose(1, 2).clamp_(0, 1)


def _there_and_back(sizes_b: Tensor, kernels_b2: Tensor, side_px: int) -> Tensor:
    """Matrices (b, h, h) of a reduction to `sizes_b` pixels with one kernel and back with another."""
    places = torch.arange(side_px, device=sizes_b.device) + 0.5
    scaled_bh = places * (sizes_b / side_px)[:, None]
    is_missing_bs1 = (places >= sizes_b[:, None])[:, :, None]
    away_bsh = (scaled_bh[:, None, :] - places[None, :, None]).abs_().add_(is_missing_bs1, alpha=_OUT_OF_REACH)
    bilinear_bsh, bicubic_bsh = _antialiased(away_bsh)
    picked_bs = torch.floor(places * (side_px / sizes_b)[:, None])
    nearest_down_bsh = (picked_bs[:, :, None] == torch.floor(places)) & ~is_missing_bs1
    nearest_up_bsh = torch.floor(scaled_bh)[:, None, :] == torch.floor(places)[None, :, None]
    down_bsh = _chosen(kernels_b2[:, 0], nearest_down_bsh, bilinear_bsh, bicubic_bsh)
    up_bsh = _chosen(kernels_b2[:, 1], nearest_up_bsh, bilinear_bsh, bicubic_bsh)
    down_bsh = down_bsh / down_bsh.sum(dim=2, keepdim=True).clamp(min=1e-6)
    up_bsh = up_bsh / up_bsh.sum(dim=1, keepdim=True)
    return torch.bmm(up_bsh.transpose(1, 2), down_bsh)


def _antialiased(away_bsh: Tensor) -> tuple[Tensor, Tensor]:
    """The bilinear and the bicubic kernel at distances in pixels of the reduced image.

    With p = max(2 − d, 0) and q = max(1 − d, 0) the former is q, the latter p²(p − 1)/2 + q²(1 − 2q).
    """
    p, q = (2 - away_bsh).clamp(min=0), (1 - away_bsh).clamp(min=0)
    return q, 0.5 * p * p * (p - 1) + q * q * (1 - 2 * q)


def _chosen(kernels_b: Tensor, *weights_bsh: Tensor) -> Tensor:
    nearest_bsh, bilinear_bsh, bicubic_bsh = weights_bsh
    kernels_b11 = kernels_b[:, None, None]
    return torch.where(kernels_b11 == 0, nearest_bsh, torch.where(kernels_b11 == 1, bilinear_bsh, bicubic_bsh))
