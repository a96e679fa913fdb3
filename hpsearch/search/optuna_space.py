"""Our dimensions and outcomes in Optuna's words."""

from __future__ import annotations

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hpsearch.search.dimension import Dimension
from hpsearch.search.types import Outcome

INFEASIBLE = frozenset({Outcome.DIVERGED, Outcome.INFEASIBLE, Outcome.FAILED})
"""Outcomes that say to keep away: told to Optuna as a violated constraint, since a failed trial it forgets."""
CONSTRAINT = "trainable"
"""Name of that constraint."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


def distribution_of(dimension: Dimension) -> BaseDistribution:
    """The Optuna distribution of a dimension."""
    if dimension.kind == "categorical":
        return CategoricalDistribution(dimension.choices)
    if dimension.kind == "float":
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log, step=dimension.step)
