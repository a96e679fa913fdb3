import numpy as np
import pytest
import torch
from torch import Tensor

from hpsearch.train.augment import build_augmentation, build_labelled
from hpsearch.train.augment.downscale import downscale
from hpsearch.train.augment.jpeg import jpeg
from hpsearch.train.augment.selfblend import NUM_UNIFORMS, selfblend
from tests.augment_images import pictures, same_picture, unit_pictures

COLUMNS = {"ratio": 7, "into_image": 8, "map": 9, "colour": 13, "detail": 20, "kind": 21, "drawn": 22, "elastic": 25}
"""Where the random numbers of each purpose begin."""
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


def neutral(num: int, **changes: float) -> np.ndarray:
    """Random numbers that make a copy like its image and blend it wholly in around the middle; `changes` by column."""
    uniforms_bu = np.full((num, NUM_UNIFORMS), 0.5, dtype=np.float32)
    for name, value in {"ratio": 0.9, "into_image": 0.9, "kind": 0.9, **changes}.items():
        purpose, _, offset = name.partition("__")
        uniforms_bu[:, COLUMNS[purpose] + int(offset or 0)] = value
    return uniforms_bu


def change(images_bchw: Tensor, **changes: float) -> Tensor:
    return selfblend(images_bchw, neutral(len(images_bchw), **changes)) - images_bchw


def middle(images_bchw: Tensor) -> Tensor:
    side = images_bchw.shape[-1]
    return images_bchw[..., 3 * side // 8 : 5 * side // 8, 3 * side // 8 : 5 * side // 8]


def test_a_copy_without_mismatch_leaves_the_image_as_it_is() -> None:
    assert change(unit_pictures(4, 64)).abs().max() < 1e-5


@pytest.mark.parametrize("offset", range(4))
@pytest.mark.parametrize("end", [0.0, 0.999])
def test_a_moved_copy_differs_inside_the_mask_only(offset: int, end: float) -> None:
    change_bchw = change(unit_pictures(4, 64), **{f"map__{offset}": end})
    assert middle(change_bchw).abs().mean(dim=(1, 2, 3)).min() > 1e-3
    assert change_bchw[..., (0, 0, -1, -1), (0, -1, 0, -1)].abs().max() < 1e-5


def test_a_copy_is_shifted_by_up_to_3_percent_of_the_side() -> None:
    ramp_bchw = torch.linspace(0.2, 0.8, 64).expand(1, 3, 64, 64).contiguous()
    change_bchw = middle(change(ramp_bchw, map__2=0.9999))
    assert change_bchw.abs().mean().item() == pytest.approx(0.03 * 0.6, rel=0.05)
    assert middle(change(ramp_bchw, map__3=0.9999)).abs().max() < 1e-5


def test_a_scaled_copy_stays_in_the_middle_of_its_axis() -> None:
    ramp_bchw = torch.linspace(0.2, 0.8, 64).expand(1, 3, 64, 64).contiguous()
    change_bchw = change(ramp_bchw, map__0=0.9999)[0, 0, 32]
    assert change_bchw[31:33].abs().max() < 1e-3
    assert change_bchw[24] * change_bchw[39] < 0
    assert middle(change(ramp_bchw, map__1=0.9999)).abs().max() < 1e-5


def test_a_brighter_copy_is_brighter_by_its_factor() -> None:
    images_bchw = 0.1 + 0.7 * unit_pictures(2, 64)
    torch.testing.assert_close(middle(change(images_bchw, colour__0=1.0)), 0.15 * middle(images_bchw), atol=1e-4, rtol=0)


def test_contrast_changes_no_flat_copy_and_saturation_and_hue_no_grey_one() -> None:
    flat_bchw, grey_bchw = torch.full((1, 3, 64, 64), 0.4), unit_pictures(1, 64)[:, :1].repeat(1, 3, 1, 1)
    coloured_bchw = 0.2 + 0.6 * unit_pictures(1, 64)
    for column, unchanged_bchw in (("colour__1", flat_bchw), ("colour__2", grey_bchw), ("colour__3", grey_bchw)):
        assert change(unchanged_bchw, **{column: 1.0}).abs().max() < 1e-4
        assert middle(change(coloured_bchw, **{column: 1.0})).abs().mean() > 1e-3


@pytest.mark.parametrize("colour", range(3))
def test_a_gain_changes_one_colour(colour: int) -> None:
    images_bchw = 0.1 + 0.7 * unit_pictures(1, 64)
    change_c = middle(change(images_bchw, **{f"colour__{4 + colour}": 1.0}))[0].abs().mean(dim=(1, 2))
    assert (change_c > 1e-3).tolist() == [one == colour for one in range(3)]


def test_a_copy_is_softened_at_one_end_and_sharpened_at_the_other() -> None:
    images_bchw = unit_pictures(4, 64)
    textures = [
        middle(selfblend(images_bchw, neutral(4, detail=end))).diff(dim=3).abs().mean().item() for end in (0.0, 0.5, 0.999)
    ]
    assert textures[0] < 0.9 * textures[1]
    assert textures[2] > 1.1 * textures[1]


@pytest.mark.parametrize("kind", ["jpeg", "downscale"])
def test_a_third_of_the_copies_is_compressed_and_a_third_reduced(kind: str) -> None:
    images_bchw = unit_pictures(4, 64)
    drawn_bu = torch.from_numpy(neutral(4, drawn=0.1)[:, COLUMNS["drawn"] : COLUMNS["elastic"]])
    expected_bchw = (
        jpeg(images_bchw.clone(), drawn_bu, quality_min=40)
        if kind == "jpeg"
        else downscale(images_bchw.clone(), drawn_bu, factor_min=0.4)
    )
    blended_bchw = selfblend(images_bchw, neutral(4, kind=0.1 if kind == "jpeg" else 0.5, drawn=0.1))
    torch.testing.assert_close(middle(blended_bchw), middle(expected_bchw), atol=1e-5, rtol=0)
    assert middle(expected_bchw - images_bchw).abs().mean() > 1e-3


def test_the_elastic_field_bends_the_border_and_nothing_else() -> None:
    images_bchw = torch.full((1, 3, 64, 64), 0.5)
    straight_hw = change(images_bchw, colour__0=1.0)[0, 0]
    uniforms_bu = neutral(1, colour__0=1.0)
    uniforms_bu[:, COLUMNS["elastic"] :] = np.random.default_rng(0).random(NUM_UNIFORMS - COLUMNS["elastic"])
    bent_hw = (selfblend(images_bchw, uniforms_bu) - images_bchw)[0, 0]
    assert torch.allclose(straight_hw, straight_hw.flip(0), atol=1e-5)
    assert not torch.allclose(bent_hw, bent_hw.flip(0), atol=1e-2)
    assert bent_hw[32, 32] == straight_hw[32, 32] > 0.07
    assert bent_hw.max() <= straight_hw.max() + 1e-6
