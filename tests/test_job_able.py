"""Which trials the finals take, and what is said where there are none."""

from pathlib import Path

import pytest

from hpsearch.errors import NoUsableTrialError
from hpsearch.job.able import able_trials
from hpsearch.search.engine import Engine
from hpsearch.search.journal import Journal
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Outcome

LOG = Path("runs/r/hpsearch.log")


def engine_of(num_trials: int) -> Engine:
    """One whose trials have all been handed out."""
    config = EngineConfig(rungs=(10, 30), sampler="random", num_trials=num_trials)
    engine = Engine.open(Space.from_dict({"x": {"low": 0.0, "high": 1.0}}), config, Journal.in_memory())
    assert all(engine.next(slot) is not None for slot in range(num_trials))
    return engine


def test_the_best_trial_comes_first() -> None:
    engine = engine_of(2)
    engine.report(0, 10, 0.6)
    engine.report(1, 10, 0.7)
    assert [trial.number for trial in able_trials(engine.study, LOG)] == [1, 0]


def test_the_reasons_are_said_where_no_trial_can_be_trained() -> None:
    engine = engine_of(1)
    engine.end(0, Outcome.INFEASIBLE, "does not fit the memory")
    with pytest.raises(NoUsableTrialError, match=r"(?s)trial 0 infeasible: does not fit the memory.*hpsearch\.log"):
        able_trials(engine.study, LOG)


def test_too_little_time_for_a_first_rung_is_said() -> None:
    with pytest.raises(NoUsableTrialError, match="give more time with --minutes"):
        able_trials(engine_of(1).study, LOG)
