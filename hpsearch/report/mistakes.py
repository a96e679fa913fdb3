"""The validation images that the retrained model got most wrong, with what its answer came from: small pictures for the page.

They lie in the run directory as files, so that the page can be written again without torch and without the images.
"""

from __future__ import annotations

import base64
import csv
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hpsearch.data.dataset import DEEPFAKE, REAL
from hpsearch.data.decode import UnreadableImageError, decode
from hpsearch.errors import InputError
from hpsearch.files import as_csv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.final.scorer import Scorer
    from hpsearch.layout import RunLayout
    from hpsearch.report.tables import Predictions

NUM_OF_A_CLASS = 12
"""Pictures of real images called fake, and as many of deepfakes called real."""
PICTURE_PX = 160
QUALITY = 80
INDEX = "index.csv"
HEADER = ["img_name", "target", "y_pred", "picture", "heat"]
WARM = (255.0, 96.0, 24.0)
"""Colour of what speaks for the answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """One image and the model's answer."""

    name: str
    """As in the label file."""
    label: int
    """1 = deepfake, 0 = real."""
    probability: float
    """P(deepfake) that the model gave."""
    picture: Path
    """JPEG of what the model saw."""
    heat: Path | None
    """The same with what spoke for the answer; None: the network has no map of features."""

    @property
    def is_wrong(self) -> bool:
        """Whether the answer is on the wrong side of ½; with few mistakes, the nearest to one fill up."""
        return (self.probability >= 0.5) != (self.label == DEEPFAKE)


def write_mistakes(layout: RunLayout, scorer: Scorer, predictions: Predictions, paths: Sequence[str]) -> None:
    """Replaces `mistakes/`: pictures of the worst answers of each class; an image that cannot be read is left out.

    Args:
        layout: The run.
        scorer: The retrained model.
        predictions: Its answers on the validation images.
        paths: The files of these images, in the same order.
    """
    import torch

    from hpsearch.judge.grad_cam import heat_maps

    shutil.rmtree(layout.mistakes, ignore_errors=True)
    layout.mistakes.mkdir(parents=True)
    rows: list[list[object]] = []
    for row in [*worst(predictions, REAL), *worst(predictions, DEEPFAKE)]:
        try:
            pixels_hwc = decode(paths[row], scorer.description.stored_px)
        except UnreadableImageError:
            continue
        images_bchw = scorer.inputs_of(torch.tensor(pixels_hwc)[None])
        heat_bhw = heat_maps(scorer.model, images_bchw)
        seen_hwc = images_bchw[0].permute(1, 2, 0).cpu().numpy() * 255.0
        picture, heat = f"{len(rows):02d}.jpg", "" if heat_bhw is None else f"{len(rows):02d}-heat.jpg"
        _save(seen_hwc, layout.mistakes / picture)
        if heat_bhw is not None:
            _save(overlaid(seen_hwc, heat_bhw[0].cpu().numpy()), layout.mistakes / heat)
        probability = f"{predictions.probabilities_n[row]:.6f}"
        rows.append([predictions.names[row], int(predictions.labels_n[row]), probability, picture, heat])
    text = as_csv([HEADER, *rows])
    (layout.mistakes / INDEX).write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


def worst(predictions: Predictions, label: int) -> list[int]:
    """Rows of the images of one class whose answers are furthest off, the worst first."""
    rows = np.flatnonzero(predictions.labels_n == label)
    error_r = np.abs(predictions.probabilities_n[rows] - label)
    return [int(row) for row in rows[np.argsort(-error_r, kind="stable")][:NUM_OF_A_CLASS]]


def overlaid(seen_hwc: NDArray[np.floating], heat_hw: NDArray[np.floating]) -> NDArray[np.floating]:
    """The picture (0–255) in grey, glowing where `heat_hw` (0–1) is high."""
    grey_hw1 = seen_hwc.mean(axis=2, keepdims=True) * 0.75
    strength_hw1 = 0.8 * heat_hw[:, :, None]
    glowing_hwc: NDArray[np.floating] = (1 - strength_hw1) * grey_hw1 + strength_hw1 * (0.35 * grey_hw1 + 0.65 * np.array(WARM))
    return glowing_hwc


def _save(pixels_hwc: NDArray[np.floating], file: Path) -> None:
    image = Image.fromarray(pixels_hwc.round().clip(0, 255).astype(np.uint8))
    image.resize((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS).save(file, quality=QUALITY)


def read_mistakes(layout: RunLayout) -> tuple[Mistake, ...]:
    """What `write_mistakes` wrote; empty where there is nothing yet.

    Raises:
        InputError: the index is no such table.
    """
    index = layout.mistakes / INDEX
    if not index.is_file():
        return ()
    try:
        with index.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            header, *rows = csv.reader(stream)
        if header != HEADER:
            raise ValueError(f"its header is {','.join(header)}")
        return tuple(
            Mistake(
                name=name,
                label=int(label),
                probability=float(probability),
                picture=_inside(layout, picture),
                heat=_inside(layout, heat) if heat else None,
            )
            for name, label, probability, picture, heat in rows
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{index}: {error}. Delete {layout.mistakes}; the page then leaves the pictures out.") from error


def _inside(layout: RunLayout, name: str) -> Path:
    """A picture of the folder; one that is named elsewhere is refused, since the page would carry it away."""
    file = layout.mistakes / name
    if Path(name).name != name or not file.is_file():
        raise ValueError(f"{name!r} is no picture of this folder")
    return file


def data_uri(file: Path) -> str:
    """The picture as text for the page."""
    return f"data:image/jpeg;base64,{base64.b64encode(file.read_bytes()).decode()}"
