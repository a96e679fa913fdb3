from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hpsearch.errors import InfeasibleError, InputError
from hpsearch.model import backbones
from hpsearch.model.backbones import ModelSpec, build, check_forward, count_parameters, family, normalisation, register_backbone


def spec(backbone: str, image_px: int = 64, **fields: float) -> ModelSpec:
    return ModelSpec(backbone=backbone, se_reduction=None, image_px=image_px, **fields)


@pytest.fixture
def no_plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(backbones, "_plugins", {})
    backbones._counted.cache_clear()
    yield
    backbones._counted.cache_clear()


class LargestInMemory(TorchDispatchMode):
    """Notes the size of the largest tensor that is made with values behind it."""

    num_values = 0

    def __torch_dispatch__(
        self, operation: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor) and not leaf.is_meta:
                self.num_values = max(self.num_values, leaf.numel())
        return made


def tiny_network(spec: ModelSpec) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * spec.image_px**2, 2))


def other_network(spec: ModelSpec) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        ("resnet18", "cnn"),
        ("seresnet50", "cnn"),
        ("tf_efficientnetv2_s", "cnn"),
        ("regnety_016", "cnn"),
        ("mobilenetv4_conv_small", "cnn"),
        ("convnext_tiny", "convnext"),
        ("convnextv2_tiny", "convnext"),
        ("caformer_s18", "convnext"),
        ("maxvit_base_tf_224", "convnext"),
        ("swin_small_patch4_window7_224", "transformer"),
        ("swinv2_base_window8_256", "transformer"),
        ("deit3_base_patch16_224", "transformer"),
        ("eva02_base_patch14_224", "transformer"),
        ("hiera_base_224", "transformer"),
        ("vit_small_patch16_224", "transformer"),
    ],
)
def test_family_follows_from_the_backbone(backbone: str, expected: str) -> None:
    assert family(backbone) == expected


def test_unknown_backbone_is_named_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"'resnet_18'.*did you mean 'resnet18'"):
        family("resnet_18")


def test_backbone_with_a_weight_tag_is_refused_with_the_plain_name() -> None:
    with pytest.raises(InputError, match=r"weight tag.*backbone: resnet18 "):
        build(spec("resnet18.a1_in1k"))


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet", "test_byobnet"])
def test_network_gives_two_logits_for_images_of_any_size(backbone: str) -> None:
    logits_bk = build(spec(backbone, 96)).eval()(torch.rand(2, 3, 96, 96))
    assert logits_bk.shape == (2, 2)


def test_image_size_is_passed_only_to_networks_that_take_it() -> None:
    assert count_parameters(spec("vit_small_patch16_224", 64)) < count_parameters(spec("vit_small_patch16_224", 224))
    assert count_parameters(spec("resnet18", 64)) == count_parameters(spec("resnet18", 224))


def test_drop_path_reaches_networks_that_have_it_and_is_left_out_of_others() -> None:
    dropped = [
        module for module in build(spec("test_convnext", drop_path=0.3)).modules() if type(module).__name__ == "DropPath"
    ]
    assert max(module.drop_prob for module in dropped) == pytest.approx(0.3)
    assert count_parameters(spec("vgg11", 64, drop_path=0.3)) == count_parameters(spec("vgg11", 64))


@pytest.mark.parametrize(
    ("backbone", "millions"),
    [
        ("resnet18", 11.2),
        ("efficientnet_b0", 4.0),
        ("convnext_tiny", 27.8),
        ("caformer_s18", 24.3),
        ("swinv2_base_window8_256", 86.9),
    ],
)
def test_parameters_are_counted_as_published(backbone: str, millions: float) -> None:
    assert count_parameters(spec(backbone, 256)) / 1e6 == pytest.approx(millions, abs=0.06)


def test_a_network_of_300_million_parameters_is_counted_without_allocating_it() -> None:
    with LargestInMemory() as largest:
        assert count_parameters(spec("vit_large_patch16_224", 224)) > 300e6
    assert largest.num_values < 1e6


def test_image_size_that_a_network_cannot_take_is_refused_with_the_reason() -> None:
    with pytest.raises(InfeasibleError, match="inception_v3 cannot take images of 32 px"):
        count_parameters(spec("inception_v3", 32))


def test_a_network_that_gives_no_two_numbers_is_refused() -> None:
    with pytest.raises(InfeasibleError, match="not two numbers"):
        check_forward("qwen3_vit_88m_enc", 224)


def test_normalisation_is_that_of_the_weights() -> None:
    assert normalisation("resnet18")[0] == pytest.approx((0.485, 0.456, 0.406))
    assert normalisation("test_resnet")[0] == (0.5, 0.5, 0.5)
    assert normalisation("tf_efficientnet_b0", "aa_in1k") != normalisation("tf_efficientnet_b0", "ap_in1k")


def test_detector_normalises_images_before_the_network() -> None:
    detector = build(spec("test_resnet")).eval()
    images_bchw = torch.rand(2, 3, 64, 64)
    assert torch.equal(detector(images_bchw), detector.network((images_bchw - 0.5) / 0.5))


@pytest.mark.usefixtures("no_plugins")
def test_registered_backbone_is_built_counted_and_has_its_family() -> None:
    register_backbone("tiny_linear", tiny_network, family="transformer")
    assert family("tiny_linear") == "transformer"
    assert count_parameters(spec("tiny_linear", 32)) == 3 * 32 * 32 * 2 + 2
    assert build(spec("tiny_linear", 32))(torch.rand(2, 3, 32, 32)).shape == (2, 2)


@pytest.mark.usefixtures("no_plugins")
def test_registering_the_same_backbone_again_changes_nothing() -> None:
    register_backbone("tiny_linear", tiny_network, family="cnn")
    register_backbone("tiny_linear", tiny_network, family="cnn")
    assert family("tiny_linear") == "cnn"


@pytest.mark.usefixtures("no_plugins")
@pytest.mark.parametrize(("name", "owner"), [("resnet18", "timm"), ("tiny_linear", "another plugin")])
def test_registered_backbone_cannot_take_a_name_that_exists(name: str, owner: str) -> None:
    register_backbone("tiny_linear", tiny_network, family="cnn")
    with pytest.raises(InputError, match=f"{name!r} is already a name of {owner}"):
        register_backbone(name, other_network, family="cnn")
