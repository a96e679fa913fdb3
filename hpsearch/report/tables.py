"""Tables for people and spreadsheets: `trials.csv`, and the retrained model's answers in `val_predictions.csv`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import InputError
from hpsearch.files import as_csv, write_text
from hpsearch.layout import RunLayout
from hpsearch.report.facts import objective_of
from hpsearch.report.summary import state_of
from hpsearch.search.fold import Study
from hpsearch.search.types import TrialState

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PREDICTION_HEADER = ["img_name", "target", "y_pred"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictions:
    """A model's answers on labelled images."""

    names: tuple[str, ...]
    """Names as in the label file."""
    labels_n: NDArray[np.int64]
    """1 = deepfake, 0 = real."""
    probabilities_n: NDArray[np.float64]
    """P(deepfake), in [0, 1]."""


def parameter_names(trials: Iterable[TrialState]) -> list[str]:
    """Every parameter that any of `trials` has, those of most trials first, then in order of first appearance."""
    counts: dict[str, int] = {}
    for trial in trials:
        for name in trial.params:
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: -counts[name])


def write_trials(layout: RunLayout, study: Study) -> None:
    """Replaces `trials.csv`: one row a trial, by number; absent parameters and rungs are empty cells.

    Raises:
        StorageError: the run directory cannot be written.
    """
    ordered = list(study.trials.values())
    params = parameter_names(ordered)
    values = [f"{objective_of(study)}_at_{images}_images" for images in study.rungs]
    header = ["trial", "outcome", "origin", *values, "images", "seconds", "num_lost", "message", *params]
    rows = (
        [
            trial.number,
            state_of(trial),
            trial.origin,
            *(trial.values.get(images, "") for images in study.rungs),
            trial.images,
            round(sum(trial.seconds.values()), 3),
            trial.num_lost,
            trial.message,
            *(trial.params.get(name, "") for name in params),
        ]
        for trial in ordered
    )
    write_text(layout.trials_csv, as_csv([header, *rows]))


def write_predictions(layout: RunLayout, predictions: Predictions) -> None:
    """Replaces `val_predictions.csv`: one row an image.

    Raises:
        StorageError: the run directory cannot be written.
    """
    columns = zip(predictions.names, predictions.labels_n.tolist(), predictions.probabilities_n.tolist(), strict=True)
    rows = ([name, label, f"{p:.8g}"] for name, label, p in columns)
    write_text(layout.val_predictions, as_csv([_PREDICTION_HEADER, *rows]))


def read_predictions(layout: RunLayout) -> Predictions | None:
    """What `write_predictions` wrote; None where there is nothing yet.

    Raises:
        InputError: the file has another header, or a row that is no answer.
    """
    if not layout.val_predictions.exists():
        return None
    with layout.val_predictions.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        rows = list(csv.reader(stream))
    try:
        if rows[0] != _PREDICTION_HEADER:
            raise ValueError(f"its header is {','.join(rows[0])}")
        names, labels, probabilities = zip(*((name, int(label), float(p)) for name, label, p in rows[1:]), strict=True)
    except (ValueError, IndexError) as error:
        rule = f"one row {','.join(_PREDICTION_HEADER)} for each image"
        raise InputError(
            f"{layout.val_predictions}: {error or 'empty'}; expected {rule}. Delete it; the run writes it again."
        ) from error
    return Predictions(names=names, labels_n=np.array(labels, dtype=np.int64), probabilities_n=np.array(probabilities))
