import numpy as np
import pytest
import torch
from scipy import ndimage

from hpsearch.train.augment import build_augmentation
from hpsearch.train.augment.degrade import blur, blurred, noise
from tests.augment_images import pictures, same_picture, unit_pictures


def test_blur_is_a_gaussian_of_each_images_own_sigma() -> None:
    images_bchw = unit_pictures(3, 32)
    sigmas_b = torch.tensor([0.4, 1.0, 2.5])
    output_bchw = blurred(images_bchw, sigmas_b, sigma_max=2.5)
    for image, sigma in enumerate(sigmas_b.tolist()):
        for colour in range(3):
            expected = ndimage.gaussian_filter(
                images_bchw[image, colour].double().numpy(), sigma, mode="mirror", truncate=8 / sigma
            )
            np.testing.assert_allclose(output_bchw[image, colour].numpy(), expected, atol=2e-3)


def test_blur_by_nothing_changes_nothing() -> None:
    images_bchw = unit_pictures(2, 32)
    torch.testing.assert_close(blur(images_bchw, torch.rand(2, 1), sigma_max=0.0), images_bchw)


def test_blur_reaches_no_further_than_a_small_image() -> None:
    images_bchw = unit_pictures(2, 8)
    output_bchw = blur(images_bchw, torch.zeros(2, 1), sigma_max=5.0)
    assert output_bchw.shape == images_bchw.shape
    assert output_bchw.std() < images_bchw.std()


def test_noise_has_the_deviation_drawn_and_no_mean() -> None:
    images_bchw = torch.full((3, 3, 64, 64), 0.5)
    uniforms_bu = torch.tensor([[0.0, 0.3, 0.1], [0.5, 0.7, 0.2], [0.999999, 0.5, 0.5]])
    added = noise(images_bchw, uniforms_bu, std_max=20.0) - images_bchw
    assert (added.std(dim=(1, 2, 3)) * 255).tolist() == pytest.approx([20, 10, 0], abs=0.3)
    assert added.mean(dim=(1, 2, 3)).abs().max() * 255 < 0.6


def test_noise_differs_between_colours_and_images() -> None:
    added = (
        build_augmentation({"noise": {"p": 1.0, "std_max": 20.0}}, 32)(same_picture(2, 32), 0, 0) - same_picture(2, 32) / 255
    )
    series = added.permute(0, 1, 2, 3).flatten(2).flatten(0, 1).numpy()
    correlations = np.corrcoef(series) - np.eye(6)
    assert np.abs(correlations).max() < 0.15


@pytest.mark.parametrize(
    ("name", "weak", "strong"),
    [
        ("blur", {"sigma_max": 0.5}, {"sigma_max": 3.0}),
        ("downscale", {"factor_min": 0.9}, {"factor_min": 0.25}),
        ("noise", {"std_max": 2.0}, {"std_max": 25.0}),
        ("jpeg", {"quality_min": 90.0}, {"quality_min": 10.0}),
    ],
)
def test_a_stronger_degradation_changes_more(name: str, weak: dict[str, float], strong: dict[str, float]) -> None:
    images_bchw = pictures(32, 32)
    changes = [
        (build_augmentation({name: {"p": 1.0, **strength}}, 32)(images_bchw, 0, 0) - images_bchw / 255).abs().mean()
        for strength in (weak, strong)
    ]
    assert 0 < changes[0] < changes[1] / 1.5
