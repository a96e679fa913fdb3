"""The engine in virtual time: budgets, failures, several workers, and the size of studies that it bears."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hpsearch.config import Params
from hpsearch.errors import DivergedError, InfeasibleError
from hpsearch.search.engine import Engine
from hpsearch.search.fold import fold
from hpsearch.search.journal import Journal
from hpsearch.search.simulator import simulate
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Outcome

SPACE = Space.from_dict(
    {
        "x": {"low": 0.0, "high": 1.0},
        "lr": {"low": 1e-5, "high": 1e-1, "log": True},
        "kind": {"choices": ["a", "b"]},
        "depth": {"low": 1, "high": 8, "when": {"kind": ["b"]}},
    }
)


def learning_curve(params: Params, images: int) -> float:
    """Rises with images to a height that the parameters decide; 1 at best."""
    height = 1.0 - (float(params["x"]) - 0.3) ** 2 - 0.05 * (math.log10(float(params["lr"])) + 3.0) ** 2
    height -= 0.2 * (params["kind"] == "a") + 0.02 * abs(float(params.get("depth", 4)) - 4)
    return height - 0.3 / math.sqrt(images)


def opened(num_trials: int | None, *, sampler: Any = "random", seed: int = 0, journal: Journal | None = None) -> Engine:
    config = EngineConfig(rungs=(1, 3, 9, 27), sampler=sampler, num_trials=num_trials, seed=seed)
    return Engine.open(SPACE, config, journal or Journal.in_memory())


def test_a_study_runs_to_its_end_and_costs_what_its_rungs_cost() -> None:
    engine = opened(81)
    result = simulate(engine, learning_curve, num_workers=1)
    assert engine.finished
    assert [len(table) for table in engine.study.rungs.values()] == [81, 27, 9, 3]
    assert result.images_trained == engine.study.images_trained == 81 + 27 * 2 + 9 * 6 + 3 * 18 == result.seconds


def test_workers_share_the_work() -> None:
    alone = simulate(opened(81), learning_curve, num_workers=1)
    shared = simulate(opened(81), learning_curve, num_workers=4)
    assert alone.seconds / 4 <= shared.seconds < alone.seconds / 3


def test_few_more_than_the_best_third_go_on_although_the_sampler_improves() -> None:
    """Ray's ASHA lets 29 % of an improving stream of trials reach the top; ideal is 1/27."""
    engine = opened(64)
    values = iter(range(10_000))
    simulate(engine, lambda params, images: float(next(values)), num_workers=4)
    assert len(engine.study.rungs[27]) <= 64 // 27


def test_the_budget_is_a_hard_one_and_what_it_cuts_short_is_handed_out_first_later() -> None:
    engine = opened(None)
    result = simulate(engine, learning_curve, num_workers=4, budget_images=100)
    assert result.images_trained == 100
    assert 85 <= engine.study.images_trained <= 100
    cut_short = list(engine.study.queue)
    assert cut_short
    assert [engine.next(slot).trial for slot in range(len(cut_short))] == cut_short  # type: ignore[union-attr]


def test_lost_workers_cost_images_but_no_trial() -> None:
    random = np.random.default_rng(0)
    engine = opened(60)
    result = simulate(engine, learning_curve, num_workers=4, loses_worker=lambda _: bool(random.random() < 0.1))
    assert engine.finished
    assert engine.study.counts()[Outcome.FAILED] == 0
    assert result.images_trained > engine.study.images_trained
    assert len(engine.study.rungs[1]) == 60


def test_trials_that_diverge_or_do_not_fit_end_and_the_others_go_on() -> None:
    def task(params: Params, images: int) -> float:
        if float(params["x"]) > 0.8:
            raise InfeasibleError("out of memory")
        if float(params["lr"]) > 1e-2:
            raise DivergedError("loss is nan")
        return learning_curve(params, images)

    engine = opened(60)
    simulate(engine, task, num_workers=4)
    counts = engine.study.counts()
    assert counts[Outcome.INFEASIBLE] == sum(float(t.params["x"]) > 0.8 for t in engine.study.trials.values()) > 0
    assert counts[Outcome.DIVERGED] > 0
    assert sum(counts.values()) == 60
    best = engine.best()
    assert best is not None
    assert best.outcome is Outcome.COMPLETED


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_same_seed_gives_the_same_study(sampler: str) -> None:
    journals = []
    for _ in range(2):
        journals.append(Journal.in_memory())
        simulate(opened(40, sampler=sampler, journal=journals[-1]), learning_curve, num_workers=3)
    assert journals[0].events == journals[1].events
    assert journals[0].events != simulate_other_seed(sampler)


def simulate_other_seed(sampler: str) -> list[dict[str, Any]]:
    journal = Journal.in_memory()
    simulate(opened(40, sampler=sampler, journal=journal, seed=1), learning_curve, num_workers=3)
    return journal.events


def quantile_of_seconds(call: Callable[[int], object], num_calls: int, quantile: float) -> float:
    """CPU seconds, which other processes on this machine do not change."""
    seconds = []
    for number in range(num_calls):
        start = time.process_time()
        call(number)
        seconds.append(time.process_time() - start)
    return float(np.quantile(seconds, quantile))


@pytest.fixture(scope="module")
def large_study() -> Engine:
    """2,000 trials on 200 workers; 200 of them live."""
    engine = opened(2_000)
    simulate(
        engine, learning_curve, num_workers=200, budget_images=5_000, seconds_per_image=lambda params: 0.5 + float(params["x"])
    )
    assert len(engine.study.trials) > 1_700
    return engine


def test_rung_decisions_stay_fast_in_a_large_study(large_study: Engine) -> None:
    engine = Engine.open(SPACE, large_study._config, Journal.in_memory(large_study._journal.events))
    stretches = [stretch for slot in range(200) if (stretch := engine.next(slot)) is not None]
    seconds = quantile_of_seconds(
        lambda slot: engine.report(stretches[slot].trial, stretches[slot].to_images, 0.5), len(stretches), 0.5
    )
    assert seconds <= 0.005


def test_suggestions_stay_fast_in_a_large_study(large_study: Engine) -> None:
    config = EngineConfig(rungs=(1, 3, 9, 27), sampler="tpe")
    engine = Engine(SPACE, config, Journal.in_memory(large_study._journal.events))
    engine._proposer.propose(engine.study, 3_000)
    assert quantile_of_seconds(lambda number: engine._proposer.propose(engine.study, 3_000 + number), 20, 0.95) <= 0.05


def test_a_large_journal_is_folded_fast(large_study: Engine) -> None:
    assert quantile_of_seconds(lambda _: fold(large_study._journal.events), 1, 1.0) <= 2.0
