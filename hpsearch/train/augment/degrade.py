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

_OUT_OF_REACH = 4.0
"""Further than any kernel reaches."""
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
    # oneDNN takes three times as long for a number of groups that is no multiple of 16.
    spare = -planes.shape[1] % 16
    planes, weights_bt = F.pad(planes, (0, 0, 0, 0, 0, spare)), F.pad(weights_bt, (0, 0, 0, spare))
    planes = F.conv2d(planes, weights_bt[:, None, None, :], groups=planes.shape[1])
    planes = F.conv2d(planes, weights_bt[:, None, :, None], groups=planes.shape[1])
    return planes[:, : num * colours].view(images_bchw.shape)


def downscale(images_bchw: Tensor, uniforms_bu: Tensor, *, factor_min: float) -> Tensor:
    """Reduces by a factor drawn from [factor_min, 1] and enlarges again, each with a kernel drawn from three.

    Kernels are box (nearest when enlarging), triangle (bilinear) and cubic; reductions are antialiased. Both steps are
    linear and separable, so together they are one matrix of h × h for each image, applied to columns and rows.
    """
    side_px = images_bchw.shape[-1]
    factors_b = factor_min + (1.0 - factor_min) * uniforms_bu[:, 0]
    sizes_b = torch.round(factors_b * side_px).clamp_(min=1)
    matrices = _there_and_back(sizes_b, torch.floor(uniforms_bu[:, 1:3] * 3), side_px)
    # Colours between rows and columns, so that both products take all three at once.
    pixels_bhcw = images_bchw.transpose(1, 2)
    rows_done = torch.bmm(pixels_bhcw.reshape(len(images_bchw), -1, side_px), matrices.transpose(1, 2))
    done = torch.bmm(matrices, rows_done.view(len(images_bchw), side_px, -1))
    return done.view(pixels_bhcw.shape).transpose(1, 2).clamp_(0, 1)


def noise(images_bchw: Tensor, uniforms_bu: Tensor, *, std_max: float) -> Tensor:
    """Adds Gaussian noise, independent for pixels and colours, of a deviation drawn from (0, std_max] of 255."""
    deviations_b1 = (1.0 - uniforms_bu[:, :1]) * (std_max / 255)
    normals = pixel_normals(uniforms_bu[:, 1:3], images_bchw[0].numel())
    return (images_bchw + (normals * deviations_b1).view(images_bchw.shape)).clamp_(0, 1)


def _there_and_back(sizes_b: Tensor, kernels_b2: Tensor, side_px: int) -> Tensor:
    """Matrices (b, h, h) of a reduction to `sizes_b` pixels with one kernel and back with another."""
    pixels = torch.arange(side_px, device=sizes_b.device) + 0.5
    scaled_bh = pixels * (sizes_b / side_px)[:, None]
    is_missing_bs1 = (pixels >= sizes_b[:, None])[:, :, None]
    away_bsh = (scaled_bh[:, None, :] - pixels[None, :, None]).abs_().add_(is_missing_bs1, alpha=_OUT_OF_REACH)
    is_kernel_b23 = (kernels_b2[:, :, None] == torch.arange(3, device=sizes_b.device)).to(away_bsh.dtype)
    weights_b2n = torch.bmm(is_kernel_b23, _kernels(away_bsh).flatten(2))
    down_bsh, up_bsh = weights_b2n.view(-1, 2, side_px, side_px).unbind(1)
    down_bsh.div_(down_bsh.sum(dim=2, keepdim=True).clamp_(min=1e-6))
    up_bsh.div_(up_bsh.sum(dim=1, keepdim=True))
    return torch.bmm(up_bsh.transpose(1, 2), down_bsh)


def _kernels(away_bsh: Tensor) -> Tensor:
    """Box, triangle and cubic (Keys 1981, a = −1/2) at distances in pixels of the reduced image, (b, 3, s, h).

    With p = max(2 − d, 0) and q = max(1 − d, 0) the cubic is p²(p − 1)/2 + q²(1 − 2q), and the triangle is q.
    """
    num, height, width = away_bsh.shape
    kernels = torch.empty(num, 3, height, width, device=away_bsh.device)
    kernels[:, 0] = away_bsh <= 0.5
    q = torch.sub(1, away_bsh, out=kernels[:, 1]).clamp_(min=0)
    p = (2 - away_bsh).clamp_(min=0)
    torch.mul(p * p, p.sub_(1), out=kernels[:, 2]).mul_(0.5).add_((q * q).mul_(1 - 2 * q))
    return kernels
