"""Trains stretches in a worker: the images, the device and the networks' kernels stay warm from trial to trial."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from hpsearch.config import Objective
from hpsearch.data.dataset import Dataset
from hpsearch.data.training_data import LabelledImages, TrainingData
from hpsearch.execute.stretch import RungReport
from hpsearch.judge.objectives import objective_value
from hpsearch.layout import RunLayout
from hpsearch.search.types import Stretch
from hpsearch.train.compiled import CompiledNetworks
from hpsearch.train.progress import OnProgress, Progress
from hpsearch.train.result import RungResult
from hpsearch.train.settings import settings_from, trial_seed
from hpsearch.train.trial import TrialTrainer
from hpsearch.train.worker_setup import WorkerSetup

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchJob:
    """All that a worker needs to train any trial of a search."""

    dataset: Dataset
    """Labelled images."""
    setup: WorkerSetup
    """What the worker needs for any work."""
    run_dir: str
    """The run directory, the same on every node, or each one's own copy."""
    stored_px: Mapping[int, int]
    """`image_px` → side at which its images are stored."""
    rungs: tuple[int, ...]
    """Images at each rung, ascending."""
    images_per_trial: int
    """Full budget of a trial; its schedule spans it."""
    seed: int
    """Seed of the study."""
    objective: Objective
    """What rungs compare."""


@dataclass(frozen=True, slots=True)
class MakeTrainingRunner:
    """Makes the runner of one worker process."""

    job: SearchJob
    """What is searched."""

    def __call__(self) -> TrainingRunner:
        """Called once in each worker process."""
        return TrainingRunner(self.job)


class TrainingRunner:
    """Runs stretches of real training."""

    def __init__(self, job: SearchJob) -> None:
        """Prepares this process: plugins, its share of the GPU.

        Raises:
            InputError: a plugin that is not there or fails.
            ClusterError: Ray gave this process a GPU that torch cannot use.
        """
        self._job, self._setup = job, job.setup
        self._layout = RunLayout(Path(job.run_dir))
        self._device = job.setup.begin()
        self._data_by_px: dict[int, TrainingData] = {}
        self._compiled = CompiledNetworks(job.setup.compile)
        gc.freeze()  # what is loaded by now stays: collecting after each stretch then takes 1 ms instead of 100

    def run(self, stretch: Stretch, on_progress: OnProgress) -> Iterator[RungReport]:
        """Trains the trial on from its checkpoint; where that is gone it begins anew, and rungs known already are left out.

        Raises:
            DivergedError: a loss or a probability is not finite.
            InfeasibleError: a network that cannot be built, or one image does not fit the memory.
            HpsearchError: no trial is to blame: images, weights or storage.
        """
        checkpoint = self._layout.checkpoint(stretch.trial)
        self._setup.files.fetch(checkpoint)
        settings = settings_from({**stretch.params, "images_per_trial": self._job.images_per_trial})
        alive = Progress(images=stretch.from_images, images_per_second=0.0)
        data = self._data(self._job.stored_px[settings.image_px], lambda: on_progress(alive))
        trainer = TrialTrainer(
            settings,
            data,
            seed=trial_seed(self._job.seed, stretch.trial),
            device=self._device,
            precision=self._setup.precision,
            checkpoint=checkpoint,
            start_weights=self._setup.start_weights_of(settings),
            on_progress=on_progress,
            compiled=self._compiled,
        )
        if trainer.images_seen < stretch.from_images:
            log.warning("its checkpoint at %s images is gone; it starts again", f"{stretch.from_images:,}")
        seconds = 0.0
        from_checkpoint = trainer.images_seen > 0
        try:
            for result in trainer.run(self._job.rungs):
                is_new = result.images > stretch.from_images
                if is_new or not from_checkpoint:  # the checkpoint's rung comes first, and its seconds were journaled
                    seconds += result.seconds
                from_checkpoint = False
                if is_new:
                    self._setup.files.send(checkpoint)
                    yield self._report(result, seconds, data.val)
                    seconds = 0.0
        finally:
            del trainer
            gc.collect()  # networks refer to themselves; the next one should find their memory free
            if self._device == "cuda":
                torch.cuda.empty_cache()  # others may share this GPU

    def _data(self, px: int, give_sign_of_life: Callable[[], None]) -> TrainingData:
        if px not in self._data_by_px:
            self._data_by_px[px] = self._setup.training_data(self._job.dataset, px, lambda done, total: give_sign_of_life())
        return self._data_by_px[px]

    def _report(self, result: RungResult, seconds: float, val: LabelledImages) -> RungReport:
        value = objective_value(self._job.objective, val.labels_n, result.probabilities_n, val.parts)
        metrics: dict[str, Any] = {
            **asdict(result.scores),
            self._job.objective: value,
            "train_loss": result.train_loss,
            "lr": result.lr,
            "images_per_second": result.images_per_second,
            "micro_batch": result.micro_batch,
            "gpus": self._setup.gpus,
        }
        return RungReport(images=result.images, value=value, seconds=seconds, metrics=metrics)
