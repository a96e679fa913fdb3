"""Networks whose training step torch.compile has made: kept by a process from trial to trial, used where that repays.

The code of a network is compiled once for each `NetworkKind`; weights, statistics and images are its arguments, so a second
trial of the same kind compiles nothing, and what is evaluated, checkpointed and exported is the plain module. Only training
goes through it, and of that only batches of the size that it was made for.

On a CPU `auto` leaves it off. Forward and backward passes with one thread of an AMD EPYC that other programs used too, torch
2.14.1, bf16, 64 px, batch 64, in turns with eager: `test_resnet` 465, 519, 403 images/s against 503, 492, 583, after 217 s of
compiling; `resnet18` 96, 68, 56 against 98, 82, 46, after 151 s. So it brought nothing, and its rounding differs, so that a
trial would not end bit by bit as one that was resumed in another process. On a GPU nobody has measured it here: the
rule begins with published figures (`EXPECTED_SPEEDUP`) and takes what compiling took in this process once that is known.

Legend: b images, c colours, h and w pixels, k classes.
"""

from __future__ import annotations

import copy
import logging
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hpsearch.config import Compile
from hpsearch.model.backbones import ModelSpec, build
from hpsearch.train.precision import autocast

log = logging.getLogger(__name__)

BACKEND = "inductor"
"""Of torch.compile."""
EXPECTED_SPEEDUP = {torch.float32: 1.21, torch.bfloat16: 1.51}
"""Compiled against eager training, mean over 163 networks on an A100 (PyTorch 2.0's announcement, pytorch.org/get-started/
pytorch-2.0); torch.compile has not been timed on a GPU by hpsearch."""
EXPECTED_SECONDS = 217.0
"""What compiling takes where this process has not done it yet: the CPU measurement above, since a GPU's is not known."""
TIMED_PASSES = 10
"""Of compiled and of eager code, after compiling: which is faster decides what is kept."""

