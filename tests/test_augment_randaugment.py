import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from hpsearch.train.augment import build_augmentation
from hpsearch.train.augment.geometry import Geometry
from hpsearch.train.augment.randaugment import (
    NUM_UNIFORMS,
    OPERATIONS,
    RandAugment,
    autocontrast,
    equalize,
    posterize,
    sharpness,
    solarize,
)
from tests.augment_images import pictures, same_picture, unit_pictures


def drawing(operation: str, sign: int = 1) -> np.ndarray:
    """Uniforms of one image that draws `operation` first."""
    uniforms = np.zeros((1, NUM_UNIFORMS), dtype=np.float32)
    uniforms[0, 0] = (OPERATIONS.index(operation) + 0.5) / len(OPERATIONS)
    uniforms[0, 3:] = 0.75 if sign > 0 else 0.25
    return uniforms


def by_pillow(images_bchw: torch.Tensor, change: object) -> torch.Tensor:
    changed = [change(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in images_bchw]  # type: ignore[operator]
    return torch.from_numpy(np.stack([np.array(image) for image in changed])).permute(0, 3, 1, 2).float()


def test_every_operation_is_drawn_equally_often() -> None:
    uniforms = np.random.default_rng(0).random((14_000, NUM_UNIFORMS), dtype=np.float32)
    operations_bo, signs_bo = RandAugment(num_ops=2, magnitude=9).drawn(uniforms)
    counts = np.bincount(operations_bo.ravel(), minlength=len(OPERATIONS))
    assert counts.shape == (14,)
    assert counts.min() > 1800
    assert counts.max() < 2200
    assert abs(signs_bo.mean()) < 0.02


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_changes_the_image_and_identity_does_not(operation: str) -> None:
    randaugment = RandAugment(num_ops=1, magnitude=9)
    uniforms = drawing(operation)
    geometry = Geometry(image_px=32, randaugment=randaugment)
    is_moved = not np.allclose(geometry.maps({"randaugment": uniforms}, 1)[:, :, :2], np.eye(2), atol=1e-6)
    is_shifted = bool(np.abs(geometry.maps({"randaugment": uniforms}, 1)[:, :, 2]).max() > 1e-6)
    from hpsearch.train.augment.colour import ColourChain

    chain = ColourChain(1)
    randaugment.recolour(chain, uniforms)
    images_bchw = unit_pictures(1, 32) * 0.8
    changes = [
        not torch.allclose(function(images_bchw, torch.from_numpy(uniforms)), images_bchw, atol=1e-3)
        for name, function in randaugment.functions().items()
        if randaugment.drew(name, uniforms)[0]
    ]
    assert [is_moved, is_shifted, bool(chain.changed_b[0]), *changes].count(True) == (operation != "identity")


def test_geometric_operations_move_by_the_magnitude() -> None:
    def linear(operation: str, sign: int, magnitude: float) -> np.ndarray:
        return RandAugment(num_ops=1, magnitude=magnitude).maps(drawing(operation, sign))[0][0]

    np.testing.assert_allclose(linear("shear_x", 1, 5), [[1, 0.15], [0, 1]])
    np.testing.assert_allclose(linear("shear_y", -1, 10), [[1, 0], [-0.3, 1]])
    cos, sin = np.cos(np.radians(15)), np.sin(np.radians(15))
    np.testing.assert_allclose(linear("rotate", 1, 5), [[cos, -sin], [sin, cos]])
    shift = RandAugment(num_ops=1, magnitude=10).maps(drawing("translate_x"))[1][0]
    np.testing.assert_allclose(shift, [0.9, 0])


def test_functions_equal_pillows() -> None:
    images_bchw = pictures(3, 32)
    unit_bchw, uniforms_bu = images_bchw.float().contiguous() / 255, torch.ones(3, NUM_UNIFORMS)
    cases = [
        (posterize(unit_bchw, uniforms_bu, level=1.0), lambda image: ImageOps.posterize(image, 4), 0.01),
        (solarize(unit_bchw, uniforms_bu, level=0.4), lambda image: ImageOps.solarize(image, 154), 0.01),
        (autocontrast(unit_bchw, uniforms_bu), ImageOps.autocontrast, 1.01),
        (sharpness(unit_bchw, uniforms_bu, level=1.0), lambda image: ImageEnhance.Sharpness(image).enhance(1.9), 2.0),
    ]
    inner = (..., slice(1, -1), slice(1, -1))
    for ours, change, tolerance in cases:
        assert (ours[inner] * 255 - by_pillow(images_bchw, change)[inner]).abs().max() <= tolerance


def test_equalize_gives_ranks() -> None:
    images_bchw = pictures(2, 160)
    ours = equalize(images_bchw.float().contiguous() / 255, torch.ones(2, NUM_UNIFORMS))
    values = images_bchw[1, 2].numpy()
    num_up_to = np.searchsorted(np.sort(values.ravel()), values, side="right")
    num_lowest = (values == values.min()).sum()
    np.testing.assert_allclose(ours[1, 2].numpy(), (num_up_to - num_lowest) / (values.size - num_lowest), atol=1e-6)


def test_flat_images_survive_autocontrast_and_equalize() -> None:
    flat = torch.full((1, 3, 8, 8), 0.4)
    torch.testing.assert_close(autocontrast(flat, torch.zeros(1, 6)), flat)
    torch.testing.assert_close(equalize(flat, torch.zeros(1, 6)), flat)


def test_more_operations_change_more() -> None:
    images_bchw = same_picture(200, 32)
    unchanged = []
    for num_ops in (0, 1, 3):
        output_bchw = build_augmentation({"randaugment": {"num_ops": num_ops}}, 32)(images_bchw, 0, 0)
        unchanged.append(((output_bchw - images_bchw / 255).abs().flatten(1).amax(dim=1) < 1e-4).sum().item())
    assert unchanged[0] == 200
    assert 0 < unchanged[1] < 40
    assert unchanged[2] < 5


def test_magnitude_0_leaves_every_pixel() -> None:
    images_bchw = pictures(64, 32)
    output_bchw = build_augmentation({"randaugment": {"num_ops": 3, "magnitude": 0.0}}, 32)(images_bchw, 0, 0)
    assert torch.equal(output_bchw, build_augmentation({}, 32)(images_bchw, 0, 0))


@pytest.mark.parametrize(("corners", "num_uneven"), [("zoom", 0), ("black", 100)])
def test_zoom_leaves_no_black_corners(corners: str, num_uneven: int) -> None:
    """Every operation leaves a flat image flat, but for the pixels that come from outside it."""
    augment = {"randaugment": {"num_ops": 3, "magnitude": 15.0}, "rotate": {"degrees": 10.0, "corners": corners}}
    flat_bchw = torch.full((200, 3, 32, 32), 100, dtype=torch.uint8)
    output_bchw = build_augmentation(augment, 32)(flat_bchw, 0, 0)
    uneven_b = (output_bchw.amax(dim=(2, 3)) - output_bchw.amin(dim=(2, 3))).amax(dim=1) > 0.02
    assert int(uneven_b.sum()) >= num_uneven
    assert corners == "black" or not uneven_b.any()
