"""What TensorBoard shows of a study: each trial's readings by images seen, its parameters, and the best so far.

One process, the driver, writes all of it. Everything follows from the journal: what is already in the files is not written
again, so that a resumed study goes on where it stopped and a deleted directory comes back with `python -m hpsearch.report`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

from hpsearch.config import Objective, Params
from hpsearch.layout import RunLayout
from hpsearch.report.event_files import EventDirectory, metadata_only, scalars, text
from hpsearch.report.quantities import QUANTITIES, quantity, readings
from hpsearch.report.summary import UNUSABLE
from hpsearch.search.types import Outcome, TrialState

STUDY_RUN = "study"
"""Name of the run with what concerns the study as a whole."""

BEST_TAG = "study/best_so_far"
"""Largest value at any rung so far, by images trained in the whole study."""

TRIALS_TAG = "study/trials"
"""Trials with a value so far, by images trained in the whole study."""

TAGS = {known.key: known.tag for known in QUANTITIES}


class TensorBoardWriter:
    """Writes the event files below `layout.trials`."""

    def __init__(self, layout: RunLayout, objective: Objective = "auc") -> None:
        self._layout = layout
        self._objective: Objective = objective
        self._trials: dict[int, _TrialEvents] = {}
        self._study = EventDirectory(layout.trials / STUDY_RUN)
        self._study_step: int | None = None
        self._images: dict[int, int] = {}
        self._best: TrialState | None = None
        self._best_value = float("-inf")

    def sync(self, trials: Iterable[TrialState]) -> None:
        """Writes whatever the files lack of `trials`: once when a study is opened again, or to rebuild them."""
        for trial in trials:
            self.rung(trial)
            if trial.outcome is not None and not trial.running:
                self.ended(trial)

    def rung(self, trial: TrialState) -> None:
        """Writes the rungs of `trial` that are not yet in its files, and its parameters before the first one.

        Raises:
            StorageError: its directory cannot be written.
        """
        self._events(trial).add(trial, self._objective)
        self._note_for_study(trial)

    def ended(self, trial: TrialState) -> None:
        """Writes how `trial` stands now that its slot is free.

        Raises:
            StorageError: its directory cannot be written.
        """
        self._events(trial).end(trial)

    def retrained(self, trial: TrialState) -> None:
        """Writes the retraining of the best configuration as a run of its own beside the trials.

        Raises:
            StorageError: its directory cannot be written.
        """
        _TrialEvents(EventDirectory(self._layout.retrain)).add(trial, self._objective)

    def _events(self, trial: TrialState) -> _TrialEvents:
        if trial.number not in self._trials:
            self._trials[trial.number] = _TrialEvents(EventDirectory(self._layout.trial(trial.number)))
        return self._trials[trial.number]

    def _note_for_study(self, trial: TrialState) -> None:
        if self._images.get(trial.number, 0) >= trial.images:
            return
        self._images[trial.number] = trial.images
        if self._study_step is None:
            self._study_step = max(self._study.written().get(BEST_TAG, ()), default=0)
        is_new_best = trial.outcome not in UNUSABLE and max(trial.values.values()) > self._best_value
        if is_new_best:
            self._best, self._best_value = trial, max(trial.values.values())
        step = sum(self._images.values())
        if step <= self._study_step or self._best is None:
            return
        self._study_step = step
        events = [(step, scalars({BEST_TAG: self._best_value, TRIALS_TAG: float(len(self._images))}))]
        if is_new_best:
            events.append((step, text("study/best", _markdown(self._best, self._best_value, self._objective))))
        self._study.append(events)


class _TrialEvents:
    """What is in the event files of one trial already, and how to add to it."""

    def __init__(self, directory: EventDirectory) -> None:
        self._directory = directory
        self._written: dict[str, set[int]] | None = None

    @property
    def written(self) -> dict[str, set[int]]:
        if self._written is None:
            self._written = self._directory.written()
        return self._written

    def add(self, trial: TrialState, objective: Objective) -> None:
        done = self.written.setdefault(quantity(objective).tag, set())
        missing = [(images, found) for images, found in readings(trial, objective) if images not in done]
        summaries = self._start(trial.params)
        summaries += [(images, scalars({TAGS[key]: value for key, value in found.items()})) for images, found in missing]
        if summaries:
            self._directory.append(summaries)
        done.update(images for images, _ in missing)
        self.written.setdefault(metadata.SESSION_START_INFO_TAG, set()).add(0)

    def end(self, trial: TrialState) -> None:
        if metadata.SESSION_END_INFO_TAG in self.written:
            return
        good = trial.outcome in (Outcome.COMPLETED, Outcome.PAUSED)
        status = api_pb2.STATUS_SUCCESS if good else api_pb2.STATUS_FAILURE
        content = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
        summaries = [
            *self._start(trial.params),
            (trial.images, _session(metadata.SESSION_END_INFO_TAG, session_end_info=content)),
        ]
        if trial.message:
            summaries.append((trial.images, text("trial/message", trial.message)))
        self._directory.append(summaries)
        for tag in (metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG):
            self.written.setdefault(tag, set()).add(trial.images)

    def _start(self, params: Params) -> list[tuple[int, Summary]]:
        if metadata.SESSION_START_INFO_TAG in self.written:
            return []
        content = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
        for name, value in params.items():
            if isinstance(value, str):
                content.hparams[name].string_value = value
            else:
                content.hparams[name].number_value = value
        return [(0, _session(metadata.SESSION_START_INFO_TAG, session_start_info=content))]


def _session(tag: str, **content: object) -> Summary:
    return metadata_only(tag, metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content)))


def _markdown(trial: TrialState, value: float, objective: Objective) -> str:
    params = json.dumps(trial.params, indent=2)
    return f"Trial {trial.number}: {quantity(objective).title} {value:.4f}\n\n```json\n{params}\n```"
