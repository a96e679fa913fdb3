"""Runs one function on a worker with a trial's resources: retraining, finalists, whatever is too heavy for the driver."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import ray
from ray.exceptions import RayError, RayTaskError

from hpsearch.errors import ClusterError
from hpsearch.execute.auth import forget_token
from hpsearch.execute.interrupt import Interrupt, catch_interrupts
from hpsearch.execute.lost import LOST, check_began
from hpsearch.execute.messages import first_line
from hpsearch.execute.nodes import Nodes
from hpsearch.execute.resources import TrialResources, limit_threads

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Progress = Mapping[str, Any]

MAX_RETRIES = 3
"""Times that a call is done again after its worker was lost."""
POLL_SECONDS = 0.2
"""How long an interrupt may wait to be seen."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What the function returned."""

    result: Any
    """As it is."""


def call_on_worker(
    function: Callable[..., Generator[Progress, None, Result]],
    kwargs: Mapping[str, Any],
    *,
    resources: TrialResources,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    nodes: Nodes | None = None,
) -> Result:
    """Runs the generator function `function(**kwargs)` on a worker.

    What it yields is handed to `on_progress` here, in order; what it returns is returned. After a lost worker it is called
    again from the start, at most three times: it finds its own checkpoint. Where the worker's node had been given notice, which
    `nodes` knows, that does not count.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the worker's process is ended, its last checkpoint stays.
        ClusterError: the worker was lost more often.
        Exception: what the function raised, as the same class.
    """
    nodes = nodes or Nodes()
    with catch_interrupts() as interrupt:
        attempt = 1
        while attempt <= MAX_RETRIES + 1:
            remote: Any = ray.remote(Caller)
            options = remote.options(num_cpus=resources.cpus, num_gpus=resources.gpus, max_restarts=0)
            caller = options.remote(function, dict(kwargs), resources.num_threads)
            node_id = caller.node_id.remote()
            try:
                if not _is_welcome(caller, node_id, interrupt, nodes):
                    continue
                return cast(Result, _led_to_the_end(caller, on_progress, interrupt, nodes))
            except LOST as error:
                check_began(error)
                lost = error
                if nodes.took(error, said_before(node_id)):
                    log.warning("%s: worker lost with its node, after notice: %s", name_of(function), error)
                    continue
                log.warning("%s: worker lost, attempt %d of %d: %s", name_of(function), attempt, MAX_RETRIES + 1, error)
                attempt += 1
    raise ClusterError(
        f"{name_of(function)} lost its worker {MAX_RETRIES + 1} times ({first_line(lost)}). Look for a machine short of "
        "memory; start the same command again to continue from the last checkpoint."
    ) from lost


def _is_welcome(caller: Any, node_id: Any, interrupt: Interrupt, nodes: Nodes) -> bool:
    """Whether it may begin where it is, once that node is checked; else its process is ended."""
    place = _waited_for(node_id, interrupt, nodes)
    while nodes.is_unknown(place):
        time.sleep(POLL_SECONDS)
        place = _waited_for(caller.node_id.remote(), interrupt, nodes)
    if not nodes.may_begin(place):
        ray.kill(caller)
        return False
    return True


def _led_to_the_end(caller: Any, on_progress: Callable[[Progress], None], interrupt: Interrupt, nodes: Nodes) -> Any:
    try:
        while not isinstance(item := _waited_for(caller.advance.remote(), interrupt, nodes), Finished):
            on_progress(item)
    except RayTaskError as error:
        raise original_error(error) from None
    finally:
        ray.kill(caller)
    return item.result


def _waited_for(reference: Any, interrupt: Interrupt, nodes: Nodes) -> Any:
    while True:
        ready, _ = ray.wait([reference], timeout=POLL_SECONDS)
        if interrupt.requested:
            raise KeyboardInterrupt
        nodes.look()
        if ready:
            return ray.get(reference)


class Caller:
    """The function in its worker process; goes on by one step at a time."""

    def __init__(
        self, function: Callable[..., Generator[Progress, None, Any]], kwargs: dict[str, Any], num_threads: int
    ) -> None:
        forget_token()
        limit_threads(num_threads)
        self._steps = function(**kwargs)

    def node_id(self) -> str:
        """Where this process runs, as Ray calls the node."""
        return ray.get_runtime_context().get_node_id()

    def advance(self) -> Progress | Finished:
        """What the function yields next, or returns."""
        try:
            return next(self._steps)
        except StopIteration as end:
            return Finished(end.value)


def said_before(reference: Any) -> str:
    """What a worker that is lost now has answered; empty where it did not come to that."""
    try:
        return str(ray.get(reference, timeout=0))
    except RayError:
        return ""


def original_error(error: RayTaskError) -> BaseException:
    """What the function raised on its worker, with the worker's traceback as a note."""
    cause = error.cause
    if not isinstance(cause, BaseException):
        return error
    cause.add_note(str(error))
    return cause


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called in messages."""
    return getattr(function, "__name__", repr(function))
