"""What every worker of a run needs, whatever it is asked to do there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.data.processes import num_cores
from hpsearch.data.training_data import open_training_data
from hpsearch.errors import ClusterError
from hpsearch.model.weight_sources import at_hand
from hpsearch.run_files import RunFiles, SharedFiles
from hpsearch.train.memory import keep_to_share
from hpsearch.train.plugins import import_plugins

if TYPE_CHECKING:
    from hpsearch.config import Compile, Precision
    from hpsearch.data.dataset import Dataset
    from hpsearch.data.training_data import TrainingData
    from hpsearch.model.weight_sources import WeightsSource
    from hpsearch.train.settings import TrialSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSetup:
    """Made by the driver, the same for searching, training again, judging and answering."""

    cache_dir: str
    """Parent of the node's caches of decoded images."""
    max_unreadable_fraction: float
    """Share of unreadable images that is accepted."""
    precision: Precision
    """Autocast type of training."""
    compile: Compile = "auto"
    """Whether networks are compiled for training."""
    num_workers: int | None = None
    """Processes or threads that decode; None: one for each core of the node."""
    gpus: float = 0.0
    """GPUs of the worker; a fraction shares one, whose memory it keeps to."""
    start_weights: Mapping[tuple[str, str], WeightsSource] = field(default_factory=dict)
    """(backbone, `weights`) → the file that the driver found and every node sees."""
    plugins: tuple[str, ...] = ()
    """The user's modules."""
    files: RunFiles = field(default_factory=SharedFiles)
    """How files of the run directory reach the other nodes."""

    def begin(self) -> str:
        """Prepares the worker's process: its share of the GPU, the user's modules; returns torch's name of its device.

        Raises:
            InputError: a plugin that is not there or fails.
            ClusterError: Ray gave this process a GPU that torch cannot use.
        """
        import torch

        import_plugins(self.plugins)
        if self.gpus == 0:
            return "cpu"
        if not torch.cuda.is_available():
            raise ClusterError(
                f"Ray gave a worker {self.gpus:g} GPU, but torch {torch.__version__} sees none there. Check the driver with "
                "nvidia-smi, and that this torch is built for CUDA."
            )
        keep_to_share(self.gpus)
        return "cuda"

    def training_data(self, dataset: Dataset, px: int, progress: Callable[[int, int], None] | None = None) -> TrainingData:
        """The decoded images at `px`, see `open_training_data`."""
        return open_training_data(
            dataset,
            px=px,
            cache_dir=Path(self.cache_dir),
            num_workers=num_cores() if self.num_workers is None else self.num_workers,
            max_unreadable_fraction=self.max_unreadable_fraction,
            progress=progress,
        )

    def start_weights_of(self, settings: TrialSettings) -> WeightsSource | None:
        """Where a network of these settings starts, its file on this node; None: the driver found no file for them."""
        return at_hand(self.start_weights.get((settings.backbone, settings.weights)), self.files)
