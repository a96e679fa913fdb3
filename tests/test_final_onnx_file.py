"""`model.onnx` gives torch's answers on image files, for every rule of crop, or is not written at all."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image, ImageOps

import hpsearch
from hpsearch.final import onnx_file
from hpsearch.final.onnx_file import OnnxError, matrix_of, write_onnx
from hpsearch.train.augment import build_augmentation
from tests.exported import make_export
from tests.small_set import write_images


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("onnx") / "images"
    return [str(folder / name) for name in write_images(folder, 6, 48, np.random.default_rng(1))]


def test_onnxruntime_gives_torchs_answers_for_a_batch_of_any_size(tmp_path: Path, paths: list[str]) -> None:
    make_export(tmp_path, augment__crop__mode="ratio", augment__crop__ratio=1.25)
    check = write_onnx(tmp_path, paths)
    assert check.num_images == 6
    assert check.largest_difference < 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    detector = hpsearch.load(tmp_path, "cpu")
    for count in (1, 3):
        squares = [ImageOps.fit(Image.open(path), (40, 40), Image.Resampling.BICUBIC) for path in paths[:count]]
        (probabilities,) = session.run(None, {"pixels": np.stack([np.asarray(square) for square in squares])})
        np.testing.assert_allclose(probabilities, [detector.score(path) for path in paths[:count]], atol=1e-4)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.json", "model.onnx", "model.safetensors"]


@pytest.mark.parametrize(
    ("crop", "stored_px"),
    [({"mode": "resize"}, 32), ({"mode": "ratio", "ratio": 1.25}, 40), ({"mode": "random_resized", "scale_min": 0.2}, 48)],
    ids=["whole", "cut", "resampled"],
)
def test_one_matrix_for_both_sides_is_what_evaluation_does(crop: dict[str, object], stored_px: int) -> None:
    augmentation = build_augmentation({"crop": crop}, 32)
    images_bchw = torch.rand(2, 3, stored_px, stored_px, generator=torch.Generator().manual_seed(0))
    matrix_oh = matrix_of(augmentation.evaluation, stored_px)
    torch.testing.assert_close(
        matrix_oh @ images_bchw @ matrix_oh.T, augmentation.evaluation(images_bchw), atol=1e-5, rtol=0, check_stride=False
    )


@pytest.mark.slow
def test_the_views_that_a_model_averages_are_in_the_graph(tmp_path: Path, paths: list[str]) -> None:
    make_export(tmp_path, augment__crop__mode="ratio", augment__crop__ratio=1.25)
    alone = hpsearch.load(tmp_path, "cpu").score(paths[0])
    description = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**description, "views": "flip"}))
    check = write_onnx(tmp_path, paths)
    assert abs(hpsearch.load(tmp_path, "cpu").score(paths[0]) - alone) > 3 * check.largest_difference


def test_a_file_whose_answers_differ_is_not_kept(tmp_path: Path, paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    make_export(tmp_path)
    monkeypatch.setattr(onnx_file, "matrix_of", lambda change, px: torch.full((32, px), 1 / px))
    with pytest.raises(OnnxError, match=r"differ by .* in P\(deepfake\); at most 0\.005"):
        write_onnx(tmp_path, paths)
    assert not (tmp_path / "model.onnx").exists()


def test_without_a_readable_image_nothing_can_be_checked(tmp_path: Path) -> None:
    make_export(tmp_path)
    with pytest.raises(OnnxError, match="none of the images can be read"):
        write_onnx(tmp_path, [str(tmp_path / "absent.jpg")])


def test_a_new_export_takes_the_old_graph_away(tmp_path: Path, paths: list[str]) -> None:
    make_export(tmp_path)
    (tmp_path / "model.onnx").write_text("of other weights")
    make_export(tmp_path)
    assert not (tmp_path / "model.onnx").exists()
