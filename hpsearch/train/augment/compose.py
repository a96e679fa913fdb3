"""All augmentations of a configuration as one step from stored uint8 images to what the network sees.

Order: one sampling pass (crop, flips, rotation), one colour pass, then the functions, each on the images that drew it.
Which those are is decided on the host from the host's random numbers, so nothing waits for the device, and a function
with p = 0.3 costs 0.3 of its price on a CPU and on a GPU alike. On a CPU the batch is taken through all of it a few
images at a time, which then stay in the cache: at 128 px this halves the time of the sampling pass.

Legend: b images, c colours, h and w pixels, u random numbers, f functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hpsearch.train.augment import randomness, sampling
from hpsearch.train.augment.colour import Colour, recoloured
from hpsearch.train.augment.geometry import Geometry, Outside
from hpsearch.train.augment.transfer import to_device

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_CPU_CHUNK_BYTES = 1 << 20
"""Float pixels that are worked on at a time on a CPU: they and their copies fit a second-level cache."""
_CPU_CHUNK_IMAGES = 4
"""Fewer images at a time than this cost more in calls than they save in cache misses."""

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
    """What was drawn for a batch, or for some of its images."""

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

    def part(self, rows: slice) -> _Plan:
        """The plan of some images."""
        return _Plan(
            maps_b23=self.maps_b23[rows],
            recoloured_b=self.recoloured_b[rows],
            matrices_b36=self.matrices_b36[rows],
            uniforms_bu=self.uniforms_bu[rows],
            drawn_fb=self.drawn_fb[:, rows],
        )


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
        stored_bchw = sampling.resized(images_bchw, self.cache_px)
        plan = self._planned(len(stored_bchw), first_image_number, seed, stored_bchw.device)
        augmented_bchw = self._output(stored_bchw)
        for rows in _chunks(stored_bchw):
            augmented_bchw[rows] = self._augmented(stored_bchw[rows], plan.part(rows)).clamp_(0, 1)
        return augmented_bchw

    @torch.no_grad()
    def evaluation(self, images_bchw: Tensor) -> Tensor:
        """The same rule of size and crop without randomness, for validation and prediction; takes and gives the same."""
        stored_bchw = sampling.resized(images_bchw, self.cache_px)
        maps_b23 = self._geometry.evaluation_maps(len(stored_bchw))
        evaluated_bchw = self._output(stored_bchw)
        for rows in _chunks(stored_bchw):
            evaluated_bchw[rows] = self._moved(stored_bchw[rows], maps_b23[rows], "edge").clamp_(0, 1)
        return evaluated_bchw

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
        pixels_bchw = _on_drawn(recoloured, pixels_bchw, plan.matrices_b36, plan.recoloured_b)
        for function, drawn_b in zip(self._functions, plan.drawn_fb, strict=True):
            uniforms_bu = plan.uniforms_bu[:, self._columns[function.augmentation]]
            pixels_bchw = _on_drawn(function.apply, pixels_bchw, uniforms_bu, drawn_b)
        return pixels_bchw

    def _moved(self, images_bchw: Tensor, maps_b23: NDArray[np.float32], outside: Outside) -> Tensor:
        if self._geometry.keeps_pixels:
            return sampling.cut(images_bchw, maps_b23, self.image_px)
        return sampling.sampled(images_bchw, maps_b23, self.image_px, outside)

    def _output(self, images_bchw: Tensor) -> Tensor:
        shape = (len(images_bchw), 3, self.image_px, self.image_px)
        return torch.empty(shape, device=images_bchw.device, memory_format=torch.channels_last)


def _on_drawn(
    function: Callable[[Tensor, Tensor], Tensor], images_bchw: Tensor, drawn_numbers: Tensor, drawn_b: NDArray[np.bool_]
) -> Tensor:
    """`images_bchw`, those of `drawn_b` replaced by what `function` makes of them and of their `drawn_numbers`."""
    if not drawn_b.any():
        return images_bchw
    if drawn_b.all():
        return function(images_bchw, drawn_numbers)
    indices = to_device(np.flatnonzero(drawn_b), images_bchw.device)
    changed_nchw = function(images_bchw.index_select(0, indices), drawn_numbers.index_select(0, indices))
    return images_bchw.index_copy_(0, indices, changed_nchw)


def _chunks(images_bchw: Tensor) -> Iterator[slice]:
    """Rows to work on at a time: all, but on a CPU as many as stay in its cache."""
    num_images, num = len(images_bchw), len(images_bchw)
    if images_bchw.device.type == "cpu":
        num = max(_CPU_CHUNK_IMAGES, _CPU_CHUNK_BYTES // (4 * images_bchw[:1].numel() or 1))
    for start in range(0, num_images, max(num, 1)):
        yield slice(start, min(start + num, num_images))
