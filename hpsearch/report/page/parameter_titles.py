"""What a searched parameter is called on an axis: a readable title, its name in the space file, its unit."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hpsearch.report.facts import SearchedParameter

TITLES = {
    "backbone": "Backbone",
    "weights": "Start weights",
    "se_reduction": "SE reduction ratio r",
    "image_px": "Image side",
    "batch_size": "Batch size",
    "images_per_trial": "Full training",
    "epochs": "Full training",
    "optimizer": "Optimizer",
    "lr": "Peak learning rate",
    "weight_decay": "Weight decay",
    "warmup_fraction": "Warm-up",
    "gradient_clip": "Largest gradient norm",
    "layer_decay": "Layer-wise decay of the rate",
    "label_smoothing": "Label smoothing",
    "focal_gamma": "Exponent of the focal loss",
    "ema_decay": "Decay of the averaged weights",
    "drop_path": "Stochastic depth",
    "balance": "Class balancing exponent",
    "order": "Order of the images",
}
"""Parameters outside `augment.`, whose names say what they are."""

UNITS = {
    "image_px": "px",
    "batch_size": "images",
    "images_per_trial": "images",
    "epochs": "epochs",
    "warmup_fraction": "share of the training",
    "drop_path": "share of paths",
}
"""Those of them that are no bare number."""

COLUMN_LETTERS = 11
"""Letters side by side in a column of parallel coordinates, with nine columns on a sheet of A4."""


def unit(name: str) -> str:
    """What the values count; empty: nothing."""
    if not name.startswith("augment."):
        return UNITS.get(name, "")
    from hpsearch.train.augment.registry import unit_of  # imports torch, which takes seconds that only the page is worth

    return unit_of(name)


def axis_title(parameter: SearchedParameter) -> str:
    """`Peak learning rate, lr (logarithmic)`."""
    name = parameter.name
    title = TITLES.get(name, name)
    named = title if title.lower() in (name, name.replace("_", " ")) else f"{title}, {name}"
    scale = "logarithmic" if parameter.log and not parameter.choices else ""
    notes = ", ".join(filter(None, [unit(name), scale]))
    return f"{named} ({notes})" if notes else named


def column_title(name: str) -> list[str]:
    """Lines at the top of one of many narrow columns: `augment.`, `blur.`, `sigma_max`, `(px)`."""
    segments = re.findall(r"[^.]+\.?", name)
    words = f"({unit(name)})".split() if unit(name) else []
    return [*(line for segment in segments for line in _folded(re.findall(r"[^_]+_?", segment), "")), *_folded(words, " ")]


def _folded(parts: Sequence[str], between: str) -> list[str]:
    """`parts` in lines that fit a column, as far as they can."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(between) + len(part) <= COLUMN_LETTERS:
            lines[-1] += between + part
        else:
            lines.append(part)
    return lines
