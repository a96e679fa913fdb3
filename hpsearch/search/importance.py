"""How much each searched parameter matters for being among the best trials.

PED-ANOVA (Watanabe, Bansal and Hutter 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
Subspaces"), in Optuna's version for conditional spaces. It compares where the best trials (`top_share`) lie with where all
of them lie, so it needs only their order, not their values: trials of different rungs can be put in one order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import create_trial

from hpsearch.search.dimension import Condition, Dimension
from hpsearch.search.fold import Study
from hpsearch.search.optuna_space import distribution_of
from hpsearch.search.types import TrialState

MIN_TRIALS = 20
"""With fewer the best tenth is a single trial."""
TOP_SHARE = 0.1
MIN_TOP = 4
"""Fewer best trials than these say little about where the best lie; small studies take a larger share."""


def importance(study: Study) -> dict[str, float]:
    """Parameter → its share of all importance, the largest first; empty for fewer than `MIN_TRIALS` usable trials.

    Trials are ordered by the furthest rung that they reached, then by their value there.
    """
    usable = study.usable()
    if len(usable) < MIN_TRIALS:
        return {}
    usable.sort(key=lambda trial: (trial.images, trial.values[trial.images], -trial.number))
    dimensions = [_dimension(key, plain) for key, plain in study.header["space"]["dimensions"].items()]
    view = optuna.create_study(direction="maximize")
    for rank, trial in enumerate(usable):
        found = _distributions(dimensions, trial)
        params = {name: trial.params[name] for name in found}
        view.add_trial(create_trial(value=float(rank), params=params, distributions=found))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=top_share(study))
    shares = optuna.importance.get_param_importances(view, evaluator=evaluator)
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def top_share(study: Study) -> float:
    """Share of the usable trials that `importance` takes for the best ones; 1 where there are fewer than `MIN_TOP`."""
    return min(1.0, max(TOP_SHARE, MIN_TOP / max(1, len(study.usable()))))


def _dimension(key: str, plain: Mapping[str, Any]) -> Dimension:
    """The dimension that the journal's first event describes."""
    when = tuple(Condition(name=name, values=tuple(values)) for name, values in plain.get("when", {}).items())
    given = {name: plain[name] for name in ("kind", "low", "high", "log", "step") if name in plain}
    return Dimension(key=key, name=plain["name"], choices=tuple(plain.get("choices", ())), when=when, **given)


def _distributions(dimensions: list[Dimension], trial: TrialState) -> dict[str, BaseDistribution]:
    """Where each searched parameter of `trial` was drawn; a start point's value outside its range is left out."""
    return {
        one.name: distribution_of(one)
        for one in dimensions
        if one.name in trial.params and one.is_active(trial.params) and one.contains(trial.params[one.name])
    }
