"""Search methods against each other in virtual time: what is found for 5, 10 and 20 full trainings on 4 workers.

One simulation of the largest budget answers for the smaller ones on the way, since no method knows its budget. The same
configuration has the same noisy curve for every method, so that differences between methods are less noisy than their regrets.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpsearch.bench.curve_tasks import CurveTask
from hpsearch.bench.methods import OWN, RAY
from hpsearch.bench.table_tasks import TABLES, TableTask
from hpsearch.config import Params
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.simulator import simulate
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig

NUM_WORKERS = 4
NUM_STEPS = 27
ETA = 3.0
RUNGS = (3, 9, 27)
"""Rungs of our own methods: as many as a study has by default. Ray's scheduler has a grace period of 1 step by default."""
VERSION = 1
"""Of tasks and simulation; results of another version are not used again."""


class Task(Protocol):
    """A space with learning curves."""

    name: str
    num_steps: int
    space: dict[str, Any]

    def curve(self, params: Params, seed: int) -> NDArray[np.float64]:
        """Values of one training after each step."""
        ...

    def regret(self, params: Params, seed: int) -> float:
        """0: the best there is; 1: the median."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One simulation."""

    suite: str
    """Name of the suite."""
    task: int
    """Index in the suite."""
    method: str
    """A peer, or one of our samplers."""
    seed: int
    """Of the method's choices and of the noise."""
    budgets: tuple[int, ...]
    """Full trainings after which the answer is asked for, ascending."""

    @property
    def key(self) -> str:
        """Identifies the case in the file of results."""
        budgets = ",".join(map(str, self.budgets))
        return f"v{VERSION} {self.suite} {self.task} {self.method} {self.seed} {budgets}"


@lru_cache(maxsize=32)
def make_task(suite: str, index: int) -> CurveTask | TableTask:
    """The task of one index; deterministic.

    Raises:
        InputError: the package that holds the tasks is not installed.
    """
    return CurveTask(index) if suite == "ftpfn" else TableTask(index)


def task_indices(suite: str, first: int, last: int) -> range:
    """Indices of a suite: those asked for, or all tables, of which there are only so many."""
    return range(first, last) if suite == "ftpfn" else range(len(TABLES))


def run_case(case: Case) -> list[float] | None:
    """Regret at each budget; None: the task is one of those left out."""
    task = make_task(case.suite, case.task)
    if not task.is_usable:
        return None
    engine = make_engine(case.method, Space.from_dict(task.space), seed=case.seed * 100_003 + case.task)
    found: list[Params] = []

    def look() -> None:
        best = engine.best()
        assert best is not None, "no budget is smaller than the first reports of the workers"
        found.append(best.params)

    simulate(
        engine,
        evaluator(task, case.seed),
        num_workers=NUM_WORKERS,
        budget_images=case.budgets[-1] * NUM_STEPS,
        milestones=[budget * NUM_STEPS for budget in case.budgets],
        at_milestone=look,
    )
    return [task.regret(params, case.seed) for params in found]


def make_engine(method: str, space: Space, *, seed: int) -> Any:
    """What answers `next`, `report`, `end` and `best`: our engine, or Ray's recipe in its place."""
    if method == RAY:
        from hpsearch.bench.ray_recipe import RayRecipe

        return RayRecipe(space, num_steps=NUM_STEPS, eta=ETA, seed=seed)
    rungs = {"full": (NUM_STEPS,), "one-step": (1,)}.get(method, RUNGS)
    sampler: Any = method if method in OWN else "random"
    config = EngineConfig(rungs=rungs, eta=ETA, seed=seed, sampler=sampler)
    return Engine.open(space, config, Journal.in_memory())


def evaluator(task: Task, seed: int) -> Callable[[Params, int], float]:
    """What `simulate` asks for a configuration's value after so many steps; the same noise for every method."""
    curves: dict[int, NDArray[np.float64]] = {}

    def evaluate(params: Params, images: int) -> float:
        key = zlib.crc32(json.dumps(params, sort_keys=True).encode())
        if key not in curves:
            curves[key] = task.curve(params, seed * 2**32 + key)
        return float(curves[key][images - 1])

    return evaluate


class Results:
    """Regrets by case in a JSON-lines file, so that a benchmark that was cut short goes on where it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self._regrets: dict[str, list[float] | None] = {}
        for line in lines:
            if line.endswith("}"):
                entry = json.loads(line)
                self._regrets[entry["case"]] = entry["regrets"]

    def __contains__(self, case: Case) -> bool:
        return case.key in self._regrets

    def regrets(self, case: Case) -> list[float] | None:
        """Regret at each budget; None: not run, or the task is left out."""
        return self._regrets.get(case.key)

    def add(self, case: Case, regrets: list[float] | None) -> None:
        """Keeps one result, on disk at once."""
        self._regrets[case.key] = regrets
        with self._path.open("a") as file:
            file.write(json.dumps({"case": case.key, "regrets": regrets}) + "\n")


def run_cases(cases: Sequence[Case], results: Results, *, num_processes: int) -> Iterator[int]:
    """Runs those that have no result yet; yields how many of them are done after each."""
    missing = [case for case in cases if case not in results]
    if num_processes == 1:
        for done, case in enumerate(missing, start=1):
            results.add(case, run_case(case))
            yield done
        return
    with ProcessPoolExecutor(num_processes) as pool:
        futures = {pool.submit(run_case, case): case for case in missing}
        for done, future in enumerate(as_completed(futures), start=1):
            results.add(futures[future], future.result())
            yield done
