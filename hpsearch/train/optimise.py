"""Optimiser, its parameter groups, and the learning rate at each step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from hpsearch.model.layers import depth_below_classifier
from hpsearch.train.settings import TrialSettings

MOMENTUM = 0.9
"""Of SGD, with Nesterov."""
LR_SCALE = "lr_scale"
"""Key of a parameter group: its share of the learning rate."""


def make_optimizer(model: nn.Module, settings: TrialSettings) -> Optimizer:
    """The optimiser of `settings` over the parameters of `model`, in the fastest form that its device has.

    Raises:
        InfeasibleError: `settings` ask for a layer decay, and the network does not say what its layers are.
    """
    groups = parameter_groups(model, settings.weight_decay, settings.layer_decay)
    fused = next(model.parameters()).is_cuda
    if settings.optimizer == "sgd":
        return SGD(groups, lr=settings.lr, momentum=MOMENTUM, nesterov=True, fused=fused, foreach=not fused)
    kind = AdamW if settings.optimizer == "adamw" else Adam
    return kind(groups, lr=settings.lr, fused=fused, foreach=not fused)


def parameter_groups(model: nn.Module, weight_decay: float, layer_decay: float | None = None) -> list[dict[str, Any]]:
    """Two groups: what decays, and norms, biases and what the model exempts (such as position embeddings).

    With a layer decay d there are two for each layer, and `lr_scale` is d to the number of layers up to the classifier.

    Raises:
        InfeasibleError: a layer decay is asked for, and the network does not say what its layers are.
    """
    find = getattr(model, "no_weight_decay", None)
    exempt = find() if find else set()
    depths = {} if layer_decay is None else depth_below_classifier(model)
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decays = parameter.ndim > 1 and name not in exempt
        groups.setdefault((depths.get(name, 0), decays), []).append(parameter)
    scale = 1.0 if layer_decay is None else layer_decay
    return [
        {"params": params, "weight_decay": weight_decay if decays else 0.0, LR_SCALE: scale**depth}
        for (depth, decays), params in groups.items()
    ]


def learning_rate(settings: TrialSettings, step: int, num_steps: int) -> float:
    """Learning rate of step `step` (from 0) of a full training: linear from 0, then a cosine to 0 after the last step.

    It depends on the full training only, so that a trial that is stopped, paused or resumed at a rung goes the same way.
    """
    num_warmup = settings.warmup_fraction * num_steps
    if step + 1 <= num_warmup:
        return settings.lr * (step + 1) / num_warmup
    progress = min(1.0, (step - num_warmup) / max(1.0, num_steps - num_warmup))
    return settings.lr * 0.5 * (1.0 + math.cos(math.pi * max(0.0, progress)))


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Sets the learning rate of every group to its share of `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group[LR_SCALE]


def clip_gradients(model: nn.Module, largest_norm: float | None) -> None:
    """Scales gradients down to a global norm of at most `largest_norm`; None: leaves them. The host does not wait."""
    if largest_norm is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), largest_norm, foreach=True)
