from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hpsearch.errors import InfeasibleError
from hpsearch.model.backbones import ModelSpec, build, count_parameters


class SEBottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions with batch norms and ReLU between, SE after the third, then the shortcut."""

    def __init__(self, num_in: int, width: int, stride: int, reduction: int) -> None:
        super().__init__()
        num_out = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(num_in, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, num_out, 1, bias=False), nn.BatchNorm2d(num_out)
        self.se = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(num_out, num_out // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(num_out // reduction, num_out, 1),
            nn.Sigmoid(),
        )
        self.downsample = None
        if stride != 1 or num_in != num_out:
            self.downsample = nn.Sequential(nn.Conv2d(num_in, num_out, 1, stride, bias=False), nn.BatchNorm2d(num_out))

    def forward(self, x_bchw: Tensor) -> Tensor:
        y_bchw = self.bn1(self.conv1(x_bchw)).relu()
        y_bchw = self.bn2(self.conv2(y_bchw)).relu()
        y_bchw = self.bn3(self.conv3(y_bchw))
        y_bchw = y_bchw * self.se(y_bchw)
        return (y_bchw + (x_bchw if self.downsample is None else self.downsample(x_bchw))).relu()


class SEResNet50(nn.Module):
    def __init__(self, reduction: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64)
        num_in = 64
        for stage, num_blocks in enumerate((3, 4, 6, 3)):
            blocks = []
            for block in range(num_blocks):
                blocks.append(SEBottleneck(num_in, 64 * 2**stage, 2 if stage and not block else 1, reduction))
                num_in = 256 * 2**stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(2048, 2)

    def forward(self, images_bchw: Tensor) -> Tensor:
        x_bchw = nn.functional.max_pool2d(self.bn1(self.conv1(images_bchw)).relu(), 3, 2, padding=1)
        x_bchw = self.layer4(self.layer3(self.layer2(self.layer1(x_bchw))))
        return self.fc(x_bchw.mean((2, 3)))


def spec(backbone: str, reduction: int | None) -> ModelSpec:
    return ModelSpec(backbone=backbone, se_reduction=reduction, image_px=224)


def test_resnet50_with_reduction_16_is_bit_equal_to_a_network_written_from_its_description() -> None:
    torch.manual_seed(0)
    described = SEResNet50(16)
    for module in described.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 0.6)
            nn.init.normal_(module.running_mean, std=0.1)
    tensors = described.state_dict()
    renamed = {name.replace(".se.1.", ".se.fc1.").replace(".se.3.", ".se.fc2."): tensor for name, tensor in tensors.items()}
    network = build(spec("resnet50", 16)).network
    network.load_state_dict(renamed)
    images_bchw = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        ours_bk, theirs_bk = network.eval()(images_bchw), described.eval()(images_bchw)
    assert len(tensors) == 384
    assert torch.isfinite(ours_bk).all()
    assert torch.equal(ours_bk, theirs_bk)


@pytest.mark.parametrize(
    ("reduction", "num_parameters"),
    [
        (None, 23_512_130),
        (2, 43_654_338),
        (4, 33_590_786),
        (8, 28_559_010),
        (16, 26_043_122),
        (32, 24_785_178),
        (64, 24_156_206),
    ],
)
def test_resnet50_has_the_published_number_of_parameters_at_each_reduction(reduction: int | None, num_parameters: int) -> None:
    assert count_parameters(spec("resnet50", reduction)) == num_parameters


def test_reductions_of_a_narrow_resnet_differ() -> None:
    counts = [count_parameters(spec("resnet18", reduction)) for reduction in (None, 64, 32, 16, 8)]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize(
    "backbone", ["seresnet50", "resnext50_32x4d", "resnetrs50", "test_resnet", "regnety_002", "regnetx_002"]
)
def test_reduction_is_taken_by_every_family_with_a_hook(backbone: str) -> None:
    assert count_parameters(spec(backbone, 4)) > count_parameters(spec(backbone, 16))


def test_seresnet50_keeps_its_published_reduction_when_none_is_asked_for() -> None:
    assert count_parameters(spec("seresnet50", None)) == count_parameters(spec("seresnet50", 16))


@pytest.mark.parametrize(
    "backbone", ["efficientnet_b0", "convnext_tiny", "vit_small_patch16_224", "legacy_seresnet50", "ecaresnet50t", "res2net50d"]
)
def test_reduction_is_refused_where_there_is_no_hook(backbone: str) -> None:
    with pytest.raises(InfeasibleError, match=rf"{backbone} with se_reduction 8: .*resnet\*.*Set se_reduction: none"):
        count_parameters(spec(backbone, 8))


@pytest.mark.parametrize(
    ("backbone", "reduction", "most"), [("resnet50", 257, 256), ("resnet18", 65, 64), ("regnety_002", 33, 32)]
)
def test_reduction_above_the_narrowest_block_is_refused_when_it_is_counted(backbone: str, reduction: int, most: int) -> None:
    assert count_parameters(spec(backbone, most)) > 0
    with pytest.raises(InfeasibleError, match=f"narrowest block has {most} channels.*at most {most}"):
        count_parameters(spec(backbone, reduction))
