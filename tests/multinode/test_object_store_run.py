"""A whole job whose run directory is an object store: nodes with no directory in common for it, and a driver that moves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.multinode.study_command import check_journal, events_of, job, wait_for
from tests.multinode.two_nodes import ADDRESSES, CHECKOUT, TwoNodes, needing_two_nodes

pytestmark = needing_two_nodes(timeout_seconds=1800)
PORT = 5000
NUM_TRIALS = 8
OUT = f"s3://studies/runs?region=us-east-1&scheme=http&endpoint_override={ADDRESSES[1]}:{PORT}"
MAKE_BUCKET = f"import boto3; boto3.client('s3', endpoint_url='http://{ADDRESSES[1]}:{PORT}').create_bucket(Bucket='studies')"


@pytest.fixture
def store(nodes: TwoNodes, tmp_path: Path) -> TwoNodes:
    """Both nodes, and a store that the first one serves; it outlives a driver there."""
    log = tmp_path / "store.log"
    server = nodes.start(1, log, "moto_server", "-H", ADDRESSES[1], "-p", PORT, code="")
    wait_for(lambda: "Running on" in log.read_text(), server, log)
    nodes.run(1, "python", "-c", MAKE_BUCKET)
    return nodes


def copies_on(nodes: TwoNodes, node: int) -> list[Path]:
    return list((nodes.root / f"node{node}" / "cache" / "runs").glob("*/study"))


def test_driver_moves_to_another_machine_with_nothing_but_the_store(store: TwoNodes, tmp_path: Path) -> None:
    log = tmp_path / "driver.log"
    command = job("--trials", NUM_TRIALS, "--set", "fixed.images_per_trial=1800", "final.finalists=2", out=OUT, address="auto")
    driver = store.start(1, log, *command)
    wait_for(lambda: bool(copies_on(store, 1)), driver, log)
    (first,) = copies_on(store, 1)
    wait_for(lambda: len(events_of(first, "rung")) >= 4, driver, log)
    assert {event["slot"] for event in events_of(first, "started")} == {0, 1}
    store.kill(1, "python -m hpsearch.run")
    driver.wait(timeout=60)
    known = events_of(first, "rung")

    # The other machine becomes the head of a cluster of its own, with the code this time.
    store.pull_the_plug(2)
    store.plug_in(2)
    subprocess.run(["cp", "-r", CHECKOUT / "hpsearch", CHECKOUT / "search_spaces", store.shared], check=True)
    store.start_ray(2, head=2)
    said = store.run(2, *command, code="/mnt").stdout
    assert "All of it is kept at s3://studies/runs/study?" in said
    (second,) = copies_on(store, 2)
    assert events_of(second, "rung")[: len(known)] == known
    check_journal(second, NUM_TRIALS)
    assert (second / "submission.csv").is_file()
    assert not (store.shared / "runs").exists()
    logs = [log for node in ADDRESSES for log in (store.root / f"node{node}" / "ray").glob("session_2*/logs/worker-*.err")]
    assert logs
    assert not [log for log in logs if "is gone; it starts again" in log.read_text()]
    shown = store.run(2, "python", "-m", "hpsearch.status", OUT.replace("runs?", "runs/study?"), code="/mnt").stdout
    assert "done" in shown
