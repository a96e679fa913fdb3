"""Where each output pixel comes from: crop, flips, rotation and RandAugment's shifts as one affine map per image.

Positions are in units of half the stored square, from its centre: x and y of its pixels lie in [-1, 1]. A map takes
positions in the output (also [-1, 1]) to positions in the stored image. Everything here is host arithmetic on a few
numbers per image; `sampling` moves the pixels.

Legend: b images; 2 x and y (x first); uniforms name an augmentation and hold its random numbers, shape (b, ·).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.train.augment.randaugment import RandAugment

Corners = Literal["black", "reflect", "zoom"]
Outside = Literal["black", "reflect", "edge"]
CropMode = Literal["resize", "centre", "ratio", "random_resized"]
NUM_UNIFORMS = {"crop": 4, "hflip": 1, "vflip": 1, "rotate": 1}
_LARGEST_ASPECT = 4 / 3
_STORE_STEPS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """What decides the affine maps."""

    image_px: int
    """Side of the output."""
    crop_mode: CropMode = "resize"
    """How a part of the stored image is chosen."""
    crop_ratio: float = 1.0
    """Side of the stored image over side of the crop, for `centre` and `ratio`; at least 1."""
    scale_min: float = 1.0
    """Smallest share of the area, for `random_resized`; in (0, 1]. At 1 every crop is the whole image."""
    hflip_p: float = 0.0
    """Share of images mirrored left to right."""
    vflip_p: float = 0.0
    """Share of images mirrored top to bottom."""
    degrees: float = 0.0
    """Largest rotation, to either side."""
    corners: Corners = "black"
    """What stands where a rotated image has no pixels; `zoom`: the crop shrinks until it has pixels everywhere."""
    randaugment: RandAugment | None = None
    """Its shears, translations and rotations join the map."""

    @property
    def store_px(self) -> int:
        """Side at which images have to be stored for the crop.

        A ratio in whole 32nds is stored as it is, so that crops are cuts without interpolation. Any other is stored at
        the next quarter above, so that a search over ratios shares a handful of caches. For `random_resized` the crop of
        mean area would be stored at `image_px`: larger ones are reduced by 1.5 at most, smaller ones enlarged.
        """
        ratio = self.crop_ratio if self.crop_mode in ("centre", "ratio") else 1.0
        if self.crop_mode == "random_resized":
            ratio = 1 / math.sqrt((1 + self.scale_min) / 2)
        if self.crop_mode == "random_resized" or abs(ratio * 32 - round(ratio * 32)) > 1e-6:
            ratio = math.ceil(ratio * _STORE_STEPS - 1e-6) / _STORE_STEPS
        return round(ratio * self.image_px)

    @property
    def keeps_pixels(self) -> bool:
        """Whether every output pixel is a stored pixel: crops on the pixel grid and flips only."""
        is_zoomed = self.crop_mode == "random_resized" and self.scale_min < 1
        return not self.turns and not is_zoomed and self._crop_px == self.image_px

    @property
    def turns(self) -> bool:
        """Whether maps may reach outside the stored image."""
        return self.degrees > 0 or self.randaugment is not None

    @property
    def outside(self) -> Outside:
        """What training images show where a map reaches outside the stored image."""
        if not self.turns or self.corners == "zoom":
            return "edge"
        return self.corners

    def maps(self, uniforms: Mapping[str, NDArray[np.float32]], num_images: int) -> NDArray[np.float32]:
        """Maps of a training batch, shape (b, 2, 3): position = map[:, :2] @ output position + map[:, 2]."""
        halves_b2, centres_b2 = self._windows(uniforms.get("crop"), num_images)
        linear_b22 = halves_b2[:, None, :] * np.eye(2)
        for axis, (name, p) in enumerate((("hflip", self.hflip_p), ("vflip", self.vflip_p))):
            if p > 0:
                linear_b22[:, axis, axis] *= np.where(uniforms[name][:, 0] < p, -1.0, 1.0)
        if self.randaugment is not None:
            moved_b22, shift_b2 = self.randaugment.maps(uniforms["randaugment"])
            linear_b22 = moved_b22 @ linear_b22
            centres_b2 = centres_b2 + shift_b2 * halves_b2
        if self.degrees > 0:
            angles_b = np.radians((2.0 * uniforms["rotate"][:, 0] - 1.0) * self.degrees)
            linear_b22 = rotation(angles_b) @ linear_b22
        if self.turns and self.corners == "zoom":
            linear_b22, centres_b2 = _kept_inside(linear_b22, centres_b2)
        return np.concatenate([linear_b22, centres_b2[:, :, None]], axis=2).astype(np.float32)

    @property
    def evaluation_rule(self) -> tuple[float, ...]:
        """What decides how images are evaluated: the same for two geometries that show the same pixels."""
        return (self.image_px, self.store_px, self.keeps_pixels, *self.evaluation_maps(1).ravel().tolist())

    def evaluation_maps(self, num_images: int) -> NDArray[np.float32]:
        """The same without randomness: the centre of the crops, and the whole image for `random_resized`."""
        half = 1.0 if self.crop_mode == "random_resized" else self._crop_px / self.store_px
        offset = self._on_grid(0.5) if self._crop_px == self.image_px else 0.0
        one = np.array([[half, 0.0, offset], [0.0, half, offset]], dtype=np.float32)
        return np.repeat(one[None], num_images, axis=0)

    @property
    def _crop_px(self) -> float:
        """Side of a crop in stored pixels; whole where it is within a thousandth of a pixel."""
        if self.crop_mode not in ("centre", "ratio"):
            return float(self.store_px)
        exact = self.store_px / self.crop_ratio
        return float(round(exact)) if abs(exact - round(exact)) < 1e-3 else exact

    def _windows(self, uniforms_b4: Any, num_images: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Half sides and centres of the crops, each (b, 2)."""
        half = self._crop_px / self.store_px
        if self.crop_mode == "random_resized":
            area_b = self.scale_min + (1.0 - self.scale_min) * uniforms_b4[:, 0].astype(np.float64)
            # A crop of area 0.9 cannot be twice as wide as high: the shape is limited, so that the drawn area is kept.
            aspect_b = np.minimum(_LARGEST_ASPECT, 1.0 / area_b) ** (2.0 * uniforms_b4[:, 1].astype(np.float64) - 1.0)
            halves_b2 = np.sqrt(np.stack([area_b * aspect_b, area_b / aspect_b], axis=1))
            return halves_b2, (2.0 * uniforms_b4[:, 2:] - 1.0) * (1.0 - halves_b2)
        halves_b2 = np.full((num_images, 2), half)
        if self.crop_mode == "ratio":
            if self._crop_px == self.image_px:
                return halves_b2, self._on_grid(uniforms_b4[:, 2:].astype(np.float64))
            return halves_b2, (2.0 * uniforms_b4[:, 2:] - 1.0) * (1.0 - half)
        return halves_b2, np.full((num_images, 2), self._on_grid(0.5) if self._crop_px == self.image_px else 0.0)

    def _on_grid(self, uniform: Any) -> Any:
        """Centre of a crop of `image_px` whose first pixel is a stored pixel, chosen by `uniform`; 0.5: the middle one."""
        spare_px = self.store_px - self.image_px
        first_px = np.floor(uniform * (spare_px + 1 - 1e-6))
        return (2.0 * first_px - spare_px) / self.store_px


def rotation(angles_b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices that turn by `angles_b` (radians), shape (b, 2, 2)."""
    cos_b, sin_b = np.cos(angles_b), np.sin(angles_b)
    return np.stack([np.stack([cos_b, -sin_b], axis=1), np.stack([sin_b, cos_b], axis=1)], axis=1)


def _kept_inside(
    linear_b22: NDArray[np.float64], centres_b2: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The maps shrunk, then moved, until the whole output lies inside the stored image."""
    reach_b2 = np.abs(linear_b22).sum(axis=2)
    shrink_b = 1.0 / np.maximum(reach_b2.max(axis=1), 1.0)
    spare_b2 = 1.0 - reach_b2 * shrink_b[:, None]
    return linear_b22 * shrink_b[:, None, None], np.clip(centres_b2, -spare_b2, spare_b2)
