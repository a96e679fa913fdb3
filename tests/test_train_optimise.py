from __future__ import annotations

import pytest
import torch
from torch import nn

from hpsearch.model.backbones import ModelSpec, build
from hpsearch.train.optimise import clip_gradients, learning_rate, make_optimizer, parameter_groups, set_learning_rate
from hpsearch.train.settings import TrialSettings


def network(backbone: str) -> nn.Module:
    return build(ModelSpec(backbone=backbone, se_reduction=None, image_px=64))


def names_without_decay(model: nn.Module) -> set[str]:
    kept = {
        id(parameter) for group in parameter_groups(model, 0.1) if not group["weight_decay"] for parameter in group["params"]
    }
    return {name for name, parameter in model.named_parameters() if id(parameter) in kept}


def test_norms_and_biases_do_not_decay() -> None:
    model = network("test_resnet")
    expected = {name for name, parameter in model.named_parameters() if parameter.ndim == 1}
    assert names_without_decay(model) == expected
    assert {"network.fc.bias", "network.layer1.0.bn1.weight"} < expected


def test_position_embeddings_do_not_decay() -> None:
    assert {"network.pos_embed", "network.cls_token"} <= names_without_decay(network("test_vit"))


def test_every_parameter_is_in_one_group() -> None:
    model = network("test_vit")
    grouped = [parameter for group in parameter_groups(model, 0.1) for parameter in group["params"]]
    assert sorted(map(id, grouped)) == sorted(map(id, model.parameters()))


def test_layer_decay_gives_each_layer_its_share_of_the_learning_rate() -> None:
    model = network("test_resnet")
    optimizer = make_optimizer(model, TrialSettings(lr=0.1, weight_decay=0.1, layer_decay=0.5))
    set_learning_rate(optimizer, 0.1)
    rates = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    rate = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    assert rate["network.fc.weight"] == pytest.approx(0.1)
    assert rate["network.layer4.0.conv1.weight"] == pytest.approx(0.05)
    assert rate["network.conv1.0.weight"] == min(rate.values()) < 0.1 * 0.5**3


def test_without_layer_decay_all_layers_have_one_rate() -> None:
    optimizer = make_optimizer(network("test_resnet"), TrialSettings(lr=0.1, weight_decay=0.1))
    set_learning_rate(optimizer, 0.03)
    assert [group["lr"] for group in optimizer.param_groups] == [0.03, 0.03]


def test_learning_rate_rises_linearly_and_falls_as_a_cosine_to_zero() -> None:
    settings = TrialSettings(lr=0.1, warmup_fraction=0.1)
    rates = [learning_rate(settings, step, 100) for step in range(100)]
    assert rates[:3] == pytest.approx([0.01, 0.02, 0.03])
    assert max(rates) == rates[9] == pytest.approx(0.1)
    assert rates[55] == pytest.approx(0.05)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert 0 < rates[99] < 1e-4


def test_learning_rate_without_warmup_starts_at_its_peak() -> None:
    assert learning_rate(TrialSettings(lr=0.1, warmup_fraction=0.0), 0, 50) == pytest.approx(0.1)


def test_learning_rate_stays_zero_past_the_full_training() -> None:
    assert learning_rate(TrialSettings(lr=0.1), 120, 100) == pytest.approx(0.0)


def loss_after_one_step(optimizer_name: str, weight_decay: float) -> tuple[float, float]:
    """Weight and bias of a linear layer after one step on a gradient of one."""
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 2.0)
    nn.init.constant_(layer.bias, 2.0)
    settings = TrialSettings(optimizer=optimizer_name, lr=0.1, weight_decay=weight_decay)
    optimizer = make_optimizer(layer, settings)
    layer(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    return layer.weight.item(), layer.bias.item()


@pytest.mark.parametrize(
    ("optimizer", "weight"),
    [
        ("adamw", 2.0 - 0.1 * 0.5 * 2.0 - 0.1),
        ("adam", 2.0 - 0.1),
        ("sgd", 2.0 - 0.1 * 1.9 * (1 + 0.5 * 2.0)),
    ],
)
def test_optimiser_takes_the_step_of_its_name(optimizer: str, weight: float) -> None:
    decayed, bias = loss_after_one_step(optimizer, 0.5)
    assert decayed == pytest.approx(weight, rel=1e-5)
    assert bias == pytest.approx(loss_after_one_step(optimizer, 0.0)[1], rel=1e-6)


def test_learning_rate_is_set_for_every_group() -> None:
    optimizer = make_optimizer(nn.Linear(2, 2), TrialSettings(weight_decay=0.1))
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_gradients_are_clipped_to_a_global_norm_and_left_alone_without_one() -> None:
    layer = nn.Linear(4, 4)
    layer(torch.full((1, 4), 100.0)).sum().backward()
    norm = nn.utils.get_total_norm([parameter.grad for parameter in layer.parameters() if parameter.grad is not None])
    clip_gradients(layer, None)
    assert layer.weight.grad is not None
    assert layer.weight.grad[0, 0].item() == 100.0
    clip_gradients(layer, 2.0)
    assert layer.weight.grad[0, 0].item() == pytest.approx(100.0 * 2.0 / norm.item(), rel=1e-4)
