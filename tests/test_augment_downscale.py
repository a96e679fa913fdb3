from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hpsearch.train.augment.downscale import downscale, multiplied_there_and_back, resized_there_and_back
from tests.augment_images import unit_pictures

BOTH_WAYS = pytest.mark.parametrize("way", [resized_there_and_back, multiplied_there_and_back])
Way = Callable[[Tensor, Tensor, Tensor], Tensor]
HALF_A_STEP = 0.5 / 255 + 1e-5


def every_pair_of_kernels() -> Tensor:
    return torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0))


@BOTH_WAYS
@pytest.mark.parametrize(("kernel", "mode"), [(1, "bilinear"), (2, "bicubic")])
def test_it_equals_two_antialiased_resizes(way: Way, kernel: int, mode: str) -> None:
    images_bchw = unit_pictures(2, 64)
    output_bchw = way(images_bchw, torch.full((2,), 26.0), torch.full((2, 2), float(kernel)))
    small = F.interpolate(images_bchw.double(), (26, 26), mode=mode, antialias=True)
    expected = F.interpolate(small, (64, 64), mode=mode, antialias=True).clamp(0, 1)
    torch.testing.assert_close(output_bchw.double(), expected, atol=0.012, rtol=0)


@BOTH_WAYS
def test_nearest_picks_pixels_and_repeats_them(way: Way) -> None:
    images_bchw = unit_pictures(2, 32)
    output_bchw = way(images_bchw, torch.full((2,), 16.0), torch.zeros(2, 2))
    expected = images_bchw[:, :, 1::2, 1::2].repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(output_bchw, expected, atol=HALF_A_STEP, rtol=0)


def test_both_ways_agree_for_every_kernel_and_factor() -> None:
    kernels_b2 = every_pair_of_kernels().repeat(20, 1)
    images_bchw = unit_pictures(len(kernels_b2), 48)
    sizes_b = torch.linspace(5, 48, len(kernels_b2)).round()
    ours_bchw = resized_there_and_back(images_bchw, sizes_b, kernels_b2)
    difference = ours_bchw - multiplied_there_and_back(images_bchw, sizes_b, kernels_b2)
    # Each of four passes rounds to 8 bits, and cuts off where a bicubic kernel overshoots.
    assert (difference.abs() > 4 / 255).float().mean() < 5e-4
    assert difference.mean().abs() < 1e-4


@BOTH_WAYS
def test_a_factor_of_1_changes_nothing(way: Way) -> None:
    images_bchw = unit_pictures(9, 32)
    output_bchw = way(images_bchw, torch.full((9,), 32.0), every_pair_of_kernels())
    torch.testing.assert_close(output_bchw, images_bchw, atol=HALF_A_STEP, rtol=0)


@BOTH_WAYS
def test_a_flat_image_stays_flat(way: Way) -> None:
    images_bchw = torch.full((90, 3, 32, 32), 102 / 255)
    output_bchw = way(images_bchw, torch.linspace(1, 32, 90).round(), every_pair_of_kernels().repeat(10, 1))
    torch.testing.assert_close(output_bchw, images_bchw, atol=1e-5, rtol=0)


def test_factors_and_kernels_are_drawn_over_their_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Tensor] = []

    def recorded(images_bchw: Tensor, sizes_b: Tensor, kernels_b2: Tensor) -> Tensor:
        drawn.extend((sizes_b, kernels_b2))
        return images_bchw

    monkeypatch.setattr("hpsearch.train.augment.downscale.resized_there_and_back", recorded)
    downscale(unit_pictures(1, 32).expand(500, -1, -1, -1), torch.rand(500, 3), factor_min=0.25)
    sizes_b, kernels_b2 = drawn
    assert set(sizes_b.int().tolist()) == set(range(8, 33))
    assert len(torch.unique(kernels_b2, dim=0)) == 9
