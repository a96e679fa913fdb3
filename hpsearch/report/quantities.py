"""What a trial reports at its rungs: the names, titles and units under which people meet it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hpsearch.config import Objective, flatten
from hpsearch.search.types import TrialState


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """One number that is reported at each rung."""

    key: str
    """Its name in `TrialState.metrics`, nested names joined by dots."""
    tag: str
    """Its name in TensorBoard."""
    title: str
    """Label of an axis."""
    unit: str = ""
    """Unit of an axis; empty: a number without one."""

    @property
    def label(self) -> str:
        """Title and unit of an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


QUANTITIES = (
    Quantity(key="auc", tag="val/auc", title="Validation AUC"),
    Quantity(key="accuracy", tag="val/accuracy", title="Validation accuracy"),
    Quantity(key="shift_auc", tag="val/shift_auc", title="AUC of kinds not trained on"),
    Quantity(key="worst_group_auc", tag="val/worst_group_auc", title="AUC of the worst group"),
    Quantity(key="tpr_at_fpr.0.01", tag="val/tpr_at_fpr_0.01", title="TPR at FPR 0.01"),
    Quantity(key="tpr_at_fpr.0.005", tag="val/tpr_at_fpr_0.005", title="TPR at FPR 0.005"),
    Quantity(key="tpr_at_fpr.0.001", tag="val/tpr_at_fpr_0.001", title="TPR at FPR 0.001"),
    Quantity(key="train_loss", tag="train/loss", title="Training loss"),
    Quantity(key="lr", tag="train/lr", title="Learning rate"),
    Quantity(key="images_per_second", tag="speed/images_per_second", title="Speed", unit="images/s"),
)


def quantity(key: str) -> Quantity:
    """The quantity named `key`.

    Raises:
        KeyError: nobody reports it.
    """
    return {known.key: known for known in QUANTITIES}[key]


def readings(trial: TrialState, objective: Objective) -> Iterator[tuple[int, dict[str, float]]]:
    """`(images, {key: value})` for each rung of `trial`, ascending, with those keys of `QUANTITIES` that it reported."""
    known = {quantity.key for quantity in QUANTITIES}
    previous = 0
    for images in sorted(trial.values):
        reported = flatten(trial.metrics.get(images, {}))
        found = {key: float(value) for key, value in reported.items() if key in known and isinstance(value, int | float)}
        found[objective] = trial.values[images]
        if trial.seconds.get(images) and "images_per_second" not in found:
            found["images_per_second"] = (images - previous) / trial.seconds[images]
        previous = images
        yield images, found


def curve(trial: TrialState, key: str, objective: Objective) -> tuple[list[int], list[float]]:
    """Images seen and values of one quantity at the rungs where `trial` reported it."""
    points = [(images, found[key]) for images, found in readings(trial, objective) if key in found]
    return [images for images, _ in points], [value for _, value in points]
