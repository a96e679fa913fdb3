"""Depthwise convolutions in bf16 on a CPU: same parameters, same values, gradients that differ by rounding alone."""

from __future__ import annotations

import copy

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from hpsearch.model.backbones import ModelSpec, build
from hpsearch.model.depthwise import DepthwiseConv, speed_up_depthwise


def _gradients(conv: nn.Module, images_bchw: Tensor, *, is_bf16: bool) -> dict[str, Tensor]:
    conv.zero_grad()
    images_bchw = images_bchw.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
        output_bchw = conv(images_bchw)
    slope_bchw = torch.randn(output_bchw.shape, generator=torch.Generator().manual_seed(1))
    output_bchw.float().backward(slope_bchw)
    assert images_bchw.grad is not None
    return {
        "output": output_bchw.detach().float(),
        "input": images_bchw.grad,
        **{name: parameter.grad for name, parameter in conv.named_parameters() if parameter.grad is not None},
    }


@pytest.mark.parametrize("side", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", [nn.Conv2d, Conv2dSame])
@pytest.mark.parametrize("px", [8, 13])
def test_gradients_are_those_of_fp32_up_to_rounding(side: int, stride: int, kind: type[nn.Conv2d], px: int) -> None:
    padding = side // 2 if kind is nn.Conv2d else 0
    plain = nn.Sequential(kind(16, 16, side, stride=stride, padding=padding, groups=16)).to(memory_format=torch.channels_last)
    fast = copy.deepcopy(plain)
    assert speed_up_depthwise(fast) == 1
    images_bchw = torch.randn(4, 16, px, px).to(memory_format=torch.channels_last)
    exact = _gradients(plain, images_bchw, is_bf16=False)
    rounded = _gradients(fast, images_bchw, is_bf16=True)
    assert rounded.keys() == exact.keys()
    for name, expected in exact.items():
        assert (rounded[name] - expected).norm() < 0.01 * expected.norm(), name


def test_fp32_and_evaluation_stay_bit_equal() -> None:
    plain = nn.Sequential(nn.Conv2d(8, 8, 5, padding=2, groups=8))
    fast = copy.deepcopy(plain)
    speed_up_depthwise(fast)
    images_bchw = torch.randn(2, 8, 9, 9)
    for name, expected in _gradients(plain, images_bchw, is_bf16=False).items():
        assert torch.equal(_gradients(fast, images_bchw, is_bf16=False)[name], expected), name
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fast(images_bchw), plain(images_bchw))


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "mobilenetv2_100", "convnext_atto"])
def test_a_network_keeps_its_parameters_and_their_names(backbone: str) -> None:
    plain = build(ModelSpec(backbone=backbone, se_reduction=None, image_px=64))
    fast = copy.deepcopy(plain)
    assert speed_up_depthwise(fast) > 10
    assert list(fast.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True))
    fast.load_state_dict(plain.state_dict())


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(8, 8, 3),
        nn.Conv2d(8, 16, 3, groups=8),
        nn.Conv2d(8, 8, 1, groups=8),
        nn.Conv2d(8, 8, 3, groups=8, dilation=2),
        nn.Conv2d(8, 8, (3, 5), groups=8),
        nn.Conv2d(8, 8, 3, groups=8, padding=1, padding_mode="reflect"),
    ],
)
def test_other_convolutions_are_left_alone(conv: nn.Conv2d) -> None:
    model = nn.Sequential(conv)
    assert speed_up_depthwise(model) == 0
    assert not isinstance(model[0], DepthwiseConv)
