"""The multi-fidelity sampler: what it learns from, what it can be asked, and how long it takes."""

import math
import time
from typing import Any

import numpy as np
import pytest
from scipy.optimize import check_grad
from threadpoolctl import threadpool_info

from hpsearch.config import Params
from hpsearch.search.engine import Engine
from hpsearch.search.fidelity_model import NEW_TRIAL, Observations, Posterior, _Density, fit
from hpsearch.search.fold import Study, fold
from hpsearch.search.gp_sampler import GpProposer
from hpsearch.search.journal import Journal
from hpsearch.search.simulator import simulate
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Outcome, TrialState

RUNGS = (1, 3, 9, 27)
LINE = Space.from_dict({"x": {"low": 0.0, "high": 1.0}, "y": {"low": 0.0, "high": 1.0}})
CONDITIONAL = Space.from_dict(
    {
        "net": {"choices": ["small", "large", "odd"]},
        "lr": {"low": 1e-5, "high": 1e-1, "log": True},
        "depth": {"low": 1, "high": 8, "when": {"net": ["large"]}},
        "mode": {"choices": ["a", "b"], "when": {"net": ["odd"]}},
    }
)


def config(seed: int = 0, rungs: tuple[int, ...] = RUNGS) -> EngineConfig:
    return EngineConfig(rungs=rungs, seed=seed, sampler="gp")


def opened(space: Space, **changes: Any) -> Engine:
    return Engine.open(space, config(**changes), Journal.in_memory())


def study_of(trials: list[TrialState]) -> Study:
    study = Study()
    study.trials = {trial.number: trial for trial in trials}
    return study


def trial(number: int, params: Params, values: dict[int, float], outcome: Outcome | None = Outcome.PAUSED) -> TrialState:
    return TrialState(number=number, params=params, origin="gp", values=values, outcome=outcome)


def proposals(space: Space, study: Study, num: int = 24) -> list[Params]:
    proposer = GpProposer(space, config())
    return [proposer.propose(study, 1_000 + number) for number in range(num)]


def spread_trials(values_at: dict[int, float]) -> list[TrialState]:
    """30 paused trials whose value falls with the distance of x from .8, scaled at each rung as `values_at` says."""
    random = np.random.default_rng(0)
    trials = []
    for number in range(30):
        params: Params = {"x": float(random.random()), "y": float(random.random())}
        height = 1.0 - abs(float(params["x"]) - 0.8)
        trials.append(trial(number, params, {images: scale * height for images, scale in values_at.items()}))
    return trials


def test_a_proposal_takes_one_thread_and_gives_the_others_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    seen = []
    draw = Posterior.draw
    monkeypatch.setattr(Posterior, "draw", lambda *args: seen.append(threads()) or draw(*args))
    before = threads()
    proposals(LINE, study_of(spread_trials({1: 1.0})), num=1)
    assert seen == [{1}]
    assert threads() == before


def test_gradients_agree_with_differences() -> None:
    random = np.random.default_rng(0)
    observations = Observations(
        features_nd=random.random((20, 3)),
        log_length_n=random.choice([-1.0, -0.5, 0.0], 20),
        trial_n=random.integers(10, size=20),
        score_n=random.normal(size=20),
    )
    density = _Density(observations, np.array([0, 1, 1]))
    point = density.mean + 0.3 * random.normal(size=len(density.mean))
    error = check_grad(lambda at: density.loss_and_gradient(at)[0], lambda at: density.loss_and_gradient(at)[1], point)
    assert error < 1e-4 * np.linalg.norm(density.loss_and_gradient(point)[1])


def test_short_trainings_foretell_full_ones() -> None:
    features_nd = np.linspace(0, 1, 15)[:, None]
    observations = Observations(
        features_nd=features_nd,
        log_length_n=np.full(15, -0.66),
        trial_n=np.arange(15),
        score_n=np.sin(3 * features_nd[:, 0]) * 1.5,
    )
    group_d = np.array([0])
    posterior = Posterior(fit(observations, group_d), observations, group_d)
    means = posterior.mean(np.array([[0.05], [0.52], [0.95]]), np.full(3, NEW_TRIAL))
    assert means[1] > means[0] + 0.3
    assert means[1] > means[2] + 0.3


def test_it_learns_from_trials_that_were_only_paused() -> None:
    near = [abs(float(params["x"]) - 0.8) < 0.2 for params in proposals(LINE, study_of(spread_trials({1: 1.0})))]
    assert np.mean(near) > 0.6  # random ones: 0.4


