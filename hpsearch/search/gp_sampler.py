"""The multi-fidelity sampler: proposes where a function drawn from our model of full trainings is largest.

Every rung value of every trial counts, also those of paused and running ones. Each proposal is the best of a set of candidates
for one function drawn from the posterior (Thompson sampling), so that proposals that several slots ask for at once differ
without more ado, and new trials, which cost but a first rung each, are as bold as the model is unsure.

Measured with `python -m hpsearch.bench search` (FT-PFN; 4 workers; budgets 5, 10, 20). Gain over Ray's recipe on tasks 0–399,
which it was tuned on, one seed: .082, .108, .153 (± .041, .030, .023; n = 294). On tasks 400–999, two seeds, nothing tuned:
.032, .112, .167 (± .030, .027, .031; n = 454). On tasks 0–199, pooled, a regret above 1 counted as 1 (± .02; n = 144): random
draws .05, this with 32, 128 and 512 candidates .07, .11 and .12, with half the standard deviation of the draws .09. Expected
improvement comes back to the same places too early, and gained nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata
from threadpoolctl import ThreadpoolController

from hpsearch.config import Params, ParamValue
from hpsearch.search.dimension import Dimension
from hpsearch.search.fidelity_model import Array, Indices, Observations, Posterior, fit
from hpsearch.search.fold import Study
from hpsearch.search.sampler import Prior, random_generator
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig, TrialState

NUM_FIRST = 4
"""Values that must be there before the model is asked."""
NUM_POOL = 1_024
"""Configurations drawn from the prior once for a study."""
NUM_CANDIDATES = 256
"""Of them, those looked at for one proposal."""
NUM_NEIGHBOURS = 16
"""Candidates around the best trials."""
NUM_CENTRES = 5
"""Best trials that have neighbours."""
MAX_FITTED = 64
"""Values that hyperparameters are fitted to: the best half and the newest half."""
MAX_KNOWN = 250
"""Values that the posterior knows, chosen likewise; 600 would take three times as long."""
LOG_LENGTH_UNIT = math.log(27.0)
"""Three powers of η = 3: the usual distance from first to last rung."""
FIRST_EARLIER = -2
"""Trial numbers of earlier studies' trials go down from here."""
POOL_STREAM = 2**31
"""Number of the generator of the pool, beyond every trial's."""


class GpProposer:
    """Thompson sampling over a Gaussian process of configurations and training lengths."""

    def __init__(self, space: Space, config: EngineConfig) -> None:
        self._space = space
        self._seed = config.seed
        self._encoder = _Encoder(space)
        self._top = config.rungs[-1]
        self._first = config.rungs[0]
        self._pool: list[Params] = []
        self._pool_features_qd: Array = np.empty((0, 0))
        self._features: dict[int, Array] = {}

    def propose(self, study: Study, number: int) -> Params:
        """The candidate that is best for one function drawn from the posterior, given `study`."""
        random = random_generator(self._seed, number)
        known = self._observations(study) if self._encoder.num_columns else None
        if known is None or len(known) < NUM_FIRST:
            return self._space.complete(_prior_choice(self._space, random))
        # More threads would not pay for matrices of this size, would take cores from the trials, and round differently.
        with _blas().limit(limits=1, user_api="blas"):
            posterior = self._posterior(known)
            params, features_qd = self._candidates(study, posterior, random)
            drawn_q = posterior.draw(features_qd, random)
        tried = {self._encoded(trial).tobytes() for trial in study.trials.values()}
        is_new_q = np.array([features_d.tobytes() not in tried for features_d in features_qd])
        return params[int(np.argmax(np.where(is_new_q | ~is_new_q.any(), drawn_q, -np.inf)))]

    def _posterior(self, known: Observations) -> Posterior:
        hyper = fit(known.take(_best_and_newest(known, MAX_FITTED)), self._encoder.group_d)
        return Posterior(hyper, known.take(_best_and_newest(known, MAX_KNOWN)), self._encoder.group_d)

    def _observations(self, study: Study) -> Observations | None:
        """Everything measured, as normal scores of ranks, which saturated and collapsed curves do not upset.

        What could not be trained scores lowest for a full training; earlier studies' trials count as first rungs.
        """
        entries: list[tuple[Array, float, int, float]] = []
        for trial in study.trials.values():
            features_d = self._encoded(trial)
            entries += [(features_d, images, trial.number, value) for images, value in trial.values.items()]
            if trial.ended_badly:
                entries.append((features_d, self._top, trial.number, -math.inf))
        if not entries and not study.earlier:
            return None
        features, images, trials, values = zip(*entries, strict=True) if entries else ((), (), (), ())
        scores = ndtri((rankdata(values) - 0.5) / max(len(values), 1))
        earlier = study.earlier
        return Observations(
            features_nd=np.stack([*features, *(self._encoder.encode(trial.params) for trial in earlier)]),
            log_length_n=np.log(np.array([*images, *[self._first] * len(earlier)]) / self._top) / LOG_LENGTH_UNIT,
            trial_n=np.array([*trials, *(FIRST_EARLIER - index for index in range(len(earlier)))]),
            score_n=np.array([*scores, *(ndtri(0.02 + 0.96 * (trial.quality or 0.0)) for trial in earlier)]),
        )

    def _encoded(self, trial: TrialState) -> Array:
        if trial.number not in self._features:
            self._features[trial.number] = self._encoder.encode(trial.params)
        return self._features[trial.number]

    def _candidates(self, study: Study, posterior: Posterior, random: np.random.Generator) -> tuple[list[Params], Array]:
        """Some of the pool, and neighbours of the trials that are expected to be best."""
        if not self._pool:
            pool_random = random_generator(self._seed, POOL_STREAM)
            self._pool = [self._space.complete(_prior_choice(self._space, pool_random)) for _ in range(NUM_POOL)]
            self._pool_features_qd = np.stack([self._encoder.encode(params) for params in self._pool])
        rows = random.choice(NUM_POOL, size=NUM_CANDIDATES, replace=False)
        known = (study.trials.get(number) for number in posterior.trials)
        trials = [trial for trial in known if trial is not None and trial.values]
        if not trials:
            return [self._pool[int(row)] for row in rows], self._pool_features_qd[rows]
        means = posterior.mean(np.stack([self._encoded(trial) for trial in trials]), np.array([one.number for one in trials]))
        centres = [trials[int(index)].params for index in np.argsort(-means)[:NUM_CENTRES]]
        neighbours = [self._neighbour(centres[int(random.integers(len(centres)))], random) for _ in range(NUM_NEIGHBOURS)]
        neighbour_features_qd = np.stack([self._encoder.encode(params) for params in neighbours])
        features_qd = np.concatenate([self._pool_features_qd[rows], neighbour_features_qd])
        return [*(self._pool[int(row)] for row in rows), *neighbours], features_qd

    def _neighbour(self, centre: Params, random: np.random.Generator) -> Params:
        """`centre` with some of its values moved, by 1 to 30 % of their range."""
        std = math.exp(random.uniform(math.log(0.01), math.log(0.3)))

        def choose(dimension: Dimension, _: Params) -> ParamValue:
            value = centre.get(dimension.name)
            if value is None or not dimension.contains(value):
                return dimension.draw(random)
            if random.random() < 0.4:
                return value
            if dimension.kind == "categorical":
                return dimension.draw(random) if random.random() < std else value
            assert not isinstance(value, str)
            unit = abs(dimension.to_unit(value) + std * random.normal())
            return dimension.from_unit(min(unit, 2.0 - unit) if unit < 2.0 else 1.0)

        return self._space.complete(choose)


