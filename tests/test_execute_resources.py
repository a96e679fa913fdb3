"""Slots follow from the cluster and the request; what no node can hold is refused with both numbers."""

import os

import pytest
import torch

from hpsearch.config import ResourcesConfig
from hpsearch.errors import ClusterError
from hpsearch.execute.resources import NodeResources, TrialResources, limit_threads, plan_resources


def node(cpus: float, gpus: float = 0, name: str = "a") -> NodeResources:
    return NodeResources(name=name, cpus=cpus, gpus=gpus)


def plan(*nodes: NodeResources, **config: float) -> TrialResources:
    return plan_resources(ResourcesConfig(**config), nodes)


def test_without_a_gpu_each_core_is_a_slot() -> None:
    assert plan(node(2)) == TrialResources(cpus=1, gpus=0, slots=2)


def test_with_gpus_each_gpu_is_a_slot_and_the_cores_are_shared_out() -> None:
    assert plan(node(16, 2)) == TrialResources(cpus=8, gpus=1, slots=2)


def test_fraction_lets_several_trials_share_a_gpu() -> None:
    assert plan(node(16, 1), gpus_per_trial=0.25) == TrialResources(cpus=4, gpus=0.25, slots=4)


def test_fraction_that_does_not_divide_a_gpu_stays_on_one() -> None:
    assert plan(node(16, 2), gpus_per_trial=0.3).slots == 6


def test_more_trials_than_cores_share_cores() -> None:
    trial = plan(node(2, 1), gpus_per_trial=0.25)
    assert (trial.cpus, trial.slots, trial.num_threads) == (0.5, 4, 1)


def test_cores_follow_from_the_node_that_has_fewest_for_its_gpus() -> None:
    assert plan(node(8, 4), node(32, 4, "b"), node(64, 0, "c")) == TrialResources(cpus=2, gpus=1, slots=8)


def test_head_without_cores_holds_no_trial() -> None:
    assert plan(node(0), node(4, name="b")).slots == 4


def test_nodes_are_counted_one_by_one() -> None:
    assert plan(node(3), node(3, name="b"), cpus_per_trial=2).slots == 2


def test_max_slots_limits_also_when_nodes_join() -> None:
    trial = plan(node(8), max_slots=3)
    assert trial.slots == 3
    assert trial.slots_on([node(8), node(8, name="b")]) == 3


def test_nodes_that_join_bring_slots_and_nodes_that_leave_take_them() -> None:
    trial = plan(node(4))
    assert trial.slots_on([node(4), node(2, name="b")]) == 6
    assert trial.slots_on([]) == 0


def test_threads_follow_the_cores() -> None:
    assert plan(node(8), cpus_per_trial=4).num_threads == 4


def test_more_gpus_than_any_node_has_is_refused_with_both_numbers() -> None:
    with pytest.raises(ClusterError, match=r"asks for 1 CPU and 8 GPU, and no node has that many \(a: 64 CPU, 4 GPU\)"):
        plan(node(64, 4), gpus_per_trial=8)


def test_more_cores_than_any_node_has_is_refused_with_both_numbers() -> None:
    with pytest.raises(ClusterError, match=r"asks for 3 CPU and 0 GPU.*a: 2 CPU.*b: 2 CPU"):
        plan(node(2), node(2, name="b"), cpus_per_trial=3)


def test_gpus_beyond_one_must_be_whole() -> None:
    with pytest.raises(ClusterError, match="must be 0, a fraction of one GPU, or a whole number"):
        plan(node(8, 4), gpus_per_trial=1.5)


def test_a_share_of_a_core_that_ray_cannot_count_is_refused() -> None:
    with pytest.raises(ClusterError, match=r"cpus_per_trial is 0; a trial needs a core or a share of one"):
        plan(node(8, 1), gpus_per_trial=1e-6)


def test_compilers_of_a_trial_start_no_more_threads_than_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "TORCHINDUCTOR_COMPILE_THREADS"):
        monkeypatch.setenv(name, "99")
    limit_threads(torch.get_num_threads())
    assert os.environ["TORCHINDUCTOR_COMPILE_THREADS"] == str(torch.get_num_threads())