CompiledForward = Callable[[dict[str, Tensor], Tensor], Tensor]
"""Parameters and buffers by name, and float `images_bchw` → `logits_bk`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkKind:
    """What decides the compiled code."""

    spec: ModelSpec
    """Backbone, reduction, size and stochastic depth."""
    batch_size: int
    """Images of one pass."""
    dtype: torch.dtype
    """Autocast type."""
    device: torch.device
    """Where it runs."""


@dataclass(kw_only=True, slots=True)
class _Known:
    """What this process knows of one kind."""

    compiled: CompiledForward | None = None
    is_refused: bool = False
    images: int = 0
    seconds_per_image: float | None = None
    """Of eager training, the fastest so far."""


class CompiledNetworks:
    """What one process has compiled; `forward` gives a network its part of it.

    A kind is compiled before a rung once the time that this saves on the images until that rung, and would have saved on
    those that the process has trained of this kind already, repays the compiling (the rule of ski rental, Karlin et al. 1988:
    never more than twice the cost of what hindsight would do). Code that is no faster than the network itself is given up.
    """

    def __init__(self, mode: Compile) -> None:
        """`auto`: where it repays, on GPUs; `always`: before the first step, on any device; `never`."""
        self._mode = mode
        self._known: dict[NetworkKind, _Known] = {}
        self._seconds: list[float] = []

    def forward(self, network: nn.Module, kind: NetworkKind) -> TrainingForward:
        """The forward pass of `network`, which is of that kind and on its device."""
        return TrainingForward(self, network, kind)

    def compiled(self, kind: NetworkKind) -> CompiledForward | None:
        """The kept code of a kind; None: it is trained eagerly."""
        return self._known.setdefault(kind, _Known()).compiled

    def prepare(self, network: nn.Module, kind: NetworkKind, images: int) -> None:
        """Compiles the kind of `network` if training `images` more of it repays that; a failure is logged and remembered."""
        known = self._known.setdefault(kind, _Known())
        if known.compiled is not None or known.is_refused or not self._repays(kind, known, images):
            return
        began = time.perf_counter()
        try:
            compiled, speedup = _compiled(network, kind)
        except Exception as error:  # of torch's compilers, of the C++ or Triton compiler, or the memory; training goes on
            known.is_refused = True
            reason = " ".join(str(error).strip().partition("\n\n")[0].split())[:300]
            log.warning("%s is trained eagerly, since compiling it failed: %s", kind.spec.backbone, reason)
            return
        self._seconds.append(time.perf_counter() - began)
        known.is_refused = self._mode == "auto" and speedup <= 1
        known.compiled = None if known.is_refused else compiled
        log.info(
            "%s at %d px compiled in %.0f s, its pass is %.2f times as fast%s",
            *(kind.spec.backbone, kind.spec.image_px, self._seconds[-1], speedup),
            ": trained eagerly" if known.is_refused else "",
        )

    def learn(self, kind: NetworkKind, images: int, seconds: float) -> None:
        """Takes in how long training took, which is what the next decision goes by."""
        known = self._known.setdefault(kind, _Known())
        known.images += images
        if known.compiled is None:
            known.seconds_per_image = min(seconds / images, known.seconds_per_image or math.inf)

    def _repays(self, kind: NetworkKind, known: _Known, images: int) -> bool:
        if self._mode != "auto":
            return self._mode == "always"
        eager = known.seconds_per_image
        if kind.device.type != "cuda" or eager is None:
            return False
        saved = (known.images + images) * eager * (1 - 1 / EXPECTED_SPEEDUP[kind.dtype])
        return saved > (statistics.fmean(self._seconds) if self._seconds else EXPECTED_SECONDS)


class TrainingForward:
    """The forward pass of one network in training, compiled or eager."""

    def __init__(self, networks: CompiledNetworks, network: nn.Module, kind: NetworkKind) -> None:
        self._networks = networks
        self._network = network
        self._kind = kind
        self._tensors = _tensors(network)

    @property
    def batch_size(self) -> int:
        """Images of the passes that go through compiled code, where there is some."""
        return self._kind.batch_size

    def __call__(self, images_bchw: Tensor) -> Tensor:
        """Logits (b, k)."""
        compiled = self._networks.compiled(self._kind)
        # Another number of images would be compiled anew; they come only where the memory was too small.
        if compiled is None or len(images_bchw) != self.batch_size:
            logits_bk: Tensor = self._network(images_bchw)
            return logits_bk
        return compiled(self._tensors, images_bchw)

    def prepare(self, images: int) -> None:
        """Before `images` more are trained: compiles where that repays."""
        self._networks.prepare(self._network, self._kind, images)

    def learn(self, images: int, seconds: float) -> None:
        """After that: how long they took."""
        self._networks.learn(self._kind, images, seconds)


def _compiled(network: nn.Module, kind: NetworkKind) -> tuple[CompiledForward, float]:
    """Compiles the forward and backward pass of a kind; also how much faster than eager that is.

    It runs on random images and a copy of `network`, so that training sees nothing of it.
    """
    with torch.device("meta"):
        template = build(kind.spec).train()

    def forward(tensors: dict[str, Tensor], images_bchw: Tensor) -> Tensor:
        logits_bk: Tensor = torch.func.functional_call(template, tensors, (images_bchw,))
        return logits_bk

    # Without isolation all kinds would share the limit of 8 codes, and be looked through at every step.
    compiled: CompiledForward = torch.compile(  # type: ignore[call-overload]  # torch's overloads leave the last one out
        forward, fullgraph=True, dynamic=False, backend=BACKEND, isolate_recompiles=True
    )
    px = kind.spec.image_px
    images_bchw = torch.rand(kind.batch_size, 3, px, px, device=kind.device).to(memory_format=torch.channels_last)
    twin = copy.deepcopy(network).train()
    tensors = _tensors(twin)
    seconds_compiled = _seconds_of_a_pass(lambda: compiled(tensors, images_bchw), kind)
    return compiled, _seconds_of_a_pass(lambda: twin(images_bchw), kind) / seconds_compiled


def _seconds_of_a_pass(forward: Callable[[], Tensor], kind: NetworkKind) -> float:
    """The fastest of a few passes forward and backward, after one that warms up, or compiles."""
    seconds = []
    for _ in range(1 + TIMED_PASSES):
        began = _now(kind.device)
        with autocast(kind.device, kind.dtype):
            logits_bk = forward()
        torch.autograd.backward(logits_bk.float().sum())
        seconds.append(_now(kind.device) - began)
    return min(seconds[1:])


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}
