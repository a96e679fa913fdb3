"""Optimiser, its parameter groups, and the learning rate at each step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from hpsearch.train.settings import TrialSettings

MOMENTUM = 0.9
"""Of SGD, with Nesterov."""


def make_optimizer(model: nn.Module, settings: TrialSettings) -> Optimizer:
    """The optimiser of `settings` over the parameters of `model`, in the fastest form that its device has."""
    groups = parameter_groups(model, settings.weight_decay)
    fused = next(model.parameters()).is_cuda
    if settings.optimizer == "sgd":
        return SGD(groups, lr=settings.lr, momentum=MOMENTUM, nesterov=True, fused=fused, foreach=not fused)
    kind = AdamW if settings.optimizer == "adamw" else Adam
    return kind(groups, lr=settings.lr, fused=fused, foreach=not fused)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: what decays, and norms, biases and what the model exempts (such as position embeddings)."""
    find = getattr(model, "no_weight_decay", None)
    exempt = find() if find else set()
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (kept if parameter.ndim <= 1 or name in exempt else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


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
    """Sets the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip_gradients(model: nn.Module, largest_norm: float | None) -> None:
    """Scales gradients down to a global norm of at most `largest_norm`; None: leaves them. The host does not wait."""
    if largest_norm is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), largest_norm, foreach=True)
