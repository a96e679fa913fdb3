"""JSON of files that others may have changed, as values of a type: what is not of that type is named by its place."""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def read_as(text: str, kind: type[T]) -> T:
    """The value in `text`.

    Args:
        text: JSON with finite numbers.
        kind: A TypedDict, dataclass or container of such; keys of a TypedDict or dataclass that it does not know are left out.

    Raises:
        ValueError: not JSON, not of that type, or nested too deeply; the message names the place.
    """
    try:
        content = json.loads(text, parse_float=_finite, parse_int=_whole, parse_constant=_refused)
        return msgspec.convert(content, kind)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refused(digits)


def _whole(digits: str) -> int:
    _finite(digits)  # larger ones fit no float, and nobody wrote them
    return int(digits)


def _refused(digits: str) -> Any:
    raise ValueError(f"{digits[:20]} is no finite number")
