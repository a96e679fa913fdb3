"""What goes with the exported model: pictures of its worst mistakes, the same model for other runtimes, and its card."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.decode import readable_images
from hpsearch.errors import StorageError
from hpsearch.final.export import read_description
from hpsearch.final.model_card import write_model_card
from hpsearch.final.onnx_file import OnnxCheck, OnnxError, missing_packages, write_onnx
from hpsearch.final.scorer import Scorer
from hpsearch.layout import MODEL_CARD, MODEL_ONNX
from hpsearch.report.mistakes import write_mistakes
from hpsearch.report.page.detector import confusion
from hpsearch.report.pictures import NUM_AUGMENTED_IMAGES, augmented_grid, png, roc_picture
from hpsearch.report.result import read_result, retrained
from hpsearch.report.tables import Predictions, read_predictions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.data.dataset import Dataset
    from hpsearch.layout import RunLayout, SplitResult
    from hpsearch.report.display import Display
    from hpsearch.report.tensorboard import TensorBoardWriter

log = logging.getLogger(__name__)


def complete_export(layout: RunLayout, dataset: Dataset, display: Display, tensorboard: TensorBoardWriter) -> None:
    """Writes what the export lacks; the card comes last, so where it stands nothing is left to do.

    Raises:
        StorageError: the run directory cannot be written.
    """
    predictions = read_predictions(layout)
    if predictions is None or (layout.best / MODEL_CARD).is_file():
        return
    by_name = dict(zip(dataset.val.names, dataset.val.paths, strict=True))
    paths = [by_name[name] for name in predictions.names]
    scorer = Scorer.load(layout.best)
    try:
        write_mistakes(layout, scorer, predictions, paths)
        _describe_training(layout, scorer, dataset, predictions, tensorboard)
        onnx = _write_onnx(layout, paths, display)
        write_model_card(
            layout.best, read_description(layout.best), scores=_scores(layout), onnx=onnx, name=layout.root.resolve().name
        )
    except OSError as error:
        raise StorageError(
            f"{error.filename or layout.root} cannot be written: {error.strerror}. Free space or make {layout.root} "
            "writable; the same command then goes on from here."
        ) from error


def _describe_training(
    layout: RunLayout, scorer: Scorer, dataset: Dataset, predictions: Predictions, tensorboard: TensorBoardWriter
) -> None:
    """Pictures for TensorBoard, where the run keeps the retraining's curve."""
    retraining = retrained(read_result(layout))
    images = list(readable_images(dataset.train.paths, scorer.description.stored_px, NUM_AUGMENTED_IMAGES))
    if retraining is None or not images:
        return
    grid = augmented_grid(scorer.augmentation, np.stack(images), scorer.description.seed)
    tensorboard.described(
        retraining, augmented_png=png(grid), roc_png=png(roc_picture(predictions)), confusion=confusion(predictions)
    )


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
