"""Validation images are split off by group, in both classes, and alike for the same seed."""

import numpy as np
import pytest

from hpsearch.data.dataset import ImageSet
from hpsearch.data.split import split_off_validation
from hpsearch.errors import InputError


def images(count: int, *, share: float = 0.5, group_size: int | None = None, seed: int = 0) -> ImageSet:
    labels_n = (np.random.default_rng(seed).random(count) < share).astype(np.int64)
    names = tuple(f"{number}.jpg" for number in range(count))
    groups = None if group_size is None else tuple(f"g{number // group_size}" for number in range(count))
    return ImageSet(names=names, paths=names, labels_n=labels_n, groups=groups)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_each_class_gives_its_share(share: float) -> None:
    whole = images(1000, share=share)
    train, val = split_off_validation(whole, val_fraction=0.2, seed=0)
    assert sorted(train.names + val.names) == sorted(whole.names)
    assert val.num_deepfakes == round(whole.num_deepfakes * 0.2)
    assert len(val) - val.num_deepfakes == round((1000 - whole.num_deepfakes) * 0.2)


def test_groups_stay_whole() -> None:
    train, val = split_off_validation(images(600, group_size=6), val_fraction=0.2, seed=0)
    assert train.groups is not None
    assert val.groups is not None
    assert not set(train.groups) & set(val.groups)
    assert len(val) == pytest.approx(120, abs=6)
    assert val.num_deepfakes == pytest.approx(60, abs=6)


def test_the_same_seed_gives_the_same_split_and_another_another() -> None:
    names = [split_off_validation(images(100), val_fraction=0.2, seed=seed)[1].names for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]


def test_images_added_later_move_few_others() -> None:
    before = set(split_off_validation(images(1000), val_fraction=0.2, seed=0)[1].names)
    after = set(split_off_validation(images(1010), val_fraction=0.2, seed=0)[1].names)
    assert len(before - after) <= 10


def test_labels_and_groups_go_with_their_images() -> None:
    whole = images(60, group_size=3)
    assert whole.groups is not None
    of_name = dict(zip(whole.names, zip(whole.labels_n.tolist(), whole.groups, strict=True), strict=True))
    for part in split_off_validation(whole, val_fraction=0.3, seed=0):
        assert part.groups is not None
        assert [of_name[name] for name in part.names] == list(zip(part.labels_n.tolist(), part.groups, strict=True))


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(InputError, match=r"20 images in 1 groups cannot be split.*column `split`"):
        split_off_validation(images(20, group_size=20), val_fraction=0.2, seed=0)
