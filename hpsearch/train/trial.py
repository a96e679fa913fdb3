"""Trains one configuration and yields its scores at each rung; on a CPU or a GPU, resumed or not, always the same.

A rung is a number of images seen. Training goes in whole batches, so a rung is evaluated after the first batch that reaches
it. Order, augmentation, dropout and learning rate depend on the seed and the step only, and the schedule spans the full
training whatever rungs are asked for; so a trial that stops and resumes at rungs ends, on a CPU, bit by bit as one that
does not.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import math
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from hpsearch.config import Precision
from hpsearch.data.batches import training_batches
from hpsearch.data.training_data import LabelledImages, TrainingData
from hpsearch.errors import DivergedError
from hpsearch.metrics import score
from hpsearch.model.backbones import ModelSpec, build, count_parameters
from hpsearch.model.depthwise import speed_up_depthwise
from hpsearch.model.weight_sources import WeightsSource
from hpsearch.model.weights import load_weights
from hpsearch.train.augment import build_augmentation, build_labelled
from hpsearch.train.checkpoint import read_checkpoint, write_checkpoint
from hpsearch.train.compiled import CompiledNetworks, NetworkKind
from hpsearch.train.ema import MovingAverage
from hpsearch.train.evaluate import predict_probabilities
from hpsearch.train.gradients import GradientComputer
from hpsearch.train.loss import loss_of
from hpsearch.train.optimise import clip_gradients, learning_rate, make_optimizer, set_learning_rate
from hpsearch.train.peers import Peers, SharedGradients
from hpsearch.train.precision import compute_type, tune_device
from hpsearch.train.progress import OnProgress, ProgressMeter
from hpsearch.train.result import RungResult, packed, unpacked
from hpsearch.train.settings import TrialSettings, full_budget
from hpsearch.train.vocabulary import model_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

STEPS_BETWEEN_CHECKS = {"cpu": 1, "cuda": 50}
"""Steps after which the loss is looked at; on a GPU each look makes the host wait."""


class TrialTrainer:
    """One configuration in training.

    Attributes:
        settings: the configuration.
        num_parameters: parameters of the network.
        weights: what became of the start weights.
        images_seen: images trained on so far.
    """

    def __init__(
        self,
        settings: TrialSettings,
        data: TrainingData,
        *,
        seed: int,
        device: str = "cpu",
        precision: Precision = "auto",
        checkpoint: Path | None = None,
        start_weights: WeightsSource | None = None,
        on_progress: OnProgress | None = None,
        peers: Peers | None = None,
        compiled: CompiledNetworks | None = None,
    ) -> None:
        """Builds the network, and goes on from `checkpoint` where it holds this configuration with this seed.

        `start_weights` says where the weights of `settings.weights` lie; None: they are looked for on this machine.
        `peers`: this process trains with others, see `Peers`; only the main one writes checkpoints.
        `compiled`: what this process keeps of compiled networks; None: the network is trained eagerly.

        Raises:
            InputError: unknown backbone or augmentation, or start weights that cannot be had.
            InfeasibleError: a network that cannot be built.
        """
        self.settings = settings
        self._data = data
        self._seed = seed
        self._device = torch.device(device)
        self._dtype = compute_type(precision, self._device)
        self._checkpoint = checkpoint
        self._start_weights = start_weights
        self._on_progress = on_progress
        self._peers = peers
        self._compiled = compiled or CompiledNetworks("never")
        self._batch_size = settings.batch_size
        self._num_steps = math.ceil(full_budget(settings, len(data.train)) / self._batch_size)
        self._step = 0
        self._last: RungResult | None = None
        tune_device(self._device)
        self._build()
        self._resume()

    def _build(self) -> None:
        spec = model_spec(self.settings)
        self.num_parameters = count_parameters(spec)
        torch.manual_seed(self._seed)
        model = build(spec)
        self.weights = load_weights(model, spec, self.settings.weights, self._start_weights)
        log.info("%s, %s parameters, %s", self.settings.backbone, f"{self.num_parameters:,}", self.weights)
        if self._device.type == "cpu":
            speed_up_depthwise(model)
        self._network: nn.Module = model.to(self._device).to(memory_format=torch.channels_last)
        self._forward = self._compiled.forward(self._network, self._kind(spec))
        self._augmentation = build_augmentation(self.settings.augment, self.settings.image_px)
        self._optimizer = make_optimizer(self._network, self.settings)
        decay = self.settings.ema_decay
        self._average = None if decay is None else MovingAverage(self._network, decay)
        own = GradientComputer(
            self._network,
            functools.partial(build_labelled(self.settings.augment, self._augmentation), seed=self._seed),
            loss_of(self.settings),
            micro_batch=self._batch_size,
            dtype=self._dtype,
            forward=self._forward,
        )
        self._gradients = own if self._peers is None else SharedGradients(own, self._network, self._peers)

    def _kind(self, spec: ModelSpec) -> NetworkKind:
        rows = self._peers.part_of(self._batch_size) if self._peers else slice(0, self._batch_size)
        return NetworkKind(spec=spec, batch_size=rows.stop - rows.start, dtype=self._dtype, device=self._device)

    @property
    def images_seen(self) -> int:
        """Images trained on so far."""
        return self._step * self._batch_size

    @property
    def model(self) -> nn.Module:
        """The network that is evaluated and kept: the moving average where there is one. Takes images in [0, 1]."""
        return self._average.module if self._average else self._network

    def probabilities(self, images: LabelledImages) -> NDArray[np.float64]:
        """P(deepfake) of each of `images` now, shape (n,)."""
        return predict_probabilities(self.model, self._augmentation, images, device=self._device, dtype=self._dtype)

    def run(self, rungs: tuple[int, ...]) -> Iterator[RungResult]:
        """Trains from rung to rung; each result is yielded once its checkpoint is written.

        Rungs below the checkpoint's are left out; the checkpoint's own is yielded from it, without training.

        Args:
            rungs: images seen, ascending. Past the full training the learning rate stays 0.

        Raises:
            DivergedError: a loss or a probability is not finite.
            InfeasibleError: the memory does not hold one image.
        """
        reached = 0
        if self._last is not None:
            reached = self._last.images
            if reached in rungs:
                yield self._last
        for rung in rungs:
            if rung > reached:
                self._last = self._train_to(rung)
                self._write_checkpoint()
                yield self._last

    def _train_to(self, rung: int) -> RungResult:
        start = time.perf_counter()
        num_steps = max(0, math.ceil(rung / self._batch_size) - self._step)
        images = num_steps * self._batch_size
        if images and self._passes_are_whole():
            self._forward.prepare(images)
        prepared = time.perf_counter()
        loss = self._train_steps(num_steps)
        trained = time.perf_counter()
        if images and self._passes_are_whole():
            self._forward.learn(images, trained - prepared)
        probabilities_n = self.probabilities(self._data.val)
        if not np.isfinite(probabilities_n).all():
            raise DivergedError(f"a probability is not finite at {self.images_seen:,} images seen.")
        return RungResult(
            images=rung,
            scores=score(self._data.val.labels_n, probabilities_n),
            probabilities_n=probabilities_n,
            train_loss=loss,
            lr=self._rate(self._step - 1),
            seconds=time.perf_counter() - start,
            images_per_second=images / max(trained - prepared, 1e-9),
            micro_batch=min(self._gradients.micro_batch, self._batch_size),
        )

    def _passes_are_whole(self) -> bool:
        """Whether a pass takes as many images as compiled code is made for; with too little memory it takes fewer."""
        return self._gradients.micro_batch >= self._forward.batch_size

    def _train_steps(self, num_steps: int) -> float:
        """Trains and returns the mean loss; the only place where the host waits for the device is the look at the loss."""
        if num_steps == 0:
            assert self._last is not None, "a first rung is at least one batch away"
            return self._last.train_loss
        self._network.train()
        loss_sum = torch.zeros((), device=self._device)
        meter = ProgressMeter(self._on_progress, images=self.images_seen, device=self._device.type)
        between_checks = STEPS_BETWEEN_CHECKS[self._device.type]
        batches = training_batches(
            self._data.train,
            batch_size=self._batch_size,
            seed=self._seed,
            balance=self.settings.balance,
            matched=self.settings.order == "matched",
            start_images=self.images_seen,
            device=self._device,
        )
        with closing(batches):
            for number, (images_bchw, labels_b, first) in enumerate(meter.waiting(batches), start=1):
                loss_sum += self._take_step(images_bchw, labels_b, first)
                if number % between_checks == 0 or number == num_steps:
                    self._check_finite(loss_sum)
                meter.tell(self.images_seen)
                if number == num_steps:
                    break
        return float(loss_sum) / num_steps

    def _take_step(self, images_bchw: Tensor, labels_b: Tensor, first: int) -> Tensor:
        rate = self._rate(self._step)
        # Dropout depends on seed, step and peer alone, so that a checkpoint needs no random state.
        rank = self._peers.rank if self._peers else 0
        torch.manual_seed((self._seed * 1_000_003 + self._step + (rank << 48)) % 2**63)
        loss = self._gradients(images_bchw, labels_b, first)
        clip_gradients(self._network, self.settings.gradient_clip)
        set_learning_rate(self._optimizer, rate)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if self._average:
            self._average.update()
        self._step += 1
        return loss

    def _rate(self, step: int) -> float:
        return learning_rate(self.settings, step, self._num_steps)

    def _check_finite(self, loss_sum: Tensor) -> None:
        if not math.isfinite(loss_sum.item()):
            raise DivergedError(
                f"the loss is not finite at {self.images_seen:,} images seen (learning rate {self._rate(self._step - 1):.2g})."
            )

    def _write_checkpoint(self) -> None:
        if self._checkpoint is None or self._last is None or (self._peers is not None and not self._peers.is_main):
            return
        state = {
            "step": self._step,
            "micro_batch": self._gradients.micro_batch,
            "network": self._network.state_dict(),
            "average": self._average.state_dict() if self._average else None,
            "optimizer": self._optimizer.state_dict(),
            "last": packed(self._last),
        }
        write_checkpoint(self._checkpoint, self._identity(), state)

    def _resume(self) -> None:
        state = read_checkpoint(self._checkpoint, self._identity()) if self._checkpoint else None
        if state is None:
            return
        self._network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._average:
            self._average.load_state_dict(state["average"])
        self._gradients.micro_batch = state["micro_batch"]
        self._step = state["step"]
        self._last = unpacked(state["last"])

    def _identity(self) -> str:
        """What a checkpoint must agree in to be gone on from."""
        settings = dataclasses.asdict(self.settings)
        return json.dumps({"settings": settings, "seed": self._seed, "num_steps": self._num_steps}, sort_keys=True)
