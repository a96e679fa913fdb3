"""What the best trial so far sees and how it answers, for TensorBoard.

Its checkpoint keeps the last evaluation, so nothing is scored again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.decode import readable_images
from hpsearch.report.page.detector import confusion
from hpsearch.report.pictures import NUM_AUGMENTED_IMAGES, augmented_grid, png, roc_picture
from hpsearch.report.tables import Predictions
from hpsearch.train.augment import build_augmentation
from hpsearch.train.checkpoint import read_last_result
from hpsearch.train.settings import settings_from, trial_seed

if TYPE_CHECKING:
    from hpsearch.data.training_data import LabelledImages
    from hpsearch.job.inputs import Inputs
    from hpsearch.layout import RunLayout
    from hpsearch.report.tensorboard import TensorBoardWriter
    from hpsearch.search.types import TrialState


@dataclass(frozen=True, kw_only=True, slots=True)
class BestPictures:
    """Shows a trial that has become the best so far."""

    inputs: Inputs
    """What the run works on."""
    layout: RunLayout
    """Where checkpoints lie."""
    val: LabelledImages
    """Images that trials are compared on."""
    tensorboard: TensorBoardWriter
    """Takes the pictures."""

    def __call__(self, trial: TrialState) -> None:
        """Writes augmented training images once, and ROC and confusion on the validation images as of its checkpoint.

        Without a checkpoint on this machine, as where workers elsewhere use an object store, the latter two are left out.

        Raises:
            StorageError: its directory cannot be written.
        """
        self._augmented(trial)
        result = read_last_result(self.layout.checkpoint(trial.number))
        if result is None or len(result.probabilities_n) != len(self.val):
            return
        names = tuple(map(str, self.val.indices_n.tolist()))
        answers = Predictions(names=names, labels_n=self.val.labels_n, probabilities_n=result.probabilities_n)
        self.tensorboard.answered(trial.number, result.images, png(roc_picture(answers)), confusion(answers))

    def _augmented(self, trial: TrialState) -> None:
        if self.tensorboard.has_augmented(trial.number):
            return
        settings = settings_from(trial.params)
        px = self.inputs.stored_px(trial.params)
        images = list(readable_images(self.inputs.dataset.train.paths, px, NUM_AUGMENTED_IMAGES))
        if images:
            augmentation = build_augmentation(settings.augment, settings.image_px)
            grid = augmented_grid(augmentation, np.stack(images), trial_seed(self.inputs.config.seed, trial.number))
            self.tensorboard.augmented(trial.number, trial.images, png(grid))
