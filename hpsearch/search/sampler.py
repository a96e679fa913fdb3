"""What proposes new trials: the protocol, and the prior."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hpsearch.config import Params, ParamValue
from hpsearch.search.dimension import Dimension
from hpsearch.search.fold import Study
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig

NEAR_START_FRACTION = 0.5
"""Share of the first draws that are near a start point."""


class Proposer(Protocol):
    """Proposes configurations. Built from (space, config); what it keeps is a cache and changes no answer."""

    def propose(self, study: Study, number: int) -> Params:
        """The configuration of trial `number`: a function of space, config, `study` and `number` alone."""
        ...


def random_generator(seed: int, number: int) -> np.random.Generator:
    """The generator of trial `number`; independent of every other trial's."""
    return np.random.default_rng([seed % 2**64, number])


class Prior:
    """Draws before anything is known: half of them around a start point, where the space has any.

    Start points are what somebody has seen to work, so that their neighbourhood deserves more than its share of the space.
    """

    def __init__(self, space: Space, random: np.random.Generator) -> None:
        """Decides by `random` which start point, if any, the draws are near."""
        self._random = random
        near_start = bool(space.start) and random.random() < NEAR_START_FRACTION
        self._point: Params = space.start[int(random.integers(len(space.start)))] if near_start else {}

    def draw(self, dimension: Dimension) -> ParamValue:
        """A value of one dimension."""
        value = self._point.get(dimension.name)
        if value is not None and dimension.contains(value):
            return dimension.near(value, self._random)
        return dimension.draw(self._random)


class RandomProposer:
    """Draws uniformly, start points or not: the baseline."""

    def __init__(self, space: Space, config: EngineConfig) -> None:
        self._space = space
        self._seed = config.seed

    def propose(self, study: Study, number: int) -> Params:
        """A draw that depends on seed and number alone."""
        return self._space.draw(random_generator(self._seed, number))
