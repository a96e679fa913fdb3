"""Stretch runners without torch for the executor's tests; workers import this module by name."""

import errno
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hpsearch.errors import DivergedError
from hpsearch.execute.stretch import OnProgress, Progress, RungReport
from hpsearch.layout import RunLayout
from hpsearch.search.types import Stretch

RUNGS = (10, 30, 90)


class EnvironmentRunner:
    """Reports the environment that a trial sees."""

    def run(self, stretch: Stretch, on_progress: OnProgress) -> Iterator[RungReport]:
        for images in RUNGS:
            yield RungReport(images=images, value=0.5, metrics={"environment": dict(os.environ)})


class TabulatedRunner:
    """Reports the parameter `x` at each rung at once."""

    def __init__(self) -> None:
        self.num_stretches = 0

    def run(self, stretch: Stretch, on_progress: OnProgress) -> Iterator[RungReport]:
        self.num_stretches += 1
        for images in RUNGS:
            if images > stretch.from_images:
                metrics = {"pid": os.getpid(), "num_stretches": self.num_stretches}
                yield RungReport(images=images, value=float(stretch.params["x"]), metrics=metrics)


@dataclass
class MisbehavingRunner:
    """Does what the parameter `kind` says."""

    root: Path

    def run(self, stretch: Stretch, on_progress: OnProgress) -> Iterator[RungReport]:
        kind = stretch.params["kind"]
        on_progress(Progress(images=stretch.from_images + 1, images_per_second=100.0))
        if kind == "diverge":
            raise DivergedError("the loss is nan at step 3")
        if kind == "nan":
            yield RungReport(images=RUNGS[0], value=float("nan"))
        if kind == "disk full once" and _is_first(self.root / f"full-{stretch.trial}"):
            raise OSError(errno.ENOSPC, "No space left on device", str(self.root))
        if kind == "raise":
            raise ValueError("no such layer")
        if kind == "out of memory":
            import torch

            (self.root / "out_of_memory_pid").write_text(str(os.getpid()))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if kind == "die" or (kind == "die once" and _is_first(self.root / f"died-{stretch.trial}")):
            os._exit(9)
        if kind == "hang once" and _is_first(self.root / f"hung-{stretch.trial}"):
            time.sleep(600)
        while kind == "sleep" or (kind == "sleep until marked" and not (self.root / "go on").exists()):
            time.sleep(0.1)
        for images in RUNGS:
            if images > stretch.from_images:
                yield RungReport(images=images, value=0.5, metrics={"pid": os.getpid()})


def _is_first(marker: Path) -> bool:
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@dataclass
class CheckpointingRunner:
    """Trains nothing, but keeps a checkpoint at each rung and a log of every piece, as a real runner would."""

    root: Path
    seconds_per_rung: float = 0.02

    def run(self, stretch: Stretch, on_progress: OnProgress) -> Iterator[RungReport]:
        checkpoint = RunLayout(self.root).checkpoint(stretch.trial)
        done = int(checkpoint.read_text()) if checkpoint.is_file() else 0
        for images in RUNGS:
            if images <= done:
                continue
            time.sleep(self.seconds_per_rung)
            with (self.root / "pieces.log").open("a") as log:
                log.write(f"{stretch.trial} {done} {images}\n")
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            partial = checkpoint.with_suffix(".partial")
            partial.write_text(str(images))
            partial.replace(checkpoint)
            done = images
            if images > stretch.from_images:
                yield RungReport(images=images, value=float(stretch.params["x"]), seconds=self.seconds_per_rung)
