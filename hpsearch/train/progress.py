"""How far and how fast a training goes, measured while it runs and told every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from hpsearch.train.gpu_use import GpuUse, gpu_use

SECONDS_BETWEEN_PROGRESS = 2.0

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a training is between two rungs; shown, never journaled."""

    images: int
    """Images seen so far."""
    images_per_second: float
    """Speed of late; evaluation and checkpoints left out."""
    step_fraction: float | None = None
    """Share of that time in which augmentation and the network's step ran, the rest having gone into waiting for images; so
    `images_per_second / step_fraction` is what this machine can do. None: not known, as on a GPU, which works while the host
    waits, and whose own reading is `gpu`."""
    gpu: GpuUse | None = None
    """What the training's GPU says of itself; None: it has none, or none that tells."""


OnProgress = Callable[[Progress], None]


class ProgressMeter:
    """Measures one uninterrupted piece of training."""

    def __init__(self, on_progress: OnProgress | None, *, images: int, device: str) -> None:
        """Begins now, at `images` seen, on a torch device of this type."""
        self._on_progress = on_progress
        self._is_gpu = device == "cuda"
        self._images = images
        self._told = time.monotonic()
        self._waited_seconds = 0.0

    def waiting(self, batches: Iterable[T]) -> Iterator[T]:
        """`batches`, the time that each is waited for being measured."""
        iterator = iter(batches)
        while True:
            began = time.monotonic()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited_seconds += time.monotonic() - began
            yield batch

    def tell(self, images: int) -> None:
        """Tells that `images` have been seen, unless the last time was moments ago."""
        seconds = time.monotonic() - self._told
        if self._on_progress is None or seconds < SECONDS_BETWEEN_PROGRESS:
            return
        self._on_progress(
            Progress(
                images=images,
                images_per_second=(images - self._images) / seconds,
                step_fraction=None if self._is_gpu else 1.0 - self._waited_seconds / seconds,
                gpu=gpu_use() if self._is_gpu else None,
            )
        )
        self._images, self._told, self._waited_seconds = images, time.monotonic(), 0.0
