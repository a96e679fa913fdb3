"""What the driver costs as a cluster grows, with trials that sleep instead of training.

Every trial has a process of its own, as on a real cluster, and the driver does all that it does in a study: engine, journal on
disk, Tune. On one machine the workers' processes share its cores with the driver, which a real cluster does not make it do, so
the idle share is an upper bound.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import ray

from hpsearch.execute.auth import prepare_local_token
from hpsearch.execute.resources import TrialResources
from hpsearch.execute.search_loop import run_search
from hpsearch.execute.session import SearchEvent
from hpsearch.execute.stretch import RungReport
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Stretch
from hpsearch.train.progress import OnProgress

RUNGS = (100, 300, 900)
SPACE = {"x": {"low": 0.0, "high": 1.0}, "y": {"low": 1.0e-4, "high": 1.0, "log": True}}
OBJECT_STORE_BYTES = 200 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What one study of sleeping trials cost; counted from the first rung of the last worker on."""

    workers: int
    """Trials at the same time."""
    decisions: int
    """Rungs judged and stretches handed out."""
    decisions_per_second: float
    """Of wall time."""
    driver_ms_per_decision: float
    """CPU time of the driver's process."""
    idle_fraction: float
    """Share of the slots' time in which no trial slept."""
    journal_bytes_per_decision: float
    """What is flushed to disk."""


@dataclass(frozen=True, slots=True)
class SleepingRunner:
    """Sleeps the same time to each rung."""

    seconds: float

    def run(self, stretch: Stretch, on_progress: OnProgress) -> Iterator[RungReport]:
        """Reports the parameter `x`."""
        for images in RUNGS:
            if images > stretch.from_images:
                time.sleep(self.seconds)
                yield RungReport(images=images, value=float(stretch.params["x"]), seconds=self.seconds)


@dataclass(slots=True)
class _Meter:
    """Counts while all slots are filled: from when each has ended a piece, so that workers' start is left out."""

    workers: int
    num_rungs: int
    journal: Path
    warm: set[int] = field(default_factory=set)
    counted: int = 0
    started: int = 0
    begin: tuple[float, float, int] | None = None
    end: tuple[float, float, int] = (0.0, 0.0, 0)

    def __call__(self, event: SearchEvent) -> None:
        if event.kind == "rung":
            self.warm.add(event.slot)
        if self.begin is not None and not self.is_done:
            self.counted += event.kind == "rung"
            self.started += event.kind == "started"
            self.end = self._now()
        elif self.begin is None and len(self.warm) == self.workers:
            self.begin = self._now()

    @property
    def is_done(self) -> bool:
        return self.counted >= self.num_rungs

    def _now(self) -> tuple[float, float, int]:
        return time.perf_counter(), time.process_time(), self.journal.stat().st_size

    def figures(self, seconds: float) -> Figures:
        assert self.begin is not None
        wall, cpu, size = (end - begin for end, begin in zip(self.end, self.begin, strict=True))
        decisions = self.counted + self.started
        return Figures(
            workers=self.workers,
            decisions=decisions,
            decisions_per_second=decisions / wall,
            driver_ms_per_decision=1_000 * cpu / decisions,
            idle_fraction=max(0.0, 1 - self.counted * seconds / (self.workers * wall)),
            journal_bytes_per_decision=size / decisions,
        )


def measure(workers: int, *, seconds: float, rungs_per_worker: int) -> Figures:
    """Runs a study of sleeping trials on a Ray with `workers` logical cores."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        prepare_local_token(root)
        ray.init(  # a Ray of its own, also where one runs on this machine already
            "local", num_cpus=workers, include_dashboard=False, log_to_driver=False, object_store_memory=OBJECT_STORE_BYTES
        )
        try:
            journal = root / "journal.jsonl"
            config = EngineConfig(rungs=RUNGS, sampler="gp", num_trials=None)
            engine = Engine.open(Space.from_dict(SPACE), config, Journal(journal))
            meter = _Meter(workers, rungs_per_worker * workers, journal)
            run_search(
                engine,
                functools.partial(SleepingRunner, seconds),
                resources=TrialResources(cpus=1, gpus=0, slots=workers, max_slots=workers),
                tune_dir=root / "tune",
                should_stop=lambda: meter.is_done,
                on_event=meter,
            )
        finally:
            ray.shutdown()
    return meter.figures(seconds)


def as_text(rows: list[Figures], seconds: float) -> str:
    """A table, one row a number of workers."""
    lines = [
        f"trials sleep {seconds:g} s to each rung",
        f"{'workers':>8} {'decisions':>10} {'decisions/s':>12} {'driver ms each':>15} {'idle':>7} {'journal bytes each':>19}",
    ]
    lines += [
        f"{row.workers:>8} {row.decisions:>10} {row.decisions_per_second:>12.1f} {row.driver_ms_per_decision:>15.1f} "
        f"{row.idle_fraction:>7.1%} {row.journal_bytes_per_decision:>19.0f}"
        for row in rows
    ]
    return "\n".join(lines)
