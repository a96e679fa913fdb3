"""Tune's trainable: one warm worker process that runs one stretch after the other."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray import tune

from hpsearch.execute.auth import forget_token
from hpsearch.execute.outcome import Verdict, judge_exception
from hpsearch.execute.progress import ProgressPin
from hpsearch.execute.resources import limit_threads
from hpsearch.execute.stretch import Arrived, MakeRunner, RungReport, StretchRunner
from hpsearch.search.types import Stretch

log = logging.getLogger(__name__)

ANSWER = "answer"
"""Key of a result under which a worker's answer stands."""
SAID = "said"
"""Key under which stand the messages that were logged since the last result: level and text."""
ARRIVED_SECONDS = 0.5
"""How long a process waits before it says again that it has arrived."""
STORAGE_WAITS_SECONDS = (5.0, 20.0, 60.0)
"""Pauses before a stretch that met a full or lost disk is tried again from its checkpoint."""


class WorkerMustRestartError(Exception):
    """Raised in a worker on purpose, so that Tune ends the process: its memory may be spoiled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerError:
    """The runner could not be made; no trial is to blame."""

    error: Exception
    """What making it raised."""


class _Said(logging.Handler):
    """Keeps hpsearch's own messages, which would be lost in a file of Ray's."""

    def __init__(self) -> None:
        super().__init__()
        self._messages: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append((record.levelno, record.getMessage()))

    def taken(self) -> tuple[tuple[int, str], ...]:
        """What was said since this was asked last."""
        messages, self._messages = self._messages, []
        return tuple(messages)


class StretchTrainable(tune.Trainable):
    """Runs stretches in one process; a stretch is Tune's trial, a rung its result."""

    def __init__(self, config: dict[str, Any], storage: Any = None) -> None:
        # Paths given to the run are relative to where it was started, not to a directory of Tune's.
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
        super().__init__(config, storage)

    def setup(
        self, config: dict[str, Any], make_runner: MakeRunner | None = None, board: Any = None, num_threads: int = 1
    ) -> None:
        """Takes the first stretch; the runner is made when it is needed."""
        assert make_runner is not None
        forget_token()
        limit_threads(num_threads)
        self._said = _Said()
        logger = logging.getLogger("hpsearch")
        logger.addHandler(self._said)
        logger.addHandler(logging.StreamHandler())  # for Ray's file, should this process be lost before it can hand them on
        logger.setLevel(logging.INFO)
        self._make_runner = make_runner
        self._board = board
        self._runner: StretchRunner | None = None
        self._patience_seconds = 0.0
        self._reports: Iterator[RungReport] = iter(())
        self._restart = self._may_begin = False
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next stretch."""
        self._close()
        self._stretch: Stretch = new_config["stretch"]
        self._reports = iter(())
        self._is_running = False
        self._pin = ProgressPin(self._board, new_config["key"])
        with contextlib.suppress(OSError):
            Path(self.logdir).rmdir()  # Tune makes an empty directory for each trial
        return True

    def step(self) -> dict[str, Any]:
        """Trains to the next rung; in a new process it first says where that is."""
        if self._restart:
            raise WorkerMustRestartError
        if not self._may_begin:
            time.sleep(self._patience_seconds)
            self._patience_seconds = ARRIVED_SECONDS
            return self._result(Arrived(node_id=ray.get_runtime_context().get_node_id()))
        if self._runner is None:
            try:
                self._runner = self._make_runner()
            except Exception as error:
                return self._result(RunnerError(error=error))
        answer = self._next_rung(self._runner)
        self._restart = isinstance(answer, Verdict) and answer.restart_worker
        return self._result(answer)

    def _result(self, answer: Arrived | RunnerError | RungReport | Verdict) -> dict[str, Any]:
        return {ANSWER: answer, SAID: self._said.taken()}

    def begin(self) -> None:
        """Lets this process train; without that it says where it is, and no more."""
        self._may_begin = True

    def cleanup(self) -> None:
        """Closes the stretch when Tune ends the process."""
        self._close()

    def _next_rung(self, runner: StretchRunner) -> RungReport | Verdict:
        waits = iter(STORAGE_WAITS_SECONDS)
        while True:
            try:
                return self._train(runner)
            except Exception as error:
                self._close()
                verdict = judge_exception(error)
                wait = next(waits, None)
                if not verdict.is_storage or wait is None:
                    return verdict
                log.warning("%s; trying again in %g s", verdict.message, wait)
                time.sleep(wait)

    def _train(self, runner: StretchRunner) -> RungReport:
        if not self._is_running:
            self._reports = runner.run(self._stretch, self._pin.pin)
            self._is_running = True
        for report in self._reports:
            self._stretch = replace(self._stretch, from_images=report.images)
            return report
        raise RuntimeError(f"the runner ended at {self._stretch.from_images:,} images, before the next rung")

    def _close(self) -> None:
        close = getattr(self._reports, "close", None)
        self._is_running = False
        if close is not None:
            close()
