"""What the autoscaler says of the nodes that it was asked for: whether it may ever bring them. Its second version says so.

That version takes a request whole or not at all: it brings nothing for 16 trials where its limits allow nodes for 8. So the
most that it may bring is found by asking for less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import ray
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled, and its stub lacks it
from ray.autoscaler.sdk import request_resources
from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply  # type: ignore[attr-defined]  # made as it is loaded

from hpsearch.execute.resources import TrialResources


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The autoscaler's last word, and what the cluster has told it since."""

    told: int
    """Version of the cluster's state, requests included, as it is now."""
    seen: int
    """Version that the autoscaler has answered; 0: it never answers, as the first version does."""
    refused: bool
    """Whether its limits do not allow what was asked for then."""


class Autoscaler(Protocol):
    """Something that brings nodes."""

    def ask(self, num_trials: int) -> None:
        """Asks for room for so many trials at the same time, in place of what was asked for before."""
        ...

    def report(self) -> Report:
        """What it says."""
        ...


class RayAutoscaler:
    """The autoscaler of the connected cluster."""

    def __init__(self, trial: TrialResources) -> None:
        """Asks for nodes that hold `trial`."""
        self._bundle = {"CPU": trial.cpus, "GPU": trial.gpus} if trial.gpus else {"CPU": trial.cpus}
        self._status: Any = ray.remote(_status).options(num_cpus=0)

    def ask(self, num_trials: int) -> None:
        """Asks for room for so many trials at the same time, in place of what was asked for before."""
        request_resources(bundles=[self._bundle] * num_trials)

    def report(self) -> Report:
        """What it says; read inside the cluster, since a driver outside of it does not reach the store where that is kept."""
        told, seen, refused = ray.get(self._status.remote())
        return Report(told=told, seen=seen, refused=refused)


def _status() -> tuple[int, int, bool]:
    reply = GetClusterStatusReply.FromString(GcsClient(ray.get_runtime_context().gcs_address).get_cluster_status())
    answered = reply.autoscaling_state
    return (
        reply.cluster_resource_state.cluster_resource_state_version,
        answered.last_seen_cluster_resource_state_version,
        bool(answered.infeasible_cluster_resource_constraints),
    )
