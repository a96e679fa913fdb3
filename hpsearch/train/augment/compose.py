"""All augmentations of a configuration as one step from stored uint8 images to what the network sees.

Order: one sampling pass (crop, flips, rotation), one colour pass, then the functions, each on the images that drew it.
Which those are is decided on the host from the host's random numbers, so nothing waits for the device, and a function
with p = 0.3 costs 0.3 of its price on a CPU and on a GPU alike. In between images are planar, which suits all of it.

Legend: b images, c colours, h and w pixels, u random numbers, f functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hpsearch.train.augment import randomness, sampling
from hpsearch.train.augment.colour import Colour, recoloured
from hpsearch.train.augment.device import pieces, to_device
from hpsearch.train.augment.geometry import Geometry, Outside

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_CPU_BYTES = 2 << 20
"""Float pixels that a function works on at a time on a CPU: few enough to stay in its caches, many enough for its calls."""

Uniforms = Mapping[str, "NDArray[np.float32]"]
"""Random numbers of a batch: augmentation → (b, ·); `<augmentation>.p` → (b, 1), what decides who draws it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """One function of the last part."""

    augmentation: str
    """Whose random numbers it gets."""
    apply: Callable[[Tensor, Tensor], Tensor]
    """Images and their uniforms → images."""
    drawn: Callable[[Uniforms], NDArray[np.bool_]]
    """Which images of a batch it is applied to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """What was drawn for a batch."""

    maps_b23: NDArray[np.float32]
    """Where pixels come from."""
    recoloured_b: NDArray[np.bool_]
    """Images whose colours change."""
    matrices_b36: Tensor
    """How they change."""
    uniforms_bu: Tensor
    """All random numbers."""
    drawn_fb: NDArray[np.bool_]
    """For each function, the images that it is applied to."""


class Augmentation:
    """Augments batches of square images for one configuration; made by `build.build_augmentation`."""

    def __init__(
        self, *, geometry: Geometry, colour: Colour, functions: tuple[Function, ...], num_uniforms: Mapping[str, int]
    ) -> None:
        self._geometry = geometry
        self._colour = colour
        self._functions = functions
        ends = np.cumsum(list(num_uniforms.values()), dtype=int).tolist()
        self._columns = {name: slice(end - num, end) for (name, num), end in zip(num_uniforms.items(), ends, strict=True)}
        ids = [randomness.streams(name, num) for name, num in num_uniforms.items()]
        self._streams = np.concatenate([*ids, np.empty(0, dtype=np.uint64)])

    @property
    def image_px(self) -> int:
        """Side of what the network sees."""
        return self._geometry.image_px

    @property
    def cache_px(self) -> int:
        """Side at which images should be stored; others are resized to it first."""
        return self._geometry.store_px

    @property
    def evaluation_rule(self) -> tuple[float, ...]:
        """Equal for two configurations whose networks are given the same pixels in evaluation."""
        return self._geometry.evaluation_rule

    @torch.no_grad()
    def __call__(self, images_bchw: Tensor, first_image_number: int, seed: int) -> Tensor:
        """Augments training images.

        Args:
            images_bchw: uint8, or float in [0, 1]; square, on any device.
            first_image_number: number of the first image in the stream of training images; what is drawn for an image
                depends on its number and on `seed` only.
            seed: any whole number.

        Returns:
            float32 in [0, 1], (b, 3, image_px, image_px), channels_last, on the same device.
        """
        with _full_precision(images_bchw):
            stored_bchw = sampling.resized(images_bchw, self.cache_px)
            plan = self._planned(len(stored_bchw), first_image_number, seed, stored_bchw.device)
            return _finished(self._augmented(stored_bchw, plan))

    @torch.no_grad()
    def evaluation(self, images_bchw: Tensor) -> Tensor:
        """The same rule of size and crop without randomness, for validation and prediction; takes and gives the same."""
        with _full_precision(images_bchw):
            stored_bchw = sampling.resized(images_bchw, self.cache_px)
            maps_b23 = self._geometry.evaluation_maps(len(stored_bchw))
            return _finished(self._moved(stored_bchw, maps_b23, "edge"))

    def _planned(self, num_images: int, first_image_number: int, seed: int, device: torch.device) -> _Plan:
        uniforms_bu = randomness.uniforms(seed, first_image_number, num_images, self._streams)
        by_name = {name: uniforms_bu[:, columns] for name, columns in self._columns.items()}
        chain = self._colour.chain(by_name, num_images)
        drawn = [function.drawn(by_name) for function in self._functions]
        return _Plan(
            maps_b23=self._geometry.maps(by_name, num_images),
            recoloured_b=chain.changed_b,
            matrices_b36=to_device(chain.matrices_b36, device),
            uniforms_bu=to_device(uniforms_bu, device),
            drawn_fb=np.array(drawn, dtype=np.bool_).reshape(len(drawn), num_images),
        )

    def _augmented(self, images_bchw: Tensor, plan: _Plan) -> Tensor:
        pixels_bchw = self._moved(images_bchw, plan.maps_b23, self._geometry.outside)
        if plan.recoloured_b.any() or plan.drawn_fb.any():
            pixels_bchw = pixels_bchw.contiguous()
        pixels_bchw = _on_drawn(recoloured, pixels_bchw, plan.matrices_b36, plan.recoloured_b)
        for function, drawn_b in zip(self._functions, plan.drawn_fb, strict=True):
            uniforms_bu = plan.uniforms_bu[:, self._columns[function.augmentation]]
            pixels_bchw = _on_drawn(function.apply, pixels_bchw, uniforms_bu, drawn_b)
        return pixels_bchw

    def _moved(self, images_bchw: Tensor, maps_b23: NDArray[np.float32], outside: Outside) -> Tensor:
        if self._geometry.keeps_pixels:
            return sampling.cut(images_bchw, maps_b23, self.image_px)
        return sampling.sampled(images_bchw, maps_b23, self.image_px, outside)


@contextmanager
def _full_precision(images_bchw: Tensor) -> Iterator[None]:
    """Keeps bfloat16 and TF32 off, whatever a caller has set: JPEG's transform would round away what it should keep."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(images_bchw.device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def _finished(pixels_bchw: Tensor) -> Tensor:
    return pixels_bchw.clamp_(0, 1).contiguous(memory_format=torch.channels_last)


def _on_drawn(
    function: Callable[[Tensor, Tensor], Tensor], images_bchw: Tensor, drawn_numbers: Tensor, drawn_b: NDArray[np.bool_]
) -> Tensor:
    """`images_bchw`, those of `drawn_b` replaced by what `function` makes of them and of their `drawn_numbers`."""
    drawn = np.flatnonzero(drawn_b)
    for rows in pieces(len(drawn), images_bchw[:1], cpu_bytes=_CPU_BYTES):
        indices = to_device(drawn[rows], images_bchw.device)
        changed_nchw = function(images_bchw.index_select(0, indices), drawn_numbers.index_select(0, indices))
        if images_bchw.device.type == "cpu":
            # Twice as fast as index_copy_ at 128 px, which does not copy images as wholes.
            for row, changed_chw in zip(drawn[rows].tolist(), changed_nchw, strict=True):
                images_bchw[row] = changed_chw
        else:
            images_bchw.index_copy_(0, indices, changed_nchw)
    return images_bchw
