import numpy as np
import pytest
import torch
from torch import Tensor

from hpsearch.train.augment import build_augmentation, build_labelled
from hpsearch.train.augment.mix import Mix
from tests.augment_images import pictures

LABELS = torch.arange(64) // 2 % 2 ^ torch.arange(64) % 2  # 0 1 1 0: each pair has both classes


def uniforms(num: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((num, 4), dtype=np.float32)


def plain(num: int) -> tuple[Tensor, np.ndarray]:
    """Even images are 0 and real everywhere, odd ones 1 and fake: what is mixed shows in pixels and targets alike."""
    targets_b = (np.arange(num) % 2).astype(np.float32)
    return torch.from_numpy(targets_b)[:, None, None, None].expand(num, 3, 16, 16).contiguous(), targets_b


@pytest.mark.parametrize("mix", [Mix(mixup_alpha=0.8), Mix(cutmix_alpha=1.0), Mix(mixup_alpha=0.4, cutmix_alpha=1.0)])
def test_targets_are_mixed_by_the_share_of_the_pixels(mix: Mix) -> None:
    mixed_bchw, mixed_b = mix(*plain(64), uniforms(64))
    assert torch.allclose(mixed_bchw.mean(dim=(1, 2, 3)), torch.from_numpy(mixed_b), atol=1e-5)
    assert len(np.unique(mixed_b)) > 16


@pytest.mark.parametrize("mix", [Mix(mixup_alpha=1.0), Mix(cutmix_alpha=1.0)])
def test_an_image_keeps_the_larger_part_of_itself(mix: Mix) -> None:
    _, targets_b = plain(64)
    _, mixed_b = mix(*plain(64), uniforms(64))
    assert (np.abs(mixed_b - targets_b) <= 0.52).all()
    assert np.abs(mixed_b - targets_b).mean() == pytest.approx(0.25, abs=0.06)


def test_mixup_mixes_every_pixel_alike_and_cutmix_takes_a_square() -> None:
    up_bchw, _ = Mix(mixup_alpha=1.0)(*plain(32), uniforms(32))
    assert torch.equal(up_bchw.amin(dim=(1, 2, 3)), up_bchw.amax(dim=(1, 2, 3)))
    cut_bchw, _ = Mix(cutmix_alpha=1.0)(*plain(32), uniforms(32))
    assert set(cut_bchw.unique().tolist()) == {0.0, 1.0}
    other_bhw = cut_bchw[::2, 0]
    assert torch.equal(other_bhw.amax(dim=1).sum(dim=1), other_bhw.amax(dim=2).sum(dim=1))


def test_with_both_on_each_pair_draws_one_of_them() -> None:
    mixed_bchw, _ = Mix(mixup_alpha=1.0, cutmix_alpha=1.0)(*plain(200), uniforms(200))
    is_cut_b = [set(image_chw.unique().tolist()) <= {0.0, 1.0} for image_chw in mixed_bchw]
    assert np.mean(is_cut_b) == pytest.approx(0.5, abs=0.12)


def test_little_alpha_mixes_little() -> None:
    _, targets_b = plain(64)
    far = [np.abs(Mix(mixup_alpha=alpha)(*plain(64), uniforms(64))[1] - targets_b).mean() for alpha in (0.01, 0.2, 0.8)]
    assert far[0] < 0.02 < far[1] < far[2]


def test_the_last_image_of_an_odd_batch_stays_as_it_is() -> None:
    mixed_bchw, mixed_b = Mix(mixup_alpha=1.0)(*plain(5), uniforms(5))
    assert mixed_b[4] == 0.0
    assert mixed_bchw[4].abs().max() == 0
    assert (mixed_b[:4] % 1 != 0).all()
    single_bchw, _ = Mix(mixup_alpha=1.0, cutmix_alpha=1.0)(*plain(1), uniforms(1))
    assert single_bchw.shape == (1, 3, 16, 16)


def test_what_is_mixed_follows_from_seed_and_number() -> None:
    augment = {"mixup": {"alpha": 0.4}, "cutmix": {"alpha": 0.5}}
    labelled = build_labelled(augment, build_augmentation(augment, 16))
    images_bchw = pictures(64, 16)
    once, again, other_seed, later = (labelled(images_bchw, LABELS, *how) for how in ((0, 0), (0, 0), (0, 1), (64, 0)))
    assert torch.equal(once[0], again[0])
    assert torch.equal(once[1], again[1])
    assert not torch.equal(once[1], other_seed[1])
    assert not torch.equal(once[1], later[1])


def test_nothing_is_mixed_at_alpha_0() -> None:
    augment = {"mixup": {"alpha": 0.0}, "cutmix": {"alpha": 0.0}}
    pixels_bchw, targets_b = build_labelled(augment, build_augmentation(augment, 16))(pictures(64, 16), LABELS, 0, 0)
    assert torch.equal((pixels_bchw * 255).round().to(torch.uint8), pictures(64, 16))
    assert torch.equal(targets_b, LABELS.float())
