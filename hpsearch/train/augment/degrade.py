"""What happens to pictures on their way: blur and noise; `downscale` and `jpeg` are the others.

Each function gets the images that drew it, float32 in [0, 1], and draws its strength for each of them.

Legend: b images, c colours, h and w pixels, t taps of a filter.
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
    # oneDNN takes three times as long for a number of groups that is no multiple of 16.
    spare = -planes.shape[1] % 16
    planes, weights_bt = F.pad(planes, (0, 0, 0, 0, 0, spare)), F.pad(weights_bt, (0, 0, 0, spare))
    planes = F.conv2d(planes, weights_bt[:, None, None, :], groups=planes.shape[1])
    planes = F.conv2d(planes, weights_bt[:, None, :, None], groups=planes.shape[1])
    return planes[:, : num * colours].view(images_bchw.shape)


def noise(images_bchw: Tensor, uniforms_bu: Tensor, *, std_max: float) -> Tensor:
    """Adds Gaussian noise, independent for pixels and colours, of a deviation drawn from (0, std_max] of 255."""
    deviations_b1 = (1.0 - uniforms_bu[:, :1]) * (std_max / 255)
    normals = pixel_normals(uniforms_bu[:, 1:3], images_bchw[0].numel())
    return (images_bchw + (normals * deviations_b1).view(images_bchw.shape)).clamp_(0, 1)