@cache
def _blas() -> ThreadpoolController:
    """The linear algebra libraries of numpy and scipy; finding them takes some milliseconds."""
    return ThreadpoolController()


class _Encoder:
    """Configurations as columns: a number in [0, 1] for a range, one column a choice for categories.

    Dimensions that share a name, a range for each family say, share a column: where one lies in its own range. A parameter that
    a configuration has not lies in the middle, where it tells least; that it is absent is told by what it depends on.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        kinds: dict[tuple[str, bool], list[Dimension]] = {}
        for dimension in space.dimensions:
            kinds.setdefault((dimension.name, dimension.kind == "categorical"), []).append(dimension)
        self._columns: dict[tuple[str, ParamValue | None], int] = {}
        groups: list[int] = []
        for group, ((name, is_categorical), dimensions) in enumerate(kinds.items()):
            choices = dict.fromkeys(choice for one in dimensions for choice in one.choices) if is_categorical else {None: None}
            for choice in choices:
                self._columns[name, choice] = len(groups)
                groups.append(group)
        self.group_d: Indices = np.array(groups, dtype=np.int64)
        self._absent_d = np.array([0.5 if choice is None else 0.0 for _, choice in self._columns])

    @property
    def num_columns(self) -> int:
        return len(self.group_d)

    def encode(self, params: Params) -> Array:
        features_d = self._absent_d.copy()
        for dimension in self._space.dimensions:
            value = params.get(dimension.name)
            if value is None or not dimension.is_active(params) or not dimension.contains(value):
                continue
            if dimension.kind == "categorical":
                # Two different choices are 1 apart.
                features_d[self._columns[dimension.name, value]] = math.sqrt(0.5)
            else:
                assert not isinstance(value, str)
                features_d[self._columns[dimension.name, None]] = dimension.to_unit(value)
        return features_d


def _prior_choice(space: Space, random: np.random.Generator) -> Callable[[Dimension, Params], ParamValue]:
    prior = Prior(space, random)
    return lambda dimension, _: prior.draw(dimension)


def _best_and_newest(known: Observations, num: int) -> Indices:
    """At most `num` of the observations: half for their score, the others for belonging to the newest trials."""
    if len(known) <= num:
        return np.arange(len(known))
    best = np.argsort(-known.score_n, kind="stable")[: num // 2]
    rest = np.setdiff1d(np.arange(len(known)), best)
    return np.concatenate([best, rest[len(rest) - (num - num // 2) :]])
