"""What a worker is asked to do and what it answers: one stretch of a trial, its rungs and its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hpsearch.search.types import Stretch
from hpsearch.train.progress import OnProgress


@dataclass(frozen=True, kw_only=True, slots=True)
class RungReport:
    """A trial has reached a rung, and its checkpoint is written."""

    images: int
    """Images seen at this rung."""
    value: float
    """Objective on the validation images, larger is better."""
    seconds: float = 0.0
    """Wall seconds since the rung before."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What else is worth keeping: scores, training loss, images per second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrived:
    """A worker process runs, and waits to be told to begin; said again and again until then."""

    node_id: str
    """Where, as Ray calls the node."""


class StretchRunner(Protocol):
    """Lives in a worker process and is kept from stretch to stretch: what is warm belongs here."""

    def run(self, stretch: Stretch, on_progress: OnProgress) -> Iterator[RungReport]:
        """Trains the trial on from its last checkpoint.

        Yields a report at each rung after `stretch.from_images`, once its checkpoint is written; in between it may tell
        `on_progress` as often as it likes. The iterator is closed when the engine says stop.
        """
        ...


MakeRunner = Callable[[], StretchRunner]
"""Makes the runner of one worker process; picklable. What it raises ends the search, since no trial is to blame."""
