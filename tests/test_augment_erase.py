import pytest
import torch

from hpsearch.train.augment.erase import erase
from tests.augment_images import unit_pictures

GENERATOR = torch.Generator().manual_seed(0)


def test_one_rectangle_of_one_colour_is_erased_and_the_rest_stays() -> None:
    images_bchw = unit_pictures(50, 32)
    uniforms_bu = torch.rand(50, 7, generator=GENERATOR)
    output_bchw = erase(images_bchw, uniforms_bu, area_max=0.33)
    for image, output, uniforms in zip(images_bchw, output_bchw, uniforms_bu, strict=True):
        is_erased_hw = (output == uniforms[4:7, None, None]).all(dim=0)
        rows, columns = is_erased_hw.any(dim=1), is_erased_hw.any(dim=0)
        assert torch.equal(is_erased_hw, rows[:, None] & columns[None, :])
        for line in (rows, columns):
            edges = line.nonzero().flatten()
            assert edges[-1] - edges[0] + 1 == len(edges)
        assert torch.equal(output[:, ~is_erased_hw], image[:, ~is_erased_hw])


def test_areas_fill_the_range() -> None:
    images_bchw = torch.full((2000, 3, 64, 64), -1.0)
    output_bchw = erase(images_bchw, torch.rand(2000, 7, generator=GENERATOR), area_max=0.25)
    shares_b = (output_bchw[:, 0] >= 0).float().mean(dim=(1, 2))
    assert 0.01 < shares_b.min() < 0.03
    assert 0.24 < shares_b.max() < 0.27
    assert shares_b.mean() == pytest.approx((0.02 + 0.25) / 2, abs=0.01)


def test_every_pixel_can_be_erased() -> None:
    images_bchw = torch.full((500, 3, 16, 16), -1.0)
    output_bchw = erase(images_bchw, torch.rand(500, 7, generator=GENERATOR), area_max=0.2)
    assert (output_bchw[:, 0] >= 0).any(dim=0).all()


def test_no_area_erases_nothing() -> None:
    images_bchw = unit_pictures(20, 32)
    assert torch.equal(erase(images_bchw, torch.rand(20, 7, generator=GENERATOR), area_max=0.0), images_bchw)
