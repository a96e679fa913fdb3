"""From the best trials to the exported model: fresh seeds for the finalists, a winner, its judgement, its export."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import DivergedError, InfeasibleError, NoUsableTrialError
from hpsearch.execute.group_call import call_on_group
from hpsearch.execute.worker_call import call_on_worker
from hpsearch.execute.worker_pool import Call, call_in_pool
from hpsearch.final.assess import AssessJob, Assessment, assess
from hpsearch.final.export import publish_export
from hpsearch.final.finalists import Confirmation, Finalists, Training, num_finalists
from hpsearch.final.members import write_ensemble
from hpsearch.final.retrain import EXPORT, Retrained, RetrainJob, finished, retrain
from hpsearch.job.inputs import cache_directory, num_cores
from hpsearch.job.members import chosen_members
from hpsearch.job.val_note import val_note
from hpsearch.judge.objectives import sampling_error
from hpsearch.judge.scores import split_result
from hpsearch.layout import MODEL_DESCRIPTION
from hpsearch.search.types import TrialState
from hpsearch.train.settings import settings_from, trial_seed

RETRAINING = "retraining"
"""Phase of the fresh trainings."""
ENSEMBLE = "ensemble"
"""Directory below `retrain/` where the members' export as one model lies."""
MIN_IMAGES_OF_WORKER = 8
"""Of a batch, where several workers train together: batch-norm statistics of fewer are too rough."""
if TYPE_CHECKING:
    from hpsearch.execute.nodes import Nodes
    from hpsearch.execute.resources import TrialResources
    from hpsearch.job.inputs import Inputs
    from hpsearch.job.spending import Spending
    from hpsearch.job.start_weights import StartWeights
    from hpsearch.layout import RunLayout
    from hpsearch.report.display import Display
    from hpsearch.run_files import RunFiles
    from hpsearch.search.fold import Study


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


