"""Our augmentation against torchvision's on PIL images: the same recipe, images already decoded, one core each.

Both end with float32 in [0, 1], and the time to read and decode files is counted for neither. Ours starts from the size at
which images are stored; torchvision's from the size that its crop wants, or, to count the resize that it does for every
image in every epoch, from `source_px`.
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from hpsearch.train.allocator import keep_freed_memory
from hpsearch.train.augment import build_augmentation

if TYPE_CHECKING:
    from torch import Tensor

Recipe = Mapping[str, Mapping[str, Any]]
"""Augmentation → its parameters, as in a space file."""

SEED_RECIPE: dict[str, dict[str, Any]] = {
    "crop": {"mode": "centre", "ratio": 1.21875},
    "hflip": {"p": 0.5},
    "vflip": {"p": 0.5},
    "rotate": {"degrees": 30.0},
    "grayscale": {"p": 0.1},
}
"""The starting points' own: resize 312, flips, rotation, grayscale, centre crop 256."""
FULL_RECIPE: dict[str, dict[str, Any]] = {
    "crop": {"mode": "ratio", "ratio": 1.25},
    "hflip": {"p": 0.5},
    "vflip": {"p": 0.5},
    "rotate": {"degrees": 15.0},
    "jitter": {"p": 0.5, "strength": 0.2},
    "grayscale": {"p": 0.1},
    "downscale": {"p": 0.2, "factor_min": 0.5},
    "blur": {"p": 0.3, "sigma_max": 1.5},
    "noise": {"p": 0.2, "std_max": 10.0},
    "jpeg": {"p": 0.5, "quality_min": 30.0},
    "erase": {"p": 0.2, "area_max": 0.2},
}
"""The same kinds, and the degradations."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentationSpeed:
    """Images per second of one core."""

    name: str
    """Of the recipe."""
    source_px: int
    """Side of the images that torchvision begins with."""
    image_px: int
    """Side of the output."""
    ours: float
    """The batched augmentation, median of the repeats."""
    torchvision: float
    """torchvision's transforms on PIL images, likewise."""

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return self.ours / self.torchvision


def compare_augmentation(
    augment: Mapping[str, Mapping[str, Any]],
    image_px: int,
    *,
    name: str = "",
    source_px: int | None = None,
    batch_size: int = 64,
    repeats: int = 7,
) -> AugmentationSpeed:
    """Times both on one CPU thread, alternating, on the same images (smooth random fields with noise).

    Args:
        augment: a recipe of the augmentations that torchvision has too (all but gamma and RandAugment).
        image_px: side of the output.
        name: of the recipe, for the result.
        source_px: side of the images that torchvision resizes first; None: they have the size that its crop wants.
        batch_size: images in one measurement.
        repeats: measurements of each; the medians are compared.
    """
    ours = build_augmentation(augment, image_px)
    theirs = torchvision_pipeline(augment, image_px, resize=source_px is not None)
    images_bchw = _pictures(batch_size, ours.cache_px)
    start_px = source_px or _crop_source_px(augment, image_px)
    pil_images = [_pil(image_chw, start_px) for image_chw in images_bchw]
    keep_freed_memory()
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        for repeat in range(repeats + 1):
            # CPU seconds of this thread: what other processes take of the core is nobody's merit.
            start = time.thread_time()
            ours(images_bchw, repeat * batch_size, 0)
            middle = time.thread_time()
            torch.stack([theirs(image) for image in pil_images])
            seconds["ours"].append(middle - start)
            seconds["theirs"].append(time.thread_time() - middle)
    finally:
        torch.set_num_threads(num_threads)
    rates = {name: batch_size / statistics.median(values[1:]) for name, values in seconds.items()}
    return AugmentationSpeed(name=name, source_px=start_px, image_px=image_px, ours=rates["ours"], torchvision=rates["theirs"])


