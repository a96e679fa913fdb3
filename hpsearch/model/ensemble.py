"""Several detectors as one network.

Axis legend: `b` images of a batch, `c`, `h`, `w` channel, height and width, `k` classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hpsearch.model.detector import Detector


class Ensemble(nn.Module):
    """Detectors whose probabilities are averaged (a deep ensemble, Lakshminarayanan et al. 2017).

    Attributes:
        members: the detectors; all see the same images.
    """

    def __init__(self, members: Sequence[Detector]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images_bchw: Tensor) -> Tensor:
        """Logits (b, k) whose softmax is the members' mean probability, of float images in [0, 1]."""
        answers = [torch.softmax(member(images_bchw).float(), dim=1) for member in self.members]
        mean_bk = torch.stack(answers).mean(dim=0)
        return mean_bk.clamp_min(torch.finfo(torch.float32).tiny).log()


def members_of(model: Detector | Ensemble) -> list[Detector]:
    """The detectors that `model` is made of: itself, or those of an ensemble."""
    if isinstance(model, Detector):
        return [model]
    return [member for member in model.members if isinstance(member, Detector)]
