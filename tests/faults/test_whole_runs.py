"""The whole job, with networks that train: killed at any second of all its phases, and stopped by SIGTERM or Ctrl-C."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from hpsearch.errors import EXIT_INTERRUPTED
from hpsearch.layout import RunLayout
from hpsearch.search.fold import fold
from hpsearch.search.journal import read_events
from tests.faults.campaign import FAULTS_PER_STUDY, ROOT, TRIES
from tests.faults.ledger import ledger
from tests.small_set import SPACE, make_competition

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SECONDS = 40
"""About what an untroubled run takes."""


@pytest.mark.parametrize("seed", range(math.ceil(TRIES / 7)))
def test_a_run_stopped_and_killed_at_any_second_ends_whole(tmp_path: Path, seed: int) -> None:
    make_competition(tmp_path / "data")
    (tmp_path / "space.yaml").write_text(SPACE)
    draw = random.Random(f"whole {seed}")
    width = SECONDS / FAULTS_PER_STUDY
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as sessions:
        stop_by_a_schedulers_notice(started(tmp_path, sessions), RunLayout(tmp_path / "study"), draw.uniform(0, SECONDS / 2))
        for part in range(FAULTS_PER_STUDY):
            driver = started(tmp_path, sessions)
            with suppress(subprocess.TimeoutExpired):  # what was done before the last kill is not done again
                driver.wait(timeout=part * width / 2 + draw.uniform(2, width))
            driver.kill()
            driver.communicate()
        driver = started(tmp_path, sessions)
        said, _ = driver.communicate(timeout=400)
        assert driver.returncode == 0, said
    layout = RunLayout(tmp_path / "study")
    events = read_events(layout.journal)
    rungs = [(event["trial"], event["images"]) for event in events if event["event"] == "rung"]
    assert len(rungs) == len(set(rungs)), "a journaled rung was trained again"
    assert len(fold(events).trials) == 4
    result = json.loads((layout.root / "result.json").read_text())
    assert result["status"] == "done"
    for file in result["files"].values():
        assert (layout.root / file).exists(), file
    submission = pd.read_csv(layout.root / "submission.csv")
    template = pd.read_csv(tmp_path / "data" / "phase2" / "testset1_seen_nolabel.txt")
    assert submission["img_name"].tolist() == template["img_name"].tolist()
    assert submission["y_pred"].between(0, 1).all()
    ledger.studied("SIGTERM, then SIGKILL of a whole run", 1 + FAULTS_PER_STUDY, num_rungs=len(rungs))


def stop_by_a_schedulers_notice(driver: subprocess.Popen[str], layout: RunLayout, seconds: float) -> None:
    """SIGTERM some seconds after a run's begin; it has 30 to end well."""
    while not layout.journal.is_file():
        assert driver.poll() is None, driver.communicate()[0]
        time.sleep(0.05)
    time.sleep(seconds)
    driver.send_signal(signal.SIGTERM)
    said, _ = driver.communicate(timeout=30)
    assert driver.returncode == EXIT_INTERRUPTED, said
    assert json.loads(layout.result.read_text())["status"] == "interrupted"
    assert "Traceback" not in said


def test_ctrl_c_keeps_everything_and_the_same_command_goes_on(tmp_path: Path) -> None:
    make_competition(tmp_path / "data")
    (tmp_path / "space.yaml").write_text(SPACE)
    words = [sys.executable, "-m", "hpsearch.run", "--data", tmp_path / "data", "--space", tmp_path / "space.yaml"]
    words += ["--out", tmp_path, "--name", "study", "--trials", 4, "--json", "--set", "fixed.images_per_trial=600"]
    command = list(map(str, words))
    layout = RunLayout(tmp_path / "study")
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (layout.journal.is_file() and '"rung"' in layout.journal.read_text()):
        time.sleep(0.1)
    driver.send_signal(signal.SIGINT)
    said, complained = driver.communicate(timeout=60)
    assert driver.returncode == 130, said + complained
    assert "same command with --name study continues" in json.loads(said)["text"]
    told = [json.loads(line) for line in complained.splitlines()]
    assert {"phase", "event", "rung"} <= {event["kind"] for event in told}
    assert any(event.get("text", "").startswith("stopping; everything is kept") for event in told)
    assert json.loads(layout.result.read_text())["status"] == "interrupted"
    before = read_events(layout.journal)
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    after = read_events(layout.journal)
    assert after[: len(before)] == before
    rungs = [(event["trial"], event["images"]) for event in after if event["event"] == "rung"]
    assert len(rungs) == len(set(rungs))
    assert json.loads(layout.result.read_text())["status"] == "done"


def started(root: Path, sessions: str) -> subprocess.Popen[str]:
    """The same command each time."""
    words = [sys.executable, "-m", "hpsearch.run", "--data", root / "data", "--space", root / "space.yaml", "--out", root]
    words += ["--name", "study", "--trials", 4, "--set", "search.num_rungs=2"]
    environment = {**os.environ, "RAY_TMPDIR": sessions, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(list(map(str, words)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
