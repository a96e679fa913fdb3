"""One searched parameter: its range or choices, and the conditions under which it is there at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hpsearch.config import Params, ParamValue

Kind = Literal["float", "int", "categorical"]
NEAR_STD = 0.2
"""Standard deviation of a draw around a value, in ranges."""
NEAR_KEEPS_CHOICE = 0.75
"""Probability that a draw around a choice keeps it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """Holds where a parameter is there and has one of some values."""

    name: str
    """Parameter that it asks for."""
    values: tuple[ParamValue, ...]
    """Values of that parameter for which the condition holds."""

    def holds(self, params: Mapping[str, ParamValue]) -> bool:
        """Whether `params` meet it; an absent parameter never does."""
        return self.name in params and params[self.name] in self.values

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{self.name} is {self.values[0]}"
        return f"{self.name} is one of {', '.join(map(str, self.values))}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """A searched parameter. Several dimensions may share a name; at most one of them is active for given params."""

    key: str
    """Unique in the space; the name, with the family behind it where each family has its own range: `lr[cnn]`."""
    name: str
    """Name of the parameter in `Params`."""
    kind: Kind
    """Type of its values."""
    low: float = 0.0
    """Smallest value, included; ranges only."""
    high: float = 0.0
    """Largest value, included; ranges only."""
    log: bool = False
    """Drawn uniformly in the logarithm; ranges only."""
    step: int = 1
    """Distance of neighbouring values; integers only."""
    choices: tuple[ParamValue, ...] = ()
    """Its values, without order; categorical only."""
    when: tuple[Condition, ...] = ()
    """All must hold for the parameter to be there."""

    def is_active(self, params: Mapping[str, ParamValue]) -> bool:
        """Whether `params`, which hold all that this dimension depends on, have this parameter."""
        return all(condition.holds(params) for condition in self.when)

    def contains(self, value: Any) -> bool:
        """Whether `value` can be proposed here."""
        if self.kind == "categorical":
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        return self.kind == "float" or (value == int(value) and (int(value) - int(self.low)) % self.step == 0)

    def draw(self, random: np.random.Generator) -> ParamValue:
        """A value from the prior: uniform in the range (or its logarithm), or in the choices."""
        if self.kind == "categorical":
            return self.choices[int(random.integers(len(self.choices)))]
        return self.from_unit(float(random.random()))

    def near(self, value: ParamValue, random: np.random.Generator) -> ParamValue:
        """A value around `value`: normal with a fifth of the range as standard deviation; a choice mostly stays."""
        if isinstance(value, str) or self.kind == "categorical":
            return value if random.random() < NEAR_KEEPS_CHOICE else self.draw(random)
        unit = self.to_unit(value) + NEAR_STD * float(random.normal())
        return self.from_unit(min(max(unit, 0.0), 1.0))

    def from_unit(self, unit: float) -> ParamValue:
        """The value of a range at `unit` in [0, 1], so that a uniform `unit` gives the prior."""
        low, high = self._edges()
        position = low + (high - low) * unit
        value = math.exp(position) if self.log else position
        if self.kind == "float":
            return min(max(value, self.low), self.high)
        steps = round((value - self.low) / self.step)
        most = int(self.high - self.low) // self.step
        return int(self.low) + self.step * min(max(steps, 0), most)

    def to_unit(self, value: float) -> float:
        """Where `value` of a range lies in [0, 1], in the logarithm where `log`; inverse of `from_unit`."""
        low, high = self._edges()
        return ((math.log(value) if self.log else value) - low) / (high - low)

    def _edges(self) -> tuple[float, float]:
        half = 0.5 * self.step if self.kind == "int" else 0.0
        low, high = self.low - half, self.high + half
        return (math.log(low), math.log(high)) if self.log else (low, high)

    def __str__(self) -> str:
        if self.kind == "categorical":
            return f"one of {', '.join(map(str, self.choices))}"
        return f"{self.low:g} to {self.high:g}{' in steps of ' + str(self.step) if self.step > 1 else ''}"


def complete(
    dimensions: Sequence[Dimension], fixed: Params, given: Params, choose: Callable[[Dimension, Params], ParamValue]
) -> Params:
    """Params with every active dimension filled: from `given` where it names it, else by `choose`.

    `dimensions` must be in an order in which each comes after all that it depends on; `choose` is given the params so far.
    """
    params = dict(fixed)
    for dimension in dimensions:
        if dimension.is_active(params):
            params[dimension.name] = given[dimension.name] if dimension.name in given else choose(dimension, params)
    return params
