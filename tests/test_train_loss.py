import pytest
import torch
from torch.nn import functional as F

from hpsearch.train.loss import soft_cross_entropy

LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.3], [-3.0, 4.0], [1.0, 1.0]])
LABELS = torch.tensor([0, 1, 1, 0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_gamma_it_is_torchs_cross_entropy(smoothing: float) -> None:
    loss = soft_cross_entropy(LOGITS, LABELS.float(), label_smoothing=smoothing, focal_gamma=0.0)
    assert loss.item() == pytest.approx(F.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing).item(), rel=1e-5)


def test_soft_targets_weight_both_classes() -> None:
    targets_b = torch.tensor([0.3, 0.9, 0.5, 0.0])
    loss = soft_cross_entropy(LOGITS, targets_b, label_smoothing=0.0, focal_gamma=0.0)
    both_bk = torch.stack([1 - targets_b, targets_b], dim=1)
    assert loss.item() == pytest.approx(F.cross_entropy(LOGITS, both_bk).item(), rel=1e-5)


def test_gamma_weights_each_image_by_how_wrong_it_is() -> None:
    probabilities_b = LOGITS.softmax(1)[torch.arange(4), LABELS]
    expected = (-((1 - probabilities_b) ** 2) * probabilities_b.log()).mean()
    loss = soft_cross_entropy(LOGITS, LABELS.float(), label_smoothing=0.0, focal_gamma=2.0)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_gradient_is_finite_where_an_image_is_surely_right() -> None:
    logits_bk = torch.tensor([[60.0, -60.0]], requires_grad=True)
    soft_cross_entropy(logits_bk, torch.zeros(1), label_smoothing=0.0, focal_gamma=0.5).backward()
    assert logits_bk.grad is not None
    assert torch.isfinite(logits_bk.grad).all()
