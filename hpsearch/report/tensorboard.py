"""What TensorBoard shows of a study: each trial's readings by images seen, its parameters, and the best so far.

One process, the driver, writes all of it. Everything follows from the journal: what is already in the files is not written
again, so that a resumed study goes on where it stopped and a deleted directory comes back with `python -m hpsearch.report`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata

from hpsearch.config import Objective
from hpsearch.layout import RunLayout
from hpsearch.report.event_files import EventDirectory, picture, scalars, text
from hpsearch.report.facts import SearchedParameter, objective_of, searched_parameters
from hpsearch.report.hparams import experiment, session_end, session_start
from hpsearch.report.quantities import QUANTITIES, quantity, readings
from hpsearch.search.fold import BestStep, Study
from hpsearch.search.types import FINAL, Outcome, TrialState

AUGMENTED = "images/augmented"
"""Training images, each beside what augmentation makes of it."""
STUDY_RUN = "study"
"""Name of the run with what concerns the study as a whole."""

BEST_TAG = "study/best_so_far"
"""Value of the best trial so far (`Study.best`), by images trained in the whole study."""

TRIALS_TAG = "study/trials"
"""Trials with a value so far, by images trained in the whole study."""

WAITING_SUFFIX = ".waiting"
"""Of the file that says of a trial that it waits: all that may have to be taken back."""

TAGS = {known.key: known.tag for known in QUANTITIES}


class TensorBoardWriter:
    """Writes the event files below `layout.trials`, and of the retraining below `layout.retrain`."""

    def __init__(self, layout: RunLayout, study: Study) -> None:
        """A writer for `study`, whose header must be known; nothing is written yet."""
        self._layout = layout
        self._study = study
        self._objective = objective_of(study)
        self._parameters = searched_parameters(study)
        self._trials: dict[int, _TrialEvents] = {}
        self._study_events = _StudyEvents(EventDirectory(layout.trials / STUDY_RUN), self._objective, self._parameters)

    def replay(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Writes whatever the files lack of a journal's `events`: when a study is opened again, or to rebuild them.

        Raises:
            StorageError: a directory cannot be written.
        """
        study = Study()
        for event in events:
            study.apply(event)
            if event["event"] == "rung":
                self._rung(study, study.trials[event["trial"]], event.get("at") or time.time())
            if event["event"] in ("rung", "ended"):
                self.ended(study.trials[event["trial"]], event.get("at"))

    def rung(self, trial: TrialState) -> None:
        """Writes the rungs of `trial` that are not yet in its files, and its parameters before the first one.

        Raises:
            StorageError: its directory cannot be written.
        """
        self._rung(self._study, trial, time.time())

    def _rung(self, study: Study, trial: TrialState, at: float) -> None:
        self._events(trial.number).add(trial, at)
        self._study_events.add(study, trial, at)

    def ended(self, trial: TrialState, at: float | None = None) -> None:
        """Writes how `trial` ended; nothing of one that may still go on.

        Raises:
            StorageError: its directory cannot be written.
        """
        if trial.outcome in FINAL:
            self._events(trial.number).end(trial, at or time.time())

    def finished(self, study: Study) -> None:
        """Writes of the trials that wait at the search's end that they did well; taken back where one goes on after all.

        Raises:
            StorageError: a directory cannot be written.
        """
        for trial in study.trials.values():
            if trial.values and trial.outcome is Outcome.PAUSED:
                self._events(trial.number).wait(trial, study.last_at or time.time())

    def retrained(self, trial: TrialState) -> None:
        """Writes the retraining of `trial`'s configuration as a run of its own beside the trials.

        Raises:
            StorageError: its directory cannot be written.
        """
        directory = EventDirectory(self._layout.retrain / f"trial-{trial.number}")
        _TrialEvents(directory, self._objective, self._parameters).add(trial, time.time())

    def described(
        self, trial: TrialState, augmented_png: bytes, roc_png: bytes, confusion: Mapping[str, Mapping[str, int]]
    ) -> None:
        """Writes what the retrained model saw and how it answers, beside its curves.

        Args:
            trial: The retraining.
            augmented_png: Training images, each beside what augmentation makes of it.
            roc_png: Its ROC curve on the validation images.
            confusion: Class → answer at threshold 0.5 → images.

        Raises:
            StorageError: its directory cannot be written.
        """
        summaries = [picture(AUGMENTED, augmented_png), *_answers(roc_png, confusion)]
        directory = EventDirectory(self._layout.retrain / f"trial-{trial.number}")
        directory.append([(trial.images, summary) for summary in summaries], time.time())

    def answered(self, trial: int, images: int, roc_png: bytes, confusion: Mapping[str, Mapping[str, int]]) -> None:
        """Writes how a trial answers after `images`, as `described` does of the retrained model.

        Raises:
            StorageError: its directory cannot be written.
        """
        self._events(trial).show(images, _answers(roc_png, confusion), time.time())

    def augmented(self, trial: int, images: int, augmented_png: bytes) -> None:
        """Writes what a trial's augmentation makes of training images, after so many images, as `described` does.

        Raises:
            StorageError: its directory cannot be written.
        """
        self._events(trial).show(images, [picture(AUGMENTED, augmented_png)], time.time())

    def has_augmented(self, trial: int) -> bool:
        """Whether it has done that, also before a restart."""
        return self._events(trial).has(AUGMENTED)

    def _events(self, trial: int) -> _TrialEvents:
        if trial not in self._trials:
            directory = EventDirectory(self._layout.trial(trial))
            self._trials[trial] = _TrialEvents(directory, self._objective, self._parameters)
        return self._trials[trial]


