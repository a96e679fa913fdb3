"""Random numbers that depend on (seed, number of the image, name of the augmentation) and on nothing else.

They come from a counter, not from a generator's state: a batch that is cut into micro-batches, resumed, or computed on
another device gets the same numbers. Those of each image (a few dozen) are made on the host, so that the host knows
which images drew an augmentation without asking the device; those of each pixel are made on the device.

Legend: b images, s streams (one number of one augmentation each).
"""

from __future__ import annotations

import functools
import zlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_NUM_NORMALS = 1 << 16


def streams(name: str, num: int) -> NDArray[np.uint64]:
    """Identities of the `num` numbers that the augmentation `name` draws for each image, uint64 of shape (num,)."""
    ids = np.uint64(zlib.crc32(name.encode())) * np.uint64(1 << 16) + np.arange(num, dtype=np.uint64)
    return _mixed(ids)


def uniforms(seed: int, first_image_number: int, num_images: int, streams_s: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Numbers in [0, 1) of shape (b, s); row i belongs to image `first_image_number + i`."""
    start = _mixed(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64) + _GOLDEN)
    numbers_b = np.arange(first_image_number, first_image_number + num_images, dtype=np.uint64)
    keys_b = _mixed(start + numbers_b * _GOLDEN)
    bits_bs = _mixed(keys_b[:, None] ^ streams_s[None, :])
    return (bits_bs >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def pixel_normals(keys_b2: Tensor, num: int) -> Tensor:
    """Standard normal numbers of shape (b, num), a function of the two keys (uniform in [0, 1)) of each image.

    Each number is a quantile of the normal distribution, looked up by 16 bits of a hash of its position (so |z| < 4.4):
    the values are the same on every device, and a lookup costs a fifth of `torch.randn` on a CPU.
    """
    keys = (keys_b2 * 2.0**24).to(torch.int32)
    counters = torch.arange((num + 1) // 2, dtype=torch.int32, device=keys_b2.device)
    hashes = _hashed(counters[None, :] + keys[:, :1] * 0x3779B97F, keys[:, 1:] * 0x2C1B3C6D)
    indices = torch.cat([hashes & 0xFFFF, hashes.bitwise_right_shift_(16).bitwise_and_(0xFFFF)], dim=1)
    table = _normal_quantiles(keys_b2.device)
    return table.index_select(0, indices.view(-1)).view(indices.shape)[:, :num]


@functools.lru_cache(maxsize=8)
def _normal_quantiles(device: torch.device) -> Tensor:
    quantiles = ndtri((np.arange(_NUM_NORMALS) + 0.5) / _NUM_NORMALS)
    return torch.from_numpy(quantiles.astype(np.float32)).to(device)


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of SplitMix64 (Steele, Lea and Flood 2014): each input bit changes each output bit with p ≈ 1/2."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _hashed(bits: Tensor, keys: Tensor) -> Tensor:
    """32 bits hashed in place, with a second key half-way, by a finaliser of two multiplications ("lowbias32").

    torch shifts copy the sign; the masks make them logical.
    """
    bits.bitwise_xor_(bits.bitwise_right_shift(16).bitwise_and_(0xFFFF)).mul_(0x21F0AAAD).bitwise_xor_(keys)
    bits.bitwise_xor_(bits.bitwise_right_shift(15).bitwise_and_(0x1FFFF)).mul_(-0x2CA5D269)
    return bits.bitwise_xor_(bits.bitwise_right_shift(15).bitwise_and_(0x1FFFF))
