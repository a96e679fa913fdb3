"""What one trial gets of a machine, and how many trials run at the same time."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hpsearch.config import ResourcesConfig
from hpsearch.errors import ClusterError


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeResources:
    """What Ray may hand out of one node."""

    name: str
    """Address or host name."""
    cpus: float
    """CPU cores."""
    gpus: float
    """GPUs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResources:
    """What one trial gets, and how many there are at a time."""

    cpus: float
    """CPU cores of one trial; a fraction shares one."""
    gpus: float
    """GPUs of one trial; a fraction shares one."""
    slots: int
    """Trials that run at the same time, on the nodes that there were at the start."""
    max_slots: int | None = None
    """Never more than these; None: as many as the nodes hold."""

    def slots_on(self, nodes: Sequence[NodeResources]) -> int:
        """Trials that `nodes` hold at the same time."""
        return self.at_most(sum(_trials_on(node, self.cpus, self.gpus) for node in nodes))

    def at_most(self, slots: int) -> int:
        """As many of `slots` as are allowed."""
        return slots if self.max_slots is None else min(slots, self.max_slots)

    def too_much_for(self, nodes: Sequence[NodeResources]) -> str:
        """That no node holds a trial, with what is asked and what there is."""
        table = ", ".join(f"{node.name}: {node.cpus:g} CPU, {node.gpus:g} GPU" for node in nodes) or "no live node"
        return (
            f"a trial asks for {self.cpus:g} CPU and {self.gpus:g} GPU, and no node has that many ({table}). "
            "Lower resources.cpus_per_trial or resources.gpus_per_trial with --set, or add a larger node."
        )

    @property
    def num_threads(self) -> int:
        """Threads that a trial computes with."""
        return max(1, math.floor(self.cpus))


def limit_threads(num_threads: int) -> None:
    """Lets this process compute with `num_threads`: torch where it is loaded, and what it or its children load later."""
    os.environ["OMP_NUM_THREADS"] = str(num_threads)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = str(num_threads)  # else torch.compile starts a process for each core
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(num_threads)


def plan_resources(config: ResourcesConfig, nodes: Sequence[NodeResources]) -> TrialResources:
    """What each trial gets on these nodes, and the number of slots.

    Raises:
        ClusterError: no node can hold one trial; the message has what was asked and what there is.
    """
    most_gpus = max((node.gpus for node in nodes), default=0.0)
    asked = config.gpus_per_trial
    gpus = float(most_gpus > 0) if asked is None or isinstance(asked, str) else _checked_gpus(asked)
    cpus = config.cpus_per_trial if config.cpus_per_trial is not None else _share_of_cores(nodes, gpus)
    if not cpus > 0:
        raise ClusterError(f"resources.cpus_per_trial is {cpus:g}; a trial needs a core or a share of one.")
    trial = TrialResources(cpus=cpus, gpus=gpus, slots=0, max_slots=config.max_slots)
    slots = trial.slots_on(nodes)
    if slots == 0:
        raise ClusterError(trial.too_much_for(nodes))
    return replace(trial, slots=slots)


def whole_machine(trial: TrialResources, nodes: Sequence[NodeResources]) -> TrialResources:
    """What the retraining gets: nothing runs beside it, so a whole GPU, or all cores of the largest node."""
    gpus = float(max(1, trial.gpus)) if trial.gpus else 0.0
    cpus = max(node.cpus for node in nodes if node.gpus >= gpus)
    return TrialResources(cpus=cpus if gpus == 0 else max(trial.cpus, 1.0), gpus=gpus, slots=1)


def _checked_gpus(gpus: float) -> float:
    if gpus < 0 or (gpus > 1 and gpus != int(gpus)):
        raise ClusterError(f"resources.gpus_per_trial is {gpus:g}; it must be 0, a fraction of one GPU, or a whole number.")
    return gpus


def _trials_by_gpu(node: NodeResources, gpus: float) -> int:
    if 0 < gpus < 1:  # a trial's share lies on one GPU
        return math.floor(node.gpus) * math.floor(1 / gpus + 1e-9)
    return math.floor(node.gpus / gpus)


def _trials_on(node: NodeResources, cpus: float, gpus: float) -> int:
    by_cpu = math.floor(node.cpus / cpus + 1e-9)
    return by_cpu if gpus == 0 else min(by_cpu, _trials_by_gpu(node, gpus))


def _share_of_cores(nodes: Sequence[NodeResources], gpus: float) -> float:
    if gpus == 0:
        return 1.0
    shares = [node.cpus / trials for node in nodes if node.cpus > 0 and (trials := _trials_by_gpu(node, gpus)) > 0]
    share = min(shares, default=1.0)
    # Ray counts in 1/10000; rounding up would leave a GPU without its last trial.
    return float(math.floor(share)) if share >= 1 else math.floor(share * 10_000) / 10_000
