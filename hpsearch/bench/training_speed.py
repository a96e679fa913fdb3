"""How near a trial comes to the speed of its network, and how far the usual way stays behind.

Four ways to train (and to evaluate) the same network are timed in turns:

- step: the network's own step on one batch of floats that stays on the device: nothing can be faster; in training the best of
  eager and compiled, where compiling is asked for;
- limit: the same after the full augmentation of one batch of stored images that stays on the device;
- ours: the trial as a search runs it, from the cache of decoded images;
- usual: `DataLoader`, PIL and torchvision in fp32 (`usual_way`), with the starting points' lighter augmentation.

Legend: b images, c colours, h and w pixels.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from hpsearch.bench import stopwatch
from hpsearch.bench.augmentation import FULL_RECIPE, SEED_RECIPE
from hpsearch.bench.stopwatch import Measurement, alternated, repeated
from hpsearch.bench.usual_way import UsualEvaluation, UsualTraining
from hpsearch.data.training_data import LabelledImages, TrainingData, open_training_data
from hpsearch.model.backbones import build
from hpsearch.train.augment import build_augmentation, build_labelled, cache_px
from hpsearch.train.compiled import CompiledNetworks, NetworkKind
from hpsearch.train.evaluate import evaluation_batch_size
from hpsearch.train.gradients import Augment, GradientComputer
from hpsearch.train.loss import loss_of
from hpsearch.train.optimise import make_optimizer
from hpsearch.train.precision import autocast, compute_type, tune_device
from hpsearch.train.settings import TrialSettings
from hpsearch.train.trial import TrialTrainer
from hpsearch.train.vocabulary import model_spec

if TYPE_CHECKING:
    from hpsearch.data.dataset import Dataset

Phase = Literal["train", "eval"]
COMPILED_STEP = "compiled step"
"""Measured beside `step` where networks are compiled."""
MOST_EVALUATED = 512
"""Images of one evaluation."""
ENDLESS_IMAGES = 10**9
"""Full training of the trials that are timed: they are far from its end, where the learning rate is 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedRow:
    """Images per second of one network in one phase, medians."""

    device: str
    """`cpu` or `cuda`."""
    backbone: str
    """timm name."""
    px: int
    """Side of what the network sees."""
    phase: Phase
    """Training or evaluation."""
    step: float
    """The network on a batch of floats that is there."""
    limit: float
    """The same after the full augmentation of stored images that are there."""
    ours: float
    """The trial of a search, from the cache."""
    usual: float
    """DataLoader, PIL, torchvision, fp32."""


def measure(
    settings: TrialSettings, dataset: Dataset, *, device: str, cache_dir: Path, num_cores: int, repeats: int, compiles: bool
) -> list[SpeedRow]:
    """Times the four ways to train and to evaluate `settings`, whose augmentation should be `FULL_RECIPE`.

    Args:
        settings: network, sizes and augmentation.
        dataset: images of both splits.
        device: `cpu` or `cuda`.
        cache_dir: where decoded images are kept.
        num_cores: worker processes of the usual way, and threads on a CPU.
        repeats: measurements of each way; the medians count.
        compiles: whether training goes through torch.compile in all ways but the usual one.
    """
    compiled = CompiledNetworks("always") if compiles else None
    data = open_training_data(
        dataset,
        px=cache_px(settings.augment, settings.image_px),
        cache_dir=cache_dir,
        num_workers=num_cores,
        max_unreadable_fraction=0.01,
    )
    rows = []
    phases: dict[Phase, Callable[[], dict[str, Measurement]]] = {
        "train": lambda: _training_ways(settings, dataset, data, device, num_cores, compiled),
        "eval": lambda: _evaluation_ways(settings, dataset, data, device, num_cores),
    }
    tune_device(torch.device(device))
    for phase, make_ways in phases.items():
        speeds = alternated(make_ways(), repeats)
        speeds["step"] = max(speeds["step"], speeds.pop(COMPILED_STEP, 0.0))
        rows.append(SpeedRow(device=device, backbone=settings.backbone, px=settings.image_px, phase=phase, **speeds))
    return rows


def full_settings(backbone: str, px: int, batch_size: int) -> TrialSettings:
    """The starting points' optimiser with the full augmentation."""
    return TrialSettings(
        backbone=backbone,
        image_px=px,
        batch_size=batch_size,
        optimizer="adam",
        images_per_trial=ENDLESS_IMAGES,
        augment=FULL_RECIPE,
    )


