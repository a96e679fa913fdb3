"""The usual way to train and to evaluate: a `DataLoader` of PIL images, torchvision's transforms, fp32.

It is given what a careful user gives it: as many worker processes as cores, which live from epoch to epoch, pinned memory
on a GPU, no gradients in evaluation. Where hpsearch has set allocator, cuDNN and TF32 for the process, it profits as well.

Legend: b images, c colours, h and w pixels, k classes (0 real, 1 deepfake).
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Sampler

from hpsearch.bench import stopwatch
from hpsearch.bench.augmentation import torchvision_pipeline
from hpsearch.bench.stopwatch import synchronised
from hpsearch.model.backbones import build
from hpsearch.train.vocabulary import model_spec

if TYPE_CHECKING:
    from hpsearch.bench.augmentation import Recipe
    from hpsearch.data.dataset import ImageSet
    from hpsearch.train.settings import TrialSettings

PREFETCH_BATCHES = 2
"""Batches that each worker makes ahead; DataLoader's own default."""
FEWEST_ROUNDS = 2
"""Batches of each worker that are timed at least, since they come in bursts of as many as there are workers."""


class ImageFiles(Dataset[tuple[Tensor, int]]):
    """Image files through torchvision's transforms, one at a time."""

    def __init__(self, images: ImageSet, transform: Callable[[Image.Image], Tensor]) -> None:
        self._paths = images.paths
        self._labels = images.labels_n.tolist()
        self._transform = transform

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self._paths[index]) as image:
            return self._transform(image.convert("RGB")), self._labels[index]


class _Numbers(Sampler[int]):
    """As many positions of a set as the next measurement needs, in random order."""

    def __init__(self, num_positions: int) -> None:
        self._positions = list(range(num_positions))
        self.num_wanted = num_positions

    def __len__(self) -> int:
        return self.num_wanted

    def __iter__(self) -> Iterator[int]:
        random.shuffle(self._positions)
        return itertools.islice(itertools.cycle(self._positions), self.num_wanted)


class UsualTraining:
    """Images per second of the usual training loop."""

    def __init__(self, settings: TrialSettings, images: ImageSet, recipe: Recipe, *, device: str, num_workers: int) -> None:
        self._device = torch.device(device)
        self._model = build(model_spec(settings)).to(self._device)
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=settings.lr)
        files = ImageFiles(images, torchvision_pipeline(recipe, settings.image_px, resize=True))
        self._loader = _Loader(files, settings.batch_size, self._device, num_workers)

    def __call__(self) -> float:
        """One measurement: images/s."""
        self._model.train()
        return self._loader.speed(self._step)

    def _step(self, images_bchw: Tensor, labels_b: Tensor) -> None:
        loss = F.cross_entropy(self._model(images_bchw), labels_b)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._optimizer.step()


class UsualEvaluation:
    """Images per second of the usual evaluation."""

    def __init__(self, settings: TrialSettings, images: ImageSet, recipe: Recipe, *, device: str, num_workers: int) -> None:
        self._device = torch.device(device)
        self._model: nn.Module = build(model_spec(settings)).to(self._device).eval()
        crop_only = {"crop": recipe["crop"]}
        files = ImageFiles(images, torchvision_pipeline(crop_only, settings.image_px, resize=True))
        self._loader = _Loader(files, settings.batch_size, self._device, num_workers)

    def __call__(self) -> float:
        """One measurement: images/s."""
        return self._loader.speed(self._predict)

    @torch.no_grad()
    def _predict(self, images_bchw: Tensor, labels_b: Tensor) -> None:
        torch.softmax(self._model(images_bchw), dim=1)[:, 1].cpu()


class _Loader:
    """A `DataLoader` that is timed while its workers are at it, without their start and without an idle end.

    The first batch of each worker warms up. The last ones, those that workers make ahead, are made while the timed ones
    are used, and thrown away: so the timed part neither uses up a lead nor has the cores for itself.
    """

    def __init__(self, files: ImageFiles, batch_size: int, device: torch.device, num_workers: int) -> None:
        self._device = device
        self._batch_size = batch_size
        self._num_workers = num_workers
        self._sampler = _Numbers(len(files))
        self._speed = 0.0
        self._batches = DataLoader(
            files,
            batch_size=batch_size,
            sampler=self._sampler,
            num_workers=num_workers,
            prefetch_factor=PREFETCH_BATCHES,
            persistent_workers=True,
            multiprocessing_context="fork",  # the fastest start; the transforms hold closures
            pin_memory=device.type == "cuda",
        )

    def speed(self, work: Callable[[Tensor, Tensor], None]) -> float:
        """Images/s of `work` on the batches."""
        first, num_timed = self._num_workers, self._num_timed()
        num_batches = first + num_timed + PREFETCH_BATCHES * self._num_workers
        self._sampler.num_wanted = num_batches * self._batch_size
        began = ended = 0.0
        for number, batch in enumerate(self._batches):
            if number == first:
                began = synchronised(self._device)
            if number < first + num_timed:
                images_bchw, labels_b = self._moved(batch)
                work(images_bchw, labels_b)
            if number == first + num_timed - 1:
                ended = synchronised(self._device)
        self._speed = num_timed * self._batch_size / (ended - began)
        return self._speed

    def _num_timed(self) -> int:
        rounds = math.ceil(stopwatch.MEASURED_SECONDS * self._speed / self._batch_size / self._num_workers)
        return self._num_workers * max(FEWEST_ROUNDS, rounds)

    def _moved(self, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        images_bchw, labels_b = (part.to(self._device, non_blocking=True) for part in batch)
        return images_bchw, labels_b