def _answers(roc_png: bytes, confusion: Mapping[str, Mapping[str, int]]) -> list[Summary]:
    columns = list(next(iter(confusion.values())))
    rows = [f"| {truth} | {' | '.join(f'{counts[one]:,}' for one in columns)} |" for truth, counts in confusion.items()]
    table = "\n".join([f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}", *rows])
    return [picture("val/roc", roc_png), text("val/confusion", table)]


class _TrialEvents:
    """What is in the event files of one trial already, and how to add to it."""

    def __init__(self, directory: EventDirectory, objective: Objective, parameters: Mapping[str, SearchedParameter]) -> None:
        self._directory = directory
        self._objective: Objective = objective
        self._parameters = parameters
        self._waiting = EventDirectory(directory.directory, WAITING_SUFFIX)
        self._written: dict[str, set[int]] | None = None

    def _steps(self, tag: str) -> set[int]:
        if self._written is None:
            self._written = self._directory.written()
        return self._written.setdefault(tag, set())

    def has(self, tag: str) -> bool:
        return bool(self._steps(tag))

    def add(self, trial: TrialState, at: float) -> None:
        done = self._steps(quantity(self._objective).tag)
        missing = [(images, found) for images, found in readings(trial, self._objective) if images not in done]
        if missing:
            self._take_back()
            self._start(trial, at)
            by_tag = [(images, {TAGS[key]: value for key, value in found.items()}) for images, found in missing]
            self._directory.append([(images, scalars(values)) for images, values in by_tag], at)
            done.update(images for images, _ in missing)

    def end(self, trial: TrialState, at: float) -> None:
        self._take_back()
        done = self._steps(metadata.SESSION_END_INFO_TAG)
        if not done:
            self._start(trial, at)
            good = trial.outcome is Outcome.COMPLETED
            message = [(trial.images, text("trial/message", trial.message))] if trial.message else []
            self._directory.append([(trial.images, session_end(good, at)), *message], at)
            done.add(trial.images)

    # Into the file of the curves: TensorBoard reads on in the newest file of a run and never in one before it.
    def show(self, images: int, summaries: Sequence[Summary], at: float) -> None:
        self._directory.append([(images, summary) for summary in summaries], at)
        for summary in summaries:
            self._steps(summary.value[0].tag).add(images)

    def wait(self, trial: TrialState, at: float) -> None:
        done = self._steps(metadata.SESSION_END_INFO_TAG)
        if not done:
            self._waiting.append([(trial.images, session_end(True, at))], at)
            done.add(trial.images)

    def _take_back(self) -> None:
        if self._waiting.exists():
            self._waiting.remove()
            self._written = self._directory.written()

    def _start(self, trial: TrialState, at: float) -> None:
        done = self._steps(metadata.SESSION_START_INFO_TAG)
        if not done:
            self._directory.append([(0, session_start(trial.params, self._parameters, at))], at)
            done.add(0)


class _StudyEvents:
    """The study's own run: the HParams columns, and the best so far."""

    def __init__(self, directory: EventDirectory, objective: Objective, parameters: Mapping[str, SearchedParameter]) -> None:
        self._directory = directory
        self._objective: Objective = objective
        self._parameters = parameters
        self._written: dict[str, set[int]] | None = None
        self._images: dict[int, int] = {}
        self._best: BestStep | None = None

    def add(self, study: Study, trial: TrialState, at: float) -> None:
        if self._images.get(trial.number, 0) >= trial.images:
            return
        if self._written is None:
            self._written = self._directory.written()
            if metadata.EXPERIMENT_TAG not in self._written:
                self._directory.append([(0, experiment(self._parameters, self._objective, at))], at)
        self._images[trial.number] = trial.images
        before, best = self._best, study.best_so_far[-1] if study.best_so_far else None
        self._best = best
        done = self._written.setdefault(BEST_TAG, set())
        step = sum(self._images.values())
        if best is None or step in done:
            return
        done.add(step)
        readings_now = {BEST_TAG: best.value, TRIALS_TAG: float(len(self._images))}
        told = [] if best == before else [(step, text("study/best", _markdown(best, study, self._objective)))]
        self._directory.append([(step, scalars(readings_now)), *told], at)


def _markdown(best: BestStep, study: Study, objective: Objective) -> str:
    params = json.dumps(study.trials[best.trial].params, indent=2)
    return f"Trial {best.trial}: {quantity(objective).title} {best.value:.4f}\n\n```json\n{params}\n```"
