"""Exponential moving average of the weights, which is what is evaluated and kept (Polyak and Juditsky 1992)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class MovingAverage:
    """Follows a model step by step; batch-norm statistics are averaged like weights.

    Attributes:
        module: a copy of the model with averaged tensors, in evaluation mode, without gradients.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self._decay = decay
        self._num_updates = 0
        pairs = list(zip(self.module.state_dict().values(), model.state_dict().values(), strict=True))
        self._averaged = [own for own, _ in pairs if own.is_floating_point()]
        self._followed = [other for own, other in pairs if own.is_floating_point()]
        self._copied = [(own, other) for own, other in pairs if not own.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the model's tensors of now.

        The decay rises from 0.1 to its value as (1 + t) / (10 + t), so that the random start is forgotten within a short
        trial.
        """
        self._num_updates += 1
        decay = min(self._decay, (1 + self._num_updates) / (10 + self._num_updates))
        torch._foreach_lerp_(self._averaged, self._followed, 1.0 - decay)
        for own, other in self._copied:
            own.copy_(other)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"module": self.module.state_dict(), "num_updates": self._num_updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self.module.load_state_dict(state["module"])
        self._num_updates = state["num_updates"]
