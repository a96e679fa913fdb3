"""Images for the tests of the augmentations: smooth pictures with some texture, made from a seed."""

import torch
from torch import Tensor


def pictures(num: int, side_px: int, seed: int = 0) -> Tensor:
    """uint8, (num, 3, side_px, side_px), channels_last, like decoded images in a cache."""
    generator = torch.Generator().manual_seed(seed)
    coarse_bchw = torch.rand(num, 3, 6, 6, generator=generator)
    smooth_bchw = torch.nn.functional.interpolate(coarse_bchw, (side_px, side_px), mode="bicubic", align_corners=False)
    noisy_bchw = (smooth_bchw + 0.03 * torch.randn(smooth_bchw.shape, generator=generator)).clamp_(0, 1)
    return (noisy_bchw * 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)


def unit_pictures(num: int, side_px: int, seed: int = 0) -> Tensor:
    """The same as planar float32 in [0, 1]."""
    return pictures(num, side_px, seed).float().contiguous() / 255


def same_picture(num: int, side_px: int) -> Tensor:
    """`num` copies of one of `pictures`."""
    return pictures(1, side_px).expand(num, -1, -1, -1).contiguous(memory_format=torch.channels_last)
