"""What becomes of a detector's AUC when images are compressed, blurred, noisy or small: one degradation at a time.

Degradations act on the images as they are stored for the network, in its pixels, alike for both classes.

Legend: b images of a batch, c colours, h and w pixels; images are float in [0, 1].
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Degradation = Callable[["Tensor"], "Tensor"]
"""Stored uint8 `images_bchw` → float in [0, 1]."""


def jpeg(images_bchw: Tensor, *, quality: int) -> Tensor:
    """JPEG of one quality."""
    import torch

    from hpsearch.train.augment.jpeg import compressed

    return compressed(_pixels(images_bchw), torch.full((len(images_bchw),), quality, device=images_bchw.device))


def blur(images_bchw: Tensor, *, sigma: float) -> Tensor:
    """Gaussian blur of `sigma` pixels."""
    import torch

    from hpsearch.train.augment.degrade import blurred

    sigmas_b = torch.full((len(images_bchw),), sigma, device=images_bchw.device)
    return blurred(_pixels(images_bchw), sigmas_b, sigma_max=sigma)


def noise(images_bchw: Tensor, *, std: float) -> Tensor:
    """Gaussian noise of `std` of 255; the same for the same place of a batch, so that figures repeat."""
    import torch

    generator = torch.Generator().manual_seed(0)
    pixels_bchw = _pixels(images_bchw)
    normals = torch.randn(pixels_bchw.shape, generator=generator).to(pixels_bchw.device)
    return (pixels_bchw + normals * (std / 255)).clamp_(0, 1)


def resize(images_bchw: Tensor, *, factor: float) -> Tensor:
    """Reduced by `factor` and enlarged again, bicubic with antialiasing."""
    import torch.nn.functional as F

    side_px = images_bchw.shape[-1]
    small_px = max(1, round(factor * side_px))
    small_bchw = F.interpolate(_pixels(images_bchw), (small_px, small_px), mode="bicubic", antialias=True).clamp_(0, 1)
    return F.interpolate(small_bchw, (side_px, side_px), mode="bicubic", antialias=True).clamp_(0, 1)


def _pixels(images_bchw: Tensor) -> Tensor:
    return (images_bchw.float() / 255).contiguous()


DEGRADATIONS: Mapping[str, Degradation] = {
    **{f"jpeg {quality}": functools.partial(jpeg, quality=quality) for quality in (90, 70, 50, 30)},
    **{f"blur {sigma:g}": functools.partial(blur, sigma=sigma) for sigma in (0.5, 1.0, 2.0)},
    **{f"noise {std:g}": functools.partial(noise, std=std) for std in (5.0, 10.0, 20.0)},
    **{f"resize {factor:g}": functools.partial(resize, factor=factor) for factor in (0.5, 0.25)},
}
"""Name → degradation, in the order of the table."""
