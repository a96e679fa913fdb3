"""The best configuration: each value, where it lies in its range, and whether it sticks at an end."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hpsearch.report import wording
from hpsearch.report.facts import SearchedParameter
from hpsearch.report.page.content import PageContent

EDGE = 0.02
"""Nearer than this share of the range to an end is at the edge."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One parameter of the best configuration."""

    name: str
    """As in the space file."""
    value: str
    """As people write it."""
    options: str
    """What it could have been."""
    position: float | None
    """Where in its range, 0 to 1, in the logarithm where it is drawn so; None: choices."""
    at_edge: bool
    """Whether a wider range might hold something better."""


def searched_settings(content: PageContent) -> list[Setting]:
    """Searched parameters that the best configuration has, in the order of the space."""
    params = content.best.params if content.best else {}
    return [_setting(one, params[one.name]) for one in content.searched.values() if one.name in params]


def fixed_settings(content: PageContent) -> dict[str, str]:
    """Its parameters that were the same for all trials."""
    params = content.best.params if content.best else {}
    return {name: wording.value(value) for name, value in params.items() if name not in content.searched}


def _setting(parameter: SearchedParameter, value: object) -> Setting:
    if parameter.choices:
        options = ", ".join(map(wording.value, parameter.choices))
        return Setting(name=parameter.name, value=wording.value(value), options=options, position=None, at_edge=False)
    position = _position(parameter, value)
    low, high = wording.value(parameter.low), wording.value(parameter.high)
    # A strength of 0 is "off", and a range cannot be widened below it.
    at_edge = position > 1 - EDGE or (position < EDGE and parameter.low != 0)
    options = f"{low} – {high}{', log' if parameter.log else ''}"
    return Setting(name=parameter.name, value=wording.value(value), options=options, position=position, at_edge=at_edge)


def _position(parameter: SearchedParameter, value: object) -> float:
    low, high, at = (float(str(number)) for number in (parameter.low, parameter.high, value))
    if parameter.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return min(max((at - low) / (high - low), 0.0), 1.0) if high > low else 0.5
