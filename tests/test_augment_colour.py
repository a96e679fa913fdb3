import colorsys

import numpy as np
import pytest
import torch

from hpsearch.train.augment import build_augmentation
from hpsearch.train.augment.colour import ColourChain, gamma, recoloured
from tests.augment_images import pictures, same_picture, unit_pictures

LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


def through(chain: ColourChain, images_bchw: torch.Tensor) -> torch.Tensor:
    return recoloured(images_bchw, torch.from_numpy(chain.matrices_b36))


def test_a_chain_equals_its_steps_one_after_the_other() -> None:
    images_bchw = 0.3 + 0.2 * unit_pictures(2, 16)
    chain = ColourChain(2)
    chain.brightness(np.array([1.1, 0.9]))
    chain.contrast(np.array([0.7, 1.2]))
    chain.saturation(np.array([1.3, 0.5]))
    chain.contrast(np.array([1.1, 0.8]))
    for image, (bright, contrast, saturated, again) in enumerate([(1.1, 0.7, 1.3, 1.1), (0.9, 1.2, 0.5, 0.8)]):
        expected = images_bchw[image].double() * bright
        expected = contrast * expected + (1 - contrast) * (expected * LUMA).sum(0).mean()
        expected = saturated * expected + (1 - saturated) * (expected * LUMA).sum(0, keepdim=True)
        expected = again * expected + (1 - again) * (expected * LUMA).sum(0).mean()
        torch.testing.assert_close(through(chain, images_bchw)[image].double(), expected, atol=1e-6, rtol=0)


def test_hue_turns_colours_and_leaves_greys() -> None:
    images_bchw = torch.tensor([[0.6, 0.4, 0.4], [0.5, 0.5, 0.5]])[:, :, None, None].expand(2, 3, 4, 4).contiguous()
    chain = ColourChain(2)
    chain.hue(np.array([36.0, 36.0]))
    turned = through(chain, images_bchw)
    hue, _, _ = colorsys.rgb_to_hsv(*turned[0, :, 0, 0].tolist())
    assert hue * 360 == pytest.approx(36, abs=3)
    torch.testing.assert_close(turned[1], images_bchw[1], atol=1e-6, rtol=0)


def test_grayscale_images_have_equal_channels_and_their_luma() -> None:
    images_bchw = pictures(200, 16)
    output_bchw = build_augmentation({"grayscale": {"p": 0.3}}, 16)(images_bchw, 0, 0)
    is_grey_b = (output_bchw == output_bchw[:, :1]).flatten(1).all(dim=1)
    assert 35 < is_grey_b.sum() < 85
    luma_bhw = (images_bchw / 255 * LUMA).sum(1)
    torch.testing.assert_close(output_bchw[is_grey_b][:, 0], luma_bhw[is_grey_b], atol=1e-6, rtol=0)
    torch.testing.assert_close(output_bchw[~is_grey_b], images_bchw[~is_grey_b] / 255, atol=1e-6, rtol=0)


def test_jitter_grows_with_its_strength() -> None:
    images_bchw = same_picture(200, 16)
    changes = []
    for strength in (0.0, 0.1, 0.4):
        output_bchw = build_augmentation({"jitter": {"p": 1.0, "strength": strength}}, 16)(images_bchw, 0, 0)
        changes.append((output_bchw - images_bchw / 255).abs().mean().item())
    assert changes[0] == pytest.approx(0, abs=1e-6)
    assert 0.01 < changes[1] < changes[2] < 0.3


def test_jitter_touches_its_share_of_the_images() -> None:
    images_bchw = pictures(200, 16)
    output_bchw = build_augmentation({"jitter": {"p": 0.5, "strength": 0.3}}, 16)(images_bchw, 0, 0)
    is_same_b = (output_bchw - images_bchw / 255).abs().flatten(1).amax(dim=1) < 1e-6
    assert 70 < is_same_b.sum() < 130


def test_gamma_is_a_power_in_its_range() -> None:
    images_bchw = unit_pictures(3, 16)
    output_bchw = gamma(images_bchw, torch.tensor([[0.0], [0.5], [1.0]]), strength=0.5)
    for image, exponent in enumerate((1 / 1.5, 1.0, 1.5)):
        expected = images_bchw[image].double() ** exponent
        torch.testing.assert_close(output_bchw[image].double(), expected, atol=1e-6, rtol=0)
