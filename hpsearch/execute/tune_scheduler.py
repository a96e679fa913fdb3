"""Tune's scheduler: passes each worker's answer to the engine, and the engine's answer back."""

from __future__ import annotations

import contextlib
import pickle
import time
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from hpsearch.errors import ClusterError
from hpsearch.execute.messages import first_line, last_line
from hpsearch.execute.outcome import Verdict
from hpsearch.execute.session import SearchSession
from hpsearch.execute.stretch import RungReport
from hpsearch.execute.trainable import ANSWER, RunnerError, WorkerMustRestartError


class EngineScheduler(FIFOScheduler):
    """Continues a stretch when the engine says so."""

    _supports_buffered_results = False

    def __init__(self, session: SearchSession) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Tune's own has no types
        self._session = session
        self._live: dict[str, Any] = {}
        self._running_since: dict[str, float] = {}
        self._silent: dict[str, str] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Remembers Tune's trial, so that its process can be ended at once."""
        self._live[trial.trial_id] = trial

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """CONTINUE where the trial trains on in place, and where its process is to end itself."""
        answer = result[ANSWER]
        if isinstance(answer, RungReport):
            return self._continue_if(self._session.rung(trial.trial_id, answer))
        if isinstance(answer, Verdict):
            self._session.judged(trial.trial_id, answer)
            return self._continue_if(answer.restart_worker)
        assert isinstance(answer, RunnerError)
        self._session.fail(answer.error)
        return str(TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """The worker was lost, or its process could not run our code at all."""
        error = _read_error(trial)
        if isinstance(error, RayActorError) and not error.actor_init_failed:
            self._session.free(trial.trial_id, self._silent.get(trial.trial_id) or first_line(error))
        elif error is not None and not _is_on_purpose(error):
            self._session.fail(ClusterError(f"a worker cannot run hpsearch: {last_line(error)}. See its node's Ray logs."))
        self._forget(trial)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Forgets Tune's trial."""
        self._forget(trial)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Forgets Tune's trial."""
        self._forget(trial)

    @property
    def num_running(self) -> int:
        """Stretches that a worker process has begun."""
        return sum(trial.status == Trial.RUNNING for trial in self._live.values())

    def kill_workers(self) -> None:
        """Ends the processes of all live stretches; Tune would wait for their next rung."""
        for trial in self._live.values():
            actor = trial.temporary_state.ray_actor
            if actor is not None:
                ray.kill(actor)

    def end_silent(self, seconds: float) -> None:
        """Ends the processes of stretches that gave no sign of life for `seconds`, as if they had been lost."""
        now = time.monotonic()
        for key, trial in self._live.items():
            actor = trial.temporary_state.ray_actor
            if trial.status != Trial.RUNNING or actor is None or key in self._silent:
                continue
            began = self._running_since.setdefault(key, now)
            if now - max(began, self._session.heard_at(key)) > seconds:
                self._silent[key] = f"gave no sign of life for {seconds / 60:g} min; its process was ended"
                ray.kill(actor)

    def _forget(self, trial: Any) -> None:
        self._live.pop(trial.trial_id, None)
        self._running_since.pop(trial.trial_id, None)
        self._silent.pop(trial.trial_id, None)
        with contextlib.suppress(OSError):
            Path(trial.local_path).rmdir()  # empty, one for each stretch

    @staticmethod
    def _continue_if(go_on: bool) -> str:
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)


def _read_error(trial: Any) -> Exception | None:
    # Tune hands the exception on only through this file.
    if trial.pickled_error_file is None:
        return None
    try:
        error: Exception = pickle.loads(Path(trial.pickled_error_file).read_bytes())
    except Exception as unreadable:  # the class of the error may not be importable here
        return ClusterError(f"{trial.get_error()} ({unreadable})")
    return error


def _is_on_purpose(error: Exception) -> bool:
    return isinstance(getattr(error, "cause", error), WorkerMustRestartError)
