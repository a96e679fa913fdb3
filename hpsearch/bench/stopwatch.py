"""How long something takes on a device: alternating measurements and their medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

MEASURED_SECONDS = 1.0
"""How long one measurement takes about."""
STEPS_BETWEEN_LOOKS = {"cpu": 1, "cuda": 20}
"""Steps after which the clock is looked at; on a GPU each look makes the host wait."""

Measurement = Callable[[], float]
"""Measures once, for about `MEASURED_SECONDS`; images per second."""


def synchronised(device: torch.device) -> float:
    """The clock in seconds, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def repeated(step: Callable[[], object], images: int, device: torch.device) -> float:
    """Images per second of `step`, which works on `images`, called again and again."""
    num_steps = 0
    began = now = synchronised(device)
    while now - began < MEASURED_SECONDS:
        for _ in range(STEPS_BETWEEN_LOOKS[device.type]):
            step()
        num_steps += STEPS_BETWEEN_LOOKS[device.type]
        now = synchronised(device)
    return num_steps * images / (now - began)


def alternated(ways: Mapping[str, Measurement], repeats: int) -> dict[str, float]:
    """Median of `repeats` measurements of each way, after one that warms up.

    The ways take turns, forwards and backwards, so that what changes on the machine meanwhile meets all of them alike.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 1):
        for name in sorted(ways, reverse=number % 2 == 0):
            found[name].append(ways[name]())
    return {name: statistics.median(rates[1:]) for name, rates in found.items()}
