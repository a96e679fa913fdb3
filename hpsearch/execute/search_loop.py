"""Runs a search on Ray Tune until the engine, a budget or the user ends it."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError, RayError
from ray.tune.execution import tune_controller
from ray.tune.execution.placement_groups import PlacementGroupFactory

from hpsearch.errors import ClusterError, HpsearchError
from hpsearch.execute.interrupt import Interrupt, catch_interrupts
from hpsearch.execute.lost import LostActorManager
from hpsearch.execute.messages import first_line
from hpsearch.execute.nodes import Nodes
from hpsearch.execute.progress import ProgressReader
from hpsearch.execute.resources import TrialResources
from hpsearch.execute.session import Ending, SearchEvent, SearchSession
from hpsearch.execute.stretch import MakeRunner
from hpsearch.execute.trainable import StretchTrainable
from hpsearch.execute.tune_scheduler import EngineScheduler
from hpsearch.execute.tune_search import EngineSearch
from hpsearch.search.engine import Engine

log = logging.getLogger(__name__)

TUNE_ENVIRONMENT = {
    "RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE": "1",  # else Tune does it again by itself, beside whoever the engine gives it to
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0 the older output prints nothing at all
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files of Tune's own
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # Tune's state is never restored
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they come back as verdicts and are logged once
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1e9",  # resources are compared before the start
}
"""How Tune is kept from printing, from writing files of its own, and from taking Ctrl-C."""
NODES_SECONDS = 5.0
"""How often the nodes are counted: those that join get trials, without any the search waits."""
STARVED_SECONDS = 600.0
"""How long it waits for a node that can hold a trial; a spot node may take minutes to be replaced."""
MAX_TUNE_FAILURES = 3
"""Times that Tune is begun again after a failure of its own: a worker that is lost while idle can bring one about."""


class _Watch(tune.Stopper):
    """What Tune calls at each turn of its loop, at least every 0.1 s."""

    def __init__(
        self,
        session: SearchSession,
        scheduler: EngineScheduler,
        resources: TrialResources,
        interrupt: Interrupt,
        reader: ProgressReader,
        silence_seconds: float,
        nodes: Nodes,
    ) -> None:
        self._silence_seconds = silence_seconds
        self._nodes = nodes
        self._session, self._scheduler, self._resources = session, scheduler, resources
        self._interrupt, self._reader = interrupt, reader
        self._has_killed = self._has_begun = False
        self._next_count = time.monotonic() + NODES_SECONDS
        self._held_at = time.monotonic()
        self._num_slots = session.num_slots

    def __getstate__(self) -> dict[str, object]:
        return {}  # as the session's

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if not self._has_begun:
            self._has_begun = True
            self._interrupt.listen()  # Tune takes SIGUSR1 for itself
        if self._interrupt.requested:
            self._session.interrupt()
        self._session.check_budgets()
        for key, progress in self._reader.read().items():
            self._session.progress(key, progress)
        is_news = self._nodes.look()
        self._scheduler.keep_off_leaving_nodes()
        if is_news or time.monotonic() >= self._next_count:
            self._count_slots()
        # One stretch waits for a node; with none at all Tune would block.
        self._session.num_slots = max(1, self._resources.at_most(self._num_slots + self._scheduler.num_leaving))
        if self._session.must_stop_now and not self._has_killed:
            self._has_killed = True
            self._scheduler.kill_workers()
        return self._session.must_stop_now

    def _count_slots(self) -> None:
        now = time.monotonic()
        self._next_count = now + NODES_SECONDS
        self._scheduler.end_silent(self._silence_seconds)
        nodes = self._nodes.usable()
        slots = self._num_slots = self._resources.slots_on(nodes)
        if slots or self._scheduler.num_running:
            self._held_at = now
        elif now - self._held_at > STARVED_SECONDS:
            self._session.fail(ClusterError(f"waited {now - self._held_at:.0f} s: {self._resources.too_much_for(nodes)}"))


def run_search(
    engine: Engine,
    make_runner: MakeRunner,
    *,
    resources: TrialResources,
    tune_dir: Path,
    should_stop: Callable[[], bool] = lambda: False,
    is_late: Callable[[], bool] = lambda: False,
    silence_seconds: float = math.inf,
    on_event: Callable[[SearchEvent], None] = lambda event: None,
    nodes: Nodes | None = None,
) -> Ending:
    """Runs stretches of `engine` on the connected Ray cluster until there is nothing more to do.

    Args:
        engine: what to train next; only this process touches it.
        make_runner: makes the runner of one worker process.
        resources: what each trial gets, and how many run at a time.
        tune_dir: where Tune writes for itself; removable.
        should_stop: asked often; True: no new stretches, those in flight go on to their next rung.
        is_late: asked often; True: stretches in flight are stopped too.
        silence_seconds: a trial that gives no sign of life for so long is taken for hanging: its process is ended.
        on_event: told what happens, in this process.
        nodes: which nodes may begin a stretch; None: all but those that were given notice.

    Raises:
        HpsearchError: the search as a whole cannot go on: storage, cluster, or a runner that cannot be made.
    """
    session = SearchSession(engine, num_slots=resources.slots, should_stop=should_stop, is_late=is_late, on_event=on_event)
    nodes = nodes or Nodes()
    with catch_interrupts() as interrupt, contextlib.closing(ProgressReader()) as reader:
        try:
            for failure in range(MAX_TUNE_FAILURES + 1):
                arguments = (make_runner, resources, tune_dir, interrupt, reader, silence_seconds, nodes)
                if not _tune_failed(session, failure, *arguments):
                    break
                session.close()  # what was live is handed out again
        finally:
            session.close()
    if session.error is not None:
        raise session.error
    if interrupt.requested:  # after the last look
        return Ending.INTERRUPTED
    assert session.ending is not None, "Tune ended of its own accord"
    return session.ending


def _tune_failed(session: SearchSession, failure: int, *arguments: Any) -> bool:
    """Runs Tune to its end; whether it failed itself, no cause of ours being known, and may be begun again."""
    try:
        _run_tune(session, *arguments)
    except Exception as error:
        is_over = session.error is not None or session.ending is not None or failure == MAX_TUNE_FAILURES
        # Tune also asks lost workers for results, and hands on what Ray says of one that used too much memory.
        is_known = isinstance(error, (RayError, HpsearchError, OSError)) and not isinstance(error, OutOfMemoryError)
        if is_over or is_known:
            session.fail(error)  # unless it follows from an earlier one
            return False
        log.warning("Tune failed and is begun again: %s", first_line(error), exc_info=True)
        return True
    return False


def _run_tune(
    session: SearchSession,
    make_runner: MakeRunner,
    resources: TrialResources,
    tune_dir: Path,
    interrupt: Interrupt,
    reader: ProgressReader,
    silence_seconds: float,
    nodes: Nodes,
) -> None:
    scheduler = EngineScheduler(session, nodes)
    with _tune_environment(), _session_dir_under_client(tune_dir):
        tune.run(
            tune.with_parameters(
                StretchTrainable, make_runner=make_runner, board=reader.board, num_threads=resources.num_threads
            ),
            name=f"search-{uuid.uuid4().hex[:8]}",
            storage_path=str(tune_dir.resolve()),
            search_alg=EngineSearch(session),
            scheduler=scheduler,
            stop=_Watch(session, scheduler, resources, interrupt, reader, silence_seconds, nodes),
            num_samples=-1,
            max_concurrent_trials=resources.slots,
            resources_per_trial=PlacementGroupFactory([{"CPU": resources.cpus, "GPU": resources.gpus}]),
            reuse_actors=True,
            raise_on_failed_trial=False,
            trial_dirname_creator=lambda trial: trial.trial_id,
            verbose=0,
            _remote=False,  # the engine lives in this process, also under Ray Client
        )


@contextlib.contextmanager
def _tune_environment() -> Iterator[None]:
    previous = {name: os.environ.get(name) for name in TUNE_ENVIRONMENT}
    os.environ.update(TUNE_ENVIRONMENT)
    controller: Any = tune_controller
    manager, controller.RayActorManager = controller.RayActorManager, LostActorManager
    logger = logging.getLogger("ray.tune")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # every error of a trial reaches the session
    try:
        yield
    finally:
        controller.RayActorManager = manager
        logger.setLevel(level)
        for name, value in previous.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _session_dir_under_client(tune_dir: Path) -> Iterator[None]:
    """Tune asks for the session directory of Ray's node here, which a Ray Client does not have."""
    worker: Any = ray._private.worker
    if worker._global_node is not None:
        yield
        return
    worker._global_node = SimpleNamespace(get_session_dir_path=lambda: str(tune_dir / "session"))
    try:
        yield
    finally:
        worker._global_node = None
