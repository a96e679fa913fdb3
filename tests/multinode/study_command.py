"""The whole job as a command on one of two nodes, and what its journal says meanwhile."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpsearch.search.journal import read_events
from tests.multinode.two_nodes import ADDRESSES, PORT

CACHE = "/tmp/cache"
"""On each node's own disk."""


def job(*more: object, out: str = "/mnt/runs", name: str = "study", address: str = "") -> list[object]:
    """The command; space, data and run directory lie on the shared mount, and the head is node 1 unless `address` says else."""
    words = ["python", "-m", "hpsearch.run", "--address", address or f"{ADDRESSES[1]}:{PORT}", "--data", "/mnt/data"]
    words += ["--space", "/mnt/space.yaml", "--out", out, "--name", name, "--display", "plain"]
    return [*words, "--set", f"data.cache_dir={CACHE}", "search.num_rungs=2", *more]


def events_of(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    """The events of one kind so far."""
    journal = run_dir / "journal.jsonl"
    return [event for event in read_events(journal) if event["event"] == kind] if journal.exists() else []


def wait_for(condition: Callable[[], bool], driver: subprocess.Popen[bytes], log: Path, seconds: float = 600) -> None:
    """Waits until `condition` holds; the driver, whose words go to `log`, must not end before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert driver.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def check_journal(run_dir: Path, num_trials: int) -> None:
    """Each trial has its outcome, no journaled rung was trained again, and what was lost was taken up at its last rung."""
    result = json.loads((run_dir / "result.json").read_text())
    assert result["status"] == "done"
    assert sum(result["trials"].values()) == num_trials
    assert {outcome for outcome, count in result["trials"].items() if count} <= {"completed", "paused"}
    journal = read_events(run_dir / "journal.jsonl")
    assert set(Counter((event["trial"], event["images"]) for event in journal if event["event"] == "rung").values()) == {1}
    reached: Counter[int] = Counter()
    for event in journal:
        if event["event"] == "rung":
            reached[event["trial"]] = event["images"]
        if event["event"] == "started":
            assert event["from_images"] == reached[event["trial"]]
