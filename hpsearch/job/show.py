"""A picture of what a configuration trains on: the first images of its first batch, as stored and as the network sees them.

Legend: b images, c colours, h and w pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from hpsearch.data.batches import training_batches
from hpsearch.train.augment import build_augmentation, build_labelled
from hpsearch.train.settings import settings_from

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.config import Params
    from hpsearch.data.training_data import LabelledImages
    from hpsearch.train.settings import TrialSettings

WIDTH_PX = 1600
"""Width of the picture, about."""
MOST_ROWS = 4
MOST_IMAGES = 48
SMALLEST_PX = 96
"""Smaller images are enlarged in whole pixels."""
LINE_PX = 15
GAP_PX = 6
REAL_COLOUR, DEEPFAKE_COLOUR = np.array([46, 125, 50]), np.array([198, 40, 40])


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What the network sees of some images."""

    plain_bchw: Tensor
    """Without augmentation, as in validation; float32 in [0, 1]."""
    seen_bchw: Tensor
    """With it."""
    labels_b: NDArray[np.int64]
    """1 = deepfake, 0 = real."""
    targets_b: NDArray[np.float32]
    """P(deepfake) that the loss wants, before label smoothing."""


def first_batch(images: LabelledImages, settings: TrialSettings, seed: int) -> Shown:
    """The first images of a training with this seed, just as it gets them."""
    augmentation = build_augmentation(settings.augment, settings.image_px)
    batches = training_batches(
        images,
        batch_size=settings.batch_size,
        seed=seed,
        balance=settings.balance,
        start_images=0,
        device="cpu",
        matched=settings.order == "matched",
    )
    with closing(batches):
        images_bchw, labels_b, first = next(batches)
    shown = slice(0, MOST_IMAGES)
    seen_bchw, targets_b = build_labelled(settings.augment, augmentation)(images_bchw[shown], labels_b[shown], first, seed)
    return Shown(
        plain_bchw=augmentation.evaluation(images_bchw[shown]),
        seen_bchw=seen_bchw,
        labels_b=labels_b[shown].numpy(),
        targets_b=targets_b.numpy(),
    )


def title(params: Params, stored_px: int) -> str:
    """Network, sizes and augmentation of a configuration in a line."""
    strengths = [
        f"{name.removeprefix('augment.')} {value:.3g}"
        if isinstance(value, float)
        else f"{name.removeprefix('augment.')} {value}"
        for name, value in params.items()
        if name.startswith("augment.")
    ]
    sizes = f"{params.get('backbone', '')} at {settings_from(params).image_px} px, stored at {stored_px} px"
    return f"{sizes}: {', '.join(strengths)}"


def write_grid(sections: Sequence[tuple[Shown, str]], file: Path) -> None:
    """Writes pairs of images as a PNG: above as stored, below as the network sees it, framed by what the loss wants.

    Args:
        sections: One or more configurations, each with its title; all of one image size.
        file: Where the picture goes.
    """
    side_px = sections[0][0].seen_bchw.shape[-1]
    cell_px = side_px * max(1, -(-SMALLEST_PX // side_px))
    most = max(len(shown.labels_b) for shown, _ in sections)
    columns = min(most, max(2, WIDTH_PX // (cell_px + GAP_PX)))
    parts = [_section(shown, title, cell_px, columns, max(1, MOST_ROWS // len(sections))) for shown, title in sections]
    page = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), "white")
    upper = 0
    for part in parts:
        page.paste(part, (0, upper))
        upper += part.height
    file.parent.mkdir(parents=True, exist_ok=True)
    page.save(file, format="PNG")


def _section(shown: Shown, title: str, cell_px: int, columns: int, most_rows: int) -> Image.Image:
    rows = min(most_rows, -(-len(shown.labels_b) // columns))
    step_x, step_y = cell_px + GAP_PX, 2 * cell_px + LINE_PX + 2 * GAP_PX
    font = ImageFont.load_default(size=12)
    lines = _wrapped(title, columns * step_x, font)
    top = LINE_PX * len(lines) + 2 * GAP_PX
    page = Image.new("RGB", (columns * step_x + GAP_PX, top + rows * step_y + GAP_PX), "white")
    draw = ImageDraw.Draw(page)
    draw.text((GAP_PX, GAP_PX // 2), "\n".join(lines), fill="black", font=font)
    plain, seen = (_cells(images_bchw, cell_px) for images_bchw in (shown.plain_bchw, shown.seen_bchw))
    for number, (row, column) in zip(range(len(shown.labels_b)), itertools.product(range(rows), range(columns)), strict=False):
        left, upper = GAP_PX + column * step_x, top + row * step_y
        colour = _colour(float(shown.targets_b[number]))
        page.paste(plain[number], (left, upper))
        page.paste(seen[number], (left, upper + cell_px + 2))
        draw.rectangle((left - 2, upper - 2, left + cell_px + 1, upper + 2 * cell_px + 3), outline=colour, width=2)
        text = _label(int(shown.labels_b[number]), float(shown.targets_b[number]))
        draw.text((left, upper + 2 * cell_px + 4), text, fill=colour, font=font)
    return page


def _cells(images_bchw: Tensor, cell_px: int) -> list[Image.Image]:
    pixels_bhwc = (images_bchw * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    cells = (Image.fromarray(pixels_hwc) for pixels_hwc in pixels_bhwc)
    return [cell.resize((cell_px, cell_px), Image.Resampling.NEAREST) for cell in cells]


def _label(label: int, target: float) -> str:
    word = "deepfake" if label else "real"
    if target == label:
        return word
    return f"{word}, now deepfake" if target == 1 else f"{word}, now {target:.2f}"


def _colour(target: float) -> tuple[int, int, int]:
    red, green, blue = (REAL_COLOUR * (1 - target) + DEEPFAKE_COLOUR * target).round().astype(int).tolist()
    return red, green, blue


def _wrapped(title: str, width_px: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    lines = [""]
    for word in title.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
