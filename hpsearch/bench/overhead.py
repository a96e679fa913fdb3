"""What a study costs beside training: a trial that does nothing on real Ray, and the engine's decisions in virtual time."""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.config import Params, Sampler
from hpsearch.execute.connect import connect
from hpsearch.execute.resources import TrialResources
from hpsearch.execute.search_loop import run_search
from hpsearch.execute.stretch import RungReport
from hpsearch.layout import RunLayout
from hpsearch.search.engine import Engine
from hpsearch.search.fold import fold
from hpsearch.search.journal import Journal, read_events
from hpsearch.search.simulator import simulate
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Stretch
from hpsearch.train.progress import OnProgress

STEPS = (1, 3, 9, 27)
"""Rungs of the simulated study."""
STUDY_SPACE: dict[str, Any] = {
    "backbone": {"choices": ["a", "b", "c", "d"]},
    "se_reduction": {"choices": [0, 2, 4, 8, 16], "when": {"backbone": ["a", "b"]}},
    "lr": {"low": 1e-5, "high": 1e-1, "log": True},
    **{f"strength{index}": {"low": 0.0, "high": 1.0} for index in range(8)},
    **{f"conditional{index}": {"low": 0.0, "high": 1.0, "when": {"backbone": ["b", "c"]}} for index in range(4)},
    **{f"count{index}": {"low": 1, "high": 20} for index in range(3)},
}
"""As many parameters, and of the same kinds, as a wide space file has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineTimes:
    """Of one simulated study, in wall time of the driver."""

    num_trials: int
    """Trials started."""
    num_workers: int
    """Virtual workers."""
    sampler: str
    """What proposed them."""
    decision_ms_median: float
    """Taking in a rung value and deciding whether its trial goes on, the journal's write included."""
    suggestion_ms_p95: float
    """Proposing a new trial: the 95th percentile."""
    num_events: int
    """Lines of the journal at the end."""
    fold_seconds: float
    """Reading and folding all of them, as a continued study does."""


class _TimedEngine(Engine):
    """Keeps how long each answer took."""

    def __init__(self, space: Space, config: EngineConfig, journal: Journal) -> None:
        super().__init__(space, config, journal)
        self.decision_seconds: list[float] = []
        self.suggestion_seconds: list[float] = []

    def next(self, slot: int) -> Stretch | None:
        num_trials, began = len(self.study.trials), time.perf_counter()
        stretch = super().next(slot)
        if len(self.study.trials) > num_trials:
            self.suggestion_seconds.append(time.perf_counter() - began)
        return stretch

    def report(
        self, trial: int, images: int, value: float, seconds: float = 0.0, metrics: Mapping[str, Any] | None = None
    ) -> bool:
        began = time.perf_counter()
        goes_on = super().report(trial, images, value, seconds, metrics)
        self.decision_seconds.append(time.perf_counter() - began)
        return goes_on


def time_engine(*, num_trials: int, num_workers: int, sampler: Sampler) -> EngineTimes:
    """Simulates a study with its journal on disk, and times the driver's share of it."""
    config = EngineConfig(rungs=STEPS, sampler=sampler, num_trials=num_trials)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        with contextlib.closing(Journal(path)) as journal:
            engine = _TimedEngine.open(Space.from_dict(STUDY_SPACE), config, journal)
            simulate(
                engine,
                lambda params, steps: _value(params, steps) + 0.05 * float(random.normal()),
                num_workers=num_workers,
                seconds_per_image=lambda params: 0.5 + float(params["strength0"]),
            )
        began = time.perf_counter()
        events = read_events(path)
        fold(events)
        fold_seconds = time.perf_counter() - began
    return EngineTimes(
        num_trials=num_trials,
        num_workers=num_workers,
        sampler=sampler,
        decision_ms_median=1_000 * float(np.median(engine.decision_seconds)),
        suggestion_ms_p95=1_000 * float(np.quantile(engine.suggestion_seconds, 0.95)),
        num_events=len(events),
        fold_seconds=fold_seconds,
    )


def _value(params: Params, steps: int) -> float:
    """A learning curve with its best in the middle of the learning rates."""
    off = sum((float(params[f"strength{index}"]) - 0.3) ** 2 for index in range(8))
    return -off - (math.log10(float(params["lr"])) + 3) ** 2 / 4 - 1 / math.sqrt(steps)


class NothingRunner:
    """Reports at once."""

    def run(self, stretch: Stretch, on_progress: OnProgress) -> Iterator[RungReport]:
        """The trial's number as its value."""
        yield RungReport(images=stretch.to_images, value=float(stretch.trial))


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialTimes:
    """Of trials that do nothing, on a Ray of this machine."""

    num_trials: int
    """Trials run."""
    num_workers: int
    """Worker processes."""
    startup_seconds: float
    """From asking Ray to start to the first trial's end."""
    seconds_per_trial: float
    """From then on, wall time by trials: proposed, journaled, run and reported."""


def time_trials(*, num_trials: int, num_workers: int) -> TrialTimes:
    """Runs trials that do nothing, and times them.

    Raises:
        ClusterError: Ray does not start.
    """
    config = EngineConfig(rungs=(1,), sampler="random", num_trials=num_trials)
    ended: list[float] = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        layout = RunLayout(Path(folder))
        with contextlib.closing(Journal(layout.journal)) as journal, connect("", tune_dir=layout.tune):
            run_search(
                Engine.open(Space.from_dict(STUDY_SPACE), config, journal),
                NothingRunner,
                resources=TrialResources(cpus=1.0, gpus=0.0, slots=num_workers, max_slots=num_workers),
                tune_dir=layout.tune,
                on_event=lambda event: ended.append(time.perf_counter()) if event.kind == "rung" else None,
            )
    return TrialTimes(
        num_trials=num_trials,
        num_workers=num_workers,
        startup_seconds=ended[0] - began,
        seconds_per_trial=(ended[-1] - ended[0]) / (num_trials - 1),
    )


def as_text(engine: EngineTimes, trials: TrialTimes) -> str:
    """Lines for a terminal."""
    return "\n".join(
        [
            f"a trial that does nothing, {trials.num_workers} workers, {trials.num_trials} trials on Ray",
            f"  start-up to the first trial's end   {trials.startup_seconds:8.2f} s",
            f"  each trial after that               {trials.seconds_per_trial:8.3f} s",
            f"the engine in virtual time, {engine.num_trials:,} trials on {engine.num_workers} workers, {engine.sampler}",
            f"  a decision at a rung, median        {engine.decision_ms_median:8.2f} ms",
            f"  a suggestion, 95th percentile       {engine.suggestion_ms_p95:8.1f} ms",
            f"  reading and folding {engine.num_events:>6,} events   {engine.fold_seconds:8.2f} s",
        ]
    )
