"""Deepfakes are matched with the real images that they resemble, whatever the shares of the classes and the size of the set."""

from pathlib import Path

import numpy as np
import pytest

from hpsearch.data import matching
from hpsearch.data.matching import matched_pairs, matching_of
from hpsearch.data.order import MatchedOrder
from hpsearch.data.training_data import LabelledImages


def scenes(num_real: int, deepfakes_of_each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (n, 32, 32, 3), labels, and the scene of each: deepfakes are their real image with noise."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (num_real, 4, 4, 1))
    real = np.kron(coarse, np.ones((1, 8, 8, 3)))
    scene_n = np.concatenate([np.arange(num_real), np.tile(np.arange(num_real), deepfakes_of_each)])
    labels_n = (np.arange(len(scene_n)) >= num_real).astype(np.int64)
    noise = generator.normal(0, 5, (len(scene_n), 32, 32, 3)) * labels_n[:, None, None, None]
    order = generator.permutation(len(scene_n))
    images = np.clip(real[scene_n] + noise, 0, 255).astype(np.uint8)
    return images[order], labels_n[order], scene_n[order]


def labelled(images: np.ndarray, labels_n: np.ndarray) -> LabelledImages:
    return LabelledImages(images_nhwc=images, labels_n=labels_n, indices_n=np.arange(len(labels_n)))


@pytest.mark.parametrize("deepfakes_of_each", [1, 4])
@pytest.mark.parametrize("max_block", [4096, 40])
def test_deepfakes_go_to_the_real_image_that_they_were_made_of(
    monkeypatch: pytest.MonkeyPatch, deepfakes_of_each: int, max_block: int
) -> None:
    monkeypatch.setattr(matching, "MAX_BLOCK", max_block)
    images, labels_n, scene_n = scenes(60, deepfakes_of_each)
    pairs_p2 = matched_pairs(matching.thumbs_of(labelled(images, labels_n)), labels_n)
    right = np.mean(scene_n[pairs_p2[:, 0]] == scene_n[pairs_p2[:, 1]])
    assert right == 1 if max_block == 4096 else right > 0.7  # at the edges of blocks, pairs are torn


@pytest.mark.parametrize(("num_real", "num_deepfakes"), [(30, 3), (3, 30), (1, 9), (9, 1), (7, 10)])
def test_every_image_has_a_partner(num_real: int, num_deepfakes: int) -> None:
    labels_n = np.array([0] * num_real + [1] * num_deepfakes)
    images = np.random.default_rng(0).integers(0, 256, (len(labels_n), 16, 16, 3), dtype=np.uint8)
    pairs_p2 = matched_pairs(matching.thumbs_of(labelled(images, labels_n)), labels_n)
    assert set(pairs_p2[:, 0]) == set(range(num_real))
    assert set(pairs_p2[:, 1]) == set(range(num_real, len(labels_n)))
    fewer, more = sorted((num_real, num_deepfakes))
    assert np.bincount(pairs_p2[:, int(num_deepfakes < num_real)]).max() == -(-more // fewer)


def test_blank_images_are_matched_too() -> None:
    labels_n = np.array([0, 1, 0, 1])
    pairs_p2 = matched_pairs(matching.thumbs_of(labelled(np.zeros((4, 16, 16, 3), dtype=np.uint8), labels_n)), labels_n)
    assert sorted(pairs_p2.ravel().tolist()) == [0, 1, 2, 3]


def test_a_matching_is_kept_beside_the_pixels_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels_n, _ = scenes(10, 1)
    np.save(tmp_path / "pixels.npy", images)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    first = matching_of(labelled(mapped, labels_n))
    assert [file.name.split("-")[0] for file in tmp_path.glob("matching-*.npy")] == ["matching"]
    monkeypatch.setattr(matching, "matched_pairs", pytest.fail)
    again = matching_of(labelled(mapped, labels_n))
    assert np.array_equal(first.deepfakes_d, again.deepfakes_d)


def order_of(num_real: int, deepfakes_of_each: int, *, seed: int = 0, balance: float = 0.0) -> tuple[MatchedOrder, np.ndarray]:
    images, labels_n, scene_n = scenes(num_real, deepfakes_of_each)
    order = MatchedOrder(labels_n, matching_of(labelled(images, labels_n)), seed=seed, balance=balance)
    return order, np.stack([labels_n, scene_n])


@pytest.mark.parametrize(("deepfakes_of_each", "balance"), [(1, 0.0), (4, 0.0), (4, 0.5), (4, 1.0)])
def test_any_part_of_the_order_can_be_asked_for_by_itself(deepfakes_of_each: int, balance: float) -> None:
    order, _ = order_of(20, deepfakes_of_each, balance=balance)
    whole = order.positions(0, 2000)
    for first, count in ((0, 1), (39, 2), (500, 64), (1999, 1)):
        assert np.array_equal(order.positions(first, count), whole[first : first + count])


def test_a_pair_comes_together_and_each_image_once_in_a_pass() -> None:
    order, facts = order_of(50, 1)
    passes = order.positions(0, 200).reshape(2, 100)
    for positions in passes:
        labels, scenes_seen = facts[:, positions]
        assert sorted(positions) == list(range(100))
        assert labels.tolist() == [0, 1] * 50
        assert np.array_equal(scenes_seen[::2], scenes_seen[1::2])
    assert not np.array_equal(*passes)


@pytest.mark.parametrize(("balance", "share"), [(0.0, 0.8), (0.5, 2 / 3), (1.0, 0.5)])
def test_classes_come_in_the_proportion_of_shuffled_ones(balance: float, share: float) -> None:
    order, facts = order_of(20, 4, balance=balance)
    assert facts[0, order.positions(0, 3000)].mean() == pytest.approx(share, abs=1e-2)


def test_with_balancing_other_deepfakes_come_with_each_pass() -> None:
    order, _ = order_of(20, 4, balance=1.0)
    assert len(set(order.positions(0, 40).tolist())) == 40
    assert len(set(order.positions(0, 160).tolist())) == 100


def test_where_real_images_are_the_majority_no_deepfake_comes_far_oftener_than_another() -> None:
    labels_n = np.array([0] * 60 + [1] * 20)
    images = np.random.default_rng(0).integers(0, 256, (80, 16, 16, 3), dtype=np.uint8)
    order = MatchedOrder(labels_n, matching_of(labelled(images, labels_n)), seed=0, balance=0.0)
    counts = np.bincount(order.positions(0, 800), minlength=80)
    assert set(counts[:60]) == {10}
    assert counts[60:].max() <= 3 * counts[60:].min()


def test_another_seed_is_another_order() -> None:
    (first, _), (second, _) = (order_of(20, 1, seed=seed) for seed in (0, 1))
    assert not np.array_equal(first.positions(0, 40), second.positions(0, 40))
