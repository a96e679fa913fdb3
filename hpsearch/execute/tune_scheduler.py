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
from hpsearch.execute.nodes import Nodes
from hpsearch.execute.outcome import Verdict
from hpsearch.execute.session import NO_LONGER_HERE, SearchSession
from hpsearch.execute.stretch import Arrived, RungReport
from hpsearch.execute.trainable import ANSWER, SAID, RunnerError, WorkerMustRestartError

MAX_UNABLE = 10
"""Worker processes in a row that may fail to start while a node is doubtful, before the cluster is to blame."""


class EngineScheduler(FIFOScheduler):
    """Continues a stretch when the engine says so."""

    _supports_buffered_results = False

    def __init__(self, session: SearchSession, nodes: Nodes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Tune's own has no types
        self._session = session
        self._nodes = nodes
        self._node_by_worker: dict[str, str] = {}
        self._live: dict[str, Any] = {}
        self._node_by_key: dict[str, str] = {}
        self._begun: set[str] = set()
        self._running_since: dict[str, float] = {}
        self._silent: dict[str, str] = {}
        self._num_unable = 0

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Remembers Tune's trial, so that its process can be ended at once."""
        self._live[trial.trial_id] = trial

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """CONTINUE where the trial trains on in place, and where its process is to end itself."""
        answer = result[ANSWER]
        self._session.said(trial.trial_id, result.get(SAID, ()))
        if isinstance(answer, Arrived):
            self._node_by_worker[_worker_of(trial)] = answer.node_id
            self._session.heard(trial.trial_id)
            self._place(trial)
            if not self._nodes.is_unknown(answer.node_id):
                trial.temporary_state.ray_actor.begin.remote()
            elif self._session.ending is not None:  # nothing waits for a check any more
                self._session.move(trial.trial_id, NO_LONGER_HERE)
                ray.kill(trial.temporary_state.ray_actor)
            return str(TrialScheduler.CONTINUE)
        self._num_unable = 0
        if isinstance(answer, RungReport):
            may_stay = self._nodes.may_begin(self._place(trial, is_new=False))
            return self._continue_if(self._session.rung(trial.trial_id, answer, may_stay=may_stay), trial)
        if isinstance(answer, Verdict):
            self._session.judged(trial.trial_id, answer)
            return self._continue_if(answer.restart_worker, trial)
        assert isinstance(answer, RunnerError)
        self._session.fail(answer.error)
        return str(TrialScheduler.STOP)

    def _continue_if(self, go_on: bool, trial: Any) -> str:
        if not self._nodes.may_begin(self._place(trial, is_new=False)):
            ray.kill(trial.temporary_state.ray_actor)  # else Tune would give it the next stretch
            go_on = True
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """The worker was lost, or its process could not run our code at all."""
        error = _read_error(trial)
        if isinstance(error, RayActorError) and not error.actor_init_failed:
            silent = self._silent.get(trial.trial_id)
            node_id = self._node_by_key.get(trial.trial_id, "")
            after_notice = silent is None and self._nodes.took(error, node_id)
            self._session.free(trial.trial_id, silent or first_line(error), after_notice=after_notice)
        elif isinstance(error, RayActorError) and self._nodes.has_doubtful and self._num_unable < MAX_UNABLE:
            self._num_unable += 1
            self._session.move(trial.trial_id, first_line(error))
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

    @property
    def num_leaving(self) -> int:
        """Stretches that may still end on nodes where no new one begins."""
        return sum(not self._nodes.may_begin(node_id) for node_id in self._node_by_key.values())

    def keep_off_leaving_nodes(self) -> None:
        """Takes stretches away that Tune has given to an idle worker on a node where nothing new may begin."""
        for trial in self._live.values():
            self._place(trial)

    def _place(self, trial: Any, *, is_new: bool = True) -> str:
        """The node of its worker, empty before that is known; a new stretch that may not begin there is taken away."""
        key, node_id = trial.trial_id, self._node_by_worker.get(_worker_of(trial))
        if node_id is None:
            return ""
        self._node_by_key[key] = node_id
        if trial.status == Trial.RUNNING and key not in self._begun and not self._nodes.is_unknown(node_id):
            self._begun.add(key)
            if is_new and not self._nodes.may_begin(node_id):
                self._session.move(key, NO_LONGER_HERE)
                ray.kill(trial.temporary_state.ray_actor)
        return node_id

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
        self._begun.discard(trial.trial_id)
        self._node_by_key.pop(trial.trial_id, None)
        with contextlib.suppress(OSError):
            Path(trial.local_path).rmdir()  # empty, one for each stretch


def _worker_of(trial: Any) -> str:
    actor = trial.temporary_state.ray_actor
    return "" if actor is None else str(actor._actor_id.hex())


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
