"""The start weights that a space may ask for: allowed by the policy, found once by the driver, shared with every node."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.config import WeightsPolicy
from hpsearch.files import replacing
from hpsearch.model.weight_sources import WeightsSource, fetch_weights, shared
from hpsearch.model.weight_tags import check_policy
from hpsearch.train.settings import TrialSettings

if TYPE_CHECKING:
    from hpsearch.search.space import Space

StartWeights = Mapping[tuple[str, str], WeightsSource]
"""(backbone, `weights`) → where those tensors lie."""
FOUND = "found.json"
"""Beside the files: what asks for which, so that a later driver needs no hub."""


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
    """Finds all start weights of `space`, first among those in `directory`, downloads the others, and puts them there.

    Raises:
        InputError: some cannot be had; says how.
    """
    found: dict[tuple[str, str], WeightsSource] = {}
    kept = _kept(directory)
    for pair in asked_for(space):
        source = kept.get(pair) or fetch_weights(*pair)
        on_found(source)
        found[pair] = shared(source, directory)
    if found.keys() - kept.keys():
        _keep(directory, {**kept, **found})
    return found


def _kept(directory: Path) -> dict[tuple[str, str], WeightsSource]:
    """What an earlier call has put into `directory`, as far as its files are still there."""
    try:
        entries = json.loads((directory / FOUND).read_text(encoding="utf-8"))
        sources = {(one.pop("backbone"), one.pop("weights")): one for one in entries}
        kept = {pair: WeightsSource(**{**one, "file": directory / one["file"]}) for pair, one in sources.items()}
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}
    return {pair: source for pair, source in kept.items() if source.file is not None and source.file.is_file()}


def _keep(directory: Path, sources: StartWeights) -> None:
    entries = [
        {"backbone": backbone, "weights": weights, **asdict(source), "file": source.file.name}
        for (backbone, weights), source in sources.items()
        if source.file is not None
    ]
    with replacing(directory / FOUND) as partial:
        partial.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
