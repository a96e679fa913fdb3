"""How many trials share one GPU: as many as fit its memory, while each step up trains more images per second together.

`resources.gpus_per_trial=auto` asks for it. The configurations that a search may train (`PackingJob`) are probed on a GPU of
the cluster, first alone, then by 2, 3, 4, 6 and 8 processes at once; what is found is kept in the run directory.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import ray
import torch

from hpsearch.config import Precision, ResourcesConfig
from hpsearch.errors import InfeasibleError
from hpsearch.execute.resources import NodeResources, limit_threads
from hpsearch.files import write_text
from hpsearch.json_text import read_as
from hpsearch.train.memory import CONTEXT_BYTES
from hpsearch.train.plugins import import_plugins
from hpsearch.train.probe import probe
from hpsearch.train.settings import TrialSettings

log = logging.getLogger(__name__)

COUNTS = (1, 2, 3, 4, 6, 8)
"""Trials on one GPU that are tried, in this order."""
LEAST_GAIN = 1.1
"""Images per second that a further step must bring, as a factor; a smaller gain is within what runs differ by."""
SECONDS_TOGETHER = 1.0
"""How long each configuration trains, so that processes that begin together overlap."""
MEMORY_MARGIN = 1.15
"""Memory that a trial is given, over its peak in the probe: cuDNN tries other algorithms as it goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackingJob:
    """What is probed."""

    settings: tuple[TrialSettings, ...]
    """One configuration for each backbone, at the largest size that it may have."""
    stored_px: tuple[int, ...]
    """Side at which the images of each are stored."""
    precision: Precision
    """Autocast type."""
    plugins: tuple[str, ...] = ()
    """The user's modules."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Together:
    """What processes that trained at the same time have measured."""

    count: int
    """Processes."""
    images_per_second: float
    """Of all of them together, the mean over the configurations."""
    peak_bytes: int
    """Memory of the configuration that needed most, in one process."""
    total_bytes: int
    """Memory of the GPU."""


def packed(run_together: Callable[[int], Together], most_by_cores: int) -> list[Together]:
    """Measures more and more trials at once until memory, cores or the gain says stop; the last one is what to use.

    Args:
        run_together: trains with so many processes on one GPU.
        most_by_cores: trials of one GPU that each have a core.
    """
    found = [run_together(1)]
    most = max(1, min(most_by_cores, fitting(found[0])))
    for count in COUNTS[1:]:
        if count > most:
            break
        more = run_together(count)
        if more.images_per_second < LEAST_GAIN * found[-1].images_per_second:
            break
        found.append(more)
    return found


def fitting(alone: Together) -> int:
    """Trials whose memory fits one GPU, each with CUDA's own share and a margin."""
    return int(alone.total_bytes / (alone.peak_bytes * MEMORY_MARGIN + CONTEXT_BYTES))


def with_packing(
    config: ResourcesConfig, nodes: Sequence[NodeResources], make_job: Callable[[], PackingJob], known: Path
) -> ResourcesConfig:
    """`config` with a number in place of `auto`; measured once and kept in the file `known`. Without a GPU: 0, no probe."""
    if config.gpus_per_trial != "auto":
        return config
    node = max(nodes, key=lambda node: node.gpus, default=None)
    if node is None or node.gpus < 1:
        return replace(config, gpus_per_trial=None)
    found = _measured(known)
    if not found:
        job, cores = make_job(), node.cpus / node.gpus
        found = packed(lambda count: run_together(job, count, cores), int(cores))
        write_text(known, json.dumps([asdict(one) for one in found], indent=1) + "\n")
    chosen = found[-1]
    log.info("%d trials share a GPU: %.0f images/s together", chosen.count, chosen.images_per_second)
    return replace(config, gpus_per_trial=1 / chosen.count)


def _measured(known: Path) -> list[Together]:
    """What an earlier start has measured; empty where that is not to be had."""
    try:
        return [one for one in read_as(known.read_text(), list[Together]) if one.count in COUNTS]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s): it is measured again", known, error)
        return []


def run_together(job: PackingJob, count: int, cores: float, gpus: float = 1.0) -> Together:
    """Trains `job` in `count` new processes that share `gpus` and `cores`, which begin when all of them are warm."""
    remote: Any = ray.remote(_Prober)
    share = remote.options(num_cpus=cores / count, num_gpus=gpus / count)
    actors = [share.remote(job, max(1, int(cores / count))) for _ in range(count)]
    try:
        ray.get([actor.warm_up.remote() for actor in actors])
        rounds = ray.get([actor.measure.remote() for actor in actors])
    finally:
        for actor in actors:
            ray.kill(actor)
    speeds, peaks, totals = zip(*rounds, strict=True)
    return Together(count=count, images_per_second=sum(speeds), peak_bytes=max(peaks), total_bytes=max(totals))


class _Prober:
    """One process that trains every configuration for a few steps."""

    def __init__(self, job: PackingJob, num_threads: int) -> None:
        limit_threads(num_threads)
        import_plugins(job.plugins)
        self._job = job

    def warm_up(self) -> None:
        """Loads all that the first steps load."""
        probe(self._job.settings[0], self._job.stored_px[0], device=_device(), precision=self._job.precision)

    def measure(self) -> tuple[float, int, int]:
        """Mean images per second over the configurations that fit, their largest peak, and the device's memory."""
        speeds, peaks = [], [1]
        for settings, stored_px in zip(self._job.settings, self._job.stored_px, strict=True):
            try:
                found = probe(settings, stored_px, device=_device(), precision=self._job.precision, seconds=SECONDS_TOGETHER)
            except InfeasibleError as error:
                log.warning("%s is left out of the packing: %s", settings.backbone, error)
                continue
            speeds.append(found.images_per_second)
            peaks.append(found.peak_bytes)
        total = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else 0
        return sum(speeds) / max(1, len(speeds)), max(peaks), total


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
