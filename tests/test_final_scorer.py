"""A scorer's answers against single views that are made by hand: decoded, cut, mirrored, resized and averaged in float64."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hpsearch.data.decode import decode
from hpsearch.data.training_data import LabelledImages
from hpsearch.final.scorer import Scorer
from hpsearch.judge.views import SINGLE_VIEWS, Views
from hpsearch.layout import MODEL_DESCRIPTION
from tests.exported import make_export
from tests.small_set import write_images

STORED_PX = 40
CORNER_PX = 35
"""Seven eighths of it."""
SEEN_PX = 32
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("faces") / "images"
    return [str(folder / name) for name in write_images(folder, 6, 48, np.random.default_rng(0))]


def decoded(paths: list[str]) -> Tensor:
    pixels = np.stack([decode(path, STORED_PX) for path in paths])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def corners(images_bchw: Tensor) -> list[Tensor]:
    return [
        images_bchw[:, :, :CORNER_PX, :CORNER_PX],
        images_bchw[:, :, :CORNER_PX, -CORNER_PX:],
        images_bchw[:, :, -CORNER_PX:, :CORNER_PX],
        images_bchw[:, :, -CORNER_PX:, -CORNER_PX:],
    ]


def single_views(images_bchw: Tensor, kind: str) -> list[Tensor]:
    views = [images_bchw, *(corners(images_bchw) if "crops" in kind else [])]
    return views + [one.flip(3) for one in views] if "flip" in kind else views


def probabilities(scorer: Scorer, images_bchw: Tensor, crop_ratio: float) -> Tensor:
    """P(deepfake) of one view: resized to the side at which the rule of the crop wants images, its centre seen."""
    stored_px = round(SEEN_PX * crop_ratio)
    resized_bchw = images_bchw
    if images_bchw.shape[-1] != stored_px:
        resized_bchw = F.interpolate(images_bchw, (stored_px, stored_px), mode="bilinear", antialias=True)
    first = (stored_px - SEEN_PX) // 2
    seen_bchw = resized_bchw[:, :, first : first + SEEN_PX, first : first + SEEN_PX] / 255
    with torch.no_grad():
        return torch.softmax(scorer.model(seen_bchw).double(), dim=1)[:, 1]


@pytest.mark.parametrize("crop_ratio", [1.0, 1.25], ids=["resized", "centre of a resized one"])
@pytest.mark.parametrize("kind", SINGLE_VIEWS)
def test_an_export_answers_with_the_mean_of_its_single_views(
    tmp_path: Path, paths: list[str], kind: Views, crop_ratio: float
) -> None:
    make_export(tmp_path, stored_px=STORED_PX, augment__crop__mode="ratio", augment__crop__ratio=crop_ratio)
    description = json.loads((tmp_path / MODEL_DESCRIPTION).read_text())
    (tmp_path / MODEL_DESCRIPTION).write_text(json.dumps({**description, "views": kind}))
    scorer = Scorer.load(tmp_path, "cpu")
    views = single_views(decoded(paths), kind)
    assert len(views) == {"none": 1, "flip": 2, "crops": 5, "flip_crops": 10}[kind]
    by_view_vb = torch.stack([probabilities(scorer, one, crop_ratio) for one in views])
    expected_b = by_view_vb.mean(dim=0).numpy()
    answers_b, unreadable = scorer.probabilities(paths)
    assert unreadable == []
    np.testing.assert_allclose(answers_b, expected_b, atol=TOLERANCE)
    assert scorer.score(paths[3]) == pytest.approx(expected_b[3], abs=TOLERANCE)
    images = LabelledImages(
        images_nhwc=decoded(paths).permute(0, 2, 3, 1).numpy(), labels_n=np.arange(6) % 2, indices_n=np.arange(6)
    )
    np.testing.assert_allclose(scorer.score_set(images, views=SINGLE_VIEWS[kind]), expected_b, atol=TOLERANCE)
    # The test can fail: without one of the views, or with another one in its place, the mean is another one.
    num = len(views)
    are_kept_vv = ~torch.eye(num, dtype=torch.bool)
    without_one = [by_view_vb[are_kept_v].mean(dim=0) for are_kept_v in are_kept_vv if num > 1]
    replaced_nb = (by_view_vb[:, None] - by_view_vb[None])[are_kept_vv] / num + by_view_vb.mean(dim=0)
    assert all(np.abs(other_b.numpy() - expected_b).max() > 10 * TOLERANCE for other_b in [*without_one, *replaced_nb])