def torchvision_pipeline(
    augment: Mapping[str, Mapping[str, Any]], image_px: int, *, resize: bool
) -> Callable[[Image.Image], Tensor]:
    """The usual transforms for `augment`, from a PIL image to a tensor; with `resize` of any size, else of the crop's."""
    from torchvision.transforms import v2

    def given(name: str) -> Mapping[str, Any]:
        return augment.get(name, {"p": 0.0})

    crop, jitter, blur, noise = augment.get("crop", {}), given("jitter"), given("blur"), given("noise")
    steps: list[Callable[[Any], Any]] = [v2.Resize(_crop_source_px(augment, image_px))] if resize else []
    if crop.get("mode") == "ratio":
        steps.append(v2.RandomCrop(image_px))
    steps += [v2.RandomHorizontalFlip(p) for p in [given("hflip")["p"]] if p]
    steps += [v2.RandomVerticalFlip(p) for p in [given("vflip")["p"]] if p]
    if "rotate" in augment:
        steps.append(v2.RandomRotation(augment["rotate"]["degrees"], interpolation=v2.InterpolationMode.BILINEAR))
    if jitter["p"]:
        strength = jitter["strength"]
        colours = v2.ColorJitter(brightness=strength, contrast=strength, saturation=strength, hue=strength / 10)
        steps.append(v2.RandomApply([colours], p=jitter["p"]))
    steps += [v2.RandomGrayscale(p) for p in [given("grayscale")["p"]] if p]
    if crop.get("mode") == "centre":
        steps.append(v2.CenterCrop(image_px))
    if given("downscale")["p"]:
        steps.append(_sometimes(given("downscale")["p"], _reduced_by(given("downscale")["factor_min"])))
    if blur["p"]:
        taps = 2 * max(1, int(np.ceil(3 * blur["sigma_max"]))) + 1
        steps.append(v2.RandomApply([v2.GaussianBlur(taps, (0.01, blur["sigma_max"]))], p=blur["p"]))
    if given("jpeg")["p"]:
        steps.append(_sometimes(given("jpeg")["p"], _compressed_above(int(given("jpeg")["quality_min"]))))
    steps += [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
    if noise["p"]:
        steps.append(v2.RandomApply([v2.GaussianNoise(sigma=noise["std_max"] / 510)], p=noise["p"]))
    if given("erase")["p"]:
        steps.append(v2.RandomErasing(p=given("erase")["p"], scale=(0.02, given("erase")["area_max"])))
    pipeline: Callable[[Image.Image], Tensor] = v2.Compose(steps)
    return pipeline


def _crop_source_px(augment: Mapping[str, Mapping[str, Any]], image_px: int) -> int:
    ratio: float = augment.get("crop", {}).get("ratio", 1.0)
    return round(ratio * image_px)


def _sometimes(p: float, step: Callable[[Image.Image], Image.Image]) -> Callable[[Image.Image], Image.Image]:
    return lambda image: step(image) if torch.rand(()) < p else image


def _reduced_by(factor_min: float) -> Callable[[Image.Image], Image.Image]:
    def reduce(image: Image.Image) -> Image.Image:
        factor = factor_min + (1 - factor_min) * float(torch.rand(()))
        small = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BILINEAR)
        return small.resize(image.size, Image.Resampling.BILINEAR)

    return reduce


def _compressed_above(quality_min: int) -> Callable[[Image.Image], Image.Image]:
    def compress(image: Image.Image) -> Image.Image:
        with io.BytesIO() as stream:
            image.save(stream, "JPEG", quality=int(torch.randint(quality_min, 96, ())))
            return Image.open(stream).convert("RGB")

    return compress


def _pictures(num: int, side_px: int) -> Tensor:
    """Smooth fields with some noise, uint8, channels_last."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(num, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (side_px, side_px), mode="bicubic", align_corners=False)
    noisy = (smooth + 0.03 * torch.randn(smooth.shape, generator=generator)).clamp_(0, 1)
    return (noisy * 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)


def _pil(image_chw: Tensor, side_px: int) -> Image.Image:
    return Image.fromarray(image_chw.permute(1, 2, 0).numpy()).resize((side_px, side_px))
