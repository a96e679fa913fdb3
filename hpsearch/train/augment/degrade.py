"""What happens to pictures on their way: blur, reduction and enlargement, noise.

Each function gets the images that drew it, float32 in [0, 1], and draws its strength for each of them.

Legend: b images, c colours, h and w pixels, t taps of a filter, s pixels of the reduced image.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from hpsearch.train.augment.randomness import pixel_normals

if TYPE_CHECKING:
    from torch import Tensor

_TAPS_SIGMAS = 3.0
"""A Gaussian is cut off after this many sigmas (0.3 % of its weight)."""


def blur(images_bchw: Tensor, uniforms_bu: Tensor, *, sigma_max: float) -> Tensor:
    """Gaussian blur of a sigma drawn from (0, sigma_max] pixels, with mirrored borders."""
    return blurred(images_bchw, (1.0 - uniforms_bu[:, 0]) * sigma_max, sigma_max=sigma_max)


def blurred(images_bchw: Tensor, sigmas_b: Tensor, *, sigma_max: float) -> Tensor:
    """Gaussian blur, one sigma (pixels, 0: unchanged) for each image; filters reach as far as `sigma_max` needs."""
    num, colours, height, width = images_bchw.shape
    reach = min(max(1, math.ceil(_TAPS_SIGMAS * sigma_max)), height - 1, width - 1)
    offsets_t = torch.arange(-reach, reach + 1, device=images_bchw.device)
    weights_bt = torch.exp(-0.5 * (offsets_t / sigmas_b.clamp(min=1e-3)[:, None]) ** 2)
    weights_bt = (weights_bt / weights_bt.sum(dim=1, keepdim=True)).repeat_interleave(colours, 0)
    padded = F.pad(images_bchw, (reach, reach, reach, reach), mode="reflect")
    planes = padded.reshape(1, num * colours, *padded.shape[2:])
    planes = F.conv2d(planes, weights_bt[:, None, None, :], groups=num * colours)
    return F.conv2d(planes, weights_bt[:, None, :, None], groups=num * colours).view(images_bchw.shape)


def downscale(images_bchw: Tensor, uniforms_bu: Tensor, *, factor_min: float) -> Tensor:
    """Reduces by a factor drawn from [factor_min, 1] and enlarges again, each with a kernel drawn from three.

    Kernels are box (nearest when enlarging), triangle (bilinear) and cubic; reductions are antialiased. Both steps are
    linear and separable, so together they are one matrix of h × h for each image, applied to columns and rows.
    """
    side_px = images_bchw.shape[-1]
    factors_b = factor_min + (1.0 - factor_min) * uniforms_bu[:, 0]
    sizes_b = torch.round(factors_b * side_px).clamp_(min=1)
    matrices = _there_and_back(sizes_b, torch.floor(uniforms_bu[:, 1:3] * 3), side_px)
    rows_done = torch.bmm(images_bchw.reshape(len(images_bchw), -1, side_px), matrices.transpose(1, 2))
    return torch.matmul(matrices[:, None], rows_done.view(images_bchw.shape)).clamp_(0, 1)


def noise(images_bchw: Tensor, uniforms_bu: Tensor, *, std_max: float) -> Tensor:
    """Adds Gaussian noise, independent for pixels and colours, of a deviation drawn from (0, std_max] of 255."""
    deviations_b1 = (1.0 - uniforms_bu[:, :1]) * (std_max / 255)
    normals = pixel_normals(uniforms_bu[:, 1:3], images_bchw[0].numel())
    return (images_bchw + (normals * deviations_b1).view(images_bchw.shape)).clamp_(0, 1)


def _there_and_back(sizes_b: Tensor, kernels_b2: Tensor, side_px: int) -> Tensor:
    """Matrices (b, h, h) of a reduction to `sizes_b` pixels with one kernel and back with another."""
    pixels = torch.arange(side_px, device=sizes_b.device) + 0.5
    factor_b11 = (sizes_b / side_px)[:, None, None]
    distances_bsh = pixels[None, None, :] * factor_b11 - pixels[None, :, None]
    exists_bs1 = (pixels[None, :, None] < sizes_b[:, None, None]).to(distances_bsh.dtype)
    down_bsh = _weights(distances_bsh, kernels_b2[:, 0]) * exists_bs1
    down_bsh = down_bsh / down_bsh.sum(dim=2, keepdim=True).clamp(min=1e-6)
    up_bsh = _weights(distances_bsh, kernels_b2[:, 1]) * exists_bs1
    up_bsh = up_bsh / up_bsh.sum(dim=1, keepdim=True)
    return torch.bmm(up_bsh.transpose(1, 2), down_bsh)


def _weights(distances: Tensor, kernels_b: Tensor) -> Tensor:
    """Box (0), triangle (1) or cubic (2, Keys 1981 with a = −1/2) at `distances` in pixels of the reduced image."""
    away = distances.abs()
    box = ((distances >= -0.5) & (distances < 0.5)).to(away.dtype)
    triangle = (1 - away).clamp(min=0)
    near, far = (1.5 * away - 2.5) * away * away + 1, ((-0.5 * away + 2.5) * away - 4) * away + 2
    cubic = torch.where(away <= 1, near, torch.where(away < 2, far, 0.0))
    kernels_b11 = kernels_b[:, None, None]
    return torch.where(kernels_b11 == 0, box, torch.where(kernels_b11 == 1, triangle, cubic))
