"""What a trial yields at a rung, and how a checkpoint keeps it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from hpsearch.metrics import Scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RungResult:
    """What a trial is worth at one rung."""

    images: int
    """The rung; images seen, but for the rest of the batch that reached it."""
    scores: Scores
    """Scores on the validation images."""
    probabilities_n: NDArray[np.float64]
    """P(deepfake) of each validation image, in their order."""
    train_loss: float
    """Mean loss since the rung before."""
    lr: float
    """Learning rate of the last step."""
    seconds: float
    """Wall seconds since the rung before or since the start: training and evaluation."""
    images_per_second: float
    """Of training alone, since the rung before."""
    micro_batch: int
    """Images that went through the network at once; less than the batch size where the memory was too small."""


def packed(result: RungResult) -> dict[str, Any]:
    """`result` in types that a checkpoint may hold."""
    fields = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    return {**fields, "scores": dataclasses.asdict(result.scores), "probabilities_n": torch.from_numpy(result.probabilities_n)}


def unpacked(fields: dict[str, Any]) -> RungResult:
    """The result that `packed` packed."""
    scores, probabilities_n = Scores(**fields["scores"]), fields["probabilities_n"].numpy()
    return RungResult(**{**fields, "scores": scores, "probabilities_n": probabilities_n})
