"""Nodes that join, vanish and come back under a whole job, and the driver with them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import torch

from hpsearch.layout import RunLayout
from hpsearch.search.fold import fold
from hpsearch.search.journal import read_events
from tests.multinode.study_command import check_journal, events_of, job, wait_for
from tests.multinode.two_nodes import ADDRESSES, CHECKOUT, TwoNodes, needing_two_nodes

pytestmark = needing_two_nodes(timeout_seconds=1800)
BATCH = 16
NUM_TRIALS = 14
STUDY = ["--trials", NUM_TRIALS, "--set", "fixed.images_per_trial=7200", f"fixed.batch_size={BATCH}", "search.sampler=random"]
"""A minute of two cores; a lost node is noticed within half of that."""
RETRAINING = ["final.finalists=1", "final.repeats=1"]
BOTH_NODES = ["final.train_on=all", "final.retrain_workers=2"]


LONG_STRETCHES = ["--trials", 2, "--set", "fixed.images_per_trial=24000", f"fixed.batch_size={BATCH}", "search.num_rungs=1"]
"""As much, in stretches that outlast a notice."""
NODE_ID = "import ray; ray.init('auto'); print(*(n['NodeID'] for n in ray.nodes() if n['NodeManagerAddress'] == '{}'))"


def is_lost(run_dir: Path, reason: str = "lost") -> bool:
    return any(event["reason"] == reason for event in events_of(run_dir, "stopped"))


def give_notice(machines: TwoNodes, node: int, seconds: int) -> None:
    """As whoever hears of a spot machine's end first would tell Ray."""
    node_id = machines.run(1, "python", "-c", NODE_ID.format(ADDRESSES[node]), code="").stdout.split()[-1]
    why = ["--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=spot"]
    when = f"--deadline-remaining-seconds={seconds}"
    machines.run(1, "ray", "drain-node", "--address=auto", f"--node-id={node_id}", *why, when, code="")


def check_checkpoints(run_dir: Path) -> None:
    """What was cut short can go on from its last rung."""
    study = fold(read_events(run_dir / "journal.jsonl"))
    for trial in study.trials.values():
        if (trial.running or trial.queued) and trial.values:
            content: dict[str, Any] = torch.load(RunLayout(run_dir).checkpoint(trial.number), weights_only=True)
            assert content["state"]["step"] * BATCH >= max(trial.values)


def test_node_that_joins_gets_trials_and_what_it_loses_is_done_elsewhere(machines: TwoNodes, tmp_path: Path) -> None:
    log, run_dir = tmp_path / "driver.log", machines.shared / "runs" / "study"
    machines.start_ray(1)
    # Each stretch outlasts the start of a worker: Tune gives what waits for one to a worker that becomes free meanwhile.
    few = ["--trials", 6, "--set", "fixed.images_per_trial=24000", f"fixed.batch_size={BATCH}", "search.sampler=random"]
    driver = machines.start(1, log, *job(*few, *RETRAINING))
    wait_for(lambda: bool(events_of(run_dir, "rung")), driver, log)
    assert {event["slot"] for event in events_of(run_dir, "started")} == {0}
    machines.start_ray(2)
    wait_for(lambda: any(event["slot"] == 1 for event in events_of(run_dir, "started")), driver, log, seconds=60)
    wait_for(lambda: bool(list((machines.root / "node2" / "cache").glob("*px-*/index.json"))), driver, log)
    machines.pull_the_plug(2)
    wait_for(lambda: is_lost(run_dir), driver, log)
    assert driver.wait(timeout=1200) == 0, log.read_text()
    check_journal(run_dir, num_trials=6)


def test_stretch_lost_with_a_node_that_was_given_notice_does_not_count(machines: TwoNodes, tmp_path: Path) -> None:
    log, run_dir = tmp_path / "driver.log", machines.shared / "runs" / "study"
    machines.start_ray(1)
    driver = machines.start(1, log, *job(*LONG_STRETCHES, *RETRAINING))
    wait_for(lambda: bool(events_of(run_dir, "started")), driver, log)
    machines.start_ray(2)
    wait_for(lambda: bool(list((machines.root / "node2" / "cache").glob("*px-*/index.json"))), driver, log)
    give_notice(machines, 2, seconds=5)
    wait_for(lambda: f"node {ADDRESSES[2]}-" in log.read_text(), driver, log)
    machines.pull_the_plug(2)
    wait_for(lambda: is_lost(run_dir, "preempted"), driver, log)
    assert driver.wait(timeout=1200) == 0, log.read_text()
    check_journal(run_dir, num_trials=2)
    assert not is_lost(run_dir)
    assert log.read_text().count("was given notice, it goes in ") == 1


def test_study_that_loses_a_node_and_then_its_driver_goes_on_from_the_other_node(nodes: TwoNodes, tmp_path: Path) -> None:
    log, run_dir = tmp_path / "driver.log", nodes.shared / "runs" / "study"
    command = job(*STUDY, *RETRAINING, address="auto")
    driver = nodes.start(1, log, *command)
    wait_for(lambda: len(events_of(run_dir, "rung")) >= 3, driver, log)
    nodes.pull_the_plug(2)
    wait_for(lambda: is_lost(run_dir), driver, log)
    nodes.pull_the_plug(1)
    driver.wait(timeout=60)
    check_checkpoints(run_dir)
    # The other machine comes up again, with the code this time, as the head of a cluster of its own.
    subprocess.run(["cp", "-r", CHECKOUT / "hpsearch", CHECKOUT / "search_spaces", nodes.shared], check=True)
    nodes.plug_in(2)
    nodes.start_ray(2, head=2)
    nodes.run(2, *command, code="/mnt")
    check_journal(run_dir, NUM_TRIALS)
    assert [event["reason"] for event in events_of(run_dir, "stopped")].count("restart") <= 2


def test_retraining_on_two_nodes_goes_on_after_a_lost_worker(nodes: TwoNodes, tmp_path: Path) -> None:
    log, run_dir = tmp_path / "driver.log", nodes.shared / "runs" / "study"
    few = ["--trials", 2, "--set", "fixed.images_per_trial=1800", f"fixed.batch_size={BATCH}"]
    driver = nodes.start(1, log, *job(*few, *RETRAINING, *BOTH_NODES))
    wait_for(lambda: bool(list(run_dir.glob("retrain/trial-*-all/curve.json"))), driver, log)
    (curve,) = run_dir.glob("retrain/trial-*-all/curve.json")
    nodes.kill(2, "ray::_Member")
    before = json.loads(curve.read_text())
    assert driver.wait(timeout=1200) == 0, log.read_text()
    points = json.loads(curve.read_text())
    assert len(points) == len({point["images"] for point in points}) == 8
    assert points[: len(before)] == before, "what the checkpoint held was trained again"
    messages = (run_dir / "hpsearch.log").read_text()
    assert "retrain: one of 2 workers lost, attempt 1" in messages
    assert messages.count("retrain: 2 workers together") == 2
    result = json.loads((run_dir / "result.json").read_text())
    assert result["status"] == "done"
    assert "trained on them too" in result["val"]["note"]
