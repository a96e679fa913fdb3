"""RandAugment (Cubuk et al. 2020) on a batch: each image draws `num_ops` of 14 operations.

Shears, translations and rotations join the one affine map of `geometry`, brightness, contrast and saturation the one
matrix of `colour`; what is left are functions on the images that drew them. So the order of operations is fixed
(position, linear colour, the rest) rather than drawn, and one drawn twice among the rest acts once. Magnitudes are in
tenths of the strongest, as in timm: 10 is a rotation by 30°, a shear by 0.3, a translation by 0.45 of the crop. Autocontrast
and equalize have no strength and act in full; at magnitude 0 no operation acts, unlike in timm.

Legend: b images, o operations drawn by each, c colours, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from hpsearch.train.augment.geometry import rotation

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.train.augment.colour import ColourChain

OPERATIONS = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate",
    "brightness", "contrast", "saturation",
    "sharpness", "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
MAX_OPS = 3
NUM_UNIFORMS = 2 * MAX_OPS


@dataclass(frozen=True, kw_only=True, slots=True)
class RandAugment:
    """How many operations each image draws, and how strong they are."""

    num_ops: int
    """Operations for each image; at least 1."""
    magnitude: float
    """Strength in tenths; above 0."""

    @property
    def level(self) -> float:
        """Strength as a share of the strongest usual one."""
        return self.magnitude / 10

    def drawn(self, uniforms_bu: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Indices into `OPERATIONS` and signs (−1 or 1), each (b, o)."""
        operations_bo = (uniforms_bu[:, : self.num_ops] * len(OPERATIONS)).astype(np.int64)
        signs_bo = np.where(uniforms_bu[:, MAX_OPS : MAX_OPS + self.num_ops] < 0.5, -1.0, 1.0)
        return operations_bo, signs_bo

    def maps(self, uniforms_bu: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The linear part (b, 2, 2) of the shears and rotations, and the translations (b, 2) in half crops."""
        linear_b22 = np.repeat(np.eye(2)[None], len(uniforms_bu), axis=0)
        for amounts_b5 in self._amounts(uniforms_bu, ("shear_x", "shear_y", "rotate")):
            shear_b22 = np.repeat(np.eye(2)[None], len(uniforms_bu), axis=0)
            shear_b22[:, 0, 1], shear_b22[:, 1, 0] = 0.3 * amounts_b5[:, 0], 0.3 * amounts_b5[:, 1]
            linear_b22 = rotation(np.radians(30.0 * amounts_b5[:, 2])) @ shear_b22 @ linear_b22
        shifts_ob2 = np.stack(self._amounts(uniforms_bu, ("translate_x", "translate_y")))
        return linear_b22, 2 * 0.45 * shifts_ob2.sum(axis=0)

    def recolour(self, chain: ColourChain, uniforms_bu: NDArray[np.float32]) -> None:
        """Adds brightness, contrast and saturation to `chain`; factors are at least 0."""
        for amounts_b3 in self._amounts(uniforms_bu, ("brightness", "contrast", "saturation")):
            factors_b3 = np.maximum(1.0 + 0.9 * amounts_b3, 0.0)
            chain.brightness(factors_b3[:, 0])
            chain.contrast(factors_b3[:, 1])
            chain.saturation(factors_b3[:, 2])

    def functions(self) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
        """The rest: operation → function of the images that drew it and of their uniforms."""
        return {
            "sharpness": partial(sharpness, level=self.level),
            "posterize": partial(posterize, level=self.level),
            "solarize": partial(solarize, level=self.level),
            "autocontrast": autocontrast,
            "equalize": equalize,
        }

    def drew(self, operation: str, uniforms_bu: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which images drew `operation`, (b,)."""
        operations_bo, _ = self.drawn(uniforms_bu)
        return np.asarray((operations_bo == OPERATIONS.index(operation)).any(axis=1))

    def _amounts(self, uniforms_bu: NDArray[np.float32], names: tuple[str, ...]) -> list[NDArray[np.float64]]:
        """For each of the `num_ops` draws: signed levels (b, len(names)), 0 where another operation was drawn."""
        operations_bo, signs_bo = self.drawn(uniforms_bu)
        wanted = np.array([OPERATIONS.index(name) for name in names])
        return [
            np.where(operations_bo[:, o, None] == wanted, signs_bo[:, o, None] * self.level, 0.0) for o in range(self.num_ops)
        ]


def sharpness(images_bchw: Tensor, uniforms_bu: Tensor, *, level: float) -> Tensor:
    """Moves images away from, or towards, their smoothed copies by up to 0.9 of the difference (at level 1)."""
    signs_b = torch.where(uniforms_bu[:, MAX_OPS] < 0.5, -1.0, 1.0)
    factors = (1.0 + 0.9 * level * signs_b).clamp_(min=0)[:, None, None, None]
    return torch.lerp(smoothed(images_bchw), images_bchw, factors).clamp_(0, 1)


def smoothed(images_bchw: Tensor) -> Tensor:
    """Means of the 3×3 pixels around each, weighted with 1, and itself with 5."""
    padded = F.pad(images_bchw, (1, 1, 1, 1), mode="replicate")
    rows = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]).add_(images_bchw, alpha=4).mul_(1 / 13)


def posterize(images_bchw: Tensor, uniforms_bu: Tensor, *, level: float) -> Tensor:
    """Keeps the upper 8 − 4·level bits of each value, at least 4."""
    step = 2.0 ** round(4 * min(level, 1.0))
    return (images_bchw * 255).round_().mul_(1 / step).floor_().mul_(step / 255)


def solarize(images_bchw: Tensor, uniforms_bu: Tensor, *, level: float) -> Tensor:
    """Inverts values above 1 − level."""
    return torch.where(images_bchw > 1.0 - level, 1.0 - images_bchw, images_bchw)


def autocontrast(images_bchw: Tensor, uniforms_bu: Tensor) -> Tensor:
    """Stretches each colour of each image to the whole range; a colour of one value stays."""
    low, high = images_bchw.amin(dim=(2, 3), keepdim=True), images_bchw.amax(dim=(2, 3), keepdim=True)
    is_flat = high - low < 0.5 / 255
    return torch.where(is_flat, images_bchw, (images_bchw - low) / (high - low).clamp_(min=0.5 / 255)).clamp_(0, 1)


def equalize(images_bchw: Tensor, uniforms_bu: Tensor) -> Tensor:
    """Replaces each value by its rank within its image and colour; a colour of one value stays."""
    values = (images_bchw * 255).round_().clamp_(0, 255).long().flatten(2)
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.int64, device=values.device)
    ranks = counts.scatter_add_(2, values, torch.ones_like(values)).cumsum(2)
    lowest = torch.gather(ranks, 2, values.amin(dim=2, keepdim=True))
    spread = values.shape[2] - lowest
    equalized = torch.gather((ranks - lowest).clamp_(min=0) / spread.clamp(min=1), 2, values)
    return torch.where(spread > 0, equalized, values / 255).view(images_bchw.shape).to(images_bchw.dtype)
