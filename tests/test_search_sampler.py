"""Samplers: what they are told of each trial, what they then propose, and what they never read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpsearch.config import Params
from hpsearch.errors import InputError
from hpsearch.search.engine import Engine
from hpsearch.search.fold import Study
from hpsearch.search.journal import Journal
from hpsearch.search.sampler import RandomProposer
from hpsearch.search.simulator import simulate
from hpsearch.search.space import Space
from hpsearch.search.tpe_sampler import MAX_HISTORY, TpeProposer
from hpsearch.search.types import EngineConfig, Outcome

RUNGS = (1, 3, 9)
SPACE = Space.from_dict(
    {
        "x": {"low": 0.0, "high": 1.0},
        "kind": {"choices": ["a", "b"]},
        "y": {"low": 0.0, "high": 1.0, "when": {"kind": ["b"]}},
    }
)


def opened(space: Space = SPACE, sampler: Any = "random", **changes: Any) -> Engine:
    earlier = changes.pop("earlier", None)
    config = EngineConfig(**{"rungs": RUNGS, "sampler": sampler} | changes)
    return Engine.open(space, config, Journal.in_memory(), earlier=earlier)


def searched(value: Any, num_trials: int = 60, **changes: Any) -> Study:
    engine = opened(num_trials=num_trials, **changes)
    simulate(engine, value, num_workers=4)
    return engine.study


def proposals(study: Study, space: Space = SPACE, num: int = 60) -> list[Params]:
    proposer = TpeProposer(space, EngineConfig(rungs=RUNGS))
    return [proposer.propose(study, 1000 + number) for number in range(num)]


def mean(params: list[Params], name: str) -> float:
    return float(np.mean([float(p[name]) for p in params if name in p]))


def test_tpe_goes_where_values_are_high() -> None:
    found = proposals(searched(lambda p, _: -abs(float(p["x"]) - 0.8)))
    assert np.mean([abs(float(p["x"]) - 0.8) < 0.2 for p in found]) > 0.7


def test_tpe_learns_a_conditional_parameter_within_its_branch() -> None:
    found = proposals(searched(lambda p, _: -abs(float(p["y"]) - 0.2) if "y" in p else -0.5))
    assert np.mean([abs(float(p["y"]) - 0.2) < 0.2 for p in found if "y" in p]) > 0.6
    assert all(("y" in p) == (p["kind"] == "b") for p in found)


def test_tpe_learns_from_paused_trials_alone() -> None:
    engine = opened()
    for _ in range(60):
        stretch = engine.next(0)
        assert stretch is not None
        if stretch.from_images == 0:
            engine.report(stretch.trial, 1, -abs(float(stretch.params["x"]) - 0.8))
    assert engine.study.counts()[Outcome.COMPLETED] == 0
    found = proposals(engine.study)
    assert np.mean([abs(float(p["x"]) - 0.8) < 0.2 for p in found]) > 0.6


@pytest.mark.parametrize("outcome", [Outcome.INFEASIBLE, Outcome.DIVERGED, Outcome.FAILED])
def test_tpe_keeps_away_from_what_could_not_be_trained(outcome: Outcome) -> None:
    engine = opened()
    for _ in range(60):
        stretch = engine.next(0)
        assert stretch is not None
        if float(stretch.params["x"]) > 0.5:
            engine.end(stretch.trial, outcome, "out of memory")
        else:
            engine.report(stretch.trial, stretch.to_images, 0.5)
    found = proposals(engine.study)
    assert np.mean([float(p["x"]) > 0.55 for p in found]) < 0.15


def test_tpe_forgets_no_infeasible_trial_however_old() -> None:
    engine = opened()
    for _ in range(30):
        stretch = engine.next(0)
        assert stretch is not None
        engine.end(stretch.trial, Outcome.INFEASIBLE)
    simulate(engine, lambda p, _: float(p["x"]), num_workers=1, budget_images=3 * MAX_HISTORY)
    proposer = TpeProposer(SPACE, EngineConfig(rungs=RUNGS))
    told = proposer.history(engine.study)
    assert len(told) < len(engine.study.trials)
    assert {trial.number for trial in told} >= set(range(30))
    best = engine.best()
    assert best is not None
    assert best.number in {trial.number for trial in told}


def test_a_proposal_depends_on_seed_number_and_study_alone() -> None:
    study = searched(lambda p, _: float(p["x"]))
    fresh = TpeProposer(SPACE, EngineConfig(rungs=RUNGS))
    used = TpeProposer(SPACE, EngineConfig(rungs=RUNGS))
    for number in range(5):
        used.propose(study, number)
    assert used.propose(study, 99) == fresh.propose(study, 99)
    assert fresh.propose(study, 99) != fresh.propose(study, 98)
    assert fresh.propose(study, 99) != TpeProposer(SPACE, EngineConfig(rungs=RUNGS, seed=1)).propose(study, 99)


def test_first_draws_gather_around_start_points_and_random_ones_do_not() -> None:
    space = Space.from_dict({"x": {"low": 0.0, "high": 1.0}, "start": [{"x": 0.9}]})
    config = EngineConfig(rungs=RUNGS)
    tpe = [TpeProposer(space, config).propose(Study(), number) for number in range(200)]
    uniform = [RandomProposer(space, config).propose(Study(), number) for number in range(200)]
    assert mean(tpe, "x") == pytest.approx(0.65, abs=0.06)
    assert mean(uniform, "x") == pytest.approx(0.5, abs=0.06)


def test_a_warm_start_knows_where_earlier_studies_found_good_values() -> None:
    earlier = searched(lambda p, _: 10 - abs(float(p["x"]) - 0.8))
    engine = opened(sampler="tpe", earlier={"runs/a": earlier})
    found = [engine._proposer.propose(engine.study, number) for number in range(60)]
    assert np.mean([abs(float(p["x"]) - 0.8) < 0.2 for p in found]) > 0.7
    assert engine.best() is None


def test_a_warm_start_takes_what_fits_and_draws_the_rest() -> None:
    wider = Space.from_dict({"x": {"low": 0.0, "high": 2.0}, "kind": {"choices": ["b", "c"]}, "z": {"low": 0.0, "high": 1.0}})
    engine = opened(wider, earlier={"runs/a": searched(lambda p, _: float(p["x"]))})
    for trial in engine.study.earlier:
        assert set(trial.params) == {"x", "kind", "z"}
        assert trial.params["kind"] in ("b", "c")
    assert {trial.quality for trial in engine.study.earlier} >= {0.0, 1.0}


def test_a_warm_start_is_journaled_once_and_needs_no_naming_again(tmp_path: Path) -> None:
    earlier = searched(lambda p, _: float(p["x"]), num_trials=300)
    config = EngineConfig(rungs=RUNGS)
    counts = []
    for studies in ({"runs/a": earlier}, {"runs/a": earlier}, {}):
        journal = Journal(tmp_path / "journal.jsonl")
        counts.append(len(Engine.open(SPACE, config, journal, earlier=studies).study.earlier))
        journal.close()
    assert counts == [200, 200, 200]


def test_a_warm_start_from_other_names_is_refused() -> None:
    other = Space.from_dict({"q": {"low": 0.0, "high": 1.0}})
    with pytest.raises(InputError, match=r"--warm-start runs/a: none of its trials has a parameter .*\(q\)"):
        opened(other, earlier={"runs/a": searched(lambda p, _: float(p["x"]))})
