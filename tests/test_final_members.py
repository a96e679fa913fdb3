"""An ensemble is used as any export is, and answers with the mean probability of its members."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

import hpsearch
from hpsearch.errors import InputError
from hpsearch.final.export import publish_export, read_description
from hpsearch.final.members import write_ensemble
from hpsearch.final.onnx_file import write_onnx
from hpsearch.judge.grad_cam import heat_maps
from tests.exported import make_export
from tests.small_set import write_images


@pytest.fixture
def members(tmp_path: Path) -> list[Path]:
    """Two exports of different networks."""
    make_export(tmp_path / "a")
    make_export(tmp_path / "b", backbone="test_efficientnet")
    return [tmp_path / "a", tmp_path / "b"]


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    folder = tmp_path / "images"
    return [str(folder / name) for name in write_images(folder, 3, 40, np.random.default_rng(1))]


def test_its_answer_is_the_mean_of_its_members_answers(tmp_path: Path, members: list[Path], paths: list[str]) -> None:
    write_ensemble(members, tmp_path / "both")
    alone = np.array([[hpsearch.load(one, "cpu").score(path) for path in paths] for one in members])
    together = [hpsearch.load(tmp_path / "both", "cpu").score(path) for path in paths]
    assert np.ptp(alone, axis=0).max() > 0.01
    np.testing.assert_allclose(together, alone.mean(axis=0), atol=1e-6)


def test_its_parameters_are_counted_together(tmp_path: Path, members: list[Path]) -> None:
    description = write_ensemble(members, tmp_path / "both")
    assert description.num_parameters == sum(read_description(one).num_parameters for one in members)
    detector = hpsearch.load(tmp_path / "both", "cpu")
    assert sum(parameter.numel() for parameter in detector.model.parameters()) == description.num_parameters
    assert [params["backbone"] for params in detector.description.members] == ["test_resnet", "test_efficientnet"]


def test_it_tells_the_start_weights_of_each_member(tmp_path: Path) -> None:
    tags = ["test_resnet.r160_in1k", "none", "test_resnet.r160_in1k"]
    members = [tmp_path / str(number) for number in range(3)]
    for directory, tag in zip(members, tags, strict=True):
        make_export(directory, weights_tag=tag)
    write_ensemble(members, tmp_path / "all")
    publish_export(tmp_path / "all", tmp_path / "best", max_parameters=10**9)
    assert [one["tag"] for one in read_description(tmp_path / "best").start_weights] == tags


def test_an_ensemble_above_the_limit_is_not_published(tmp_path: Path, members: list[Path]) -> None:
    both = write_ensemble(members, tmp_path / "both")
    most = both.num_parameters
    assert publish_export(tmp_path / "both", tmp_path / "best", max_parameters=most).num_parameters == most
    with pytest.raises(InputError, match=rf"has {most:,} parameters; limits\.num_parameters allows {most - 1:,}"):
        publish_export(tmp_path / "both", tmp_path / "best", max_parameters=most - 1)


def test_what_a_description_says_of_its_parameters_is_not_believed(tmp_path: Path, members: list[Path]) -> None:
    file = members[0] / "model.json"
    truth = read_description(members[0]).num_parameters
    file.write_text(file.read_text().replace(f'"num_parameters": {truth}', '"num_parameters": 5'))
    assert publish_export(members[0], tmp_path / "best", max_parameters=truth).num_parameters == truth
    with pytest.raises(InputError, match=rf"has {truth:,} parameters"):
        publish_export(members[0], tmp_path / "best", max_parameters=5)


def test_it_is_written_as_onnx_too(tmp_path: Path, members: list[Path], paths: list[str]) -> None:
    write_ensemble(members, tmp_path / "both")
    assert write_onnx(tmp_path / "both", paths).largest_difference < 1e-3
    session = onnxruntime.InferenceSession(str(tmp_path / "both" / "model.onnx"), providers=["CPUExecutionProvider"])
    pixels_bhwc = np.stack([np.asarray(Image.open(path)) for path in paths])
    (probabilities,) = session.run(None, {"pixels": pixels_bhwc})
    np.testing.assert_allclose(probabilities, [hpsearch.load(tmp_path / "both", "cpu").score(p) for p in paths], atol=1e-3)


def test_its_heat_is_that_of_all_members(tmp_path: Path) -> None:
    members = [tmp_path / backbone for backbone in ("test_resnet", "test_efficientnet")]
    for one in members:
        make_export(one, backbone=one.name, image_px=128)
    write_ensemble(members, tmp_path / "both")
    images_bchw = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    together, alone = (heat_maps(hpsearch.load(one, "cpu").model, images_bchw) for one in (tmp_path / "both", members[0]))
    assert together is not None
    assert alone is not None
    torch.testing.assert_close(together.amax(dim=(1, 2)), torch.ones(2))
    assert not torch.allclose(together, alone)


def test_a_member_whose_weights_are_gone_is_named(tmp_path: Path, members: list[Path]) -> None:
    (members[1] / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"b/model\.safetensors: cannot be read"):
        write_ensemble(members, tmp_path / "both")
