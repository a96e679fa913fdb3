"""The best configuration: each value, where it lies in its range, and whether it sticks at an end."""

from __future__ import annotations

from dataclasses import dataclass

from hpsearch.config import ParamValue
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


def _setting(parameter: SearchedParameter, value: ParamValue) -> Setting:
    if parameter.choices:
        options = ", ".join(map(wording.value, parameter.choices))
        return Setting(name=parameter.name, value=wording.value(value), options=options, position=None, at_edge=False)
    position = parameter.position(value)
    low, high = wording.value(parameter.low), wording.value(parameter.high)
    # A strength of 0 is "off", and a range cannot be widened below it.
    at_edge = position > 1 - EDGE or (position < EDGE and parameter.low != 0)
    options = f"{low} – {high}{', log' if parameter.log else ''}"
    return Setting(name=parameter.name, value=wording.value(value), options=options, position=position, at_edge=at_edge)
