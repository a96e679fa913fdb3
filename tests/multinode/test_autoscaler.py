"""The whole job on a cluster whose nodes Ray's own autoscaler brings: processes on this machine, limits as on a cloud."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.multinode.study_command import job
from tests.multinode.two_nodes import ADDRESSES, PORT, TwoNodes, needing_two_nodes

pytestmark = needing_two_nodes(timeout_seconds=1200)
HEAD_ID = "fffffffffffffffffffffffffffffffffffffffffffffffffff00000"
"""What the provider of such nodes expects the head to be called."""
MAX_NODES = 2


def cluster_file() -> dict[str, Any]:
    """A head without trials, and at most two nodes of one core."""
    provider = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
    commands = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    return {
        "cluster_name": "grows",
        "auth": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "upscaling_speed": 1.0,
        **{f"{name}_commands": [] for name in commands},
        "max_workers": MAX_NODES,
        "idle_timeout_minutes": 1,
        "provider": {
            "type": "external",
            "module": provider,
            "launch_multiple": True,
            "head_node_id": HEAD_ID,
            "gcs_address": f"{ADDRESSES[1]}:{PORT}",
        },
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": MAX_NODES},
        },
    }


@pytest.fixture
def growing(machines: TwoNodes) -> TwoNodes:
    """Node 1 as the head of a cluster that grows; all its nodes are processes there."""
    (machines.root / "node1" / "cluster.json").write_text(json.dumps(cluster_file()))
    environment = ["RAY_enable_autoscaler_v2=1", "RAY_FAKE_CLUSTER=1", "AUTOSCALER_UPDATE_INTERVAL_S=1"]
    environment += [f"RAY_CLOUD_INSTANCE_ID={HEAD_ID}", f"RAY_OVERRIDE_NODE_ID_FOR_TESTING={HEAD_ID}"]
    start = [
        "ray",
        "start",
        "--head",
        f"--port={PORT}",
        f"--node-ip-address={ADDRESSES[1]}",
        "--num-cpus=0",
        "--num-gpus=0",
        "--autoscaling-config=/tmp/cluster.json",
    ]
    start += ["--include-dashboard=false", "--object-store-memory=200000000", "--disable-usage-stats"]
    machines.run(1, "env", *environment, *start, code="")
    return machines


def ask(cpus: int, slots: int) -> list[object]:
    request = [f"resources.cpus_per_trial={cpus}", "resources.gpus_per_trial=0", f"resources.max_slots={slots}"]
    return job("--trials", 6, "--set", "resources.autoscale=true", *request, address="auto")


def test_nodes_come_as_far_as_the_limits_allow_and_trials_run_on_all(growing: TwoNodes) -> None:
    ran = growing.run(1, *ask(cpus=1, slots=5))
    assert "the autoscaler may bring nodes for 2 of 5 trials at the same time" in ran.stdout + ran.stderr
    run_dir = growing.shared / "runs" / "study"
    assert json.loads((run_dir / "result.json").read_text())["status"] == "done"
    journal = [json.loads(line) for line in Path(run_dir / "journal.jsonl").read_text().splitlines()]
    assert {event["slot"] for event in journal if event["event"] == "started"} == {0, 1}


def test_trial_that_no_node_may_ever_hold_ends_it_soon(growing: TwoNodes) -> None:
    began = time.monotonic()
    said = growing.run(1, *ask(cpus=4, slots=5), expect=4).stderr
    assert time.monotonic() - began < 120  # and not the 15 minutes that a first node may take
    assert "none of the nodes that the autoscaler may bring holds a trial: a trial asks for 4 CPU and 0 GPU" in said
