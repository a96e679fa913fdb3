"""What the first event of a journal says of a study: its objective, and which parameters it searches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from hpsearch.config import Objective, ParamValue
from hpsearch.search.fold import Study


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchedParameter:
    """One parameter of the space; where each family has a range of its own, the hull of them."""

    name: str
    """As in a trial's params."""
    low: float | None = None
    """Smallest value; None: choices."""
    high: float | None = None
    """Largest value; None: choices."""
    log: bool = False
    """Whether it is drawn in the logarithm."""
    choices: tuple[ParamValue, ...] = ()
    """Its values; empty: a range."""

    @property
    def is_text(self) -> bool:
        """Whether any of its values is a word."""
        return any(isinstance(choice, str) for choice in self.choices)

    def position(self, value: ParamValue) -> float:
        """Where `value` lies from 0 to 1: in the range, in the logarithm where it is drawn so, or among the choices."""
        if self.choices:
            return (self.choices.index(value) + 0.5) / len(self.choices) if value in self.choices else 0.5
        low, high, at = (float(number or 0) for number in (self.low, self.high, value))
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return min(max((at - low) / (high - low), 0.0), 1.0) if high > low else 0.5

    def merged(self, other: SearchedParameter) -> SearchedParameter:
        """Both together."""
        if self.choices or other.choices:
            either = dict.fromkeys([*self._values(), *other._values()])
            return SearchedParameter(name=self.name, choices=tuple(either))
        bounds = [bound for one in (self, other) for bound in (one.low, one.high) if bound is not None]
        return SearchedParameter(name=self.name, low=min(bounds), high=max(bounds), log=self.log or other.log)

    def _values(self) -> tuple[ParamValue, ...]:
        return self.choices or tuple(bound for bound in (self.low, self.high) if bound is not None)


def objective_of(study: Study) -> Objective:
    """What rungs compare."""
    return cast("Objective", study.header.get("identity", {}).get("search.objective", "auc"))


def searched_parameters(study: Study) -> dict[str, SearchedParameter]:
    """Every searched parameter by name, in the order of the space."""
    found: dict[str, SearchedParameter] = {}
    for dimension in _space(study).get("dimensions", {}).values():
        name = dimension["name"]
        parameter = SearchedParameter(
            name=name,
            low=dimension.get("low"),
            high=dimension.get("high"),
            log=dimension.get("log", False),
            choices=tuple(dimension.get("choices", ())),
        )
        found[name] = found[name].merged(parameter) if name in found else parameter
    return found


def parameter_limit(study: Study) -> int | None:
    """The most parameters that a network may have; None: no limit was set."""
    return cast("int | None", _space(study).get("limits", {}).get("num_parameters"))


def _space(study: Study) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", study.header.get("space", {}))
