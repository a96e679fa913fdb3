import numpy as np
import torch
from scipy import stats

from hpsearch.train.augment.randomness import pixel_normals, streams, uniforms


def test_numbers_of_an_image_do_not_depend_on_the_batch_it_comes_in() -> None:
    whole = uniforms(7, 100, 50, streams("jpeg", 3))
    parts = [uniforms(7, 100, 20, streams("jpeg", 3)), uniforms(7, 120, 30, streams("jpeg", 3))]
    assert np.array_equal(whole, np.concatenate(parts))


def test_numbers_of_an_augmentation_do_not_depend_on_the_others() -> None:
    both = np.concatenate([streams("blur", 1), streams("jpeg", 2)])
    assert np.array_equal(uniforms(7, 0, 9, both)[:, 1:], uniforms(7, 0, 9, streams("jpeg", 2)))


def test_numbers_differ_between_seeds_images_and_augmentations() -> None:
    first = uniforms(0, 0, 1000, streams("jpeg", 2))
    assert len(np.unique(first)) > 1990
    for other in (uniforms(1, 0, 1000, streams("jpeg", 2)), uniforms(0, 1000, 1000, streams("jpeg", 2))):
        assert not np.intersect1d(first, other).size > 5
    assert not np.intersect1d(first, uniforms(0, 0, 1000, streams("blur", 2))).size > 5


def test_numbers_are_uniform_and_uncorrelated() -> None:
    sample = uniforms(3, 10**12, 20_000, streams("crop", 4))
    assert sample.dtype == np.float32
    assert sample.min() >= 0
    assert sample.max() < 1
    assert stats.kstest(sample[:, 0], "uniform").pvalue > 1e-3
    between_columns = np.corrcoef(sample, rowvar=False) - np.eye(4)
    assert np.abs(between_columns).max() < 0.03
    assert abs(np.corrcoef(sample[:-1, 0], sample[1:, 0])[0, 1]) < 0.03


def test_negative_and_huge_seeds_are_seeds_too() -> None:
    numbers = [uniforms(seed, 0, 4, streams("crop", 4)) for seed in (-1, 2**70 + 5, 5)]
    assert not np.array_equal(numbers[0], numbers[1])
    assert np.array_equal(numbers[1], numbers[2])


def test_pixel_normals_are_standard_normal_and_independent_between_images() -> None:
    normals = pixel_normals(torch.rand(3, 2, generator=torch.Generator().manual_seed(0)), 30_001)
    assert normals.shape == (3, 30_001)
    for row in normals:
        assert stats.kstest(row.numpy(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(normals.numpy()) - np.eye(3)).max() < 0.03
    neighbours = np.corrcoef(normals[0, :-1].numpy(), normals[0, 1:].numpy())[0, 1]
    assert abs(neighbours) < 0.03


def test_pixel_normals_of_an_image_depend_on_both_its_keys_and_on_nothing_else() -> None:
    keys = torch.tensor([[0.1, 0.2], [0.1, 0.3], [0.4, 0.2]])
    normals = pixel_normals(keys, 500)
    assert torch.equal(normals[1:2], pixel_normals(keys[1:2], 500))
    assert not torch.equal(normals[0], normals[1])
    assert not torch.equal(normals[0], normals[2])


def test_pixel_hash_equals_its_definition_on_unsigned_integers() -> None:
    keys = np.array([[0.25, 0.7]], dtype=np.float32)
    first, second = (np.uint32(int(key * np.float32(2**24))) for key in keys[0])
    with np.errstate(over="ignore"):
        bits = np.arange(8, dtype=np.uint32) + first * np.uint32(0x3779B97F)
        bits = ((bits ^ (bits >> np.uint32(16))) * np.uint32(0x21F0AAAD)) ^ (second * np.uint32(0x2C1B3C6D))
        bits = (bits ^ (bits >> np.uint32(15))) * np.uint32(0xD35A2D97)
        bits ^= bits >> np.uint32(15)
    quantiles = stats.norm.ppf((np.concatenate([bits & np.uint32(0xFFFF), bits >> np.uint32(16)]) + 0.5) / 2**16)
    np.testing.assert_allclose(pixel_normals(torch.from_numpy(keys), 16)[0].numpy(), quantiles, rtol=1e-5)