@dataclass(kw_only=True, slots=True)
class Finals:
    """The last phases of one run."""

    inputs: Inputs
    """What the run works on."""
    layout: RunLayout
    """Where everything goes."""
    study: Study
    """What the search found."""
    able: list[TrialState]
    """Trials that may be trained again, the best first; at least one."""
    display: Display
    """What people see."""
    files: RunFiles
    """How they reach all nodes."""
    start_weights: StartWeights
    """Files of start weights, by what asks for them."""
    spending: Spending
    """The clock and the limits."""
    phase: Callable[[str, float], AbstractContextManager[None]]
    """Times a phase that uses so many GPUs."""
    book: Callable[[str, float], None]
    """Books GPU share × seconds to a phase."""
    nodes: Nodes
    """Which nodes were given notice."""
    _done: dict[Training, Retrained] = field(default_factory=dict)
    _running: dict[Training, float] = field(default_factory=dict)
    """Trainings under way → when they began, in seconds of the monotonic clock."""

    def run(self, resources: TrialResources, whole: TrialResources) -> Final:
        """Confirms, judges and exports.

        Args:
            resources: What each of several trainings at a time gets.
            whole: What a single one gets.

        Raises:
            NoUsableTrialError: no finalist could be trained again.
        """
        with self.phase(RETRAINING, 0.0):
            confirmation = self._confirmed(resources, whole)
        members = self._members(confirmation)
        export = self._as_one([self._export(one) for one in members])
        with self.phase("judging", whole.gpus):
            job = {"job": self._assess_job(export)}
            assessment = call_on_worker(assess, job, resources=whole, on_progress=self._show_judging, nodes=self.nodes)
        on_all = False
        if self.inputs.config.final.train_on == "all":
            with self.phase("training on all images", whole.gpus * self._num_together(members[0])):
                try:
                    export, on_all = self._trained_on_all(members[0], whole), True
                except (DivergedError, InfeasibleError) as error:
                    self.display.event(f"training on all images failed, the model trained without them stays: {error}")
        note = val_note(assessment.views, len(members), trained_on_all=on_all)
        scores = split_result(assessment.labels_n, assessment.val_n, note=note)
        self.files.remove(self.layout.submission)  # of another model
        description = publish_export(
            export.resolve(),
            self.layout.best,
            max_parameters=self.inputs.space.max_parameters,
            views=assessment.views,
            val=dict(scores),
        )
        return Final(
            best=self.study.trials[confirmation.winner],
            members=members,
            num_parameters=description.num_parameters,
            retrained=self._done[members[0]],
            confirmation=confirmation,
            trainings=dict(self._done),
            assessment=assessment,
            trained_on_all=on_all,
        )

    def _confirmed(self, resources: TrialResources, whole: TrialResources) -> Confirmation:
        config = self.inputs.config
        able = self.able
        affordable = self.spending.num_trainings(self.study)
        known = self._known(able[: config.final.finalists])
        ranks = {trial.number: rank for rank, trial in enumerate(able, start=1)}
        num = max([num_finalists(affordable, len(able), config.final.finalists), *(ranks[one.trial] for one in known)])
        scores = [(trial.number, trial.full_value) for trial in able[:num]]
        finalists = Finalists(scores, sampling_error=self._sampling_error(able[0].value), max_repeats=config.final.repeats)
        for training, retrained in known.items():
            finalists.add(training, retrained.value)
        self._train(finalists, affordable, resources if affordable > 1 and num > 1 else whole)
        confirmation = finalists.confirmation()
        assert confirmation is not None, "the last failure is raised"
        return confirmation

    def _known(self, able: list[TrialState]) -> dict[Training, Retrained]:
        """Fresh trainings that an earlier call has finished, of finalists whose model is still there."""
        repeats = range(1, self.inputs.config.final.repeats + 1)
        trainings = [Training(trial=trial.number, repeat=repeat) for trial in able for repeat in repeats]
        found = {one: retrained for one in trainings if (retrained := finished(self._job(one))) is not None}
        with_model = {one.trial for one in found if one.repeat == 1 and self._export(one).joinpath(MODEL_DESCRIPTION).is_file()}
        self._done = {one: retrained for one, retrained in found.items() if one.trial in with_model}
        return dict(self._done)

    def _export(self, training: Training) -> Path:
        return self.layout.training(training.trial, training.repeat) / EXPORT

    def _train(self, finalists: Finalists, affordable: int, resources: TrialResources) -> None:
        """Trains what `finalists` ask for, as long as the budget allows; the first one in any case."""
        failures: list[Exception] = []
        num_started = len(self._done)

        def next_call() -> Call[Training] | None:
            nonlocal num_started
            training = finalists.next(list(self._running))
            is_needed = not self._done and not self._running
            is_affordable = num_started < affordable and self.spending.may_start(self.study, len(self._running))
            if training is None or not (is_needed or is_affordable):
                return None
            num_started += 1
            self._running[training] = time.monotonic()
            self.display.event(f"training trial {training.trial} again with fresh seed {training.repeat}")
            return Call(key=training, kwargs={"job": dataclasses.replace(self._job(training), gpus=resources.gpus)})

        def ended(training: Training) -> None:
            self.book(RETRAINING, resources.gpus * (time.monotonic() - self._running.pop(training)))

        def on_result(training: Training, retrained: Retrained) -> None:
            ended(training)
            self._done[training] = retrained
            finalists.add(training, retrained.value)
            self.files.fetch_below(self.layout.training(training.trial, training.repeat))
            trial = self.study.trials[training.trial]
            early = "" if trial.full_value is not None else f" after {trial.images:,} images"
            compared = "" if trial.value is None else f" (in the search {trial.value:.4f}{early})"
            named = f"trial {training.trial}, fresh seed {training.repeat}"
            self.display.event(f"{named}: {retrained.value:.4f}{compared}; {retrained.start_weights}")

        def on_failure(training: Training, error: Exception) -> None:
            ended(training)
            finalists.fail(training)
            failures.append(error)
            self.display.event(f"trial {training.trial}, fresh seed {training.repeat}, failed: {error}")

        try:
            call_in_pool(
                retrain,
                next_call,
                resources=resources,
                on_result=on_result,
                on_failure=on_failure,
                on_progress=self._show_training,
                nodes=self.nodes,
            )
        finally:
            for training in list(self._running):  # interrupted
                ended(training)
        if not self._done:
            raise NoUsableTrialError(f"no finalist could be trained again: {failures[-1]}") from failures[-1]

    def _members(self, confirmation: Confirmation) -> tuple[Training, ...]:
        members = chosen_members(
            confirmation,
            self._done,
            has_model=lambda one: self._export(one).joinpath(MODEL_DESCRIPTION).is_file(),
            params=lambda trial: self.study.trials[trial].params,
            most=1 if self.inputs.config.final.train_on == "all" else self.inputs.config.final.members,
            max_parameters=self.inputs.space.max_parameters,
            objective=self.inputs.config.search.objective,
        )
        if len(members) > 1:
            named = ", ".join(f"trial {one.trial} seed {one.repeat}" for one in members)
            self.display.event(f"the model averages the answers of {len(members)} fresh trainings: {named}")
        return members

    def _as_one(self, exports: list[Path]) -> Path:
        """The one export, or that of the ensemble of several."""
        if len(exports) == 1:
            return exports[0]
        directory = self.layout.retrain / ENSEMBLE
        write_ensemble(exports, directory / EXPORT)
        self.files.send_below(directory)
        return directory / EXPORT

    def tidy(self, final: Final) -> None:
        """Removes exports that are part of nothing, once all is written down; a longer study may choose another first seed."""
        self.files.remove_below(self.layout.retrain / ENSEMBLE)
        for one in final.trainings:
            if one.repeat > 1 and one not in final.members:
                self.files.remove_below(self._export(one))

    def _trained_on_all(self, first: Training, whole: TrialResources) -> Path:
        """Trains the winner's configuration once more, on every labelled image; returns the export."""
        dataset = self.inputs.dataset
        everything = dataset.train.joined(dataset.val)
        if dataset.holdout is not None:
            everything = everything.joined(dataset.holdout)
        job = dataclasses.replace(
            self._job(first),
            dataset=dataclasses.replace(dataset, train=everything),
            images=round(self.inputs.images_per_trial * len(everything) / len(dataset.train)),
            directory=str((self.layout.retrain / f"trial-{first.trial}-all").resolve()),
        )
        if finished(job) is None:
            workers = self._num_together(first)
            call = call_on_worker if workers <= 1 else functools.partial(call_on_group, num_workers=workers)
            show = functools.partial(self._show_training, None)
            call(retrain, {"job": job}, resources=whole, on_progress=show, nodes=self.nodes)
            self.files.fetch_below(Path(job.directory))
        return Path(job.directory) / EXPORT

    def _num_together(self, training: Training) -> int:
        """Workers that train the winner together on all images."""
        batch_size = settings_from(self.study.trials[training.trial].params).batch_size
        return max(1, min(self.inputs.config.final.retrain_workers, batch_size // MIN_IMAGES_OF_WORKER))

    def _job(self, training: Training) -> RetrainJob:
        config, params = self.inputs.config, self.study.trials[training.trial].params
        return RetrainJob(
            dataset=self.inputs.dataset,
            params=params,
            images=self.inputs.images_per_trial,
            stored_px=self.inputs.stored_px(params),
            cache_dir=str(cache_directory(config.data)),
            directory=str(self.layout.training(training.trial, training.repeat).resolve()),
            seed=trial_seed(config.seed, training.trial, repeat=training.repeat),
            objective=config.search.objective,
            precision=config.train.precision,
            compile=config.train.compile,
            num_workers=num_cores(),
            max_unreadable_fraction=config.data.max_unreadable_fraction,
            start_weights=self.start_weights,
            plugins=config.plugins,
            files=self.files,
        )

    def _assess_job(self, export: Path) -> AssessJob:
        config = self.inputs.config
        return AssessJob(
            dataset=self.inputs.dataset,
            export=str(export.resolve()),
            cache_dir=str(cache_directory(config.data)),
            views=config.final.views,
            objective=config.search.objective,
            num_workers=num_cores(),
            max_unreadable_fraction=config.data.max_unreadable_fraction,
            plugins=config.plugins,
            files=self.files,
        )

    def _sampling_error(self, value: float | None) -> float:
        val = self.inputs.dataset.val
        return sampling_error(self.inputs.config.search.objective, value or 0.5, val.labels_n, val.parts)

    def _show_training(self, training: Training | None, progress: Mapping[str, Any]) -> None:
        which = "" if training is None else f" trial {training.trial}, seed {training.repeat}"
        self.display.progress(progress["images"], self.inputs.images_per_trial, f"retraining{which}, images")

    def _show_judging(self, progress: Mapping[str, Any]) -> None:
        self.display.progress(progress["done"], progress["total"], "judging")
