"""Runs one function on several workers at once that train together: retraining on more than one GPU."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, cast

import psutil
import ray
from ray.exceptions import RayTaskError

from hpsearch.errors import ClusterError
from hpsearch.execute.auth import forget_token
from hpsearch.execute.interrupt import Interrupt, catch_interrupts
from hpsearch.execute.lost import LOST
from hpsearch.execute.messages import first_line
from hpsearch.execute.nodes import Nodes
from hpsearch.execute.resources import TrialResources, limit_threads
from hpsearch.execute.worker_call import (
    MAX_RETRIES,
    POLL_SECONDS,
    Finished,
    Progress,
    Result,
    name_of,
    original_error,
    said_before,
)
from hpsearch.train.peers import Peers

log = logging.getLogger(__name__)

START_SECONDS = 300.0
"""How long workers may take to start, all of them, before the nodes are counted again."""
LOST_SECONDS = 60.0
"""How long after an error in one worker it is looked whether another one is lost, which the error then follows from."""


class WorkerLostError(Exception):
    """A worker of the group is gone; raised here only."""


def call_on_group(
    function: Callable[..., Generator[Progress, None, Result]],
    kwargs: Mapping[str, Any],
    *,
    num_workers: int,
    resources: TrialResources,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    nodes: Nodes | None = None,
) -> Result:
    """Runs the generator function `function(**kwargs, peers=…)` on workers that go from yield to yield together.

    What the main one yields is handed to `on_progress` here; what it returns is returned. After a lost worker all are called
    again, at most three times, as many as the nodes hold by then: they find their own checkpoint. Where a worker's node had
    been given notice, that does not count.

    Args:
        function: every worker calls it with its own `peers`, a `Peers`.
        kwargs: its other arguments.
        num_workers: workers at most.
        resources: what each of them gets.
        on_progress: told what the main one yields.
        nodes: knows which nodes were given notice; None: it is asked here.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the workers are ended, their last checkpoint stays.
        ClusterError: workers were lost more often, or no node can hold one.
        Exception: what the function raised, as the same class.
    """
    nodes = nodes or Nodes()
    with catch_interrupts() as interrupt:
        attempt = 1
        while attempt <= MAX_RETRIES + 1:
            nodes.look()
            usable = nodes.usable()
            count = min(num_workers, resources.slots_on(usable))
            if count == 0:
                raise ClusterError(resources.too_much_for(usable))
            log.info("%s: %d workers together", name_of(function), count)
            with closing(_Group(count, resources, interrupt, nodes)) as group:
                try:
                    return cast(Result, group.run(function, kwargs, on_progress))
                except (*LOST, WorkerLostError) as error:
                    lost = error
                    if group.lost_after_notice(error):
                        log.warning("%s: a worker lost with its node, after notice: %s", name_of(function), error)
                        continue
                    log.warning("%s: one of %d workers lost, attempt %d: %s", name_of(function), count, attempt, error)
                    attempt += 1
    raise ClusterError(
        f"{name_of(function)} lost a worker {MAX_RETRIES + 1} times ({first_line(lost)}). Look for a machine short of memory; "
        "start the same command again to continue from the last checkpoint."
    ) from lost


class _Group:
    def __init__(self, count: int, resources: TrialResources, interrupt: Interrupt, nodes: Nodes) -> None:
        self._interrupt = interrupt
        self._nodes = nodes
        self._device = "cuda" if resources.gpus else "cpu"
        options = {"num_cpus": resources.cpus, "num_gpus": resources.gpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        remote: Any = ray.remote(_Member)
        self._members = [remote.options(**options).remote(resources.num_threads) for _ in range(count)]
        self._node_ids = [member.node_id.remote() for member in self._members]

    def run(self, function: Callable[..., Any], kwargs: Mapping[str, Any], on_progress: Callable[[Progress], None]) -> Any:
        addresses = self._all([member.address.remote() for member in self._members], START_SECONDS)
        self._wait_for_checks()
        places = [{"rank": rank, "count": len(addresses), "address": addresses[0]} for rank in range(len(addresses))]
        try:
            self._all(
                [
                    member.join.remote(function, dict(kwargs), {**place, "device": self._device})
                    for member, place in zip(self._members, places, strict=True)
                ]
            )
            while not isinstance(item := self._all([member.advance.remote() for member in self._members])[0], Finished):
                on_progress(item)
        except RayTaskError as error:
            raise original_error(error) from None
        return item.result

    def _wait_for_checks(self) -> None:
        """Until the nodes of all are checked.

        Raises:
            WorkerLostError: one of them may not train.
        """
        node_ids = self._all(self._node_ids)
        while any(map(self._nodes.is_unknown, node_ids)):
            time.sleep(POLL_SECONDS)
            self._all([member.node_id.remote() for member in self._members])  # looks at nodes, and whether all are there
        if not all(map(self._nodes.may_begin, node_ids)):
            raise WorkerLostError("a node that takes nothing new was given to it")

    def _all(self, references: Sequence[Any], seconds: float | None = None) -> list[Any]:
        """What all answer; as soon as one fails, its error, or that another one is lost."""
        pending, waited = list(references), 0.0
        while pending:
            ready, pending = ray.wait(pending, num_returns=1, timeout=POLL_SECONDS)
            if self._interrupt.requested:
                raise KeyboardInterrupt
            self._nodes.look()
            for reference in ready:
                self._look_at(reference, pending)
            waited += 0 if ready else POLL_SECONDS
            if seconds is not None and waited > seconds:
                raise WorkerLostError(f"{len(pending)} of {len(references)} workers did not start within {seconds:.0f} s")
        answers: list[Any] = ray.get(list(references))
        return answers

    @staticmethod
    def _look_at(reference: Any, others: Sequence[Any]) -> None:
        try:
            ray.get(reference)
        except RayTaskError:
            # Those that are left see a broken connection, often before Ray sees the lost process.
            for other in ray.wait(list(others), num_returns=len(others), timeout=LOST_SECONDS)[0] if others else ():
                try:
                    ray.get(other)
                except RayTaskError:
                    continue
            raise

    def lost_after_notice(self, error: Exception) -> bool:
        """Whether the node of one of them had been given notice, which the loss of another process follows from."""
        return any(self._nodes.took(error, said_before(node_id)) for node_id in self._node_ids)

    def close(self) -> None:
        """Ends all processes of the group."""
        for member in self._members:
            ray.kill(member)


class _Member:
    """The function in one worker process; goes on by one step at a time."""

    def __init__(self, num_threads: int) -> None:
        forget_token()
        limit_threads(num_threads)

    def node_id(self) -> str:
        """Where this process runs, as Ray calls the node."""
        return ray.get_runtime_context().get_node_id()

    def address(self) -> str:
        """Where the others could reach this one: a port that is free now."""
        host = _own_address()
        with socket.create_server((host, 0)) as server:
            return f"{host}:{server.getsockname()[1]}"

    def join(self, function: Callable[..., Generator[Progress, None, Any]], kwargs: dict[str, Any], place: Any) -> None:
        """Waits for the others and prepares the function."""
        _use_network_of(_own_address())
        self._steps = function(**kwargs, peers=Peers.join(**place))

    def advance(self) -> Progress | Finished:
        """What the function yields next, or returns."""
        try:
            return next(self._steps)
        except StopIteration as end:
            return Finished(end.value)


def _own_address() -> str:
    """Of this node, as Ray knows it."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]  # Ray's own has no types


def _use_network_of(host: str) -> None:
    """Lets Gloo and NCCL talk over the network that Ray uses; by themselves they go by the machine's name, or by any card."""
    for card, addresses in psutil.net_if_addrs().items():
        if any(address.address == host for address in addresses):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", card)
            os.environ.setdefault("NCCL_SOCKET_IFNAME", card)
