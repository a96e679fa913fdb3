"""What one trial is: every parameter that a space file can name, with its range and default. No torch here."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hpsearch.config import KnownParameter, Params


def _float(default: float | None, low: float, high: float, *, none_allowed: bool = False) -> Any:
    return field(
        default=default, metadata={"known": KnownParameter(kind="float", low=low, high=high, none_allowed=none_allowed)}
    )


def _int(default: int | None, low: int, high: int, *, none_allowed: bool = False, multiple_of: int | None = None) -> Any:
    known = KnownParameter(kind="int", low=low, high=high, none_allowed=none_allowed, multiple_of=multiple_of)
    return field(default=default, metadata={"known": known})


def _text(default: str, *choices: str) -> Any:
    return field(default=default, metadata={"known": KnownParameter(kind="text", choices=choices or None)})


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialSettings:
    """One configuration, complete. The word `none` of a space file is None here."""

    backbone: str = _text("resnet18")
    """timm name, or one that a plugin registered."""
    weights: str = _text("none")
    """Start weights: `none`; `in1k` or `any` (timm's first choice that saw ImageNet-1k only, or whatever it saw), from the
    hub, its cache or an installed package; a weight tag of timm's; or the path of a weight file."""
    se_reduction: int | None = _int(None, 1, 256, none_allowed=True)
    """Squeeze-and-Excitation reduction r; None: the backbone as timm builds it, for a plain ResNet without SE."""
    image_px: int = _int(224, 32, 1024, multiple_of=32)
    """Side of the square that the network sees."""
    batch_size: int = _int(64, 2, 8192)
    """Images of one optimiser step."""
    images_per_trial: int | None = _int(None, 1, 10**12, none_allowed=True)
    """Images seen by a full training; None: `epochs` decides."""
    epochs: float = _float(10.0, 0.01, 10_000)
    """Full training in passes over the training images, where `images_per_trial` is None."""
    optimizer: str = _text("adamw", "adamw", "adam", "sgd")
    """AdamW; Adam with coupled weight decay; SGD with Nesterov momentum 0.9."""
    lr: float = _float(1e-3, 1e-7, 10.0)
    """Peak learning rate."""
    weight_decay: float = _float(0.0, 0.0, 1.0)
    """Not applied to norms and biases."""
    warmup_fraction: float = _float(0.05, 0.0, 0.5)
    """Share of the full training over which the learning rate rises linearly from 0; then cosine to 0."""
    gradient_clip: float | None = _float(None, 1e-3, 1e3, none_allowed=True)
    """Largest global gradient norm; None: no clipping."""
    layer_decay: float | None = _float(None, 0.3, 1.0, none_allowed=True)
    """Learning rate of each layer relative to the one above it, the last one's being `lr`; None: one rate for all."""
    label_smoothing: float = _float(0.0, 0.0, 0.5)
    """Cross-entropy targets become 1 − s/2 and s/2."""
    focal_gamma: float = _float(0.0, 0.0, 5.0)
    """Exponent of the focal loss, which gives images that are nearly right less weight; 0: cross-entropy."""
    ema_decay: float | None = _float(None, 0.5, 0.99999, none_allowed=True)
    """Decay of the moving average of the weights that is evaluated and kept; None: off."""
    drop_path: float = _float(0.0, 0.0, 0.8)
    """Stochastic depth, for backbones that have it."""
    balance: float = _float(0.0, 0.0, 1.0)
    """Class balancing exponent: classes are drawn with probability ∝ share^(1 − balance)."""
    order: str = _text("shuffled", "shuffled", "matched")
    """`matched`: deepfakes come right after the real image that they resemble most, so that most batches hold both."""
    augment: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Augmentation → its parameters, see `hpsearch.train.augment`."""


def known_parameters() -> dict[str, KnownParameter]:
    """Every parameter outside `augment.` by name."""
    return {f.name: f.metadata["known"] for f in dataclasses.fields(TrialSettings) if "known" in f.metadata}


def settings_from(params: Params) -> TrialSettings:
    """The settings that flat `params` describe; `augment.jpeg.p` becomes `augment["jpeg"]["p"]`."""
    top: dict[str, Any] = {}
    augment: dict[str, dict[str, Any]] = {}
    for name, value in params.items():
        parsed = None if value == "none" and name != "weights" else value
        if name.startswith("augment."):
            _, augmentation, parameter = name.split(".")
            augment.setdefault(augmentation, {})[parameter] = parsed
        else:
            top[name] = parsed
    return TrialSettings(**top, augment=augment)


def full_budget(settings: TrialSettings, num_train: int) -> int:
    """Images of a full training of `settings` on `num_train` images."""
    return settings.images_per_trial or max(1, round(settings.epochs * num_train))


def trial_seed(study_seed: int, trial: int, *, repeat: int = 0) -> int:
    """Seed of a trial's weights, order and augmentation; `repeat` > 0 gives those of its retraining."""
    digest = hashlib.sha256(f"{study_seed}/{trial}/{repeat}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
