"""Checkpoints are kept for the study as a whole: those that may still be resumed, within a bound."""

import math
import random
from pathlib import Path

import pytest

from hpsearch.execute.checkpoints import MAX_WAITING_PER_RUNG, CheckpointKeeper, resumable_trials
from hpsearch.layout import RunLayout
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.simulator import simulate
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Outcome

SPACE = Space.from_dict({"x": {"low": 0.0, "high": 1.0}, "pace": {"low": 1.0, "high": 3.0}})
RUNGS = (10, 30, 90, 270)


def opened(num_trials: int | None, seed: int = 0) -> Engine:
    config = EngineConfig(rungs=RUNGS, sampler="random", num_trials=num_trials, seed=seed)
    return Engine.open(SPACE, config, Journal.in_memory())


def at_first_rung(engine: Engine, values: list[float]) -> None:
    """Each value is of a new trial; promotions are taken and left running."""
    for value in values:
        trial = len(engine.study.trials)
        while (stretch := engine.next(0)) is not None and stretch.trial != trial:
            pass
        engine.report(trial, RUNGS[0], value)


def test_trials_ranked_too_low_for_any_promotion_are_not_kept() -> None:
    engine = opened(num_trials=6)
    at_first_rung(engine, [0.1, 0.2])  # 6 trials: at most 2 are ever promoted
    assert resumable_trials(engine.study) == {0, 1}
    at_first_rung(engine, [0.3])
    assert 0 not in resumable_trials(engine.study)


def test_running_trial_is_kept_whatever_its_rank() -> None:
    engine = opened(num_trials=30)
    at_first_rung(engine, [0.9, 0.8, 0.1])
    stretch = engine.next(0)
    assert stretch is not None
    assert stretch.from_images > 0 or stretch.trial == 3
    assert stretch.trial in resumable_trials(engine.study)


def test_ended_trial_is_not_kept() -> None:
    engine = opened(num_trials=6)
    at_first_rung(engine, [0.5])
    stretch = engine.next(0)
    assert stretch is not None
    engine.end(stretch.trial, Outcome.DIVERGED)
    assert stretch.trial not in resumable_trials(engine.study)


def test_trial_cut_short_is_kept() -> None:
    engine = opened(num_trials=6)
    stretch = engine.next(0)
    assert stretch is not None
    engine.end(stretch.trial, Outcome.PAUSED, "interrupted")
    assert resumable_trials(engine.study) == {stretch.trial}


def test_best_completed_trial_is_kept_and_the_others_are_not() -> None:
    engine = opened(num_trials=9)
    simulate(engine, lambda params, images: float(params["x"]), num_workers=2)
    best = engine.best()
    assert best is not None
    assert resumable_trials(engine.study) == {best.number}


@pytest.mark.parametrize("num_trials", [200, None])
@pytest.mark.parametrize("num_slots", [4, 64])
def test_study_of_200_trials_stays_within_the_bound_and_no_promoted_trial_misses_its_checkpoint(
    tmp_path: Path, num_trials: int | None, num_slots: int
) -> None:
    layout = RunLayout(tmp_path)
    engine = opened(num_trials, seed=num_slots)
    keeper = CheckpointKeeper(layout, engine.study)
    noise = random.Random(0)
    held: list[int] = []

    def evaluate(params: dict[str, float], images: int) -> float:
        held.append(len(list(layout.trials.glob("*/checkpoint.pt"))))
        return params["x"] + 0.3 * noise.gauss(0, 1) / math.sqrt(images / RUNGS[0])

    class Watched:
        """The engine, with a checkpoint written before each report as a worker would."""

        study = engine.study

        def next(self, slot: int) -> object:
            stretch = engine.next(slot) if len(engine.study.trials) < 200 else None
            if stretch is not None and stretch.from_images:
                assert layout.checkpoint(stretch.trial).is_file()
            return stretch

        def report(self, trial: int, images: int, value: float, seconds: float) -> bool:
            layout.trial(trial).mkdir(parents=True, exist_ok=True)
            layout.checkpoint(trial).touch()
            going_on = engine.report(trial, images, value, seconds)
            keeper.sweep(trial)
            return going_on

    simulate(Watched(), evaluate, num_workers=num_slots, seconds_per_image=lambda params: params["pace"])
    assert len(engine.study.trials) == 200
    of_waiting, of_running_and_best = MAX_WAITING_PER_RUNG * (len(RUNGS) - 1), 2 * num_slots + 1
    assert 10 < max(held) <= of_waiting + of_running_and_best


def test_sweep_at_the_start_of_a_run_deletes_what_earlier_runs_left(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    engine = opened(num_trials=9)
    simulate(engine, lambda params, images: float(params["x"]), num_workers=2)
    for number in range(9):
        layout.trial(number).mkdir(parents=True)
        layout.checkpoint(number).touch()
    CheckpointKeeper(layout, engine.study).sweep()
    best = engine.best()
    assert best is not None
    assert list(layout.trials.glob("*/checkpoint.pt")) == [layout.checkpoint(best.number)]
