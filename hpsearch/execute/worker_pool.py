"""Runs one function with many arguments on workers at the same time, each with a trial's resources."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Generator, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import RayTaskError

from hpsearch.errors import ClusterError, DivergedError, InfeasibleError
from hpsearch.execute.interrupt import catch_interrupts
from hpsearch.execute.lost import LOST, check_began
from hpsearch.execute.messages import first_line
from hpsearch.execute.nodes import Nodes
from hpsearch.execute.resources import TrialResources
from hpsearch.execute.worker_call import MAX_RETRIES, POLL_SECONDS, Caller, Finished, Progress, original_error, said_before

log = logging.getLogger(__name__)
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(Generic[Key]):
    """One call of the function."""

    key: Key
    """Names it to the callbacks."""
    kwargs: Mapping[str, Any]
    """Its arguments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Live(Generic[Key]):
    call: Call[Key]
    caller: Any
    node_id: Any
    attempt: int


def call_in_pool(
    function: Callable[..., Generator[Progress, None, Any]],
    next_call: Callable[[], Call[Key] | None],
    *,
    resources: TrialResources,
    on_result: Callable[[Key, Any], None],
    on_failure: Callable[[Key, Exception], None],
    on_progress: Callable[[Key, Progress], None] = lambda key, progress: None,
    nodes: Nodes | None = None,
) -> None:
    """Runs the generator function `function(**call.kwargs)` for each call, `resources.slots` at a time.

    After a lost worker a call is done again from the start, at most three times: it finds its own checkpoint. Where the
    worker's node had been given notice, that does not count.

    Args:
        function: What it yields goes to `on_progress`, what it returns to `on_result`.
        next_call: Asked whenever a slot is free, and after each result; None: nothing now. With nothing live it ends the pool.
        resources: What each call gets, and how many there are at a time.
        on_result: Told what a call returned.
        on_failure: Told that a configuration diverged or does not fit the memory.
        on_progress: Told what a call yielded.
        nodes: Knows which nodes were given notice; None: it is asked here.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; all workers are ended, their last checkpoints stay.
        ClusterError: a worker was lost more often.
        Exception: what the function raised otherwise, as the same class.
    """
    pool: _Pool[Key] = _Pool(function, resources, nodes or Nodes())
    with catch_interrupts() as interrupt:
        try:
            while True:
                while len(pool.live) < resources.slots and (call := next_call()) is not None:
                    pool.start(call)
                if interrupt.requested:
                    raise KeyboardInterrupt
                if not pool.live:
                    return
                ready, _ = ray.wait(list(pool.live), timeout=POLL_SECONDS)
                if interrupt.requested:
                    raise KeyboardInterrupt
                pool.nodes.look()
                for reference in ready:
                    pool.take(reference, on_result, on_failure, on_progress)
        finally:
            for one in pool.live.values():
                ray.kill(one.caller)


class _Pool(Generic[Key]):
    """Workers and what each of them is asked now."""

    def __init__(self, function: Callable[..., Any], resources: TrialResources, nodes: Nodes) -> None:
        self.live: dict[Any, _Live[Key]] = {}
        self.nodes = nodes
        self._function = function
        self._resources = resources

    def start(self, call: Call[Key], attempt: int = 0) -> None:
        """Gives a call to a worker of its own."""
        remote: Any = ray.remote(Caller)
        options = remote.options(num_cpus=self._resources.cpus, num_gpus=self._resources.gpus, max_restarts=0)
        caller = options.remote(self._function, dict(call.kwargs), self._resources.num_threads)
        one = _Live(call=call, caller=caller, node_id=caller.node_id.remote(), attempt=attempt)
        self.live[one.node_id] = one

    def take(
        self,
        reference: Any,
        on_result: Callable[[Key, Any], None],
        on_failure: Callable[[Key, Exception], None],
        on_progress: Callable[[Key, Progress], None],
    ) -> None:
        """Takes in what one worker answers, and lets it go on or ends it."""
        one = self.live.pop(reference)
        try:
            item = ray.get(reference)
        except LOST as error:
            self._start_again(one, error)
            return
        except RayTaskError as error:
            ray.kill(one.caller)
            cause = original_error(error)
            if not isinstance(cause, DivergedError | InfeasibleError):
                raise cause from None
            on_failure(one.call.key, cause)
            return
        if reference == one.node_id:
            self._begin(one, item)
        elif isinstance(item, Finished):
            ray.kill(one.caller)
            on_result(one.call.key, item.result)
        else:
            self.live[one.caller.advance.remote()] = one
            on_progress(one.call.key, item)

    def _begin(self, one: _Live[Key], node_id: str) -> None:
        """Lets a worker begin where it may; on a node that is not checked yet it waits, from one that was refused it moves."""
        if self.nodes.is_unknown(node_id):
            time.sleep(POLL_SECONDS)
            waiting = dataclasses.replace(one, node_id=one.caller.node_id.remote())
            self.live[waiting.node_id] = waiting
        elif self.nodes.may_begin(node_id):
            self.live[one.caller.advance.remote()] = one
        else:
            ray.kill(one.caller)
            self.start(one.call, one.attempt)

    def _start_again(self, one: _Live[Key], error: Exception) -> None:
        check_began(error)
        if self.nodes.took(error, said_before(one.node_id)):
            log.warning("%s: worker lost with its node, after notice: %s", one.call.key, error)
            self.start(one.call, one.attempt)
            return
        log.warning("%s: worker lost, attempt %d of %d: %s", one.call.key, one.attempt + 1, MAX_RETRIES + 1, error)
        if one.attempt == MAX_RETRIES:
            raise ClusterError(
                f"{one.call.key} lost its worker {MAX_RETRIES + 1} times ({first_line(error)}). Look for a machine short of "
                "memory; start the same command again to continue from the last checkpoint."
            ) from error
        self.start(one.call, one.attempt + 1)
