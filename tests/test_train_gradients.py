from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpsearch.errors import InfeasibleError
from hpsearch.train.gradients import GradientComputer
from hpsearch.train.loss import soft_cross_entropy


class SmallMemory(nn.Module):
    """A network that holds a few images at a time, as a GPU does."""

    def __init__(self, most: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
        self.most = most
        self.sizes: list[int] = []

    def forward(self, images_bchw: Tensor) -> Tensor:
        if len(images_bchw) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nGPU 0 has ...")
        self.sizes.append(len(images_bchw))
        return self.layers(images_bchw)


def numbered(images_bchw: Tensor, labels_b: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """An augmentation that depends on the number of each image."""
    numbers_b = torch.arange(first, first + len(images_bchw))
    return images_bchw.float() / 255 + numbers_b.view(-1, 1, 1, 1) / 100, labels_b.float()


smoothed_loss = functools.partial(soft_cross_entropy, label_smoothing=0.1, focal_gamma=0.0)


def gradients(model: SmallMemory, micro_batch: int = 10) -> tuple[GradientComputer, Tensor, Tensor]:
    torch.manual_seed(1)
    images_bchw, labels_b = torch.randint(0, 256, (10, 3, 8, 8), dtype=torch.uint8), torch.randint(0, 2, (10,))
    computer = GradientComputer(model, numbered, smoothed_loss, micro_batch=micro_batch, dtype=torch.float32)
    loss = computer(images_bchw, labels_b, 70)
    assert model.layers[1].weight.grad is not None
    return computer, loss, model.layers[1].weight.grad


def test_gradient_is_that_of_the_mean_loss_with_smoothed_labels() -> None:
    model = SmallMemory(10)
    _, loss, gradient = gradients(model)
    torch.manual_seed(1)
    images_bchw, labels_b = torch.randint(0, 256, (10, 3, 8, 8), dtype=torch.uint8), torch.randint(0, 2, (10,))
    targets_bk = F.one_hot(labels_b, 2) * 0.9 + 0.05
    expected = -(targets_bk * model.layers(numbered(images_bchw, labels_b, 70)[0]).log_softmax(1)).sum(1).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.allclose(gradient, torch.autograd.grad(expected, model.layers[1].weight)[0], atol=1e-6)


@pytest.mark.parametrize(("most", "sizes"), [(5, [5, 5]), (4, [2, 2, 2, 2, 2]), (1, [1] * 10)])
def test_out_of_memory_goes_on_with_smaller_pieces_and_the_same_gradient(most: int, sizes: list[int]) -> None:
    _, whole_loss, whole = gradients(SmallMemory(10))
    model = SmallMemory(most)
    computer, loss, pieces = gradients(model)
    assert model.sizes == sizes
    assert computer.micro_batch == max(sizes)
    assert loss.item() == pytest.approx(whole_loss.item(), rel=1e-5)
    assert torch.allclose(pieces, whole, atol=1e-6)


def test_pieces_are_of_about_equal_size_so_that_none_is_a_single_image() -> None:
    model = SmallMemory(10)
    gradients(model, micro_batch=3)
    assert model.sizes == [3, 3, 2, 2]


def test_out_of_memory_in_the_middle_of_a_batch_leaves_no_gradient_of_the_failed_pass() -> None:
    class OnceTooSmall(SmallMemory):
        def forward(self, images_bchw: Tensor) -> Tensor:
            if len(self.sizes) == 1:
                self.most, self.sizes = 2, [0]
            return super().forward(images_bchw)

    _, _, expected = gradients(SmallMemory(10))
    _, _, gradient = gradients(OnceTooSmall(10), micro_batch=5)
    assert torch.allclose(gradient, expected, atol=1e-6)


def test_one_image_that_does_not_fit_makes_the_trial_infeasible() -> None:
    with pytest.raises(
        InfeasibleError, match=r"one image does not fit.*Tried to allocate 2\.00 GiB\)\. Choose a smaller image_px"
    ):
        gradients(SmallMemory(0))
