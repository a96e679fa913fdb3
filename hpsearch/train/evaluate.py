"""Probabilities of a set of images, by the augmentation's rule of size and crop without randomness.

Legend: n images of the set, b images of a batch, c colours, h and w pixels, k classes (0 real, 1 deepfake).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from hpsearch.data.batches import evaluation_batches
from hpsearch.errors import InfeasibleError
from hpsearch.train.precision import autocast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.data.training_data import LabelledImages
    from hpsearch.train.augment import Augmentation

PIXELS_PER_BATCH = {"cpu": 64 * 64 * 64, "cuda": 1024 * 224 * 224}
"""Pixels that the network sees at once: on a CPU what its caches like, on a GPU what a small network needs to fill it."""

FEWEST_IMAGES = 16
"""Images at once, however large; with fewer the calls cost as much as the work."""


def predict_probabilities(
    model: nn.Module,
    augmentation: Augmentation,
    images: LabelledImages,
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> NDArray[np.float64]:
    """P(deepfake) of each image of the set, shape (n,).

    Args:
        model: images in [0, 1] to two logits; put into evaluation mode.
        augmentation: gives the rule of size and crop.
        images: the set.
        device: where the model is.
        dtype: autocast type.

    Raises:
        InfeasibleError: the memory does not even hold one image.
    """
    model.eval()
    batch_size = evaluation_batch_size(len(images), augmentation.image_px, device)
    while True:
        try:
            return _predicted(model, augmentation, images, batch_size, device, dtype)
        except torch.OutOfMemoryError as error:
            reason = str(error)
        if batch_size == 1:
            raise InfeasibleError(f"evaluating one image of {augmentation.image_px} px does not fit the memory: {reason}")
        batch_size //= 2
        torch.cuda.empty_cache()


def evaluation_batch_size(num_images: int, image_px: int, device: torch.device) -> int:
    """Images that go through the network at once in an evaluation of `num_images`, memory permitting."""
    return min(num_images, max(FEWEST_IMAGES, PIXELS_PER_BATCH[device.type] // image_px**2))


@torch.inference_mode()
def _predicted(
    model: nn.Module,
    augmentation: Augmentation,
    images: LabelledImages,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype,
) -> NDArray[np.float64]:
    parts = []
    for images_bchw, _ in evaluation_batches(images, batch_size=batch_size, device=device):
        with autocast(device, dtype):
            logits_bk = model(augmentation.evaluation(images_bchw))
        parts.append(torch.softmax(logits_bk.double(), dim=1)[:, 1])
    probabilities_n: NDArray[np.float64] = torch.cat(parts).cpu().numpy()
    return probabilities_n