def test_a_full_training_outweighs_a_short_one() -> None:
    """At the first rung large x looks best; what was trained on says small x is."""
    trials = []
    for number in range(24):
        x = (number + 0.5) / 24
        values = {1: x, 3: 0.9 * x} | ({9: 1.5 - x, 27: 2.0 - x} if number % 2 else {})
        trials.append(trial(number, {"x": x, "y": 0.5}, values))
    assert np.mean([float(params["x"]) for params in proposals(LINE, study_of(trials))]) < 0.4


def test_it_keeps_away_from_what_could_not_be_trained() -> None:
    random = np.random.default_rng(0)
    trials = []
    for number in range(30):
        params = CONDITIONAL.draw(random)
        broken = params["net"] == "large"
        values = {} if broken else {1: float(random.random())}
        trials.append(trial(number, params, values, Outcome.INFEASIBLE if broken else Outcome.PAUSED))
    nets = [params["net"] for params in proposals(CONDITIONAL, study_of(trials))]
    assert nets.count("large") < len(nets) / 5  # random ones: a third


def test_conditional_parameters_are_there_exactly_when_they_should_be() -> None:
    engine = opened(CONDITIONAL)
    simulate(engine, lambda params, images: math.log10(float(params["lr"])), num_workers=4, budget_images=200)
    for state in engine.study.trials.values():
        assert ("depth" in state.params) == (state.params["net"] == "large")
        assert ("mode" in state.params) == (state.params["net"] == "odd")


def test_a_conditional_parameter_is_searched_where_it_is_there() -> None:
    random = np.random.default_rng(0)
    trials = []
    for number in range(60):
        params = CONDITIONAL.draw(random)
        value = 1.0 + 0.2 * float(params["depth"]) if "depth" in params else 0.0
        trials.append(trial(number, params, {1: value, 9: value}))
    found = proposals(CONDITIONAL, study_of(trials))
    depths = [float(params["depth"]) for params in found if "depth" in params]
    assert len(depths) > 0.8 * len(found)
    assert np.mean(depths) > 6


def test_it_proposes_the_same_after_a_restart() -> None:
    engine = opened(CONDITIONAL)
    simulate(engine, lambda params, images: math.log10(float(params["lr"])) + images, num_workers=3, budget_images=120)
    events = engine._journal.events
    again = GpProposer(CONDITIONAL, config())
    assert again.propose(fold(events), 77) == engine._proposer.propose(engine.study, 77)


def test_slots_that_ask_at_once_get_different_proposals() -> None:
    engine = opened(LINE)
    simulate(engine, lambda params, images: -abs(float(params["x"]) - 0.8), num_workers=4, budget_images=60)
    stretches = [engine.next(slot) for slot in range(4, 40)]
    new = [stretch.params for stretch in stretches if stretch is not None and stretch.from_images == 0]
    assert len({(params["x"], params["y"]) for params in new}) == len(new) > 20


def test_earlier_studies_count_before_the_first_report() -> None:
    engine = opened(LINE)
    simulate(engine, lambda params, images: -abs(float(params["x"]) - 0.8), num_workers=4, budget_images=200)
    later = Engine.open(LINE, config(seed=1), Journal.in_memory(), earlier={"first": engine.study})
    xs = [float(stretch.params["x"]) for stretch in (later.next(slot) for slot in range(40)) if stretch is not None]
    assert np.mean(np.abs(np.array(xs) - 0.8)) < 0.28  # random ones: 0.34


def test_it_finds_a_better_configuration_than_random_draws() -> None:
    def height(params: Params, images: int) -> float:
        kind = {"small": 0.0, "large": 0.2, "odd": 0.1}[str(params["net"])]
        lr = math.log10(float(params["lr"]))
        return kind - 0.1 * (lr + 3.0) ** 2 - 0.01 * abs(float(params.get("depth", 1)) - 6) - 0.3 / images

    def best_height(sampler: Any, seed: int) -> float:
        engine = Engine.open(CONDITIONAL, EngineConfig(rungs=RUNGS, seed=seed, sampler=sampler), Journal.in_memory())
        simulate(engine, height, num_workers=4, budget_images=135)
        best = engine.best()
        assert best is not None
        return height(best.params, 27)

    gains = [best_height("gp", seed) - best_height("random", seed) for seed in range(5)]
    assert np.mean(gains) > 0.005


@pytest.mark.slow
def test_a_proposal_after_2000_trials_takes_less_than_50_ms() -> None:
    random = np.random.default_rng(0)
    trials = [trial(number, CONDITIONAL.draw(random), {1: float(random.random())}) for number in range(2_000)]
    study, proposer = study_of(trials), GpProposer(CONDITIONAL, config())
    proposer.propose(study, 2_000)
    seconds = []
    for number in range(2_001, 2_031):
        began = time.process_time()
        proposer.propose(study, number)
        seconds.append(time.process_time() - began)
    assert np.quantile(seconds, 0.95) < 0.05
