from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hpsearch.data.training_data import LabelledImages
from hpsearch.errors import InfeasibleError
from hpsearch.train import evaluate
from hpsearch.train.augment import build_augmentation
from hpsearch.train.evaluate import predict_probabilities

CPU = torch.device("cpu")


class Brightness(nn.Module):
    """The logit of a deepfake is the mean of the image."""

    def __init__(self, most: int = 10**6) -> None:
        super().__init__()
        self.most = most
        self.sizes: list[int] = []

    def forward(self, images_bchw: Tensor) -> Tensor:
        if len(images_bchw) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.sizes.append(len(images_bchw))
        means_b = images_bchw.mean((1, 2, 3))
        return torch.stack([torch.zeros_like(means_b), means_b], 1)


def images(num: int) -> LabelledImages:
    images_nhwc = np.repeat(np.arange(num, dtype=np.uint8), 40 * 40 * 3).reshape(num, 40, 40, 3)
    return LabelledImages(images_nhwc=images_nhwc, labels_n=np.arange(num) % 2, indices_n=np.arange(num)[::-1].copy())


AUGMENTATION = build_augmentation({"hflip": {"p": 0.5}, "jitter": {"p": 1.0}}, 32)


def test_probabilities_are_in_the_order_of_the_set_and_without_randomness() -> None:
    probabilities_n = predict_probabilities(Brightness(), AUGMENTATION, images(50), device=CPU)
    expected_n = 1 / (1 + np.exp(-np.arange(50)[::-1] / 255))
    assert probabilities_n == pytest.approx(expected_n, abs=1e-5)
    assert probabilities_n.dtype == np.float64


def test_network_is_put_into_evaluation_mode() -> None:
    model = Brightness().train()
    predict_probabilities(model, AUGMENTATION, images(4), device=CPU)
    assert not model.training


def test_out_of_memory_goes_on_with_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(evaluate.PIXELS_PER_BATCH, "cpu", 16 * 32 * 32)
    model = Brightness(most=5)
    probabilities_n = predict_probabilities(model, AUGMENTATION, images(10), device=CPU)
    assert model.sizes == [5, 5]
    assert probabilities_n.shape == (10,)


def test_one_image_that_does_not_fit_is_infeasible() -> None:
    with pytest.raises(InfeasibleError, match="evaluating one image of 32 px does not fit"):
        predict_probabilities(Brightness(most=0), AUGMENTATION, images(4), device=CPU)