def _training_ways(
    settings: TrialSettings,
    dataset: Dataset,
    data: TrainingData,
    device: str,
    num_cores: int,
    compiled: CompiledNetworks | None,
) -> dict[str, Measurement]:
    images_bchw, labels_b = _resident_batch(data.train, settings.batch_size, device)
    augmentation = build_augmentation(settings.augment, settings.image_px)
    augment = functools.partial(build_labelled(settings.augment, augmentation), seed=0)
    augmented_bchw, targets_b = augment(images_bchw, labels_b, 0)

    def as_it_is(floats_bchw: Tensor, _: Tensor, first: int) -> tuple[Tensor, Tensor]:
        return floats_bchw, targets_b

    ways = {"step": _resident_training(settings, augmented_bchw, labels_b, as_it_is, None)}
    if compiled is not None:
        ways[COMPILED_STEP] = _resident_training(settings, augmented_bchw, labels_b, as_it_is, compiled)
    return {
        **ways,
        "limit": _resident_training(settings, images_bchw, labels_b, augment, compiled),
        "ours": _OwnTraining(settings, data, device, compiled),
        "usual": UsualTraining(settings, dataset.train, SEED_RECIPE, device=device, num_workers=num_cores),
    }


def _evaluation_ways(
    settings: TrialSettings, dataset: Dataset, data: TrainingData, device: str, num_cores: int
) -> dict[str, Measurement]:
    val = _first(data.val, MOST_EVALUATED)
    images_bchw, _ = _resident_batch(val, evaluation_batch_size(len(val), settings.image_px, torch.device(device)), device)
    augmentation = build_augmentation(settings.augment, settings.image_px)
    ready_bchw = augmentation.evaluation(images_bchw)
    trainer = TrialTrainer(settings, TrainingData(train=data.train, val=val), seed=0, device=device)
    return {
        "step": _resident_evaluation(settings, ready_bchw, lambda floats_bchw: floats_bchw),
        "limit": _resident_evaluation(settings, images_bchw, augmentation.evaluation),
        "ours": functools.partial(repeated, lambda: trainer.probabilities(val), len(val), torch.device(device)),
        "usual": UsualEvaluation(settings, dataset.val, SEED_RECIPE, device=device, num_workers=num_cores),
    }


def _resident_training(
    settings: TrialSettings, images_bchw: Tensor, labels_b: Tensor, augment: Augment, compiled: CompiledNetworks | None
) -> Measurement:
    """Training steps on one batch that stays where it is."""
    device = images_bchw.device
    dtype = compute_type("auto", device)
    model = build(model_spec(settings)).to(device).to(memory_format=torch.channels_last).train()
    optimizer = make_optimizer(model, settings)
    forward: Callable[[Tensor], Tensor] = model
    if compiled is not None:
        kind = NetworkKind(spec=model_spec(settings), batch_size=settings.batch_size, dtype=dtype, device=device)
        forward = compiled.forward(model, kind)
        compiled.prepare(model, kind, ENDLESS_IMAGES)
    gradients = GradientComputer(
        model, augment, loss_of(settings), micro_batch=settings.batch_size, dtype=dtype, forward=forward
    )

    numbers = itertools.count(0, len(labels_b))  # as in a trial: always the same would draw as many of each augmentation

    def step() -> None:
        gradients(images_bchw, labels_b, next(numbers))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return functools.partial(repeated, step, len(labels_b), device)


def _resident_evaluation(settings: TrialSettings, images_bchw: Tensor, prepare: Callable[[Tensor], Tensor]) -> Measurement:
    """Predictions for one batch that stays where it is."""
    device = images_bchw.device
    dtype = compute_type("auto", device)
    model = build(model_spec(settings)).to(device).to(memory_format=torch.channels_last).eval()

    @torch.inference_mode()
    def step() -> None:
        with autocast(device, dtype):
            logits_bk = model(prepare(images_bchw))
        torch.softmax(logits_bk.double(), dim=1)

    return functools.partial(repeated, step, len(images_bchw), device)


class _OwnTraining:
    """A trial that goes on from measurement to measurement, as in a search from rung to rung."""

    def __init__(self, settings: TrialSettings, data: TrainingData, device: str, compiled: CompiledNetworks | None) -> None:
        few = TrainingData(train=data.train, val=_first(data.val, settings.batch_size))
        self._trainer = TrialTrainer(settings, few, seed=0, device=device, compiled=compiled)
        self._batch_size = settings.batch_size
        self._speed = 0.0

    def __call__(self) -> float:
        num_batches = max(2, math.ceil(stopwatch.MEASURED_SECONDS * self._speed / self._batch_size))
        rung = self._trainer.images_seen + num_batches * self._batch_size
        (result,) = self._trainer.run((rung,))
        self._speed = result.images_per_second
        return self._speed


def _resident_batch(images: LabelledImages, size: int, device: str) -> tuple[Tensor, Tensor]:
    """The first `size` images of a set (from the start again where it has fewer) on the device, channels_last.

    Their labels stay on the host.
    """
    positions_b = np.arange(size) % len(images)
    images_bhwc = np.take(np.asarray(images.images_nhwc), images.indices_n[positions_b], axis=0)
    labels_b = torch.from_numpy(images.labels_n[positions_b])
    return torch.from_numpy(images_bhwc).to(device).permute(0, 3, 1, 2), labels_b


def _first(images: LabelledImages, count: int) -> LabelledImages:
    return LabelledImages(images_nhwc=images.images_nhwc, labels_n=images.labels_n[:count], indices_n=images.indices_n[:count])
