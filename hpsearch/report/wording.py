"""How numbers, durations and parameters are written for people."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

_BARS = "▁▂▃▄▅▆▇█"


def duration(seconds: float) -> str:
    """Two units at most: `48 s`, `4 min 48 s`, `2 h 05 min`, `3 d 04 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def value(given: object) -> str:
    """A parameter's value: three significant digits for a float, everything else as it is."""
    if isinstance(given, float) and math.isfinite(given):
        return f"{given:.3g}" if abs(given) < 1e6 else f"{given:,.0f}"
    return str(given)


def large(number: float) -> str:
    """A count in three digits and a unit: `950`, `26.0 M`, `1.20 G`."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            shown = number / size
            return f"{shown:.{2 if shown < 9.995 else 1 if shown < 99.95 else 0}f} {unit}"
    return f"{number:.0f}"


def size(num_bytes: float) -> str:
    """Memory or disk: `59 MiB`, `1.2 GiB`."""
    return f"{num_bytes / 2**30:.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.0f} MiB"


def counts(by_state: Mapping[str, int]) -> str:
    """`2 running, 15 paused`, states without trials left out."""
    return ", ".join(f"{count:,} {state}" for state, count in by_state.items() if count)


def params(given: Mapping[str, object]) -> str:
    """`backbone resnet18, lr 0.00213`."""
    return ", ".join(f"{name} {value(setting)}" for name, setting in given.items())


def members(given: Sequence[Mapping[str, object]]) -> str:
    """Networks of an ensemble: `4 networks: 3 fresh trainings of trial 5, 1 of trial 7`."""
    of_trial = Counter(one["trial"] for one in given)
    (first, count), *others = of_trial.items()
    listed = [f"{count} fresh training{'s' if count > 1 else ''} of trial {first}"]
    return f"{len(given)} networks: " + ", ".join([*listed, *(f"{number} of trial {trial}" for trial, number in others)])


def printable(text: str) -> str:
    """`text` on one line, without characters that would steer a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def sparkline(values: Sequence[float], width: int) -> str:
    """The course of `values` in at most `width` characters, the last value always shown."""
    if not values:
        return ""
    step = max(1, math.ceil(len(values) / width))
    shown = [values[index] for index in range((len(values) - 1) % step, len(values), step)]
    low, high = min(shown), max(shown)
    if low == high:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(int((v - low) / (high - low) * len(_BARS)), len(_BARS) - 1)] for v in shown)
