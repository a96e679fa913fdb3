"""Which proposer each name of `search.sampler` stands for."""

from __future__ import annotations

from collections.abc import Callable

from hpsearch.search.gp_sampler import GpProposer
from hpsearch.search.sampler import Proposer, RandomProposer
from hpsearch.search.space import Space
from hpsearch.search.tpe_sampler import TpeProposer
from hpsearch.search.types import EngineConfig

PROPOSERS: dict[str, Callable[[Space, EngineConfig], Proposer]] = {
    "gp": GpProposer,
    "tpe": TpeProposer,
    "random": RandomProposer,
}
"""Name → what makes it."""


def make_proposer(space: Space, config: EngineConfig) -> Proposer:
    """The proposer that `config.sampler` names."""
    return PROPOSERS[config.sampler](space, config)
