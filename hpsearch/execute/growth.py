"""Clusters that grow: asks the autoscaler for nodes while a search runs, and waits for the first one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from ray.autoscaler.sdk import request_resources

from hpsearch.config import ResourcesConfig
from hpsearch.errors import ClusterError
from hpsearch.execute.connect import live_nodes
from hpsearch.execute.resources import NodeResources, TrialResources

FIRST_NODE_SECONDS = 900.0
"""How long the first node may take: a machine starts and pulls an image of some GiB."""
POLL_SECONDS = 1.0


@contextlib.contextmanager
def asking_for_nodes(config: ResourcesConfig) -> Iterator[None]:
    """Asks the autoscaler for room for `config.max_slots` trials while the block runs; does nothing without `config.autoscale`.

    Nodes are added while they are asked for, up to the autoscaler's own limits, and go when they are idle afterwards.
    """
    if not config.autoscale:
        yield
        return
    trial = _trial(config)
    request_resources(bundles=[{"CPU": trial.cpus, "GPU": trial.gpus} if trial.gpus else {"CPU": trial.cpus}] * trial.slots)
    try:
        yield
    finally:
        request_resources(bundles=[])


def wait_for_room(
    config: ResourcesConfig,
    *,
    nodes: Callable[[], Sequence[NodeResources]] = live_nodes,
    seconds: float = FIRST_NODE_SECONDS,
) -> None:
    """Waits until a node can hold a trial; returns at once without `config.autoscale`.

    Raises:
        ClusterError: none came; the message has what was asked and what there is.
    """
    if not config.autoscale:
        return
    trial = _trial(config)
    deadline = time.monotonic() + seconds
    while trial.slots_on(found := nodes()) == 0:
        if time.monotonic() >= deadline:
            raise ClusterError(
                f"the autoscaler brought no node within {seconds:.0f} s: {trial.too_much_for(found)} `ray status` on the head "
                "says what it tried."
            )
        time.sleep(POLL_SECONDS)


def _trial(config: ResourcesConfig) -> TrialResources:
    assert config.cpus_per_trial is not None
    assert isinstance(config.gpus_per_trial, float | int)
    assert config.max_slots is not None
    return TrialResources(
        cpus=config.cpus_per_trial, gpus=config.gpus_per_trial, slots=config.max_slots, max_slots=config.max_slots
    )
