"""Changes of colour: everything linear as one 3×3 matrix per image, and gamma.

A chain of brightness, contrast, saturation, hue and grayscale is linear in a pixel x and the image's mean pixel μ:
x' = A x + V μ (V comes from contrast, which pulls towards the mean grey). The chain is multiplied out on the host, and
the images are read twice and written once, whatever the chain. Values are clamped to [0, 1] at its end only.

Legend: b images, c colours (red, green, blue), n pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.train.augment.randaugment import RandAugment

_LUMA = np.array([0.299, 0.587, 0.114])
_GREY = np.tile(_LUMA, (3, 1))
_LARGEST_HUE_DEGREES = 36.0
"""Turn of the hue at jitter strength 1."""
NUM_UNIFORMS = {"jitter": 5, "grayscale": 1}


class ColourChain:
    """The matrices A and V of a batch, multiplied out step by step."""

    def __init__(self, num_images: int) -> None:
        self.pixel_b33: NDArray[np.float64] = np.repeat(np.eye(3)[None], num_images, axis=0)
        self.mean_b33: NDArray[np.float64] = np.zeros((num_images, 3, 3))

    def brightness(self, factors_b: NDArray[np.float64]) -> None:
        """Multiplies each image by its factor."""
        self._then(factors_b[:, None, None] * np.eye(3))

    def contrast(self, factors_b: NDArray[np.float64]) -> None:
        """Pulls each image towards its mean grey; factor 0: all the way, 1: unchanged."""
        mean_b33 = _GREY @ (self.pixel_b33 + self.mean_b33)
        self.brightness(factors_b)
        self.mean_b33 += (1.0 - factors_b[:, None, None]) * mean_b33

    def saturation(self, factors_b: NDArray[np.float64]) -> None:
        """Pulls each pixel towards its own grey; factor 0: grayscale, 1: unchanged."""
        share_b11 = factors_b[:, None, None]
        self._then(share_b11 * np.eye(3) + (1.0 - share_b11) * _GREY)

    def hue(self, degrees_b: NDArray[np.float64]) -> None:
        """Turns the colours around the grey axis."""
        cos_b, sin_b = np.cos(np.radians(degrees_b)), np.sin(np.radians(degrees_b))
        outer, cross = np.full((3, 3), 1 / 3), np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
        self._then(cos_b[:, None, None] * (np.eye(3) - outer) + sin_b[:, None, None] * cross + outer)

    @property
    def changed_b(self) -> NDArray[np.bool_]:
        """Which images the chain changes."""
        change_b63 = np.abs(np.concatenate([self.pixel_b33 - np.eye(3), self.mean_b33], axis=1))
        return np.asarray(change_b63.max(axis=(1, 2)) > 1e-9)

    @property
    def matrices_b36(self) -> NDArray[np.float32]:
        """A and V side by side, float32."""
        return np.concatenate([self.pixel_b33, self.mean_b33], axis=2).astype(np.float32)

    def _then(self, matrix_b33: NDArray[np.float64]) -> None:
        self.pixel_b33 = matrix_b33 @ self.pixel_b33
        self.mean_b33 = matrix_b33 @ self.mean_b33


@dataclass(frozen=True, kw_only=True, slots=True)
class Colour:
    """What decides the chains."""

    jitter_p: float = 0.0
    """Share of images whose colours are jittered."""
    jitter_strength: float = 0.0
    """Brightness, contrast and saturation change by up to this factor, to either side."""
    grayscale_p: float = 0.0
    """Share of images that lose their colours."""
    randaugment: RandAugment | None = None
    """Its brightness, contrast and saturation join the chain."""

    def chain(self, uniforms: Mapping[str, NDArray[np.float32]], num_images: int) -> ColourChain:
        """The chains of a training batch."""
        chain = ColourChain(num_images)
        if self.jitter_p > 0:
            drawn_b = uniforms["jitter"][:, 0] < self.jitter_p
            change_b4 = np.where(drawn_b[:, None], (2.0 * uniforms["jitter"][:, 1:] - 1.0) * self.jitter_strength, 0.0)
            chain.brightness(1.0 + change_b4[:, 0])
            chain.contrast(1.0 + change_b4[:, 1])
            chain.saturation(1.0 + change_b4[:, 2])
            chain.hue(change_b4[:, 3] * _LARGEST_HUE_DEGREES)
        if self.randaugment is not None:
            self.randaugment.recolour(chain, uniforms["randaugment"])
        if self.grayscale_p > 0:
            chain.saturation(np.where(uniforms["grayscale"][:, 0] < self.grayscale_p, 0.0, 1.0))
        return chain


def recoloured(images_bchw: Tensor, matrices_b36: Tensor) -> Tensor:
    """Images along their chains, clamped to [0, 1]."""
    pixels_bcn = images_bchw.reshape(len(images_bchw), 3, -1)
    shift_bc1 = torch.bmm(matrices_b36[:, :, 3:], pixels_bcn.mean(dim=2, keepdim=True))
    return torch.baddbmm(shift_bc1, matrices_b36[:, :, :3], pixels_bcn).clamp_(0, 1).view(images_bchw.shape)


def gamma(images_bchw: Tensor, uniforms_bu: Tensor, *, strength: float) -> Tensor:
    """Raises pixels to a power between 1 / (1 + strength) and 1 + strength, log-uniform."""
    exponents_b = torch.exp((2.0 * uniforms_bu[:, 0] - 1.0) * math.log1p(strength))
    return images_bchw.clamp(0, 1).pow_(exponents_b[:, None, None, None])
