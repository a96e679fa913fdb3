import numpy as np
import pytest
import torch
from torch import Tensor

from hpsearch.train.augment import build_augmentation, build_labelled
from hpsearch.train.augment.selfblend import NUM_UNIFORMS, selfblend
from tests.augment_images import pictures, same_picture, unit_pictures

REALS = torch.zeros(24, dtype=torch.int64)


def augmented(images_bchw: Tensor, labels_b: Tensor, p: float, first: int = 0, seed: int = 0) -> tuple[Tensor, Tensor]:
    augment = {"selfblend": {"p": p}}
    return build_labelled(augment, build_augmentation(augment, images_bchw.shape[-1]))(images_bchw, labels_b, first, seed)


def test_no_image_and_no_target_changes_at_p_0() -> None:
    images_bchw = pictures(24, 32)
    pixels_bchw, targets_b = augmented(images_bchw, REALS, 0.0)
    assert torch.equal((pixels_bchw * 255).round().to(torch.uint8), images_bchw)
    assert targets_b.tolist() == [0.0] * 24


def test_every_real_image_becomes_a_deepfake_at_p_1_and_no_deepfake_changes() -> None:
    images_bchw, labels_b = pictures(24, 32), torch.arange(24) % 2
    pixels_bchw, targets_b = augmented(images_bchw, labels_b, 1.0)
    changed_b = ((pixels_bchw * 255).round() != images_bchw).flatten(1).any(1)
    assert changed_b.tolist() == (labels_b == 0).tolist()
    assert targets_b.tolist() == [1.0] * 24


def test_about_p_of_the_real_images_change_and_those_have_the_other_target() -> None:
    images_bchw = pictures(1, 16).expand(400, -1, -1, -1)
    pixels_bchw, targets_b = augmented(images_bchw, torch.zeros(400, dtype=torch.int64), 0.3)
    changed_b = ((pixels_bchw * 255).round() != images_bchw).flatten(1).any(1)
    assert torch.equal(changed_b, targets_b == 1)
    assert changed_b.float().mean().item() == pytest.approx(0.3, abs=0.08)


def test_the_batch_that_was_given_is_not_changed() -> None:
    images_bchw = pictures(8, 32)
    before_bchw = images_bchw.clone()
    augmented(images_bchw, REALS[:8], 1.0)
    assert torch.equal(images_bchw, before_bchw)


def test_an_image_is_blended_by_seed_and_number_whatever_its_batch() -> None:
    images_bchw = pictures(24, 32)
    whole_bchw, whole_b = augmented(images_bchw, REALS, 0.5, first=100)
    parts = [augmented(images_bchw[start : start + 8], REALS[:8], 0.5, first=100 + start) for start in (0, 8, 16)]
    assert torch.equal(torch.cat([targets_b for _, targets_b in parts]), whole_b)
    assert torch.allclose(torch.cat([pixels_bchw for pixels_bchw, _ in parts]), whole_bchw, atol=1.01 / 255)
    assert not torch.equal(augmented(images_bchw, REALS, 0.5, first=100, seed=1)[1], whole_b)


def test_every_blend_of_one_image_is_another() -> None:
    pixels_bchw, _ = augmented(same_picture(16, 32), REALS[:16], 1.0)
    apart_bb = (pixels_bchw[:, None] - pixels_bchw[None]).abs().mean(dim=(2, 3, 4))
    assert apart_bb[~torch.eye(16, dtype=torch.bool)].min() > 1e-4


def test_an_image_changes_visibly_but_stays_the_same_picture() -> None:
    images_bchw = unit_pictures(64, 64)
    blended_bchw = selfblend(images_bchw, np.random.default_rng(0).random((64, NUM_UNIFORMS), dtype=np.float32))
    change_b = (blended_bchw - images_bchw).abs().mean(dim=(1, 2, 3)) * 255
    assert blended_bchw.shape == images_bchw.shape
    assert 1 < change_b.median() < 20
    assert change_b.max() < 60
    assert 0 <= blended_bchw.min() <= blended_bchw.max() <= 1


def test_a_part_of_each_image_keeps_its_pixels_and_the_border_between_is_soft() -> None:
    images_bchw = unit_pictures(32, 64)
    uniforms_bu = np.random.default_rng(0).random((32, NUM_UNIFORMS), dtype=np.float32)
    uniforms_bu[:, 8] = 0.9  # the copy goes into the image
    change_bhw = (selfblend(images_bchw, uniforms_bu) - images_bchw).abs().amax(dim=1)
    corners_b = change_bhw[:, (0, 0, -1, -1), (0, -1, 0, -1)].amax(dim=1)
    assert (corners_b == 0).float().mean() > 0.8
    assert (change_bhw[:, 32, 32] > 0).float().mean() > 0.9
    assert (change_bhw.diff(dim=2).abs() < 0.2).float().mean() > 0.98
