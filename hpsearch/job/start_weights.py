"""The start weights that a space may ask for: allowed by the policy, found once by the driver, shared with every node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.config import WeightsPolicy
from hpsearch.model.weight_sources import WeightsSource, fetch_weights, shared
from hpsearch.model.weight_tags import check_policy
from hpsearch.train.settings import TrialSettings

if TYPE_CHECKING:
    from hpsearch.search.space import Space

StartWeights = Mapping[tuple[str, str], WeightsSource]
"""(backbone, `weights`) → where those tensors lie."""


def asked_for(space: Space) -> list[tuple[str, str]]:
    """Each backbone with each value of `weights` that can be proposed together with it, `none` left out."""
    pairs = []
    for backbone in map(str, space.values_of("backbone") or (TrialSettings().backbone,)):
        of_backbone = {"backbone": backbone}
        searched = [
            one
            for one in space.dimensions
            if one.name == "weights" and all(when.holds(of_backbone) for when in one.when if when.name in of_backbone)
        ]
        values = [space.fixed["weights"]] if "weights" in space.fixed else [value for one in searched for value in one.choices]
        pairs += [(backbone, str(value)) for value in dict.fromkeys(values) if value != "none"]
    return pairs


def check_start_weights(space: Space, policy: WeightsPolicy) -> None:
    """Checks all start weights of `space` against the policy.

    Raises:
        InputError: some are not allowed, or there are none for a backbone.
    """
    for backbone, weights in asked_for(space):
        check_policy(backbone, weights, policy)


def fetch_start_weights(space: Space, directory: Path, on_found: Callable[[WeightsSource], None]) -> StartWeights:
    """Finds all start weights of `space`, downloads what is missing, and puts them into `directory`.

    Raises:
        InputError: some cannot be had; says how.
    """
    found: dict[tuple[str, str], WeightsSource] = {}
    for backbone, weights in asked_for(space):
        source = fetch_weights(backbone, weights)
        on_found(source)
        found[backbone, weights] = shared(source, directory)
    return found
