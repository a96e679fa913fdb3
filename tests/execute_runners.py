"""Stretch runners without torch for the executor's tests; workers import this module by name."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ray

from hpsearch.errors import DivergedError, StorageError
from hpsearch.execute import trainable
from hpsearch.execute.stretch import RungReport
from hpsearch.layout import RunLayout
from hpsearch.search.types import Stretch
from hpsearch.train.progress import OnProgress, Progress

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
        if kind == "leak":
            _leak()
        if kind == "fork":
            (self.root / "forked").write_text(str(subprocess.Popen(["sleep", "600"], start_new_session=True).pid))
        if kind == "print once" and _is_first(self.root / f"printed-{stretch.trial}"):
            _print_without_end()
        while kind == "sleep" or (kind == "sleep until marked" and not (self.root / "go on").exists()):
            time.sleep(0.1)
        for images in RUNGS:
            if images > stretch.from_images:
                metrics = {"pid": os.getpid(), "node": ray.get_runtime_context().get_node_id()}
                yield RungReport(images=images, value=0.5, metrics=metrics)


def _leak() -> None:
    kept = []
    for _ in range(100):  # 5 GB at most, should nobody stop it
        kept.append(b"\x01" * 50_000_000)
        time.sleep(0.05)


def _print_without_end() -> None:
    while True:  # 20 MB/s at most: the disk of the machine is to survive it
        sys.stdout.write("much " * 40_000)
        sys.stderr.write("more " * 40_000)
        time.sleep(0.02)


def _is_first(marker: Path) -> bool:
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@dataclass
class CheckpointingRunner:
    """Trains nothing, but keeps a checkpoint at each rung, as a real runner would, and tells every piece that it begins."""

    root: Path
    seconds_per_rung: float = 0.02
    patience: float = 1.0
    """Factor of the pauses that its worker makes on a full or lost disk."""

    def __post_init__(self) -> None:
        trainable.STORAGE_WAITS_SECONDS = tuple(self.patience * seconds for seconds in trainable.STORAGE_WAITS_SECONDS)

    def run(self, stretch: Stretch, on_progress: OnProgress) -> Iterator[RungReport]:
        done = self._done(stretch.trial)
        for images in RUNGS:
            if images > done:
                try:
                    self._train(stretch.trial, done, images)
                except FileNotFoundError as error:
                    raise StorageError(f"{self.root} is gone") from error
                done = images
            if images > stretch.from_images:
                yield RungReport(images=images, value=float(stretch.params["x"]), seconds=self.seconds_per_rung)

    def _done(self, trial: int) -> int:
        checkpoint = RunLayout(self.root).checkpoint(trial)
        if checkpoint.is_file():
            return int(checkpoint.read_text())
        if not RunLayout(self.root).trials.is_dir():
            raise StorageError(f"{self.root} is gone")
        return 0

    def _train(self, trial: int, done: int, images: int) -> None:
        checkpoint = RunLayout(self.root).checkpoint(trial)
        checkpoint.parent.mkdir(exist_ok=True)
        checkpoint.with_name("pid").write_text(str(os.getpid()))
        with (self.root / "pieces.log").open("a") as log:
            log.write(f"{trial} {done} {images}\n")
        time.sleep(self.seconds_per_rung)
        partial = checkpoint.with_suffix(".partial")
        partial.write_text(str(images))
        partial.replace(checkpoint)
