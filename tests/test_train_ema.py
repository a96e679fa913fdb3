from __future__ import annotations

import pytest
import torch
from torch import nn

from hpsearch.train.ema import MovingAverage


def test_average_follows_with_its_decay_once_it_is_warm() -> None:
    layer = nn.Linear(1, 1, bias=False)
    average = MovingAverage(layer, decay=0.5)
    nn.init.zeros_(average.module.weight)
    expected = 0.0
    for step in range(1, 30):
        nn.init.constant_(layer.weight, float(step))
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)


def test_a_short_trial_forgets_its_start_whatever_the_decay() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 100.0)
    average = MovingAverage(layer, decay=0.9999)
    nn.init.constant_(layer.weight, 1.0)
    for _ in range(30):
        average.update()
    assert average.module.weight.item() == pytest.approx(1.0, abs=0.1)


def test_batch_norm_statistics_are_averaged_and_counts_copied() -> None:
    norm = nn.BatchNorm1d(3).train()
    average = MovingAverage(norm, decay=0.9)
    norm(torch.randn(8, 3) + 5)
    average.update()
    assert 0 < average.module.running_mean.mean() < norm.running_mean.mean()
    assert average.module.num_batches_tracked.item() == 1
    assert not average.module.training


def test_average_goes_on_from_its_state() -> None:
    layer = nn.Linear(2, 2)
    first = MovingAverage(layer, decay=0.9)
    first.update()
    nn.init.ones_(layer.weight)
    second = MovingAverage(nn.Linear(2, 2), decay=0.9)
    second.load_state_dict(first.state_dict())
    resumed = MovingAverage(layer, decay=0.9)
    resumed.load_state_dict(second.state_dict())
    for average in (first, resumed):
        average.update()
    assert torch.equal(first.module.weight, resumed.module.weight)
