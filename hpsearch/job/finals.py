"""From the best trials to the exported model: fresh seeds for the finalists, a winner, its judgement, its export."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import DivergedError, InfeasibleError
from hpsearch.execute.group_call import call_on_group
from hpsearch.execute.worker_call import call_on_worker
from hpsearch.final.assess import AssessJob, Assessment, assess
from hpsearch.final.export import publish_export
from hpsearch.final.finalists import Confirmation, Training
from hpsearch.final.members import write_ensemble
from hpsearch.final.retrain import EXPORT, Retrained, finished, retrain
from hpsearch.job.fresh_trainings import RETRAINING, FreshTrainings
from hpsearch.job.members import chosen_members
from hpsearch.job.val_note import val_note
from hpsearch.judge.scores import split_result
from hpsearch.search.types import TrialState
from hpsearch.train.settings import settings_from

if TYPE_CHECKING:
    from hpsearch.execute.resources import TrialResources

ENSEMBLE = "ensemble"
"""Directory below `retrain/` where the members' export as one model lies."""
MIN_IMAGES_OF_WORKER = 8
"""Of a batch, where several workers train together: batch-norm statistics of fewer are too rough."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Final:
    """What the finals of a study came to."""

    best: TrialState
    """The winner's trial."""
    members: tuple[Training, ...]
    """Fresh trainings whose answers the exported model averages; the winner's first one comes first, mostly alone."""
    num_parameters: int
    """Parameters of the exported model."""
    retrained: Retrained
    """The winner's first fresh training."""
    confirmation: Confirmation
    """What all fresh trainings say."""
    trainings: Mapping[Training, Retrained]
    """Fresh trainings that ended well, by finalist and repeat."""
    assessment: Assessment
    """The winner, judged as it will be used."""
    trained_on_all: bool
    """Whether the exported model has also seen the validation images and the holdout."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finals:
    """The last phases of one run."""

    fresh: FreshTrainings
    """Fresh trainings of the best trials, and what they work with."""
    phase: Callable[[str, float], AbstractContextManager[None]]
    """Times a phase that uses so many GPUs."""

    def run(self, resources: TrialResources, whole: TrialResources) -> Final:
        """Confirms, judges and exports.

        Args:
            resources: What each of several trainings at a time gets.
            whole: What a single one gets.

        Raises:
            NoUsableTrialError: no finalist could be trained again.
        """
        with self.phase(RETRAINING, 0.0):
            confirmation = self.fresh.confirm(resources, whole)
        members = self._members(confirmation)
        export = self._as_one([self.fresh.export(one) for one in members])
        with self.phase("judging", whole.gpus):
            job = {"job": self._assess_job(export, whole)}
            assessment = call_on_worker(assess, job, resources=whole, on_progress=self._show_judging, nodes=self.fresh.nodes)
        on_all = False
        if self.fresh.inputs.config.final.train_on == "all":
            with self.phase("training on all images", whole.gpus * self._num_together(members[0])):
                try:
                    export, on_all = self._trained_on_all(members[0], whole), True
                except (DivergedError, InfeasibleError) as error:
                    self.fresh.display.event(f"training on all images failed, the model trained without them stays: {error}")
        note = val_note(assessment.views, len(members), trained_on_all=on_all)
        scores = split_result(assessment.labels_n, assessment.val_n, note=note)
        self.fresh.setup.files.remove(self.fresh.layout.submission)  # of another model
        description = publish_export(
            export.resolve(),
            self.fresh.layout.best,
            max_parameters=self.fresh.inputs.space.max_parameters,
            views=assessment.views,
            val=dict(scores),
        )
        return Final(
            best=self.fresh.study.trials[confirmation.winner],
            members=members,
            num_parameters=description.num_parameters,
            retrained=self.fresh.done[members[0]],
            confirmation=confirmation,
            trainings=dict(self.fresh.done),
            assessment=assessment,
            trained_on_all=on_all,
        )

    def _members(self, confirmation: Confirmation) -> tuple[Training, ...]:
        members = chosen_members(
            confirmation,
            self.fresh.done,
            has_model=self.fresh.has_model,
            params=lambda trial: self.fresh.study.trials[trial].params,
            most=1 if self.fresh.inputs.config.final.train_on == "all" else self.fresh.inputs.config.final.members,
            max_parameters=self.fresh.inputs.space.max_parameters,
            objective=self.fresh.inputs.config.search.objective,
        )
        if len(members) > 1:
            named = ", ".join(f"trial {one.trial} seed {one.repeat}" for one in members)
            self.fresh.display.event(f"the model averages the answers of {len(members)} fresh trainings: {named}")
        return members

    def _as_one(self, exports: list[Path]) -> Path:
        """The one export, or that of the ensemble of several."""
        if len(exports) == 1:
            return exports[0]
        directory = self.fresh.layout.retrain / ENSEMBLE
        write_ensemble(exports, directory / EXPORT)
        self.fresh.setup.files.send_below(directory)
        return directory / EXPORT

    def tidy(self, final: Final) -> None:
        """Removes exports that are part of nothing, once all is written down; a longer study may choose another first seed."""
        self.fresh.setup.files.remove_below(self.fresh.layout.retrain / ENSEMBLE)
        for one in final.trainings:
            if one.repeat > 1 and one not in final.members:
                self.fresh.setup.files.remove_below(self.fresh.export(one))

    def _trained_on_all(self, first: Training, whole: TrialResources) -> Path:
        """Trains the winner's configuration once more, on every labelled image; returns the export."""
        dataset = self.fresh.inputs.dataset
        everything = dataset.train.joined(dataset.val)
        if dataset.holdout is not None:
            everything = everything.joined(dataset.holdout)
        job = dataclasses.replace(
            self.fresh.job(first, whole.gpus),
            dataset=dataclasses.replace(dataset, train=everything),
            images=round(self.fresh.inputs.images_per_trial * len(everything) / len(dataset.train)),
            directory=str((self.fresh.layout.retrain / f"trial-{first.trial}-all").resolve()),
        )
        if finished(job) is None:
            workers = self._num_together(first)
            call = call_on_worker if workers <= 1 else functools.partial(call_on_group, num_workers=workers)
            show = functools.partial(self.fresh.show, None)
            call(retrain, {"job": job}, resources=whole, on_progress=show, nodes=self.fresh.nodes)
            self.fresh.setup.files.fetch_below(Path(job.directory))
        return Path(job.directory) / EXPORT

    def _num_together(self, training: Training) -> int:
        """Workers that train the winner together on all images."""
        batch_size = settings_from(self.fresh.study.trials[training.trial].params).batch_size
        return max(1, min(self.fresh.inputs.config.final.retrain_workers, batch_size // MIN_IMAGES_OF_WORKER))

    def _assess_job(self, export: Path, whole: TrialResources) -> AssessJob:
        config = self.fresh.inputs.config
        return AssessJob(
            setup=dataclasses.replace(self.fresh.setup, gpus=whole.gpus),
            dataset=self.fresh.inputs.dataset,
            export=str(export.resolve()),
            views=config.final.views,
            objective=config.search.objective,
        )

    def _show_judging(self, progress: Mapping[str, Any]) -> None:
        self.fresh.display.progress(progress["done"], progress["total"], "judging")
