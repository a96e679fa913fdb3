"""JPEG compression and decompression of a batch, each image at its own quality.

What a baseline codec does with the standard tables (ITU-T T.81, annex K, scaled by quality as libjpeg does) and 4:2:0
chroma: colour transform, chroma halved, 8×8 cosine transform, quantisation, and back with smooth chroma upsampling.
The entropy coding in between loses nothing and is left out. Halves are rounded as libjpeg does, because chroma planes are
full of them: rounding them to even shifts colours by 0.2 of 255. Against Pillow 13 (libjpeg-turbo 3.2) decoded photographs
of 128 px differ by 0.03, 0.08, 0.14 and 0.23 of 255 on average at quality 10, 30, 75 and 95, where JPEG itself changes them
by 6.2, 3.2, 1.8 and 0.9; what is left comes from its integer transforms. Images whose side is no multiple of 16 are
continued by their last row and column, which differs from libjpeg in the last blocks.

Legend: b images, c colours, h and w pixels, k blocks of 8×8 pixels, 64 their pixels or frequencies.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

HIGHEST_QUALITY = 95

_LUMA_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))
_A_HAIR_MORE = 1 + 1e-5
"""Makes rounding to the nearest take halves away from 0, also those that a float32 sum misses by its last bits."""
_JUST_A_HALF = 0.5 + 1e-4
"""Makes rounding down take halves up, likewise."""


def jpeg(images_bchw: Tensor, uniforms_bu: Tensor, *, quality_min: float) -> Tensor:
    """Compresses each image at a whole quality drawn from [quality_min, 95] (above 95: at `quality_min`)."""
    highest = max(HIGHEST_QUALITY, quality_min)
    qualities_b = torch.floor(quality_min + uniforms_bu[:, 0] * (highest - quality_min + 1 - 1e-3))
    return compressed(images_bchw, qualities_b.long())


def compressed(images_bchw: Tensor, qualities_b: Tensor) -> Tensor:
    """Images in [0, 1] after JPEG at `qualities_b` (int64, 1 to 100), in steps of 1/255."""
    height, width = images_bchw.shape[2:]
    padded = images_bchw
    if width % 16 or height % 16:
        padded = F.pad(images_bchw, (0, -width % 16, 0, -height % 16), mode="replicate")
    # Colours are about 0 rather than 128 from here on, which is where the cosine transform wants them.
    ycc_bchw = _luma_and_chroma((padded * 255).round_().clamp_(0, 255).sub_(128)).round_()
    tables_b264 = _tables(images_bchw.device).index_select(0, qualities_b)
    chroma_bchw = _halved(ycc_bchw[:, 1:])
    _quantise(chroma_bchw, tables_b264[:, 1])
    _quantise(ycc_bchw[:, :1], tables_b264[:, 0])
    _double(chroma_bchw, ycc_bchw[:, 1:])
    return _red_green_blue(ycc_bchw).add_(128).round_().clamp_(0, 255).mul_(1 / 255)[:, :, :height, :width]


def _luma_and_chroma(rgb_bchw: Tensor) -> Tensor:
    """Y, Cb and Cr; plane by plane, because a product with a 3×3 matrix takes four times as long on a CPU."""
    red, green, blue = rgb_bchw.unbind(1)
    ycc_bchw = torch.empty_like(rgb_bchw)
    luma, to_blue, to_red = ycc_bchw.unbind(1)
    torch.mul(red, 0.299, out=luma).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    torch.sub(blue, luma, out=to_blue).mul_(1 / 1.772)
    torch.sub(red, luma, out=to_red).mul_(1 / 1.402)
    return ycc_bchw


def _red_green_blue(ycc_bchw: Tensor) -> Tensor:
    luma, to_blue, to_red = ycc_bchw.unbind(1)
    rgb_bchw = torch.empty_like(ycc_bchw)
    red, green, blue = rgb_bchw.unbind(1)
    torch.add(luma, to_red, alpha=1.402, out=red)
    torch.add(luma, to_blue, alpha=1.772, out=blue)
    torch.sub(luma, to_blue, alpha=0.344136286, out=green).sub_(to_red, alpha=0.714136286)
    return rgb_bchw


def _halved(planes_bchw: Tensor) -> Tensor:
    """Means of 2×2 pixels; halves are rounded down in even and up in odd columns."""
    rows = planes_bchw[:, :, 0::2] + planes_bchw[:, :, 1::2]
    sums = rows[..., 0::2] + rows[..., 1::2]
    return sums.add_(_alternating(1.0, 2.0, sums.shape[-1], sums.device)).mul_(0.25).floor_()


def _double(planes_bchw: Tensor, doubled_bchw: Tensor) -> None:
    """Fills `doubled_bchw`, of twice as many rows and columns, with 3/4 of the nearer and 1/4 of the farther old ones.

    Sixteenths are whole, and halves are rounded up in even and down in odd columns.
    """
    padded = F.pad(planes_bchw, (1, 1, 1, 1), mode="replicate")
    num, colours, height, width = padded.shape
    rows = torch.empty(num, colours, 2 * height - 4, width, device=padded.device)
    _interleave(padded, rows, dim=2)
    _interleave(rows, doubled_bchw, dim=3)
    doubled_bchw.add_(_alternating(8 / 16, 7 / 16, doubled_bchw.shape[-1], padded.device)).floor_()


def _interleave(padded: Tensor, doubled: Tensor, dim: int) -> None:
    num = padded.shape[dim] - 2
    near = padded.narrow(dim, 1, num)
    for first, far in enumerate((padded.narrow(dim, 0, num), padded.narrow(dim, 2, num))):
        steps = (slice(None),) * dim + (slice(first, None, 2),)
        torch.lerp(near, far, 0.25, out=doubled[steps])


@functools.lru_cache(maxsize=64)
def _alternating(even: float, odd: float, width: int, device: torch.device) -> Tensor:
    return torch.tensor([even, odd] * (width // 2), device=device)


def _quantise(planes_bchw: Tensor, tables_b64: Tensor) -> None:
    """Takes planes through the transform, rounding to multiples of the tables (halves away from 0), and back (halves up)."""
    num, colours, height, width = planes_bchw.shape
    transform = _cosines(planes_bchw.device)
    blocks_bcyxhw = planes_bchw.view(num, colours, height // 8, 8, width // 8, 8).transpose(3, 4)
    steps_b164 = tables_b64[:, None]
    levels = torch.matmul(blocks_bcyxhw.reshape(num, -1, 64), transform).mul_(_A_HAIR_MORE / steps_b164).round_()
    restored = torch.matmul(levels.mul_(steps_b164), transform.T).add_(_JUST_A_HALF).floor_().clamp_(-128, 127)
    blocks_bcyxhw.copy_(restored.view(blocks_bcyxhw.shape))


@functools.lru_cache(maxsize=8)
def _cosines(device: torch.device) -> Tensor:
    """The 8×8 cosine transform as one 64×64 matrix: pixels of a block (row by row) → frequencies."""
    steps = np.arange(8)
    basis = np.cos((2 * steps[:, None] + 1) * steps[None, :] * math.pi / 16) * np.where(steps == 0, math.sqrt(1 / 8), 0.5)
    return torch.from_numpy(np.kron(basis, basis).astype(np.float32)).to(device)


@functools.lru_cache(maxsize=8)
def _tables(device: torch.device) -> Tensor:
    """The tables of every quality: (101, 2, 64), luma first."""
    chroma = np.full((8, 8), 99)
    chroma[:4, :4] = _CHROMA_CORNER
    base_264 = np.stack([np.array(_LUMA_TABLE), chroma.ravel()])
    qualities = np.maximum(np.arange(101), 1)
    percent = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    tables_q264 = np.clip((base_264[None] * percent[:, None, None] + 50) // 100, 1, 255)
    return torch.from_numpy(tables_q264.astype(np.float32)).to(device)
