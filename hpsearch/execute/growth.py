"""Clusters that grow: asks for nodes while a search runs, as many as the autoscaler may bring, and waits for the first one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from hpsearch.config import ResourcesConfig
from hpsearch.errors import ClusterError
from hpsearch.execute.autoscaler import Autoscaler, RayAutoscaler
from hpsearch.execute.connect import live_nodes
from hpsearch.execute.resources import NodeResources, TrialResources

FIRST_NODE_SECONDS = 900.0
"""How long the first node may take: a machine starts and pulls an image of some GiB."""
POLL_SECONDS = 1.0


@contextlib.contextmanager
def growing(
    config: ResourcesConfig,
    *,
    say: Callable[[str], None],
    autoscaler: Callable[[TrialResources], Autoscaler] = RayAutoscaler,
    nodes: Callable[[], Sequence[NodeResources]] = live_nodes,
    seconds: float = FIRST_NODE_SECONDS,
) -> Iterator[None]:
    """Holds room for `config.max_slots` trials, or for as many as the autoscaler may bring; nothing without `config.autoscale`.

    The block begins when a node holds a trial. Nodes are added while it runs, and go when they are idle afterwards.

    Args:
        config: what a trial gets, and how many there shall be.
        say: told where there will be fewer.
        autoscaler: what brings nodes that hold a trial.
        nodes: the live nodes.
        seconds: how long the first node may take.

    Raises:
        ClusterError: no node that the autoscaler may bring holds a trial, said in seconds; or none came in time.
    """
    if not config.autoscale:
        yield
        return
    trial = _trial(config)
    request = _Request(trial.slots, autoscaler(trial))
    try:
        _wait_for_room(trial, request, nodes, say, seconds)
        yield
    finally:
        request.withdraw()


class _Request:
    """Room for as many trials as asked for, or as the autoscaler's limits allow, found by halving."""

    def __init__(self, num_trials: int, autoscaler: Autoscaler) -> None:
        self._autoscaler = autoscaler
        self._allowed, self._refused = 0, num_trials + 1
        self._ask(num_trials)

    def _ask(self, num_trials: int) -> None:
        self._asked = num_trials
        self._autoscaler.ask(num_trials)
        self._told = self._autoscaler.report().told

    @property
    def most_trials(self) -> int:
        """The most that its limits are known to allow so far."""
        return self._allowed

    @property
    def is_impossible(self) -> bool:
        """Whether not even one trial is allowed for."""
        return self._refused == 1

    def is_settled(self) -> bool:
        """Goes on by one answer of the autoscaler; whether none is awaited, as from one that never answers."""
        report = self._autoscaler.report()
        if self._is_found() or report.seen == 0:
            return True
        if report.seen < self._told:
            return False
        if report.refused:
            self._refused = self._asked
        else:
            self._allowed = self._asked
        if not self._is_found():
            self._ask((self._allowed + self._refused) // 2)
        elif self._asked != self._allowed:
            self._ask(self._allowed)
        return self._is_found()

    def _is_found(self) -> bool:
        return self._refused - self._allowed == 1

    def withdraw(self) -> None:
        """Lets the nodes go when they are idle."""
        self._autoscaler.ask(0)


def _wait_for_room(
    trial: TrialResources,
    request: _Request,
    nodes: Callable[[], Sequence[NodeResources]],
    say: Callable[[str], None],
    seconds: float,
) -> None:
    deadline = time.monotonic() + seconds
    while not (request.is_settled() and trial.slots_on(nodes())):
        if request.is_impossible:
            raise ClusterError(
                f"none of the nodes that the autoscaler may bring holds a trial: {trial.too_much_for(nodes())} Its limits are "
                "those of the file that the cluster was started from."
            )
        if time.monotonic() >= deadline:
            raise ClusterError(
                f"the autoscaler brought no node within {seconds:.0f} s: {trial.too_much_for(nodes())} `ray status` "
                "on the head says what it tried."
            )
        time.sleep(POLL_SECONDS)
    if 0 < request.most_trials < trial.slots:
        say(f"the autoscaler may bring nodes for {request.most_trials} of {trial.slots} trials at the same time")


def _trial(config: ResourcesConfig) -> TrialResources:
    assert config.cpus_per_trial is not None
    assert isinstance(config.gpus_per_trial, float | int)
    assert config.max_slots is not None
    return TrialResources(
        cpus=config.cpus_per_trial, gpus=config.gpus_per_trial, slots=config.max_slots, max_slots=config.max_slots
    )
