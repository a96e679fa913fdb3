"""What the rooms that train tell the space reader: which parameters there are, and what a backbone is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from hpsearch.config import KnownParameter, Params, ParamValue, nearest

NONE = "none"
"""The word that stands for the absence of a value."""


class Vocabulary(Protocol):
    """The parameters that a space file may name."""

    @property
    def parameters(self) -> Mapping[str, KnownParameter]:
        """Every known parameter by its dotted name."""
        ...

    def family(self, backbone: str) -> str:
        """Family of a backbone, by which ranges may differ.

        Raises:
            InputError: no such backbone, with the nearest known name.
        """
        ...

    def num_parameters(self, params: Params) -> int:
        """Parameters of the network that `params` describe.

        Raises:
            InputError: no such backbone, or one that cannot have what `params` ask for.
        """
        ...


def checked_value(name: str, value: Any, known: KnownParameter | None) -> ParamValue:
    """`value` as a value of the parameter `name`, integers made floats where it takes floats.

    Raises:
        ValueError: the rule that it breaks, in words.
    """
    if value is None:
        raise ValueError(f"{name} has no value; write `none` where it should be switched off.")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{name} is {value!r}; it must be {_wanted(known)}. Quote it if it is meant as text.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value}; it must be finite.")
    if known is None:
        return value
    if value == NONE and known.none_allowed:
        return NONE
    if known.kind == "text":
        return _checked_text(name, value, known)
    return _checked_number(name, value, known)


def _checked_text(name: str, value: str | float, known: KnownParameter) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}; it must be {_wanted(known)}.")
    if known.choices is not None and value not in known.choices:
        raise ValueError(f"{name} is {value!r}; it must be {_wanted(known)}{nearest(value, known.choices)}")
    return value


def _checked_number(name: str, value: str | float, known: KnownParameter) -> float:
    if isinstance(value, str) or (known.kind == "int" and not isinstance(value, int)):
        raise ValueError(f"{name} is {value!r}; it must be {_wanted(known)}.")
    if (known.low is not None and value < known.low) or (known.high is not None and value > known.high):
        raise ValueError(f"{name} is {value}; it must be {_wanted(known)}.")
    step = known.multiple_of
    if step and int(value) % step:
        below = int(value) // step * step
        raise ValueError(f"{name} is {value}; it must be a multiple of {step}, such as {below or step} or {below + step}.")
    return float(value) if known.kind == "float" else value


def _wanted(known: KnownParameter | None) -> str:
    if known is None:
        return "a number or a text"
    if known.kind == "text":
        wanted = f"one of {', '.join(known.choices)}" if known.choices else "a text"
    else:
        wanted = "an integer" if known.kind == "int" else "a number"
        if known.low is not None and known.high is not None:
            wanted += f" from {known.low:g} to {known.high:g}"
        elif known.low is not None:
            wanted += f" of at least {known.low:g}"
        elif known.high is not None:
            wanted += f" of at most {known.high:g}"
    return f"{wanted}, or `none`" if known.none_allowed else wanted
