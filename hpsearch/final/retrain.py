"""Trains the best configuration to the end, from the start with a fresh seed, and exports it. Runs on a worker; no Ray here."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.files import replacing
from hpsearch.final.export import export_trained
from hpsearch.json_text import read_as
from hpsearch.judge.objectives import objective_value
from hpsearch.layout import RetrainRung
from hpsearch.train.compiled import CompiledNetworks
from hpsearch.train.memory import infeasible_without_memory
from hpsearch.train.result import RungResult
from hpsearch.train.settings import settings_from
from hpsearch.train.trial import TrialTrainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.config import Objective, Params
    from hpsearch.data.dataset import Dataset
    from hpsearch.data.training_data import LabelledImages, TrainingData
    from hpsearch.train.peers import Peers
    from hpsearch.train.worker_setup import WorkerSetup

log = logging.getLogger(__name__)

NUM_EVALUATIONS = 8
"""Evaluations during the retraining, for its curve and its checkpoints."""
EXPORT, CHECKPOINT, FINISHED = "export", "checkpoint.pt", "finished.json"
"""Names inside the directory of one retraining."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrainJob:
    """All that a worker needs to retrain and export one configuration."""

    setup: WorkerSetup
    """What the worker needs for any work."""
    dataset: Dataset
    """Labelled images."""
    params: Params
    """The configuration."""
    images: int
    """Full budget."""
    stored_px: int
    """Side at which images are stored."""
    directory: str
    """Where its checkpoint, its curve, its model and what came of it go."""
    seed: int
    """Seed of weights, order and augmentation."""
    objective: Objective
    """What is reported at each evaluation."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Retrained:
    """What came of it."""

    labels_n: NDArray[np.int64]
    """Label of each readable validation image."""
    probabilities_n: NDArray[np.float64]
    """P(deepfake) of each of them."""
    value: float
    """Objective on them."""
    curve: list[dict[str, Any]]
    """`images`, `value`, `seconds`, `metrics` of each evaluation, those before a restart too."""
    num_parameters: int
    """Parameters of the exported module."""
    parts: Sequence[str] | None = None
    """Part of each of these images, for objectives that look at parts."""
    start_weights: str = ""
    """What became of its start weights, in a line."""


def retrain(job: RetrainJob, peers: Peers | None = None) -> Generator[dict[str, int], None, Retrained]:
    """Trains `job.params` on the training images, from its checkpoint where there is one, and writes the export.

    With `peers` this process does its part of every batch, and the main one alone writes files.

    Yields:
        `images` seen so far, at each evaluation.

    Raises:
        DivergedError: a loss or probability is not finite.
        InfeasibleError: it does not fit the memory.
        StorageError: peers do not see the same checkpoint.
    """
    with infeasible_without_memory():
        return (yield from _retrained(job, peers))


def _retrained(job: RetrainJob, peers: Peers | None) -> Generator[dict[str, int], None, Retrained]:
    trainer, data = _trainer(job, peers)
    is_main = peers is None or peers.is_main
    directory = Path(job.directory)
    curve = _Curve(directory / "curve.json", job.objective, data.val)
    yield {"images": trainer.images_seen}
    for result in trainer.run(evaluation_points(job.images)):
        if is_main:
            curve.add(result)
            job.setup.files.send_below(directory)
            job.setup.files.send(directory / CHECKPOINT)
        yield {"images": result.images}
    if is_main:
        return _exported(job, trainer, data, curve, result)
    return Retrained(  # the main one's counts
        labels_n=data.val.labels_n,
        probabilities_n=result.probabilities_n,
        value=math.nan,
        curve=[],
        num_parameters=trainer.num_parameters,
        parts=data.val.parts,
    )


def _trainer(job: RetrainJob, peers: Peers | None) -> tuple[TrialTrainer, TrainingData]:
    """The training, as far as its checkpoint is, and its images."""
    device = job.setup.begin()
    data = job.setup.training_data(job.dataset, job.stored_px)
    settings = settings_from({**job.params, "images_per_trial": job.images})
    directory = Path(job.directory)
    job.setup.files.fetch_below(directory)
    job.setup.files.fetch(directory / CHECKPOINT)
    trainer = TrialTrainer(
        settings,
        data,
        seed=job.seed,
        device=device,
        precision=job.setup.precision,
        checkpoint=directory / CHECKPOINT,
        start_weights=job.setup.start_weights_of(settings),
        peers=peers,
        compiled=CompiledNetworks(job.setup.compile),
    )
    if peers is not None:
        peers.require_same(trainer.images_seen, f"images trained by the checkpoint in {job.directory}")
    return trainer, data


def _exported(job: RetrainJob, trainer: TrialTrainer, data: TrainingData, curve: _Curve, last: RungResult) -> Retrained:
    """Writes the export, and then that it is there."""
    directory = Path(job.directory)
    exported = export_trained(
        directory / EXPORT,
        trainer,
        params=job.params,
        stored_px=job.stored_px,
        seed=job.seed,
        labels_n=data.val.labels_n,
        last=last,
        dataset=job.dataset,
        plugins=job.setup.plugins,
    )
    retrained = Retrained(
        labels_n=data.val.labels_n,
        probabilities_n=last.probabilities_n,
        value=curve.points[-1]["value"],
        curve=curve.points,
        num_parameters=exported.num_parameters,
        parts=data.val.parts,
        start_weights=str(trainer.weights),
    )
    job.setup.files.send_below(directory)  # the export, before anything says that it is there
    _write_finished(job, retrained)
    job.setup.files.send_below(directory)
    return retrained


def finished(job: RetrainJob) -> Retrained | None:
    """What an earlier call of `retrain` with the same job has left; None: it has not ended, or what it left is broken."""
    job.setup.files.fetch_below(Path(job.directory))
    try:
        kept = read_as((Path(job.directory) / FINISHED).read_text(), dict[str, Any])
        if kept.pop("identity", None) != _identity(job):
            return None
        arrays = {name: np.array(kept[name]) for name in ("labels_n", "probabilities_n")}
        return Retrained(**{**kept, **arrays})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write_finished(job: RetrainJob, retrained: Retrained) -> None:
    arrays = {"labels_n": retrained.labels_n.tolist(), "probabilities_n": retrained.probabilities_n.tolist()}
    parts = None if retrained.parts is None else list(retrained.parts)
    fields = {**asdict(retrained), **arrays, "parts": parts, "identity": _identity(job)}
    with replacing(Path(job.directory) / FINISHED) as partial:
        partial.write_text(json.dumps(fields))
    job.setup.files.remove(Path(job.directory) / CHECKPOINT)


def _identity(job: RetrainJob) -> str:
    facts = {"params": job.params, "images": job.images, "seed": job.seed, "data": job.dataset.fingerprint}
    return json.dumps(facts, sort_keys=True)


def evaluation_points(images: int) -> tuple[int, ...]:
    """Images seen at each evaluation, evenly spread, the last one at the end."""
    return tuple(sorted({max(1, images * part // NUM_EVALUATIONS) for part in range(1, NUM_EVALUATIONS + 1)}))


class _Curve:
    """The evaluations so far, on disk as well, since a resumed retraining yields only those to come."""

    def __init__(self, file: Path, objective: Objective, val: LabelledImages) -> None:
        self._file, self._objective, self._val = file, objective, val
        self.points = _points_in(file)

    def add(self, result: RungResult) -> None:
        value = objective_value(self._objective, self._val.labels_n, result.probabilities_n, self._val.parts)
        metrics = {**asdict(result.scores), self._objective: value, "train_loss": result.train_loss, "lr": result.lr}
        metrics["images_per_second"] = result.images_per_second
        point = {"images": result.images, "value": value, "seconds": result.seconds, "metrics": metrics}
        self.points = [*(one for one in self.points if one["images"] < result.images), point]
        with replacing(self._file) as partial:
            partial.write_text(json.dumps(self.points))


def _points_in(file: Path) -> list[dict[str, Any]]:
    """The evaluations before a restart; a broken file costs the beginning of a curve and nothing else."""
    try:
        points = read_as(file.read_text(), list[RetrainRung])
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s): the curve of this retraining begins where it goes on", file, error)
        return []
    return [dict(point) for point in points]
