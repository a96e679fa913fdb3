"""What proposes new trials: the protocol, and the prior."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hpsearch.config import Params
from hpsearch.search.fold import Study
from hpsearch.search.space import Space
from hpsearch.search.types import EngineConfig


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
