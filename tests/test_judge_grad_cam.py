"""Heat lies where the answer comes from, for networks of every kind of feature map."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hpsearch.judge.grad_cam import heat_maps
from hpsearch.model.backbones import IMAGENET, ModelSpec, build
from hpsearch.model.detector import Detector


class Corner(nn.Module):
    """Answers by the brightness of what its one convolution sees."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 1, 8, stride=8, bias=False)
        nn.init.constant_(self.features.weight, 1 / 192)
        self.classifier = nn.Linear(1, 2, bias=False)
        with torch.no_grad():
            self.classifier.weight.copy_(torch.tensor([[-1.0], [1.0]]))

    def forward(self, images_bchw: Tensor) -> Tensor:
        answer: Tensor = self.classifier(self.features(images_bchw).mean(dim=(2, 3)))
        return answer


def test_heat_lies_where_the_answer_comes_from() -> None:
    images_bchw = torch.zeros(2, 3, 32, 32)
    images_bchw[0, :, :8, :8] = 1.0
    images_bchw[1, :, 24:, 24:] = 1.0
    normalisation: Any = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    heat_bhw = heat_maps(Detector(Corner(), normalisation).eval(), images_bchw)
    assert heat_bhw is not None
    assert heat_bhw.shape == (2, 32, 32)
    assert heat_bhw[0, 3, 3] > 0.9 > 0.1 > heat_bhw[0, 20, 20]
    assert heat_bhw[1, 28, 28] > 0.9 > 0.1 > heat_bhw[1, 12, 12]


@pytest.mark.parametrize(
    ("backbone", "image_px"),
    [
        ("test_resnet", 64),
        ("test_efficientnet", 64),
        ("test_convnext", 64),
        ("test_vit", 160),
        ("deit_tiny_patch16_224", 64),
        ("swin_tiny_patch4_window7_224", 64),
        ("eva02_tiny_patch14_224", 224),
        ("caformer_s18", 64),
        ("maxvit_rmlp_pico_rw_256", 64),
    ],
)
def test_every_kind_of_network_has_heat(backbone: str, image_px: int) -> None:
    torch.manual_seed(0)
    model = build(ModelSpec(backbone=backbone, se_reduction=None, image_px=image_px)).eval()
    images_bchw = torch.rand(2, 3, image_px, image_px)
    heat_bhw = heat_maps(model, images_bchw)
    assert heat_bhw is not None
    assert heat_bhw.shape == (2, image_px, image_px)
    assert float(heat_bhw.min()) >= 0
    assert float(heat_bhw.amax(dim=(1, 2)).max()) == pytest.approx(1.0, abs=0.01)
    assert float(heat_bhw.std()) > 0.01


def test_a_network_without_a_map_has_no_heat() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    assert heat_maps(Detector(network, IMAGENET).eval(), torch.rand(1, 3, 8, 8)) is None
