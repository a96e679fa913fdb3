"""A whole job over two machines: code shipped, one mount shared, storage or images missing, a wrong token, a submitted job."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from tests.multinode.study_command import events_of, job
from tests.multinode.two_nodes import ADDRESSES, TOKEN, TwoNodes, needing_two_nodes

pytestmark = needing_two_nodes(timeout_seconds=900)


def test_whole_job_trains_on_both_nodes_without_code_on_the_second(nodes: TwoNodes) -> None:
    nodes.run(2, "python", "-c", "import hpsearch", expect=1)
    ran = nodes.run(1, *job("--trials", 6))
    run_dir = nodes.shared / "runs" / "study"
    result = json.loads((run_dir / "result.json").read_text())
    assert result["status"] == "done"
    assert sum(result["trials"].values()) == 6
    assert result["trials"]["failed"] == 0
    assert all(address in ran.stdout + ran.stderr for address in ADDRESSES.values())
    for node in ADDRESSES:  # each has decoded the images for the trials that it trained
        assert list((nodes.root / f"node{node}" / "cache").glob("*px-*/index.json"))
    assert {event["slot"] for event in events_of(run_dir, "started")} == {0, 1}
    assert (run_dir / "submission.csv").exists()
    texts = [file.read_bytes() for file in run_dir.rglob("*") if file.is_file()]
    assert not any(TOKEN.encode() in text for text in texts)


def test_whole_job_on_the_faces(nodes: TwoNodes, faces: Path) -> None:
    shutil.copytree(faces, nodes.shared / "faces")
    words = ["/mnt/faces" if word == "/mnt/data" else word for word in job("--trials", 4)]
    nodes.run(1, *words, "--set", "fixed.images_per_trial=1200")
    run_dir = nodes.shared / "runs" / "study"
    assert json.loads((run_dir / "result.json").read_text())["val"]["num_images"] == 1000
    assert len((run_dir / "submission.csv").read_text().splitlines()) == 807
    for node in ADDRESSES:
        assert list((nodes.root / f"node{node}" / "cache").glob("*px-*/index.json"))


def test_run_directory_that_is_not_shared_ends_it_in_seconds(nodes: TwoNodes) -> None:
    start = time.perf_counter()
    done = nodes.run(1, *job("--trials", 2, out="/tmp/runs"), expect=4)
    assert time.perf_counter() - start < 60
    assert "is not the same directory on every node" in done.stderr
    assert ADDRESSES[2] in done.stderr
    assert f"  {ADDRESSES[1]}" not in done.stderr


def test_images_that_one_node_does_not_have_end_it_in_seconds(nodes: TwoNodes) -> None:
    nodes.run(1, "cp", "-r", "/mnt/data", "/tmp/data")
    words = ["/tmp/data" if word == "/mnt/data" else word for word in job("--trials", 2)]
    start = time.perf_counter()
    done = nodes.run(1, *words, expect=4)
    assert time.perf_counter() - start < 60
    assert f"  {ADDRESSES[2]}" in done.stderr
    assert "images that were looked for cannot be read, /tmp/data/" in done.stderr


def test_images_of_the_drivers_machine_are_copied_to_the_other_node(nodes: TwoNodes) -> None:
    nodes.run(1, "cp", "-r", "/mnt/data", "/tmp/data")
    words = ["driver:///tmp/data" if word == "/mnt/data" else word for word in job("--trials", 6)]
    ran = nodes.run(1, *words)
    assert " files were copied to nodes that lacked them" in ran.stdout + ran.stderr
    (copy,) = (path for path in (nodes.root / "node2" / "cache" / "fetched").iterdir() if path.is_dir())
    assert not copy.is_symlink()
    assert len(list(copy.rglob("*.jpg"))) == len(list((nodes.shared / "data").rglob("*.jpg")))
    assert list((nodes.root / "node2" / "cache").glob("*px-*/index.json"))
    result = json.loads((nodes.shared / "runs" / "study" / "result.json").read_text())
    assert result["status"] == "done"
    assert result["trials"]["failed"] == 0


def test_wrong_token_is_a_clear_error(nodes: TwoNodes) -> None:
    (nodes.root / "node1" / "wrong").write_text("f" * 64)
    done = nodes.run(1, *job("--trials", 2), token_file="/tmp/wrong", expect=4)
    assert "cannot connect with the token in /tmp/wrong" in done.stderr
    assert "the same token" in done.stderr


def test_submitted_job_ships_the_code_and_ends_with_its_outcome(machines: TwoNodes) -> None:
    machines.start_ray(1, dashboard=True)
    machines.start_ray(2)
    # What a checkout has at its top, without what only its owner has there.
    copies = ["cp", "-r", "/srv/hpsearch", "/srv/search_spaces", "/tmp/checkout"]
    machines.run(1, "bash", "-c", f"mkdir /tmp/checkout && {' '.join(copies)}")
    submit = ["ray", "job", "submit", "--address", "http://127.0.0.1:8265", "--working-dir", "/tmp/checkout", "--"]
    said = machines.run(1, *submit, *job("--trials", 4), code="").stdout
    assert "done: " in said
    result = json.loads((machines.shared / "runs" / "study" / "result.json").read_text())
    assert result["status"] == "done"
    assert list((machines.root / "node2" / "cache").glob("*px-*/index.json"))
    refused = machines.run(1, *submit, *job("--trials", 4, "--seed", 7), code="", expect=1)
    assert "seed" in refused.stdout
    wrong = ["env", "RAY_AUTH_TOKEN_PATH=/tmp/wrong", *submit, *job("--trials", 4)]
    (machines.root / "node1" / "wrong").write_text("f" * 64)
    assert "submitted successfully" not in machines.run(1, *wrong, code="", expect=1).stdout
