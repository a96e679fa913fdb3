import pytest
from torch import nn

from hpsearch.errors import InfeasibleError
from hpsearch.model.backbones import IMAGENET, ModelSpec, build
from hpsearch.model.detector import Detector
from hpsearch.model.layers import depth_below_classifier


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet", "caformer_s18"])
def test_depth_grows_from_the_classifier_to_the_first_layer(backbone: str) -> None:
    model = build(ModelSpec(backbone=backbone, se_reduction=None, image_px=64))
    depths = depth_below_classifier(model)
    assert all(depth >= 0 for depth in depths.values())
    names = [name for name, _ in model.named_parameters()]
    assert set(depths) == set(names)
    classifier = [depth for name, depth in depths.items() if name.split(".")[1] in ("fc", "head", "classifier")]
    assert min(classifier) == 0
    first = next(name for name in names if "conv" in name or "stem" in name or "patch_embed" in name)
    assert depths[first] == max(depths.values()) >= 3


def test_a_network_that_names_no_layers_is_refused() -> None:
    with pytest.raises(InfeasibleError, match="Sequential has no group_matcher"):
        depth_below_classifier(Detector(nn.Sequential(nn.Linear(3, 2)), IMAGENET))
