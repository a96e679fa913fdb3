"""The network as training, evaluation and export see it: images in [0, 1] in, two logits out.

Legend: b images, c colours, h and w pixels, k classes (0 real, 1 deepfake).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and standard deviation of the three colours, for images in [0, 1]."""


class Fp32Linear(nn.Linear):
    """A linear layer that computes in fp32 under autocast too.

    Logits in bf16 have 8 bits: scores of many images would tie, just where small false-positive rates are read.
    """

    def forward(self, features_bf: Tensor) -> Tensor:
        """Logits (b, k) in fp32."""
        # The meta device knows no autocast, and exporters do without a context that changes nothing.
        if features_bf.is_meta or not torch.is_autocast_enabled(features_bf.device.type):
            return super().forward(features_bf)
        with torch.autocast(features_bf.device.type, enabled=False):
            return F.linear(features_bf.float(), self.weight, self.bias)


class Detector(nn.Module):
    """A backbone behind its normalisation, whose values travel with its weights; its last layer computes in fp32.

    Attributes:
        network: the backbone with two outputs.
        mean_c: colour means that images are normalised with, float32 (3, 1, 1).
        std_c: their standard deviations.
    """

    mean_c: Tensor
    std_c: Tensor

    def __init__(self, network: nn.Module, normalisation: Normalisation) -> None:
        super().__init__()
        self.network = network
        _make_classifier_fp32(network)
        mean, std = normalisation
        self.register_buffer("mean_c", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std_c", torch.tensor(std).view(3, 1, 1))

    @torch.no_grad()
    def set_normalisation(self, normalisation: Normalisation) -> None:
        """Replaces the values that images are normalised with."""
        mean, std = normalisation
        self.mean_c.copy_(torch.tensor(mean).view(3, 1, 1))
        self.std_c.copy_(torch.tensor(std).view(3, 1, 1))

    def forward(self, images_bchw: Tensor) -> Tensor:
        """Logits (b, k) of float images in [0, 1]."""
        logits_bk: Tensor = self.network((images_bchw - self.mean_c) / self.std_c)
        return logits_bk

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that timm exempts from weight decay, such as position embeddings."""
        exempt = getattr(self.network, "no_weight_decay", None)
        return {f"network.{name}" for name in exempt()} if exempt else set()


def _make_classifier_fp32(network: nn.Module) -> None:
    find = getattr(network, "get_classifier", None)
    classifier = find() if find else None
    if isinstance(classifier, nn.Linear):
        classifier.__class__ = Fp32Linear  # keeps tensors, names and hooks
