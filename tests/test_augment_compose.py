from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from hpsearch.train.augment import Augmentation, build_augmentation, build_labelled, cache_px, downscale
from hpsearch.train.precision import tune_device
from hpsearch.train.settings import settings_from
from tests.augment_images import pictures, same_picture

Settings = dict[str, dict[str, Any]]

STRONG: dict[str, Settings] = {
    "crop_ratio_on_the_grid": {"crop": {"mode": "ratio", "ratio": 1.5}},
    "crop_ratio": {"crop": {"mode": "ratio", "ratio": 1.3}},
    "crop_random_resized": {"crop": {"mode": "random_resized", "scale_min": 0.08}},
    "hflip": {"hflip": {"p": 0.5}},
    "vflip": {"vflip": {"p": 0.5}},
    "rotate_black": {"rotate": {"degrees": 30.0}},
    "rotate_reflect": {"rotate": {"degrees": 30.0, "corners": "reflect"}},
    "rotate_zoom": {"rotate": {"degrees": 30.0, "corners": "zoom"}},
    "jitter": {"jitter": {"p": 1.0, "strength": 1.0}},
    "grayscale": {"grayscale": {"p": 0.5}},
    "gamma": {"gamma": {"p": 1.0, "strength": 1.0}},
    "downscale": {"downscale": {"p": 1.0, "factor_min": 0.25}},
    "blur": {"blur": {"p": 1.0, "sigma_max": 3.0}},
    "noise": {"noise": {"p": 1.0, "std_max": 50.0}},
    "jpeg": {"jpeg": {"p": 1.0, "quality_min": 10.0}},
    "erase": {"erase": {"p": 1.0, "area_max": 0.33}},
    "randaugment": {"randaugment": {"num_ops": 3, "magnitude": 15.0}},
}
ALL: Settings = {
    "crop": {"mode": "ratio", "ratio": 1.3},
    "hflip": {"p": 0.5},
    "vflip": {"p": 0.5},
    "rotate": {"degrees": 15.0},
    "jitter": {"p": 0.5},
    "grayscale": {"p": 0.1},
    "randaugment": {"num_ops": 2},
    "gamma": {"p": 0.3},
    "downscale": {"p": 0.3},
    "blur": {"p": 0.3},
    "noise": {"p": 0.3},
    "jpeg": {"p": 0.5},
    "erase": {"p": 0.3},
}
WITHOUT_EFFECT: dict[str, Settings] = {
    "nothing": {},
    "crop_resize": {"crop": {"mode": "resize"}},
    "crop_ratio_1": {"crop": {"mode": "ratio", "ratio": 1.0}},
    "hflip": {"hflip": {"p": 0.0}},
    "vflip": {"vflip": {"p": 0.0}},
    "rotate": {"rotate": {"degrees": 0.0}},
    "jitter_p": {"jitter": {"p": 0.0, "strength": 1.0}},
    "jitter": {"jitter": {"p": 1.0, "strength": 0.0}},
    "grayscale": {"grayscale": {"p": 0.0}},
    "randaugment": {"randaugment": {"num_ops": 0, "magnitude": 15.0}},
    "gamma_p": {"gamma": {"p": 0.0, "strength": 1.0}},
    "gamma": {"gamma": {"p": 1.0, "strength": 0.0}},
    "downscale_p": {"downscale": {"p": 0.0, "factor_min": 0.1}},
    "downscale": {"downscale": {"p": 1.0, "factor_min": 1.0}},
    "blur_p": {"blur": {"p": 0.0, "sigma_max": 3.0}},
    "blur": {"blur": {"p": 1.0, "sigma_max": 0.0}},
    "noise_p": {"noise": {"p": 0.0, "std_max": 20.0}},
    "noise": {"noise": {"p": 1.0, "std_max": 0.0}},
    "jpeg_p": {"jpeg": {"p": 0.0, "quality_min": 10.0}},
    "erase_p": {"erase": {"p": 0.0, "area_max": 0.3}},
    "erase": {"erase": {"p": 1.0, "area_max": 0.0}},
}


