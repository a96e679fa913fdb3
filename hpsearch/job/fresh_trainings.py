"""Fresh trainings of the best trials, several at a time: they say how good each really is, and leave its model."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import NoUsableTrialError
from hpsearch.execute.worker_pool import Call, call_in_pool
from hpsearch.final.finalists import Confirmation, Finalists, Training, num_finalists
from hpsearch.final.retrain import EXPORT, Retrained, RetrainJob, finished, retrain
from hpsearch.judge.objectives import sampling_error
from hpsearch.layout import MODEL_DESCRIPTION
from hpsearch.train.settings import trial_seed

if TYPE_CHECKING:
    from hpsearch.execute.nodes import Nodes
    from hpsearch.execute.resources import TrialResources
    from hpsearch.job.inputs import Inputs
    from hpsearch.job.spending import Spending
    from hpsearch.layout import RunLayout
    from hpsearch.report.display import Display
    from hpsearch.search.fold import Study
    from hpsearch.search.types import TrialState
    from hpsearch.train.worker_setup import WorkerSetup

RETRAINING = "retraining"
"""Phase of the fresh trainings."""


@dataclass(kw_only=True, slots=True)
class FreshTrainings:
    """Those of one run, and of earlier calls of it."""

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
    setup: WorkerSetup
    """What workers need for any work."""
    spending: Spending
    """The clock and the limits."""
    book: Callable[[str, float], None]
    """Books GPU share × seconds to a phase."""
    nodes: Nodes
    """Which nodes were given notice."""
    done: dict[Training, Retrained] = field(default_factory=dict)
    """Those that ended well."""
    _running: dict[Training, float] = field(default_factory=dict)
    """Those under way → when they began, in seconds of the monotonic clock."""

    def confirm(self, resources: TrialResources, whole: TrialResources) -> Confirmation:
        """Trains finalists again as long as the budget allows, the first one in any case; says who won.

        Args:
            resources: What each of several trainings at a time gets.
            whole: What a single one gets.

        Raises:
            NoUsableTrialError: no finalist could be trained again.
        """
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
        found = {one: retrained for one in trainings if (retrained := finished(self.job(one))) is not None}
        with_model = {one.trial for one in found if one.repeat == 1 and self.has_model(one)}
        self.done = {one: retrained for one, retrained in found.items() if one.trial in with_model}
        return dict(self.done)

    def _train(self, finalists: Finalists, affordable: int, resources: TrialResources) -> None:
        """Trains what `finalists` ask for, as long as the budget allows; the first one in any case."""
        failures: list[Exception] = []
        num_started = len(self.done)

        def next_call() -> Call[Training] | None:
            nonlocal num_started
            training = finalists.next(list(self._running))
            is_needed = not self.done and not self._running
            is_affordable = num_started < affordable and self.spending.may_start(self.study, len(self._running))
            if training is None or not (is_needed or is_affordable):
                return None
            num_started += 1
            self._running[training] = time.monotonic()
            self.display.event(f"training trial {training.trial} again with fresh seed {training.repeat}")
            return Call(key=training, kwargs={"job": self.job(training, resources.gpus)})

        def ended(training: Training) -> None:
            self.book(RETRAINING, resources.gpus * (time.monotonic() - self._running.pop(training)))

        def on_result(training: Training, retrained: Retrained) -> None:
            ended(training)
            self.done[training] = retrained
            finalists.add(training, retrained.value)
            self.setup.files.fetch_below(self.layout.training(training.trial, training.repeat))
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
                on_progress=self.show,
                nodes=self.nodes,
            )
        finally:
            for training in list(self._running):  # interrupted
                ended(training)
        if not self.done:
            raise NoUsableTrialError(f"no finalist could be trained again: {failures[-1]}") from failures[-1]

    def export(self, training: Training) -> Path:
        """Where the model of one training lies."""
        return self.layout.training(training.trial, training.repeat) / EXPORT

    def has_model(self, training: Training) -> bool:
        """Whether it is still there."""
        return self.export(training).joinpath(MODEL_DESCRIPTION).is_file()

    def job(self, training: Training, gpus: float = 0.0) -> RetrainJob:
        """What a worker with so many GPUs is asked to do."""
        config, params = self.inputs.config, self.study.trials[training.trial].params
        return RetrainJob(
            setup=dataclasses.replace(self.setup, gpus=gpus),
            dataset=self.inputs.dataset,
            params=params,
            images=self.inputs.images_per_trial,
            stored_px=self.inputs.stored_px(params),
            directory=str(self.layout.training(training.trial, training.repeat).resolve()),
            seed=trial_seed(config.seed, training.trial, repeat=training.repeat),
            objective=config.search.objective,
        )

    def show(self, training: Training | None, progress: Mapping[str, Any]) -> None:
        """Tells how far a training is; None: the one on all images."""
        which = "" if training is None else f" trial {training.trial}, seed {training.repeat}"
        self.display.progress(progress["images"], self.inputs.images_per_trial, f"retraining{which}, images")

    def _sampling_error(self, value: float | None) -> float:
        val = self.inputs.dataset.val
        return sampling_error(self.inputs.config.search.objective, value or 0.5, val.labels_n, val.parts)
