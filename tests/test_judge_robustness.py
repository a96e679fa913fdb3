"""What a degradation does to images reaches the network that judges them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hpsearch.data.training_data import LabelledImages
from hpsearch.final.scorer import Scorer
from hpsearch.judge.robustness import DEGRADATIONS
from tests.exported import make_export


class Texture(nn.Module):
    """Answers by how much neighbouring pixels differ: what blur and noise change."""

    def forward(self, images_bchw: Tensor) -> Tensor:
        texture_b = images_bchw.diff(dim=3).abs().mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(texture_b), 20 * texture_b - 2], dim=1)


@pytest.fixture
def images() -> LabelledImages:
    pixels_nhwc = np.random.default_rng(0).integers(60, 200, (8, 32, 32, 3), dtype=np.uint8)
    return LabelledImages(images_nhwc=pixels_nhwc, labels_n=np.arange(8) % 2, indices_n=np.arange(8))


@pytest.fixture
def scorer(tmp_path: Path) -> Scorer:
    return Scorer(make_export(tmp_path, stored_px=32), Texture(), "cpu")  # type: ignore[arg-type]


def answers(scorer: Scorer, images: LabelledImages, name: str | None) -> np.ndarray:
    return scorer.score_set(images, views=("whole",), degradation=DEGRADATIONS[name] if name else None)


@pytest.mark.parametrize(("kind", "rises"), [("blur", False), ("resize", False), ("noise", True)])
def test_the_stronger_a_degradation_the_more_an_answer_moves(
    kind: str, rises: bool, scorer: Scorer, images: LabelledImages
) -> None:
    names = [None, *(name for name in DEGRADATIONS if name.startswith(kind))]
    steps = np.diff([answers(scorer, images, name) for name in names], axis=0)
    assert ((steps > 0) == rises).all()


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_the_network_answers_for_the_degraded_image(name: str, scorer: Scorer, images: LabelledImages) -> None:
    degraded_bchw = DEGRADATIONS[name](torch.from_numpy(images.images_nhwc).permute(0, 3, 1, 2))
    expected_b = torch.softmax(Texture()(degraded_bchw).double(), dim=1)[:, 1]
    np.testing.assert_allclose(answers(scorer, images, name), expected_b.numpy(), atol=1e-4)
    assert np.abs(answers(scorer, images, name) - answers(scorer, images, None)).max() > 1e-3