def each(cases: dict[str, Settings]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("settings", list(cases.values()), ids=list(cases))


def stored(augmentation: Augmentation, num: int) -> torch.Tensor:
    return pictures(num, augmentation.cache_px)


@each({**STRONG, "all": ALL})
def test_output_is_what_the_network_takes(settings: Settings) -> None:
    augmentation = build_augmentation(settings, 32)
    for output_bchw in (augmentation(stored(augmentation, 12), 0, 0), augmentation.evaluation(stored(augmentation, 12))):
        assert output_bchw.shape == (12, 3, 32, 32)
        assert output_bchw.dtype == torch.float32
        assert output_bchw.is_contiguous(memory_format=torch.channels_last)
        assert output_bchw.min() >= 0
        assert output_bchw.max() <= 1


@each(WITHOUT_EFFECT)
def test_nothing_changes_at_zero_strength(settings: Settings) -> None:
    images_bchw = pictures(6, 32)
    augmentation = build_augmentation(settings, 32)
    assert augmentation.cache_px == 32
    torch.testing.assert_close(augmentation(images_bchw, 0, 0), images_bchw / 255, atol=1e-5, rtol=0)


@each({**STRONG, "all": ALL})
def test_copies_of_one_image_come_out_differently(settings: Settings) -> None:
    augmentation = build_augmentation(settings, 32)
    output_bchw = augmentation(same_picture(16, augmentation.cache_px), 0, 0)
    num_different = len(torch.unique(output_bchw.flatten(1), dim=0))
    is_flip = next(iter(settings.values())).get("p", 1.0) < 1.0
    assert num_different >= (2 if is_flip else 8)


@each({**STRONG, "all": ALL})
def test_what_happens_to_an_image_does_not_depend_on_its_label(settings: Settings) -> None:
    labelled = build_labelled(settings, build_augmentation(settings, 32))
    images_bchw, labels_b = stored(labelled.augmentation, 16), torch.arange(16) % 2
    pixels_bchw, targets_b = labelled(images_bchw, labels_b, 0, 0)
    swapped_bchw, swapped_targets_b = labelled(images_bchw, 1 - labels_b, 0, 0)
    assert targets_b.tolist() == labels_b.tolist()
    assert swapped_targets_b.tolist() == (1 - labels_b).tolist()
    assert torch.equal(pixels_bchw, swapped_bchw)


@each({**STRONG, "all": ALL})
def test_an_image_comes_out_alike_in_any_batch(settings: Settings) -> None:
    augmentation = build_augmentation(settings, 32)
    images_bchw = stored(augmentation, 24)
    whole_bchw = augmentation(images_bchw, 1000, 5)
    pieces = [augmentation(images_bchw[rows], 1000 + rows.start, 5) for rows in (slice(0, 1), slice(1, 16), slice(16, 24))]
    # A sum in another order may round one JPEG coefficient otherwise, which moves an 8×8 block.
    differs = (torch.cat(pieces) - whole_bchw).abs() > 1e-4
    assert differs.float().mean() < 0.005


@each({**STRONG, "all": ALL})
def test_seed_and_image_number_decide(settings: Settings) -> None:
    augmentation = build_augmentation(settings, 32)
    images_bchw = stored(augmentation, 16)
    first_bchw = augmentation(images_bchw, 0, 0)
    assert torch.equal(first_bchw, augmentation(images_bchw, 0, 0))
    assert not torch.equal(first_bchw, augmentation(images_bchw, 0, 1))
    assert not torch.equal(first_bchw, augmentation(images_bchw, 16, 0))


def test_an_added_augmentation_leaves_the_draws_of_the_others() -> None:
    images_bchw = pictures(16, 32)
    flips_bchw = build_augmentation({"hflip": {"p": 0.5}}, 32)(images_bchw, 0, 0)
    more_bchw = build_augmentation({"erase": {"p": 0.0}, "gamma": {"p": 1.0, "strength": 0.0}, "hflip": {"p": 0.5}}, 32)
    torch.testing.assert_close(more_bchw(images_bchw, 0, 0), flips_bchw, atol=1e-6, rtol=0)


@each({**STRONG, "all": ALL})
def test_images_given_are_left_alone(settings: Settings) -> None:
    augmentation = build_augmentation(settings, 32)
    images_bchw = stored(augmentation, 8)
    float_bchw = images_bchw / 255
    for given_bchw in (images_bchw, float_bchw):
        copy_bchw = given_bchw.clone()
        augmentation(given_bchw, 0, 0)
        augmentation.evaluation(given_bchw)
        assert torch.equal(given_bchw, copy_bchw)


@each({**STRONG, "all": ALL})
def test_floats_and_planar_images_come_out_as_uint8_ones(settings: Settings) -> None:
    augmentation = build_augmentation(settings, 32)
    images_bchw = stored(augmentation, 8)
    expected_bchw = augmentation(images_bchw, 0, 0)
    for given_bchw in (images_bchw / 255, images_bchw.contiguous()):
        differs = (augmentation(given_bchw, 0, 0) - expected_bchw).abs() > 1e-4
        assert differs.float().mean() < 0.005


def test_a_callers_autocast_changes_nothing() -> None:
    augmentation = build_augmentation(ALL, 32)
    images_bchw = stored(augmentation, 8)
    with torch.autocast("cpu", torch.bfloat16):
        augmented_bchw, evaluated_bchw = augmentation(images_bchw, 0, 0), augmentation.evaluation(images_bchw)
    assert torch.equal(augmented_bchw, augmentation(images_bchw, 0, 0))
    assert torch.equal(evaluated_bchw, augmentation.evaluation(images_bchw))


def test_products_are_in_full_precision_whatever_networks_use(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []

    def noted(images_bchw: torch.Tensor, matrices_b36: torch.Tensor) -> torch.Tensor:
        found.append(torch.get_float32_matmul_precision())
        return images_bchw

    monkeypatch.setattr("hpsearch.train.augment.compose.recoloured", noted)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        build_augmentation(STRONG["jitter"], 32)(pictures(4, 32), 0, 0)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert set(found) == {"highest"}


def test_an_empty_batch_stays_empty() -> None:
    augmentation = build_augmentation(ALL, 32)
    images_bchw = pictures(1, augmentation.cache_px)[:0]
    assert augmentation(images_bchw, 0, 0).shape == augmentation.evaluation(images_bchw).shape == (0, 3, 32, 32)


def test_evaluation_has_no_randomness_and_the_crop_of_training() -> None:
    augmentation = build_augmentation({**ALL, "crop": {"mode": "ratio", "ratio": 48 / 36}}, 32)
    images_bchw = stored(augmentation, 4)
    output_bchw = augmentation.evaluation(images_bchw)
    crop_only = build_augmentation({"crop": {"mode": "centre", "ratio": 48 / 36}}, 32)
    torch.testing.assert_close(output_bchw, crop_only(images_bchw, 0, 0))
    middle_bchw = images_bchw[..., 6:42, 6:42].float() / 255
    reference_bchw = F.interpolate(middle_bchw, (32, 32), mode="bilinear", antialias=True)
    assert (output_bchw - reference_bchw).abs().mean() < 0.01


def test_centre_crop_of_the_right_store_is_a_cut() -> None:
    augmentation = build_augmentation({"crop": {"mode": "centre", "ratio": 1.25}}, 32)
    images_bchw = pictures(3, 40)
    torch.testing.assert_close(augmentation.evaluation(images_bchw), images_bchw[..., 4:36, 4:36] / 255)


def test_images_of_another_side_are_resized_to_the_stored_one_first() -> None:
    augmentation = build_augmentation({"crop": {"mode": "ratio", "ratio": 1.25}, "hflip": {"p": 0.5}}, 32)
    large_bchw = pictures(4, 90)
    small_bchw = F.interpolate(large_bchw.float(), (40, 40), mode="bilinear", antialias=True).round() / 255
    difference = augmentation(large_bchw, 3, 0) - augmentation(small_bchw, 3, 0)
    assert difference.abs().max() < 1.5 / 255


def test_cache_px_is_the_side_that_the_augmentation_wants() -> None:
    assert cache_px({}, 64) == 64
    assert cache_px({"rotate": {"degrees": 30.0}, "crop": {"mode": "centre", "ratio": 1.21875}}, 256) == 312
    for settings in STRONG.values():
        assert cache_px(settings, 64) == build_augmentation(settings, 64).cache_px


def test_the_flat_parameters_of_a_trial_make_an_augmentation() -> None:
    settings = settings_from({"lr": 1e-3, "augment.jpeg.p": 1, "augment.jpeg.quality_min": 20, "augment.hflip.p": 0.5})
    output_bchw = build_augmentation(settings.augment, 32)(pictures(4, 32), 0, 0)
    assert not torch.allclose(output_bchw, pictures(4, 32) / 255, atol=0.02)


@pytest.fixture
def tuned_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A GPU as trials set it up."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    before = torch.get_float32_matmul_precision()
    tune_device(torch.device("cuda"))
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.usefixtures("tuned_gpu")
@each({**STRONG, "all": ALL})
def test_gpu_and_cpu_agree(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    # The processor's own way of reducing rounds to 8 bits; tests of `downscale` compare the two.
    monkeypatch.setattr(downscale, "resized_there_and_back", downscale.multiplied_there_and_back)
    augmentation = build_augmentation(settings, 64)
    images_bchw = stored(augmentation, 32)
    on_cpu, on_gpu = augmentation(images_bchw, 7, 3), augmentation(images_bchw.cuda(), 7, 3)
    assert on_gpu.is_contiguous(memory_format=torch.channels_last)
    assert ((on_gpu.cpu() - on_cpu).abs() > 2e-3).float().mean() < 0.01
    torch.testing.assert_close(
        augmentation.evaluation(images_bchw.cuda()).cpu(), augmentation.evaluation(images_bchw), atol=1e-4, rtol=0
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.usefixtures("tuned_gpu")
def test_nothing_waits_for_the_gpu() -> None:
    augmentation = build_augmentation(ALL, 64)
    images_bchw = stored(augmentation, 32).cuda()
    augmentation(images_bchw, 0, 0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        augmentation(images_bchw, 32, 0)
        augmentation.evaluation(images_bchw)
    finally:
        torch.cuda.set_sync_debug_mode("default")
