"""How the best trial so far answers, for TensorBoard: its checkpoint keeps the last evaluation, so nothing is scored again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.report.page.detector import confusion
from hpsearch.report.pictures import png, roc_picture
from hpsearch.report.tables import Predictions
from hpsearch.train.checkpoint import read_last_result

if TYPE_CHECKING:
    from hpsearch.data.training_data import LabelledImages
    from hpsearch.layout import RunLayout
    from hpsearch.report.tensorboard import TensorBoardWriter


def show_answers(layout: RunLayout, trial: int, val: LabelledImages, tensorboard: TensorBoardWriter) -> None:
    """Writes ROC and confusion of `trial` on the validation images, as of its checkpoint; nothing where it has none.

    Raises:
        StorageError: its directory cannot be written.
    """
    result = read_last_result(layout.checkpoint(trial))
    if result is None or len(result.probabilities_n) != len(val):
        return
    names = tuple(map(str, val.indices_n.tolist()))
    answers = Predictions(names=names, labels_n=val.labels_n, probabilities_n=result.probabilities_n)
    tensorboard.answered(trial, result.images, png(roc_picture(answers)), confusion(answers))
