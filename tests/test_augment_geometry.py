import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hpsearch.train.augment.geometry import Geometry
from hpsearch.train.augment.sampling import cut, gathered, resized, sampled, sliced
from tests.augment_images import pictures, unit_pictures

RNG = np.random.default_rng(0)


def drawn(num: int) -> dict[str, np.ndarray]:
    """Random numbers for every geometric augmentation."""
    return {name: RNG.random((num, 4), dtype=np.float32) for name in ("crop", "hflip", "vflip", "rotate")}


def moved(geometry: Geometry, images_bchw: Tensor, uniforms: dict[str, np.ndarray]) -> Tensor:
    maps_b23 = geometry.maps(uniforms, len(images_bchw))
    if geometry.keeps_pixels:
        return cut(images_bchw, maps_b23, geometry.image_px)
    return sampled(images_bchw, maps_b23, geometry.image_px, geometry.outside)


def bilinear(image_hw: np.ndarray, x: float, y: float) -> float:
    """Reference in float64 with the nearest pixel outside."""
    height, width = image_hw.shape
    left, top = math.floor(x), math.floor(y)
    value = 0.0
    for row, weight_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, weight_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            pixel = image_hw[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
            value += weight_x * weight_y * float(pixel)
    return value


@pytest.mark.parametrize(
    ("mode", "ratio", "scale_min", "store_px"),
    [
        ("resize", 1.3, 0.1, 64),
        ("ratio", 1.0, 1.0, 64),
        ("ratio", 1.01, 1.0, 80),
        ("centre", 1.21875, 1.0, 78),
        ("ratio", 1.125, 1.0, 72),
        ("ratio", 1.22, 1.0, 80),
        ("centre", 1.25, 1.0, 80),
        ("ratio", 1.26, 1.0, 96),
        ("random_resized", 1.0, 1.0, 64),
        ("random_resized", 1.0, 0.5, 80),
        ("random_resized", 1.0, 0.08, 96),
    ],
)
def test_store_is_what_the_crop_needs_or_the_next_quarter_above(
    mode: str, ratio: float, scale_min: float, store_px: int
) -> None:
    geometry = Geometry(image_px=64, crop_mode=mode, crop_ratio=ratio, scale_min=scale_min)  # type: ignore[arg-type]
    assert geometry.store_px == store_px


def test_one_pass_equals_a_float64_reference() -> None:
    geometry = Geometry(image_px=32, crop_mode="ratio", crop_ratio=1.2, degrees=20, hflip_p=0.5, vflip_p=0.5, corners="zoom")
    images_bchw = unit_pictures(4, geometry.store_px)
    uniforms = drawn(4)
    output_bchw = moved(geometry, images_bchw, uniforms)
    maps_b23 = geometry.maps(uniforms, 4).astype(np.float64)
    for image, row, column in [(0, 0, 0), (1, 31, 31), (2, 7, 19), (3, 30, 2)]:
        position = maps_b23[image] @ [(2 * column + 1) / 32 - 1, (2 * row + 1) / 32 - 1, 1]
        x, y = (position + 1) * geometry.store_px / 2 - 0.5
        expected = bilinear(images_bchw[image, 1].numpy(), x, y)
        assert output_bchw[image, 1, row, column].item() == pytest.approx(expected, abs=1e-4)


def test_rotation_by_a_right_angle_turns_the_pixels() -> None:
    geometry = Geometry(image_px=32, degrees=90)
    images_bchw = pictures(2, 32)
    output_bchw = moved(geometry, images_bchw, {"rotate": np.array([[1.0], [0.0]], dtype=np.float32)})
    torch.testing.assert_close(output_bchw[0], torch.rot90(images_bchw[0] / 255, 1, (1, 2)), atol=1e-4, rtol=0)
    torch.testing.assert_close(output_bchw[1], torch.rot90(images_bchw[1] / 255, -1, (1, 2)), atol=1e-4, rtol=0)


def test_rotation_angles_fill_the_range_to_both_sides() -> None:
    geometry = Geometry(image_px=32, degrees=30)
    maps_b23 = geometry.maps(drawn(2000), 2000)
    angles_b = np.degrees(np.arctan2(maps_b23[:, 1, 0], maps_b23[:, 0, 0]))
    assert -30 <= angles_b.min() < -29
    assert 29 < angles_b.max() <= 30


def test_no_rotation_leaves_every_pixel() -> None:
    geometry = Geometry(image_px=32, degrees=10)
    images_bchw = pictures(2, 32)
    output_bchw = moved(geometry, images_bchw, {"rotate": np.full((2, 1), 0.5, dtype=np.float32)})
    torch.testing.assert_close(output_bchw, (images_bchw / 255).contiguous(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("corners", ["black", "reflect", "zoom"])
def test_corners_of_a_rotated_white_image(corners: str) -> None:
    geometry = Geometry(image_px=32, degrees=45, corners=corners)  # type: ignore[arg-type]
    white_bchw = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    output_hw = moved(geometry, white_bchw, {"rotate": np.ones((1, 1), dtype=np.float32)})[0, 0]
    assert output_hw[16, 16] == pytest.approx(1)
    share_black = (output_hw < 0.5).float().mean().item()
    # An octagon remains of two squares turned against each other: 2 (√2 − 1) of the area.
    assert share_black == pytest.approx(1 - 2 * (math.sqrt(2) - 1) if corners == "black" else 0, abs=0.02)
    if corners != "black":
        torch.testing.assert_close(output_hw, torch.ones(32, 32))


def test_black_does_not_shine_into_an_image_that_is_turned_by_nothing() -> None:
    geometry = Geometry(image_px=32, crop_mode="random_resized", scale_min=0.3, degrees=10)
    white_bchw = torch.full((1, 3, geometry.store_px, geometry.store_px), 255, dtype=torch.uint8)
    corner = {"crop": np.zeros((1, 4), dtype=np.float32), "rotate": np.full((1, 1), 0.5, dtype=np.float32)}
    torch.testing.assert_close(moved(geometry, white_bchw, corner), torch.ones(1, 3, 32, 32))


def test_zoom_keeps_every_output_inside_the_stored_image() -> None:
    geometry = Geometry(image_px=32, crop_mode="ratio", crop_ratio=1.1, degrees=180, corners="zoom")
    maps_b23 = geometry.maps(drawn(500), 500)
    corners_3k = np.array([[-1, -1, 1, 1], [-1, 1, -1, 1], [1, 1, 1, 1]])
    assert np.abs(maps_b23 @ corners_3k).max() <= 1 + 1e-6


def test_flips_mirror_their_share_of_the_images() -> None:
    geometry = Geometry(image_px=32, hflip_p=0.25, vflip_p=0.25)
    images_bchw = pictures(4, 32)
    chosen = {"hflip": np.array([[0.1], [0.3], [0.3], [0.1]]), "vflip": np.array([[0.3], [0.1], [0.3], [0.1]])}
    output_bchw = moved(geometry, images_bchw, chosen)
    unit_bchw = images_bchw / 255
    expected = [unit_bchw[0].flip(2), unit_bchw[1].flip(1), unit_bchw[2], unit_bchw[3].flip(1, 2)]
    torch.testing.assert_close(output_bchw, torch.stack(expected), atol=1e-6, rtol=0)


def test_sampled_flips_equal_cut_ones() -> None:
    geometry = Geometry(image_px=32, crop_mode="ratio", crop_ratio=1.25, hflip_p=0.5, vflip_p=0.5)
    assert geometry.keeps_pixels
    images_bchw = pictures(16, 40)
    maps_b23 = geometry.maps(drawn(16), 16)
    torch.testing.assert_close(
        cut(images_bchw, maps_b23, 32).contiguous(), sampled(images_bchw, maps_b23, 32, "edge"), atol=1e-4, rtol=0
    )


def test_slicing_and_gathering_cut_the_same_pixels() -> None:
    images_bhwc = pictures(8, 40).permute(0, 2, 3, 1)
    first_b2, flipped_b2 = RNG.integers(0, 9, (8, 2)), np.array([[x, y] for x in (False, True) for y in (False, True)] * 2)
    gathered_bhwc = gathered(images_bhwc, first_b2, flipped_b2, 32)
    assert torch.equal(sliced(images_bhwc, first_b2, flipped_b2, 32), gathered_bhwc)
    left, top = first_b2[6]
    assert torch.equal(gathered_bhwc[6, 0, -1], images_bhwc[6, top, left])


def test_random_crops_on_the_grid_reach_every_place() -> None:
    geometry = Geometry(image_px=32, crop_mode="ratio", crop_ratio=1.25)
    maps_b23 = geometry.maps(drawn(1000), 1000)
    first_b2 = ((maps_b23[:, :, 2] + 1) * 40 - 32) / 2
    np.testing.assert_allclose(first_b2, np.rint(first_b2), atol=1e-4)
    assert set(np.rint(first_b2[:, 0]).astype(int)) == set(np.rint(first_b2[:, 1]).astype(int)) == set(range(9))


def test_random_resized_crops_have_the_areas_and_shapes_asked_for() -> None:
    geometry = Geometry(image_px=32, crop_mode="random_resized", scale_min=0.2)
    maps_b23 = geometry.maps(drawn(5000), 5000)
    halves_b2 = maps_b23[:, (0, 1), (0, 1)]
    areas_b, aspects_b = halves_b2.prod(axis=1), halves_b2[:, 0] / halves_b2[:, 1]
    assert 0.19 < areas_b.min() < 0.22
    assert areas_b.max() > 0.97
    assert aspects_b.min() == pytest.approx(3 / 4, abs=0.01)
    assert aspects_b.max() == pytest.approx(4 / 3, abs=0.01)
    assert (np.abs(maps_b23[:, :, 2]) + halves_b2).max() <= 1 + 1e-6


@pytest.mark.parametrize("scale_min", [0.08, 0.3, 0.75, 0.8, 0.9, 0.99])
def test_random_resized_crops_keep_the_area_that_was_drawn(scale_min: float) -> None:
    uniforms = drawn(5000)
    maps_b23 = Geometry(image_px=32, crop_mode="random_resized", scale_min=scale_min).maps(uniforms, 5000)
    halves_b2 = maps_b23[:, (0, 1), (0, 1)]
    drawn_b = scale_min + (1 - scale_min) * uniforms["crop"][:, 0]
    np.testing.assert_allclose(halves_b2.prod(axis=1), drawn_b, rtol=1e-6)
    assert halves_b2.max() <= 1 + 1e-6
    # Shapes still differ, to both sides, as far as the area and 4/3 leave room.
    widest = min(4 / 3, 1 / scale_min)
    assert (halves_b2[:, 0] / halves_b2[:, 1]).max() == pytest.approx(widest, rel=0.05)
    assert (halves_b2[:, 1] / halves_b2[:, 0]).max() == pytest.approx(widest, rel=0.05)


def test_random_resized_crops_of_the_whole_area_leave_every_pixel() -> None:
    geometry = Geometry(image_px=32, crop_mode="random_resized", scale_min=1.0)
    images_bchw = pictures(64, geometry.store_px)
    assert torch.equal(moved(geometry, images_bchw, drawn(64)), images_bchw.float().mul_(1 / 255))
    assert geometry.evaluation_rule == Geometry(image_px=32).evaluation_rule


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(image_px=32),
        Geometry(image_px=32, crop_mode="centre", crop_ratio=1.25),
        Geometry(image_px=32, crop_mode="centre", crop_ratio=1.21875),
        Geometry(image_px=32, crop_mode="centre", crop_ratio=1.22),
        Geometry(image_px=32, crop_mode="ratio", crop_ratio=1.25),
        Geometry(image_px=32, crop_mode="ratio", crop_ratio=1.1),
    ],
)
def test_evaluation_is_training_with_the_middle_of_every_draw(geometry: Geometry) -> None:
    middle = {"crop": np.full((3, 4), 0.5, dtype=np.float32)}
    np.testing.assert_allclose(geometry.evaluation_maps(3), geometry.maps(middle, 3), atol=1e-6)


def test_evaluation_of_random_resized_is_the_whole_image_reduced_without_aliasing() -> None:
    geometry = Geometry(image_px=64, crop_mode="random_resized", scale_min=0.08)
    images_bchw = unit_pictures(4, geometry.store_px)
    output_bchw = sampled(images_bchw, geometry.evaluation_maps(4), 64, "edge")
    reference_bchw = F.interpolate(images_bchw, (64, 64), mode="bilinear", antialias=True)
    aliased_bchw = F.interpolate(images_bchw, (64, 64), mode="bilinear")
    error, aliasing = ((values - reference_bchw).square().mean().sqrt() for values in (output_bchw, aliased_bchw))
    assert error < 0.004
    assert error < aliasing / 2


def test_only_reduced_images_are_blurred_before_sampling() -> None:
    geometry = Geometry(image_px=32, crop_mode="random_resized", scale_min=0.08)
    uniforms = {"crop": np.array([[0, 0.5, 0.5, 0.5], [1, 0.5, 0.5, 0.5]], dtype=np.float32)}
    maps_b23 = geometry.maps(uniforms, 2)
    images_bchw = unit_pictures(2, geometry.store_px)
    both_bchw = sampled(images_bchw, maps_b23, 32, "edge")
    alone_bchw = sampled(images_bchw[:1], maps_b23[:1], 32, "edge")
    torch.testing.assert_close(both_bchw[:1], alone_bchw, atol=1e-6, rtol=0)


def test_resizing_keeps_type_and_leaves_the_right_size_alone() -> None:
    images_bchw = pictures(2, 48)
    assert resized(images_bchw, 48) is images_bchw
    small_bchw = resized(images_bchw, 32)
    assert small_bchw.dtype == torch.uint8
    reference_bchw = F.interpolate(images_bchw.float(), (32, 32), mode="bilinear", antialias=True)
    assert (small_bchw.float() - reference_bchw).abs().max() <= 1
    torch.testing.assert_close(resized(images_bchw.float(), 32), reference_bchw)
