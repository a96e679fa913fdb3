"""The loss of a batch whose targets may lie between the classes.

Legend: b images, k classes (0 real, 1 deepfake).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from hpsearch.train.settings import TrialSettings


def loss_of(settings: TrialSettings) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of a configuration: fp32 `logits_bk` and wanted P(deepfake) `targets_b` → the mean loss."""
    return functools.partial(soft_cross_entropy, label_smoothing=settings.label_smoothing, focal_gamma=settings.focal_gamma)


def soft_cross_entropy(logits_bk: Tensor, targets_b: Tensor, *, label_smoothing: float, focal_gamma: float) -> Tensor:
    """Mean cross-entropy; with `focal_gamma` γ each class's term is weighted with (1 − p)^γ (focal loss, Lin et al. 2017).

    Args:
        logits_bk: fp32, (b, 2).
        targets_b: P(deepfake) that is wanted, in [0, 1].
        label_smoothing: s; targets t become t·(1 − s) + s/2.
        focal_gamma: 0: cross-entropy; more gives images that are nearly right less weight.
    """
    smoothed_b = targets_b * (1.0 - label_smoothing) + label_smoothing / 2
    smoothed_bk = torch.stack([1.0 - smoothed_b, smoothed_b], dim=1)
    logs_bk = F.log_softmax(logits_bk, dim=1)
    if focal_gamma > 0:
        # A probability that rounds to 1 would have an infinite slope for γ below 1.
        smoothed_bk = smoothed_bk * (1.0 - logs_bk.exp()).clamp(min=1e-6) ** focal_gamma
    return -(smoothed_bk * logs_bk).sum(dim=1).mean()
