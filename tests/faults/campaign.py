"""Small studies as programs, killed at moments that a seed decides, then continued by the same command."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from hpsearch.layout import RunLayout
from hpsearch.search.fold import fold
from hpsearch.search.journal import read_events
from tests.execute_runners import RUNGS

ROOT = Path(__file__).parents[2]
NUM_TRIALS = 18
"""Of `tests.execute_study`."""
NUM_RUNGS = 24
"""What it journals at least."""
SLOTS = 2
TRIES = int(os.environ.get("FAULT_TRIES", "2"))
"""Random moments of each kind; `make faults` sets it."""


@dataclass(frozen=True)
class StudyProgram:
    """The study below `root`, as a program."""

    root: Path
    environment: dict[str, str]

    @property
    def journal(self) -> Path:
        return RunLayout(self.root).journal

    def start(self) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "tests.execute_study", str(self.root)]
        return subprocess.Popen(
            words, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def finish(self) -> None:
        """The same command, to the end."""
        driver = self.start()
        said, _ = driver.communicate(timeout=200)
        assert driver.returncode == 0, said

    def wait_for_rungs(self, driver: subprocess.Popen[str], count: int) -> None:
        while self.num_rungs() < count:
            assert driver.poll() is None, "the driver ended before its time"
            time.sleep(0.003)

    def num_rungs(self) -> int:
        return self.journal.read_bytes().count(b'"event":"rung"') if self.journal.is_file() else 0

    def check(self, num_faults: int) -> int:
        """Holds what must be true after any fault; returns the images that were trained in vain."""
        events = read_events(self.journal)
        study = fold(events)
        rungs = [(event["trial"], event["images"]) for event in events if event["event"] == "rung"]
        assert len(rungs) == len(set(rungs)), "a journaled rung was trained again"
        assert study.num_running == 0
        assert len(study.trials) == NUM_TRIALS
        assert not [trial for trial in study.trials.values() if trial.outcome is None or trial.outcome.value == "failed"]
        pieces = [tuple(map(int, line.split())) for line in (self.root / "pieces.log").read_text().splitlines()]
        in_vain = sum(images - start for _, start, images in pieces) - study.images_trained
        assert 0 <= in_vain <= num_faults * SLOTS * (RUNGS[-1] - RUNGS[-2]), "more than one stretch a slot was lost"
        return in_vain


@contextmanager
def study_program(root: Path) -> Iterator[StudyProgram]:
    """A study whose Ray keeps its files in a directory of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as sessions:
        yield StudyProgram(root=root, environment={**os.environ, "RAY_TMPDIR": sessions, "PYTHONPATH": str(ROOT)})


def moment(seed: int) -> int:
    """After how many rungs the fault comes."""
    return random.Random(seed).randint(1, NUM_RUNGS - 2)


def child_of(driver: subprocess.Popen[str], is_it: Callable[[psutil.Process], bool]) -> psutil.Process | None:
    """A process below the driver; None where there is none just now."""
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            if is_it(process):
                return process
        except psutil.Error:
            continue
    return None


def is_raylet(process: psutil.Process) -> bool:
    return process.name() == "raylet"


def is_worker(process: psutil.Process) -> bool:
    """A process that trains; the driver's board of progress is none."""
    line = " ".join(process.cmdline())
    return line.startswith("ray::") and "Stretch" in line
