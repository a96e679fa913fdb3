"""What goes with the exported model: pictures of its worst mistakes, the same model for other runtimes, and its card."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hpsearch.errors import StorageError
from hpsearch.final.export import read_description
from hpsearch.final.model_card import write_model_card
from hpsearch.final.onnx_file import OnnxCheck, OnnxError, missing_packages, write_onnx
from hpsearch.final.scorer import Scorer
from hpsearch.layout import MODEL_CARD, MODEL_ONNX
from hpsearch.report.mistakes import write_mistakes
from hpsearch.report.result import read_result
from hpsearch.report.tables import read_predictions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.data.dataset import Dataset
    from hpsearch.layout import RunLayout, SplitResult
    from hpsearch.report.display import Display

log = logging.getLogger(__name__)


def complete_export(layout: RunLayout, dataset: Dataset, display: Display) -> None:
    """Writes what the export lacks; the card comes last, so where it stands nothing is left to do.

    Raises:
        StorageError: the run directory cannot be written.
    """
    predictions = read_predictions(layout)
    if predictions is None or (layout.best / MODEL_CARD).is_file():
        return
    by_name = dict(zip(dataset.val.names, dataset.val.paths, strict=True))
    paths = [by_name[name] for name in predictions.names]
    try:
        write_mistakes(layout, Scorer.load(layout.best), predictions, paths)
        onnx = _write_onnx(layout, paths, display)
        write_model_card(
            layout.best, read_description(layout.best), scores=_scores(layout), onnx=onnx, name=layout.root.resolve().name
        )
    except OSError as error:
        raise StorageError(
            f"{error.filename or layout.root} cannot be written: {error.strerror}. Free space or make {layout.root} "
            "writable; the same command then goes on from here."
        ) from error


def _write_onnx(layout: RunLayout, paths: Sequence[str], display: Display) -> OnnxCheck | None:
    """`model.onnx`; None where it has to be left out, which is said."""
    if missing := missing_packages():
        display.event(f"{MODEL_ONNX} is left out: {', '.join(missing)} not installed (pip install 'hpsearch[onnx]')")
        return None
    try:
        return write_onnx(layout.best, paths)
    except OnnxError as error:
        log.warning("%s is left out: %s", MODEL_ONNX, error)
        display.event(f"{MODEL_ONNX} is left out: {error}")
        return None


def _scores(layout: RunLayout) -> dict[str, SplitResult]:
    """What the result says of the model, by the images that it was measured on."""
    result = read_result(layout)
    found = {"holdout": result.get("holdout"), "validation": result["val"]} if result else {}
    return {where: split for where, split in found.items() if split}
