"""What proposes new trials: the protocol, the prior, and Optuna's TPE over the true states of the study's trials."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from hpsearch.config import Params, ParamValue
from hpsearch.search.dimension import Dimension
from hpsearch.search.fold import Study
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, Outcome, TrialState

MAX_HISTORY = 1_000
"""Finished trials that TPE looks at: the best and the newest. Over 10,000 it takes 190 ms."""
NUM_BEST_KEPT = 100
"""Of them, those kept for their value; TPE models at most the best 25 as good."""
INFEASIBLE = frozenset({Outcome.DIVERGED, Outcome.INFEASIBLE, Outcome.FAILED})
"""Outcomes that tell the sampler to keep away; they are never forgotten."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Proposer(Protocol):
    """Proposes configurations. Built from (space, config); what it keeps is a cache and changes no answer."""

    def propose(self, study: Study, number: int) -> Params:
        """The configuration of trial `number`: a function of space, config, `study` and `number` alone."""
        ...


def random_generator(seed: int, number: int) -> np.random.Generator:
    """The generator of trial `number`; independent of every other trial's."""
    return np.random.default_rng([seed, number])


class RandomProposer:
    """Draws from the prior."""

    def __init__(self, space: Space, config: EngineConfig) -> None:
        self._space = space
        self._seed = config.seed

    def propose(self, study: Study, number: int) -> Params:
        """A draw that depends on seed and number alone."""
        return self._space.draw(random_generator(self._seed, number))


class TpeProposer:
    """Optuna's multivariate TPE in groups (Bergstra et al. 2011; Falkner et al. 2018), told the truth about each trial.

    COMPLETE at the top rung; PRUNED with its rung values when paused; RUNNING with its values while live; PRUNED with a
    violated constraint when it diverged, did not fit or failed. The study is made new for each proposal from cached trials,
    since Optuna cannot take a told state back.
    """

    def __init__(self, space: Space, config: EngineConfig) -> None:
        self._space = space
        self._seed = config.seed
        self._distributions = {dimension.key: _distribution(dimension) for dimension in space.dimensions}
        self._cache: dict[int, tuple[Any, FrozenTrial]] = {}

    def propose(self, study: Study, number: int) -> Params:
        """The configuration that TPE expects most of, given `study`."""
        seed = int(random_generator(self._seed, number).integers(2**32))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
        view = _study_view(self._history(study))
        blank = create_trial(state=OptunaState.RUNNING)
        blank.number = number
        relative_space = sampler.infer_relative_search_space(view, blank)
        relative = sampler.sample_relative(view, blank, relative_space)

        def choose(dimension: Dimension, _: Params) -> ParamValue:
            if dimension.key in relative:
                value: ParamValue = relative[dimension.key]
            else:
                value = sampler.sample_independent(view, blank, dimension.key, self._distributions[dimension.key])
            return value

        return self._space.complete(choose)

    def _history(self, study: Study) -> list[FrozenTrial]:
        return [self._frozen(trial) for trial in _remembered(study)]

    def _frozen(self, trial: TrialState) -> FrozenTrial:
        signature = (_optuna_state(trial), trial.outcome, len(trial.values))
        cached = self._cache.get(trial.number)
        if cached is None or cached[0] != signature:
            cached = (signature, self._told(trial))
            self._cache[trial.number] = cached
        return cached[1]

    def _told(self, trial: TrialState) -> FrozenTrial:
        coordinates = self._space.coordinates(trial.params)
        state = _optuna_state(trial)
        frozen = create_trial(
            state=state,
            value=trial.value if state == OptunaState.COMPLETE else None,
            params=dict(coordinates),
            distributions={key: self._distributions[key] for key in coordinates},
            intermediate_values=dict(trial.values),
            constraints={"trainable": 1.0} if trial.outcome in INFEASIBLE else None,
        )
        frozen.number = trial.number
        return frozen


def make_proposer(space: Space, config: EngineConfig) -> Proposer:
    """The proposer that `config.sampler` names."""
    makers: dict[str, Callable[[Space, EngineConfig], Proposer]] = {"tpe": TpeProposer, "random": RandomProposer}
    return makers[config.sampler](space, config)


def _optuna_state(trial: TrialState) -> OptunaState:
    if trial.outcome is Outcome.COMPLETED:
        return OptunaState.COMPLETE
    live = trial.running or trial.queued
    return OptunaState.RUNNING if live else OptunaState.PRUNED


def _remembered(study: Study) -> list[TrialState]:
    """The trials that a proposal looks at, by number: all live and infeasible ones, the best and the newest of the others."""
    trials = list(study.trials.values())
    if len(trials) <= MAX_HISTORY:
        return trials
    ranked = [trial for trial in trials if _optuna_state(trial) != OptunaState.RUNNING and trial.outcome not in INFEASIBLE]
    kept = {trial.number for trial in ranked[-(MAX_HISTORY - NUM_BEST_KEPT) :]}
    best = sorted(ranked, key=lambda trial: (trial.images, trial.value), reverse=True)
    kept |= {trial.number for trial in best[:NUM_BEST_KEPT]}
    dropped = {trial.number for trial in ranked} - kept
    return [trial for trial in trials if trial.number not in dropped]


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.kind == "categorical":
        return CategoricalDistribution(dimension.choices)
    if dimension.kind == "float":
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log, step=dimension.step)


class _FoldStorage(InMemoryStorage):
    """Shows a list of trials to a sampler, and keeps nothing that it writes."""

    def __init__(self, trials: list[FrozenTrial]) -> None:
        super().__init__()
        self._shown = trials

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[OptunaState] | None = None
    ) -> list[FrozenTrial]:
        return [trial for trial in self._shown if states is None or trial.state in states]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Mapping[str, Any] | Sequence[Any] | Any) -> None:
        """What is proposed is journaled by the engine."""


def _study_view(trials: list[FrozenTrial]) -> optuna.Study:
    return optuna.create_study(storage=_FoldStorage(trials), direction="maximize")
