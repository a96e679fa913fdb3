"""Pictures for TensorBoard: what augmentation makes of the training images, and the ROC curve of the retrained model.

Drawn with Pillow, since a plotting library would be one more package for two pictures; the page has the curves to look closely.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from hpsearch.metrics import FPR_POINTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.report.tables import Predictions
    from hpsearch.train.augment import Augmentation

NUM_AUGMENTED_IMAGES = 6
"""Training images that TensorBoard shows with what augmentation makes of them."""
NUM_AUGMENTED = 4
"""Versions of each image beside the one that evaluation sees."""
PLOT_PX, MARGIN_PX = 480, 48
INK, FAINT, CURVE, MARK = (40, 46, 52), (215, 220, 225), (30, 111, 180), (194, 80, 15)


def augmented_grid(augmentation: Augmentation, pixels_bhwc: NDArray[np.uint8], seed: int) -> Image.Image:
    """One row an image: as evaluation sees it, then as training sees it in `NUM_AUGMENTED` passes.

    Args:
        augmentation: Of the training.
        pixels_bhwc: Decoded images, squares of the stored side.
        seed: Of the training.
    """
    import torch

    stored_bchw = torch.tensor(pixels_bhwc).permute(0, 3, 1, 2)
    passes = [augmentation.evaluation(stored_bchw)]
    passes += [augmentation(stored_bchw, number * len(stored_bchw), seed) for number in range(NUM_AUGMENTED)]
    columns = [torch.cat(list(images_bchw), dim=1) for images_bchw in passes]
    grid_hwc = torch.cat(columns, dim=2).permute(1, 2, 0).mul(255).round().to(torch.uint8).numpy()
    return Image.fromarray(grid_hwc)


def roc_picture(predictions: Predictions) -> Image.Image:
    """The ROC curve with the competition's points, linear axes from 0 to 1."""
    from sklearn.metrics import roc_auc_score, roc_curve

    fpr_t, tpr_t, _ = roc_curve(predictions.labels_n, predictions.probabilities_n)
    auc = roc_auc_score(predictions.labels_n, predictions.probabilities_n)
    image = Image.new("RGB", (PLOT_PX, PLOT_PX), "white")
    draw = ImageDraw.Draw(image)
    for tick in np.linspace(0, 1, 6):
        draw.line([_place(tick, 0), _place(tick, 1)], fill=FAINT)
        draw.line([_place(0, tick), _place(1, tick)], fill=FAINT)
        x, y = _place(tick, 0)
        draw.text((x, y + 6), f"{tick:.1f}", fill=INK, anchor="ma")
        x, y = _place(0, tick)
        draw.text((x - 6, y), f"{tick:.1f}", fill=INK, anchor="rm")
    draw.line([_place(0, 0), _place(1, 1)], fill=FAINT, width=2)
    draw.line([_place(x, y) for x, y in zip(fpr_t, tpr_t, strict=True)], fill=CURVE, width=3)
    for allowed in FPR_POINTS:
        x, y = _place(allowed, float(tpr_t[fpr_t <= allowed].max()))
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=MARK)
    draw.text((PLOT_PX / 2, 14), f"AUC {auc:.4f}, {len(predictions.names):,} images", fill=INK, anchor="mm")
    draw.text((PLOT_PX / 2, PLOT_PX - 12), "false-positive rate (real images called fake)", fill=INK, anchor="mm")
    draw.text((4, 28), "true-positive rate", fill=INK)
    return image


def _place(x: float, y: float) -> tuple[float, float]:
    side = PLOT_PX - 2 * MARGIN_PX
    return MARGIN_PX + x * side, PLOT_PX - MARGIN_PX - y * side


def png(image: Image.Image, longest_px: int = 1600) -> bytes:
    """The image as a PNG file, reduced where a side is longer than `longest_px`."""
    scale = longest_px / max(image.size)
    if scale < 1:
        image = image.resize((math.ceil(image.width * scale), math.ceil(image.height * scale)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()
