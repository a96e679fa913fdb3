"""`study.log`: the study as an Optuna journal file, for `optuna-dashboard runs/NAME/study.log` while the search runs.

A view, derived from the fold and safe to delete. A paused trial stays RUNNING in it until the end of a search, since Optuna
cannot take a told state back; where a finished view does not fit a continued study any more, it is written anew.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from hpsearch.search.fold import Study
from hpsearch.search.optuna_space import CONSTRAINT, INFEASIBLE, distribution_of
from hpsearch.search.space import Space
from hpsearch.search.types import FINAL, Outcome, TrialState

log = logging.getLogger(__name__)


class StudyLog:
    """Writes what is new in a study, at each `update`. A view that cannot be written is given up with a warning."""

    def __init__(self, path: Path, space: Space, name: str) -> None:
        """A view of a study called `name`, continued where the file has one."""
        self._path = path
        self._space = space
        self._name = name
        self._distributions = {dimension.key: distribution_of(dimension) for dimension in space.dimensions}
        self._writer: _Writer | None = None
        self._given_up = False

    def update(self, study: Study) -> None:
        """Writes what `study` has more than the file."""
        self._guarded(study, is_over=False)

    def finish(self, study: Study) -> None:
        """Also tells the trials that are paused, now that nothing goes on: as PRUNED, with their last value."""
        self._guarded(study, is_over=True)

    def _guarded(self, study: Study, *, is_over: bool) -> None:
        if self._given_up:
            return
        try:
            if self._writer is None:
                self._writer = self._opened(study)
            for trial in study.trials.values():
                self._write_trial(self._writer, trial, is_over=is_over)
        except OSError as error:
            log.warning("%s: cannot be written any more (%s); the study itself goes on", self._path, error.strerror)
            self._given_up = True

    def _opened(self, study: Study) -> _Writer:
        if _is_whole(self._path):
            writer = _Writer(self._path, self._name)
            if writer.fits(study):
                return writer
        self._path.unlink(missing_ok=True)
        return _Writer(self._path, self._name)

    def _write_trial(self, writer: _Writer, trial: TrialState, *, is_over: bool) -> None:
        state = _state(trial, is_over=is_over)
        if trial.number < writer.num_trials:
            writer.add_values(trial)
            if state.is_finished():
                writer.tell(trial, state)
            return
        coordinates = self._space.coordinates(trial.params)
        new = create_trial(
            state=state,
            value=trial.value if state == OptunaState.COMPLETE else None,
            params=dict(coordinates),
            distributions={key: self._distributions[key] for key in coordinates},
            intermediate_values=dict(trial.values),
            user_attrs={"origin": trial.origin, **_remarks(trial)},
            constraints={CONSTRAINT: 1.0} if trial.outcome in INFEASIBLE else None,
        )
        writer.create(new)


def _is_whole(path: Path) -> bool:
    """Whether every line of the file is one of a journal; a crash may have torn the last one."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
        return all(line.endswith(b"\n") and "op_code" in json.loads(line) for line in lines)
    except (FileNotFoundError, ValueError, TypeError):
        return False


def _state(trial: TrialState, *, is_over: bool) -> OptunaState:
    if trial.outcome is Outcome.COMPLETED:
        return OptunaState.COMPLETE
    if trial.outcome is Outcome.FAILED:
        return OptunaState.FAIL
    return OptunaState.PRUNED if is_over or trial.outcome in FINAL else OptunaState.RUNNING


def _remarks(trial: TrialState) -> dict[str, str]:
    if trial.outcome not in INFEASIBLE:
        return {}
    return {"outcome": str(trial.outcome), "message": trial.message}


class _Writer:
    """The file, and how much of each trial it has."""

    def __init__(self, path: Path, name: str) -> None:
        self._storage = JournalStorage(JournalFileBackend(str(path)))
        names = {study.study_name: study._study_id for study in self._storage.get_all_studies()}
        self._study_id = names.get(name)
        if self._study_id is None:
            self._study_id = self._storage.create_new_study([StudyDirection.MAXIMIZE], name)
        trials = self._storage.get_all_trials(self._study_id, deepcopy=False)
        self._ids = [trial._trial_id for trial in trials]
        self._num_values = [len(trial.intermediate_values) for trial in trials]
        self._told = {trial.number for trial in trials if trial.state.is_finished()}

    @property
    def num_trials(self) -> int:
        return len(self._ids)

    def fits(self, study: Study) -> bool:
        """Whether nothing in the file is ahead of `study`, or told as final while it may go on."""
        if self.num_trials > len(study.trials):
            return False
        told = [study.trials[number] for number in self._told]
        return all(trial.outcome in FINAL and len(trial.values) == self._num_values[trial.number] for trial in told)

    def create(self, new: FrozenTrial) -> None:
        assert self._study_id is not None
        self._ids.append(self._storage.create_new_trial(self._study_id, new))
        self._num_values.append(len(new.intermediate_values))
        if new.state.is_finished():
            self._told.add(len(self._ids) - 1)

    def add_values(self, trial: TrialState) -> None:
        for images, value in list(trial.values.items())[self._num_values[trial.number] :]:
            self._storage.set_trial_intermediate_value(self._ids[trial.number], images, value)
        self._num_values[trial.number] = len(trial.values)

    def tell(self, trial: TrialState, state: OptunaState) -> None:
        if trial.number in self._told:
            return
        trial_id = self._ids[trial.number]
        for key, remark in _remarks(trial).items():
            self._storage.set_trial_user_attr(trial_id, key, remark)
        if trial.outcome in INFEASIBLE:
            self._storage.set_trial_system_attr(trial_id, f"constraints:{CONSTRAINT}", 1.0)
        values = [trial.value] if state != OptunaState.FAIL and trial.value is not None else None
        self._storage.set_trial_state_values(trial_id, state, values)
        self._told.add(trial.number)
