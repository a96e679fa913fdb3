from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers.squeeze_excite import SEModule
from torch import Tensor, nn

from hpsearch.errors import InputError
from hpsearch.model.backbones import ModelSpec, build
from hpsearch.model.weights import load_weights, read_tensors


def spec(backbone: str, reduction: int | None = None, image_px: int = 64) -> ModelSpec:
    return ModelSpec(backbone=backbone, se_reduction=reduction, image_px=image_px)


def published(backbone: str, file: Path, **arguments: int) -> dict[str, Tensor]:
    """Weights as a hub has them: 1,000 classes, no SE but the backbone's own."""
    torch.manual_seed(1)
    tensors = timm.create_model(backbone, **arguments).state_dict()
    save_file(tensors, file)
    return tensors


def test_resnet50_weights_fill_all_but_se_and_classifier(tmp_path: Path) -> None:
    file = tmp_path / "resnet50.safetensors"
    tensors = published("resnet50", file)
    model = build(spec("resnet50", 16))
    report = load_weights(model, spec("resnet50", 16), str(file))
    assert (len(report.kept), len(report.kept) + len(report.fresh)) == (318, 384)
    assert {name.split(".")[-3] for name in report.fresh if not name.startswith("fc.")} == {"se"}
    assert torch.equal(model.network.layer3[2].conv2.weight, tensors["layer3.2.conv2.weight"])


def test_seresnet50_weights_fill_another_reduction_as_far_as_shapes_agree(tmp_path: Path) -> None:
    file = tmp_path / "seresnet50.safetensors"
    published("seresnet50", file)
    report = load_weights(build(spec("seresnet50", 8)), spec("seresnet50", 8), str(file))
    assert (len(report.kept), len(report.kept) + len(report.fresh)) == (334, 384)
    assert "334 of 384 tensors kept; fresh: layer1.0.se.fc1.weight, " in str(report)


def test_fresh_gates_start_open_and_can_learn_when_the_rest_is_pretrained(tmp_path: Path) -> None:
    file = tmp_path / "resnet.safetensors"
    published("test_resnet", file, zero_init_last=False)
    model = build(spec("test_resnet", 4)).train()
    load_weights(model, spec("test_resnet", 4), str(file))
    gates: list[Tensor] = []
    modules = [module for module in model.modules() if isinstance(module, SEModule)]
    for module in modules:
        module.gate.register_forward_hook(lambda _module, _given, gate_bchw: gates.append(gate_bchw.detach()))
    model(torch.rand(4, 3, 64, 64)).square().sum().backward()
    assert torch.cat([gate_bchw.flatten() for gate_bchw in gates]) == pytest.approx(0.982, abs=1e-3)
    assert modules[0].fc2.weight.grad is not None
    assert modules[0].fc2.weight.grad.abs().max() > 0


def test_gates_of_a_network_from_scratch_stay_as_drawn() -> None:
    model = build(spec("test_resnet", 4))
    report = load_weights(model, spec("test_resnet", 4), "none")
    gate = next(module for module in model.modules() if isinstance(module, SEModule))
    assert gate.fc2.weight.std() > 0
    assert str(report) == "from scratch"


def test_classifier_stays_fresh_even_where_its_shape_fits(tmp_path: Path) -> None:
    file = tmp_path / "two_classes.safetensors"
    published("test_resnet", file, num_classes=2)
    report = load_weights(build(spec("test_resnet")), spec("test_resnet"), str(file))
    assert report.fresh == ("fc.weight", "fc.bias")


def test_a_pretrained_network_begins_undecided(tmp_path: Path) -> None:
    file = tmp_path / "thousand_classes.safetensors"
    published("test_efficientnet", file)
    model = build(spec("test_efficientnet"))
    load_weights(model, spec("test_efficientnet"), str(file))
    classifier = model.network.get_classifier()  # type: ignore[operator]
    assert classifier.weight.std().item() == pytest.approx(0.01, rel=0.3)
    assert classifier.bias.abs().max() == 0


def test_position_embeddings_are_brought_to_the_image_size(tmp_path: Path) -> None:
    file = tmp_path / "vit.safetensors"
    tensors = published("test_vit", file, img_size=160)
    model = build(spec("test_vit", image_px=64))
    report = load_weights(model, spec("test_vit", image_px=64), str(file))
    assert model.network.pos_embed.shape != tensors["pos_embed"].shape
    assert "pos_embed" in report.kept


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module.", "network."])
def test_torch_checkpoints_of_other_training_scripts_are_read(tmp_path: Path, prefix: str) -> None:
    tensors = timm.create_model("test_resnet").state_dict()
    torch.save({"model": {prefix + name: tensor for name, tensor in tensors.items()}, "epoch": 3}, tmp_path / "last.pth")
    assert read_tensors(tmp_path / "last.pth").keys() == tensors.keys()


def test_an_exported_detector_can_be_started_from(tmp_path: Path) -> None:
    detector = build(spec("test_resnet"))
    save_file(detector.state_dict(), tmp_path / "model.safetensors")
    report = load_weights(build(spec("test_resnet")), spec("test_resnet"), str(tmp_path / "model.safetensors"))
    assert report.fresh == ("fc.weight", "fc.bias")


def test_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    published("test_vit", tmp_path / "vit.safetensors")
    with pytest.raises(InputError, match=r"none of its \d+ tensors fits test_resnet"):
        load_weights(build(spec("test_resnet")), spec("test_resnet"), str(tmp_path / "vit.safetensors"))


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"model": nn.Linear(2, 2)}, tmp_path / "whole.pt")
    with pytest.raises(InputError, match=r"whole\.pt: cannot be read.*weights_only=True"):
        read_tensors(tmp_path / "whole.pt")


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.pt"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    whole = tmp_path / f"whole_{name}"
    tensors = {"weight": torch.zeros(1000)}
    save_file(tensors, whole) if name.endswith("safetensors") else torch.save(tensors, whole)
    (tmp_path / name).write_bytes(whole.read_bytes()[:-500])
    with pytest.raises(InputError, match=f"{name}: cannot be read"):
        read_tensors(tmp_path / name)


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match=r"holds a list, not named tensors"):
        read_tensors(tmp_path / "list.pt")
