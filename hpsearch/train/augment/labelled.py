"""Augmentations that change what an image is: self-blending before all others, mixing with a neighbour after them.

Labels and random numbers are on the host, so who is changed, and what the loss then wants, is known without asking the
device.

Legend: b images, c colours, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hpsearch.data.dataset import DEEPFAKE, REAL
from hpsearch.train.augment import randomness
from hpsearch.train.augment.compose import Augmentation
from hpsearch.train.augment.device import pieces, to_device
from hpsearch.train.augment.mix import NUM_UNIFORMS as NUM_MIX
from hpsearch.train.augment.mix import Mix
from hpsearch.train.augment.registry import resolved
from hpsearch.train.augment.selfblend import NUM_UNIFORMS as NUM_SELFBLEND
from hpsearch.train.augment.selfblend import selfblend

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_CPU_BYTES = 2 << 20
"""Float pixels that are blended at a time on a CPU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledAugmentation:
    """All of a configuration's augmentation of labelled training images."""

    augmentation: Augmentation
    """What each image undergoes whatever it is."""
    selfblend_p: float
    """Share of the real images that become deepfakes."""
    mix: Mix
    """How neighbours are mixed."""

    @torch.no_grad()
    def __call__(self, images_bchw: Tensor, labels_b: Tensor, first_image_number: int, seed: int) -> tuple[Tensor, Tensor]:
        """Augments training images.

        Args:
            images_bchw: uint8, square, on any device; it is not changed.
            labels_b: 1 = deepfake, 0 = real; on the host.
            first_image_number: number of the first image, see `Augmentation`.
            seed: any whole number.

        Returns:
            What the network sees, and P(deepfake) that the loss wants of each image, float32 on the same device.
        """
        labels = labels_b.numpy()
        targets_b = labels.astype(np.float32)
        if self.selfblend_p > 0:
            uniforms_bu = _uniforms("selfblend", 1 + NUM_SELFBLEND, seed, first_image_number, len(labels))
            blended_b = (labels == REAL) & (uniforms_bu[:, 0] < self.selfblend_p)
            images_bchw = _selfblended(images_bchw, blended_b, uniforms_bu[:, 1:])
            targets_b[blended_b] = DEEPFAKE
        pixels_bchw = self.augmentation(images_bchw, first_image_number, seed)
        if self.mix.is_on:
            uniforms_bu = _uniforms("mix", NUM_MIX, seed, first_image_number, len(labels))
            pixels_bchw, targets_b = self.mix(pixels_bchw, targets_b, uniforms_bu)
        return pixels_bchw, to_device(targets_b, images_bchw.device)


def build_labelled(augment: Mapping[str, Mapping[str, Any]], augmentation: Augmentation) -> LabelledAugmentation:
    """The labelled augmentation that `augment` describes around `augmentation`; raises as `build_augmentation` does."""
    given = resolved(augment)
    return LabelledAugmentation(
        augmentation=augmentation,
        selfblend_p=given.get("selfblend", {}).get("p", 0.0),
        mix=Mix(
            mixup_alpha=given.get("mixup", {}).get("alpha", 0.0),
            cutmix_alpha=given.get("cutmix", {}).get("alpha", 0.0),
        ),
    )


def _uniforms(name: str, num: int, seed: int, first_image_number: int, num_images: int) -> NDArray[np.float32]:
    return randomness.uniforms(seed, first_image_number, num_images, randomness.streams(name, num))


def _selfblended(images_bchw: Tensor, blended_b: NDArray[np.bool_], uniforms_bu: NDArray[np.float32]) -> Tensor:
    """`images_bchw`, those of `blended_b` self-blended, again in 8 bits."""
    chosen = np.flatnonzero(blended_b)
    if not chosen.size:
        return images_bchw
    changed_bchw = images_bchw.clone()  # after running out of memory the same batch comes again
    for rows in pieces(len(chosen), images_bchw[:1], cpu_bytes=_CPU_BYTES):
        indices = to_device(chosen[rows], images_bchw.device)
        pixels_nchw = images_bchw.index_select(0, indices).float().contiguous().mul_(1 / 255)
        with torch.autocast(images_bchw.device.type, enabled=False):
            blended_nchw = selfblend(pixels_nchw, uniforms_bu[chosen[rows]])
        changed_bchw[indices] = blended_nchw.mul_(255).round_().to(torch.uint8)
    return changed_bchw
