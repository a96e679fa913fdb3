"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019): the two images of a pair, and their targets, are mixed.

Pairs are neighbours in what goes through the network at once: any two images, but with `order: matched` often a real image and
the deepfake that resembles it most. Both images of a pair mix by the same share, each keeping the larger part of itself; so
does what the loss wants of them.

Legend: b images, p pairs, c colours, h and w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import betaincinv

from hpsearch.train.augment.device import to_device

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

NUM_UNIFORMS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """How strongly neighbours are mixed."""

    mixup_alpha: float = 0.0
    """The share of the other image is drawn from Beta(α, α), folded to at most a half; 0: off."""
    cutmix_alpha: float = 0.0
    """The same for the area that the other image takes; with both on, each pair draws one of the two."""

    @property
    def is_on(self) -> bool:
        """Whether anything is mixed."""
        return self.mixup_alpha > 0 or self.cutmix_alpha > 0

    def __call__(
        self, images_bchw: Tensor, targets_b: NDArray[np.float32], uniforms_b4: NDArray[np.float32]
    ) -> tuple[Tensor, NDArray[np.float32]]:
        """Mixed images and targets; the last image of an odd batch stays as it is.

        Args:
            images_bchw: float32 in [0, 1], on any device.
            targets_b: P(deepfake) that the loss wants, on the host.
            uniforms_b4: numbers in [0, 1) for each image, of which those of the first of each pair count.
        """
        num = len(targets_b) // 2 * 2
        drawn_p4 = self._drawn(uniforms_b4[:num:2], images_bchw.shape[-1])
        weights_b1hw = _weights(to_device(np.repeat(drawn_p4, 2, axis=0), images_bchw.device), images_bchw.shape[-1])
        partner_b = np.arange(num) ^ 1
        mixed_bchw = images_bchw.clone()
        mixed_bchw[:num].lerp_(images_bchw[to_device(partner_b, images_bchw.device)], weights_b1hw)
        mixed_b = targets_b.copy()
        mixed_b[:num] += np.repeat(drawn_p4[:, 0], 2) * (targets_b[partner_b] - targets_b[:num])
        return mixed_bchw, mixed_b

    def _drawn(self, uniforms_p4: NDArray[np.float32], side_px: int) -> NDArray[np.float32]:
        """For each pair the share of the other image, then side, left and top of the square that it takes; side 0: mixup."""
        cut_share = 0.0 if self.cutmix_alpha == 0 else 0.5 if self.mixup_alpha > 0 else 1.0
        is_cut_p = uniforms_p4[:, 0] < cut_share
        side_p = np.where(is_cut_p, np.rint(np.sqrt(_shares(self.cutmix_alpha, uniforms_p4[:, 1])) * side_px), 0.0)
        share_p = np.where(is_cut_p, np.square(side_p / side_px), _shares(self.mixup_alpha, uniforms_p4[:, 1]))
        place_p2 = np.floor(uniforms_p4[:, 2:] * (side_px - side_p + 1)[:, None])
        return np.column_stack([share_p, side_p, place_p2]).astype(np.float32)


def _shares(alpha: float, uniforms_p: NDArray[np.float32]) -> NDArray[np.float64]:
    """What each pair takes of the other image, at most a half."""
    if alpha == 0:
        return np.zeros(len(uniforms_p))
    drawn_p: NDArray[np.float64] = betaincinv(alpha, alpha, uniforms_p.astype(np.float64))
    return np.minimum(drawn_p, 1.0 - drawn_p)


def _weights(drawn_b4: Tensor, side_px: int) -> Tensor:
    """How much of the other image each pixel takes, (b, 1, h, w)."""
    share_b11, side_b11, left_b11, top_b11 = drawn_b4.T[:, :, None, None]
    steps = torch.arange(side_px, device=drawn_b4.device)
    is_column_b1w = (steps >= left_b11) & (steps < left_b11 + side_b11)
    is_row_bh1 = (steps[:, None] >= top_b11) & (steps[:, None] < top_b11 + side_b11)
    inside_bhw = (is_row_bh1 & is_column_b1w).float()
    return torch.where(side_b11 > 0, inside_bhw, share_b11)[:, None]
