"""Small studies as programs, hit by faults at moments that a seed decides, and the table of what that cost."""

from __future__ import annotations

import math
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
from tests.faults.ledger import ledger

ROOT = Path(__file__).parents[2]
NUM_TRIALS = 18
"""Of `tests.execute_study`."""
NUM_RUNGS = 24
"""What it journals at least."""
SLOTS = 2
SECONDS_PER_RUNG = 0.15
"""So long that a study is not over before its faults have come."""
TRIES = int(os.environ.get("FAULT_TRIES", "3"))
"""Faults of each kind, at least; `make faults` sets it."""
PATIENCE = 1.0 if TRIES > 1 else 0.05
"""Of workers whose disk stays lost: the short form does not wait the 85 seconds that they would."""
FAULTS_PER_STUDY = min(3, TRIES)
STUDIES = range(math.ceil(TRIES / FAULTS_PER_STUDY))
"""Seeds of the studies that have so many faults."""
STUDIES_KILLED = range(max(7, len(STUDIES)))
"""The same of those in which driver or worker are killed: with those of the raylet some twenty, also where `TRIES` is 1."""
STUDIES_WITHOUT_RAY = range(max(6, TRIES))
"""Seeds of the studies whose raylet is killed, once each."""


@dataclass(frozen=True)
class StudyProgram:
    """The study below `root`, as a program."""

    root: Path
    environment: dict[str, str]
    seconds_per_rung: float
    patience: float

    @property
    def journal(self) -> Path:
        return RunLayout(self.root).journal

    def start(self) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "tests.execute_study", str(self.root), str(self.seconds_per_rung), str(self.patience)]
        return subprocess.Popen(
            words, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def finish(self) -> None:
        """The same command, to the end."""
        self.wait(self.start())

    def wait(self, driver: subprocess.Popen[str]) -> None:
        """Until the driver has ended well."""
        said, _ = driver.communicate(timeout=300)
        assert driver.returncode == 0, said

    def wait_for_rungs(self, driver: subprocess.Popen[str], count: int) -> None:
        while self.num_rungs() < count:
            assert driver.poll() is None, f"the driver ended before its time: {driver.communicate()[0]}"
            time.sleep(0.003)

    def num_rungs(self) -> int:
        try:
            return self.journal.read_bytes().count(b'"event":"rung"')
        except OSError:  # not yet there, or just now not there
            return 0

    def check(self, fault: str, num_faults: int) -> None:
        """Holds what must be true after `num_faults` of a kind, and enters into the ledger what they cost."""
        events = read_events(self.journal)
        study = fold(events)
        rungs = [(event["trial"], event["images"]) for event in events if event["event"] == "rung"]
        assert len(rungs) == len(set(rungs)), "a journaled rung was trained again"
        assert study.num_running == 0
        assert len(study.trials) == NUM_TRIALS
        assert not [trial for trial in study.trials.values() if trial.outcome is None or trial.outcome.value == "failed"]
        pieces = [tuple(map(int, line.split())) for line in (self.root / "pieces.log").read_text().splitlines()]
        in_vain = sum(images - start for _, start, images in pieces) - study.images_trained
        assert 0 <= in_vain <= num_faults * SLOTS * (RUNGS[-1] - RUNGS[-2]), "more than one piece a slot was lost"
        ledger.studied(fault, num_faults, num_rungs=len(rungs), num_again=len(pieces) - len(rungs))


@contextmanager
def study_program(
    root: Path, *, seconds_per_rung: float = SECONDS_PER_RUNG, patience: float = 1.0, **environment: str
) -> Iterator[StudyProgram]:
    """A study whose Ray keeps its files in a directory of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as sessions:
        own = {"RAY_TMPDIR": sessions, "PYTHONPATH": str(ROOT)}
        yield StudyProgram(root, {**os.environ, **own, **environment}, seconds_per_rung, patience)


def moments(kind: str, seed: int, count: int = FAULTS_PER_STUDY) -> list[int]:
    """After how many rungs the faults of a study come: one in each part of it."""
    draw = random.Random(f"{kind} {seed}")
    width = (NUM_RUNGS - 2) // count
    return [part * width + draw.randint(1, width - 1) for part in range(count)]


def child_of(driver: subprocess.Popen[str], is_it: Callable[[psutil.Process], bool]) -> psutil.Process | None:
    """A process below the driver; None where there is none just now."""
    for process in psutil.Process(driver.pid).children(recursive=True):
        try:
            if is_it(process):
                return process
        except psutil.Error:
            continue
    return None


def raylet_of(driver: subprocess.Popen[str]) -> psutil.Process | None:
    """Ray's own process below the driver, once it is there; None where the driver ends without one."""
    while driver.poll() is None:
        raylet = child_of(driver, _is_raylet)
        if raylet is not None:
            return raylet
        time.sleep(0.01)
    return None


def _is_raylet(process: psutil.Process) -> bool:
    return process.name() == "raylet"


def is_worker(process: psutil.Process) -> bool:
    """A process that trains; the driver's board of progress is none."""
    line = " ".join(process.cmdline())
    return line.startswith("ray::") and "Stretch" in line
