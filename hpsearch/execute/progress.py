"""Live progress of the stretches: workers pin it to a board, the driver reads the board now and then.

Tune's own results are kept for rungs, since each costs the driver milliseconds and the worker a round trip.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hpsearch.train.progress import Progress

PIN_SECONDS = 1.0
"""A worker pins at most once in this time."""
READ_SECONDS = 1.0
"""The driver reads at most once in this time."""


class _Board:
    def __init__(self) -> None:
        self._latest: dict[str, Progress] = {}

    def pin(self, key: str, progress: Progress) -> None:
        self._latest[key] = progress

    def read(self) -> dict[str, Progress]:
        """What was pinned since the last reading."""
        latest, self._latest = self._latest, {}
        return latest


class ProgressReader:
    """The driver's side of the board; never waits for it."""

    def __init__(self) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self.board: Any = ray.remote(_Board).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here).remote()
        self._pending: Any = None
        self._next_reading = 0.0

    def read(self) -> dict[str, Progress]:
        """What is new by key; mostly nothing."""
        if self._pending is not None:
            ready, _ = ray.wait([self._pending], timeout=0)
            if not ready:
                return {}
            pending, self._pending = self._pending, None
            with contextlib.suppress(RayError):  # the board's node is lost: it starts again elsewhere
                news: dict[str, Progress] = ray.get(pending)
                return news
            return {}
        if time.monotonic() >= self._next_reading:
            self._next_reading = time.monotonic() + READ_SECONDS
            self._pending = self.board.read.remote()
        return {}

    def close(self) -> None:
        """Ends the board's process."""
        ray.kill(self.board)


class ProgressPin:
    """The worker's side of the board, for one stretch."""

    def __init__(self, board: Any, key: str) -> None:
        self._board, self._key, self._next = board, key, 0.0

    def pin(self, progress: Progress) -> None:
        """Pins `progress`, unless the last one is fresh enough."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PIN_SECONDS
            self._board.pin.remote(self._key, progress)
