"""Small studies as programs, hit by faults at moments that a seed decides, and the table of what that cost."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
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
"""Of a study, where nothing else is said."""
SLOTS = 2
SECONDS_PER_RUNG = 0.15
"""So long that a study is not over before its faults have come."""
TRIES = int(os.environ.get("FAULT_TRIES", "3"))
"""Faults of each kind, at least; `make faults` sets it."""
PATIENCE = 1.0 if TRIES > 1 else 0.05
"""Of workers whose disk stays lost: the short form does not wait the 85 seconds that they would."""
FAULTS_PER_STUDY = min(3, TRIES)
NUM_TRIALS_KILLED = 3 + 3 * FAULTS_PER_STUDY
"""Of studies whose processes are killed in training."""
SECONDS_PER_RUNG_KILLED = {"driver": 3.0, "worker": 2.0, "raylet": 2.0}
"""In these; workers outlive their driver by two seconds and their raylet by one, and would finish shorter pieces."""
STUDIES = range(math.ceil(TRIES / FAULTS_PER_STUDY))
"""Seeds of the studies that have so many faults."""
STUDIES_KILLED = range(max(7, len(STUDIES)))
"""The same of those in which driver or worker are killed: with those of the raylet some twenty, also where `TRIES` is 1."""
STUDIES_WITHOUT_RAY = range(max(6, TRIES))
"""Seeds of the studies whose raylet is killed, once each."""


Piece = tuple[int, int, int]
"""What is trained between two rungs: trial, images before, images after."""


@dataclass(frozen=True)
class StudyProgram:
    """The study below `root`, as a program."""

    root: Path
    environment: dict[str, str]
    seconds_per_rung: float
    patience: float
    num_trials: int

    @property
    def journal(self) -> Path:
        return RunLayout(self.root).journal

    def start(self) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "tests.execute_study", self.root, self.seconds_per_rung, self.patience, self.num_trials]
        return subprocess.Popen(
            list(map(str, words)), cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
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

    def wait_into_piece(self, driver: subprocess.Popen[str], moment: int, part: float) -> Piece:
        """Until `moment` rungs are journaled, and then until `part` of the piece is over that begins next."""
        self.wait_for_rungs(driver, moment)
        num_begun = len(self.pieces())
        while len(pieces := self.pieces()) == num_begun:
            assert driver.poll() is None, f"the driver ended before its time: {driver.communicate()[0]}"
            time.sleep(0.003)
        time.sleep(part * self.seconds_per_rung)
        return pieces[-1]

    def pieces(self) -> list[Piece]:
        """All that were begun, in order."""
        log = self.root / "pieces.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(trial, start, images) for trial, start, images in (map(int, line.split()) for line in lines)]

    def worker_of(self, piece: Piece) -> psutil.Process:
        """The process that trains it."""
        worker = psutil.Process(int(RunLayout(self.root).checkpoint(piece[0]).with_name("pid").read_text()))
        assert worker.cmdline()[0].startswith("ray::_Inner.train"), worker.cmdline()
        return worker

    def num_rungs(self) -> int:
        try:
            return self.journal.read_bytes().count(b'"event":"rung"')
        except OSError:  # not yet there, or just now not there
            return 0

    def check(self, fault: str, num_faults: int) -> int:
        """Holds what must be true after `num_faults` of a kind, and enters into the ledger what they cost.

        Returns:
            How many pieces were begun again.
        """
        events = read_events(self.journal)
        study = fold(events)
        rungs = [(event["trial"], event["images"]) for event in events if event["event"] == "rung"]
        assert len(rungs) == len(set(rungs)), "a journaled rung was trained again"
        assert study.num_running == 0
        assert len(study.trials) == self.num_trials
        assert not [trial for trial in study.trials.values() if trial.outcome is None or trial.outcome.value == "failed"]
        pieces = self.pieces()
        in_vain = sum(images - start for _, start, images in pieces) - study.images_trained
        assert 0 <= in_vain <= num_faults * SLOTS * (RUNGS[-1] - RUNGS[-2]), "more than one piece a slot was lost"
        num_again = len(pieces) - len(rungs)
        ledger.studied(fault, num_faults, num_rungs=len(rungs), num_again=num_again)
        return num_again


@contextmanager
def study_program(
    root: Path,
    *,
    seconds_per_rung: float = SECONDS_PER_RUNG,
    patience: float = 1.0,
    num_trials: int = NUM_TRIALS,
    **environment: str,
) -> Iterator[StudyProgram]:
    """A study whose Ray keeps its files in a directory of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as sessions:
        own = {"RAY_TMPDIR": sessions, "PYTHONPATH": str(ROOT)}
        yield StudyProgram(root, {**os.environ, **own, **environment}, seconds_per_rung, patience, num_trials)


def study_to_kill(root: Path, kind: str) -> AbstractContextManager[StudyProgram]:
    """A study of pieces so long that what kills a process of this kind falls into training."""
    return study_program(root, seconds_per_rung=SECONDS_PER_RUNG_KILLED[kind], num_trials=NUM_TRIALS_KILLED)


def moments(kind: str, seed: int, count: int = FAULTS_PER_STUDY, num_rungs: int = NUM_TRIALS * 4 // 3 - 2) -> list[int]:
    """After how many of these rungs the faults of a study come: one in each part of it."""
    draw = random.Random(f"{kind} {seed}")
    width = num_rungs // count
    return [part * width + draw.randint(1, width - 1) for part in range(count)]


def moments_in_training(kind: str, seed: int, count: int = FAULTS_PER_STUDY) -> list[tuple[int, float]]:
    """The same of studies of `study_to_kill`, and which part of the next piece is over then."""
    draw = random.Random(f"{kind} {seed} pieces")
    num_rungs = NUM_TRIALS_KILLED * 4 // 3 - 2 * SLOTS  # two slots have still to begin one each
    return [(moment, draw.uniform(0, 0.25)) for moment in moments(kind, seed, count, num_rungs)]


def raylet_of(driver: subprocess.Popen[str]) -> psutil.Process:
    """Ray's own process below the driver."""
    return next(child for child in psutil.Process(driver.pid).children(recursive=True) if child.name() == "raylet")
