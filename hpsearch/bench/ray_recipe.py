"""What Ray's documentation recommends, `OptunaSearch` with `ASHAScheduler`, behind the engine's four methods.

Both are Ray's own objects with their defaults, called as Tune's controller calls them; only the trials are stand-ins.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from hpsearch.config import Params
from hpsearch.search.optuna_space import distribution_of
from hpsearch.search.space import Space
from hpsearch.search.types import Outcome, Stretch, TrialState

METRIC = "value"


@dataclass(slots=True)
class _TuneTrial:
    """What scheduler and searcher ask of a Tune trial."""

    trial_id: str
    config: Params = field(default_factory=dict)


@dataclass(slots=True)
class _Trials:
    """The part of a study that a simulation looks at."""

    trials: dict[int, TrialState] = field(default_factory=dict)


class RayRecipe:
    """Ray's recipe: reports every step, stops by ASHA, never goes back to a stopped trial."""

    def __init__(self, space: Space, *, num_steps: int, eta: float, seed: int) -> None:
        self.study = _Trials()
        distributions = {dimension.key: distribution_of(dimension) for dimension in space.dimensions}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._search: Any = OptunaSearch(distributions, metric=METRIC, mode="max", seed=seed)
        self._scheduler: Any = ASHAScheduler(
            time_attr="training_iteration", metric=METRIC, mode="max", max_t=num_steps, grace_period=1, reduction_factor=eta
        )
        self._tune_trials: dict[int, _TuneTrial] = {}

    def next(self, slot: int) -> Stretch:
        """A new trial: there is always one."""
        number = len(self.study.trials)
        trial = _TuneTrial(str(number))
        trial.config = dict(self._search.suggest(trial.trial_id))
        self._tune_trials[number] = trial
        self.study.trials[number] = TrialState(
            number=number, params=trial.config, origin="ray", running=True, slot=slot, target_images=1
        )
        self._scheduler.on_trial_add(None, trial)
        return Stretch(trial=number, params=trial.config, from_images=0, to_images=1)

    def report(self, trial: int, images: int, value: float, seconds: float = 0.0) -> bool:
        """One step: whether the scheduler lets the trial go on."""
        state, tune_trial = self.study.trials[trial], self._tune_trials[trial]
        state.values[images] = value
        state.target_images = images + 1
        result: dict[str, Any] = {"training_iteration": images, METRIC: value}
        if self._scheduler.on_trial_result(None, tune_trial, result) == TrialScheduler.CONTINUE:
            self._search.on_trial_result(tune_trial.trial_id, result)
            return True
        state.running = False
        self._scheduler.on_trial_complete(None, tune_trial, result)
        self._search.on_trial_complete(tune_trial.trial_id, result)
        return False

    def end(self, trial: int, outcome: Outcome, message: str = "") -> None:
        """The budget is used up: what runs stays as it is."""

    def best(self) -> TrialState | None:
        """`ResultGrid.get_best_result` with its defaults: the largest last value of any trial."""
        reported = [trial for trial in self.study.trials.values() if trial.values]
        return max(reported, key=lambda trial: trial.values[trial.images], default=None)
