"""Trials of earlier studies, as knowledge for the sampler of a new one."""

from __future__ import annotations

from collections.abc import Sequence

from hpsearch.config import Params, ParamValue
from hpsearch.errors import InputError
from hpsearch.search.dimension import Dimension
from hpsearch.search.fold import Study
from hpsearch.search.journal import Event
from hpsearch.search.sampler import random_generator
from hpsearch.search.space import Space
from hpsearch.search.types import TrialState

MAX_EARLIER_TRIALS = 200
"""Taken from one study: the best quarter of these, and the rest spread evenly over the other ranks."""


def earlier_events(space: Space, study: Study, source: str, seed: int) -> list[Event]:
    """What a new study over `space` journals of the earlier `study`.

    Values of two studies do not compare: data, budgets and objectives differ. So each trial is given its `quality`, its rank
    among the earlier ones (furthest rung first, then value) mapped to [0, 1]; none for those that could not be trained. Where a
    value is outside the present range or was not there, it is drawn, so that each is a whole configuration of this space.

    Raises:
        InputError: the study has no parameter of this space.
    """
    names = {dimension.name for dimension in space.dimensions}
    if not any(names & trial.params.keys() for trial in study.trials.values()):
        raise InputError(
            f"--warm-start {source}: none of its trials has a parameter that this space searches "
            f"({', '.join(sorted(names))}). Give a study over the same names."
        )
    ranked = sorted(
        study.usable(),
        key=lambda trial: (trial.images, trial.values[trial.images], -trial.number),
        reverse=True,
    )
    quality = {trial.number: 1.0 - rank / max(len(ranked) - 1, 1) for rank, trial in enumerate(ranked)}
    untrainable = [trial for trial in study.trials.values() if trial.ended_badly]
    taken = _spread(ranked) + untrainable[-MAX_EARLIER_TRIALS:]
    return [_event(space, trial, source, seed, quality.get(trial.number)) for trial in taken]


def _spread(ranked: Sequence[TrialState]) -> list[TrialState]:
    num_best = MAX_EARLIER_TRIALS // 4
    others = ranked[num_best:]
    step = max(1.0, len(others) / (MAX_EARLIER_TRIALS - num_best))
    chosen = [others[int(index * step)] for index in range(int(len(others) / step))]
    return [*ranked[:num_best], *chosen]


def _event(space: Space, trial: TrialState, source: str, seed: int, quality: float | None) -> Event:
    random = random_generator(seed, trial.number)

    def known_or_drawn(dimension: Dimension, _: Params) -> ParamValue:
        known = trial.params.get(dimension.name)
        return known if known is not None and dimension.contains(known) else dimension.draw(random)

    params = space.complete(known_or_drawn)
    return {"event": "earlier", "source": source, "trial": trial.number, "params": params, "quality": quality}
