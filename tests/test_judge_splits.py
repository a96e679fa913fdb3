"""Groups and clusters stay whole; a holdout and a shift split are apart from what trains."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpsearch.data.dataset import Dataset, ImageSet
from hpsearch.errors import InputError
from hpsearch.judge.clusters import clusters_of
from hpsearch.judge.objectives import counted_in_parts
from hpsearch.judge.scan import ImageScan, scan
from hpsearch.judge.splits import NUM_KINDS, SplitRules, judged
from tests.judge_images import dataset_of, image_set, save


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scans")


@pytest.fixture(scope="module")
def whole(cache: Path) -> ImageSet:
    return image_set(cache / "images", "a", 320, seed=0)


def rules(**changes: object) -> SplitRules:
    given = {"val_fraction": 0.2, "holdout": 0.0, "shift": 0.25, "objective": "auc", "seed": 0}
    return SplitRules(**{**given, **changes})  # type: ignore[arg-type]


def scanned(cache: Path) -> object:
    def scan_them(paths: Sequence[str]) -> ImageScan:
        return scan(paths, cache_dir=cache, num_workers=1)

    return scan_them


def not_scanned(paths: Sequence[str]) -> ImageScan:
    raise AssertionError("no image needs to be opened")


def two_parts(images: ImageSet, **more: object) -> Dataset:
    return dataset_of(images.take(range(240)), images.take(range(240, 320)), **more)


def decoded(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def grouped(images: ImageSet) -> ImageSet:
    groups = tuple(f"g{number // 8}" for number in range(len(images)))
    return ImageSet(names=images.names, paths=images.paths, labels_n=images.labels_n, groups=groups)


def test_a_data_set_that_names_its_split_is_left_as_it_is(whole: ImageSet) -> None:
    given = two_parts(whole)
    assert judged(given, rules(), not_scanned) is given


def test_a_holdout_that_the_data_came_with_stays_when_the_rest_is_split_anew(whole: ImageSet, cache: Path) -> None:
    given = dataset_of(whole.take(range(200)), whole.take(range(200, 260)), holdout=whole.take(range(260, 320)))
    split = judged(given, rules(objective="shift_auc"), scanned(cache))
    assert split.holdout is given.holdout


def test_a_holdout_takes_whole_groups_out_of_both_parts(whole: ImageSet) -> None:
    split = judged(two_parts(grouped(whole)), rules(holdout=0.2), not_scanned)
    assert split.holdout is not None
    assert len(split.holdout) == pytest.approx(64, abs=8)
    groups = [set(part.groups or ()) for part in (split.train, split.val, split.holdout)]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    assert sorted(split.train.names + split.val.names + split.holdout.names) == sorted(whole.names)
    assert set(split.train.names) <= set(whole.names[:240])
    assert split.fingerprint != two_parts(grouped(whole)).fingerprint


def test_without_groups_validation_images_are_whole_clusters(whole: ImageSet, cache: Path) -> None:
    split = judged(two_parts(whole, split_by="image"), rules(), scanned(cache))  # type: ignore[arg-type]
    cluster_n = clusters_of(scan(whole.paths, cache_dir=cache, num_workers=1), 320 // 40, seed=0)
    of_name = dict(zip(whole.names, cluster_n.tolist(), strict=True))
    assert not {of_name[name] for name in split.train.names} & {of_name[name] for name in split.val.names}
    assert len(split.val) == pytest.approx(64, abs=20)
    assert any("by cluster of image statistics" in note for note in split.notes)


@pytest.mark.parametrize(("count", "by"), [(96, "set of near-duplicates"), (320, "cluster of image statistics")])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_picture_and_its_copy_saved_again_are_in_the_same_part(
    count: int, by: str, seed: int, whole: ImageSet, cache: Path, tmp_path: Path
) -> None:
    given = whole.take(range(count))
    copied = list(range(0, count, 7))
    copies = [save(tmp_path, f"copy of {given.names[row]}", decoded(given.paths[row]), quality=70) for row in copied]
    pool = ImageSet(
        names=(*given.names, *(Path(copy).name for copy in copies)),
        paths=(*given.paths, *copies),
        labels_n=np.concatenate([given.labels_n, given.labels_n[copied]]),
        groups=None,
    )
    num_train = len(pool) * 3 // 4
    dataset = dataset_of(pool.take(range(num_train)), pool.take(range(num_train, len(pool))), split_by="image")
    split = judged(dataset, rules(seed=seed), scanned(cache))  # type: ignore[arg-type]
    assert any(f"by {by}" in note for note in split.notes)
    train, val = set(split.train.names), set(split.val.names)
    assert not {name for name in train if f"copy of {name}" in val or name.removeprefix("copy of ") in val}


def test_a_shift_split_takes_whole_kinds_out_of_training(whole: ImageSet, cache: Path) -> None:
    split = judged(two_parts(whole), rules(objective="shift_auc"), scanned(cache))  # type: ignore[arg-type]
    kind_n = clusters_of(scan(whole.paths, cache_dir=cache, num_workers=1), NUM_KINDS, seed=0, layout=False)
    of_name = dict(zip(whole.names, kind_n.tolist(), strict=True))
    assert split.val.parts is not None
    shifted = {of_name[name] for name, part in zip(split.val.names, split.val.parts, strict=True) if part == "shift"}
    assert shifted
    assert not shifted & {of_name[name] for name in split.train.names}
    assert set(whole.names[240:]) <= set(split.val.names)
    assert len(split.val) - 80 == pytest.approx(60, abs=25)


def test_a_shift_split_keeps_groups_whole(whole: ImageSet, cache: Path) -> None:
    split = judged(two_parts(grouped(whole)), rules(objective="shift_auc"), scanned(cache))  # type: ignore[arg-type]
    assert split.val.parts is not None
    assert {"shift", "seen"} == set(split.val.parts)
    assert not set(split.train.groups or ()) & set(split.val.groups or ())


def test_a_group_is_of_the_kind_that_most_of_its_images_are(whole: ImageSet, cache: Path) -> None:
    def features(paths: Sequence[str]) -> np.ndarray:
        rows = np.arange(len(paths))
        return np.eye(NUM_KINDS, dtype=np.float32)[np.where(rows % 8 < 5, rows // 8, rows) % NUM_KINDS]

    split = judged(two_parts(grouped(whole)), rules(objective="shift_auc"), scanned(cache), features)  # type: ignore[arg-type]
    assert split.val.parts is not None
    kinds = {"shift": set(), "seen": set()}
    for name, part in zip(split.val.names, split.val.parts, strict=True):
        kinds[part].add(whole.names.index(name) // 8 % NUM_KINDS)
    assert not kinds["shift"] & kinds["seen"]


def test_clusters_compare_the_features_that_are_given(whole: ImageSet, cache: Path) -> None:
    def features(paths: Sequence[str]) -> np.ndarray:
        kinds_n = np.arange(len(paths)) // 2 % NUM_KINDS
        return np.eye(NUM_KINDS, dtype=np.float32)[kinds_n]

    split = judged(two_parts(whole), rules(objective="shift_auc"), scanned(cache), features)  # type: ignore[arg-type]
    assert split.val.parts is not None
    parts = dict(zip(split.val.names, split.val.parts, strict=True))
    shifted = {whole.names.index(name) // 2 % NUM_KINDS for name, part in parts.items() if part == "shift"}
    assert shifted
    assert not shifted & {whole.names.index(name) // 2 % NUM_KINDS for name in split.train.names}


def test_images_of_the_holdout_are_in_no_other_part_of_a_shift_split(whole: ImageSet, cache: Path) -> None:
    split = judged(two_parts(grouped(whole)), rules(objective="shift_auc", holdout=0.2), scanned(cache))  # type: ignore[arg-type]
    assert split.holdout is not None
    names = [set(part.names) for part in (split.train, split.val, split.holdout)]
    assert sum(map(len, names)) == len(set.union(*names)) == len(whole)


def test_the_worst_group_is_of_the_groups_where_they_are_large(whole: ImageSet) -> None:
    large = ImageSet(
        names=whole.names, paths=whole.paths, labels_n=whole.labels_n, groups=tuple(f"g{n // 80}" for n in range(320))
    )
    split = judged(
        dataset_of(large.take(range(160)), large.take(range(160, 320))), rules(objective="worst_group_auc"), not_scanned
    )
    assert split.val.parts is not None
    assert list(split.val.parts) == ["g2"] * 80 + ["g3"] * 80
    assert "worst group: of 2 groups with 20 validation images of a class; they hold 160 of the 160" in split.notes


def few_large_groups(images: ImageSet, num_large: int) -> ImageSet:
    """Two groups hold `num_large` images, the other groups four each."""
    groups = tuple(f"large{n % 4 // 2}" if n < num_large else f"small{n // 4}" for n in range(len(images)))
    return dataclasses.replace(images, groups=groups)


@pytest.mark.parametrize(("num_large", "what"), [(140, "of 2 groups"), (88, "kinds of images (clusters of image statistics)")])
def test_the_worst_group_is_of_kinds_of_images_where_most_images_are_in_groups_that_are_too_small(
    num_large: int, what: str, whole: ImageSet, cache: Path
) -> None:
    val = few_large_groups(whole.take(range(160)), num_large)
    train = dataclasses.replace(whole.take(range(160, 320)), groups=("t",) * 160)
    split = judged(dataset_of(train, val), rules(objective="worst_group_auc"), scanned(cache))  # type: ignore[arg-type]
    (note,) = [note for note in split.notes if note.startswith("worst group")]
    assert what in note
    assert split.val.parts is not None
    counted = counted_in_parts(split.val.labels_n, split.val.parts)
    held = sum(part in counted for part in split.val.parts)
    assert f"of {len(counted)} " in note
    assert note.endswith(f"they hold {held} of the 160")
    assert len(counted) >= 2
    assert held >= 128


def test_a_worst_group_of_too_few_images_is_refused_before_anything_is_trained(whole: ImageSet, cache: Path) -> None:
    given = dataset_of(whole.take(range(36, 320)), whole.take(range(36)))
    with pytest.raises(InputError, match=r"worst_group_auc: of 36 validation images too few .* search\.objective=auc"):
        judged(given, rules(objective="worst_group_auc"), scanned(cache))  # type: ignore[arg-type]


def test_two_groups_cannot_give_a_holdout_of_both_classes(whole: ImageSet) -> None:
    of_one_class = ImageSet(
        names=whole.names,
        paths=whole.paths,
        labels_n=whole.labels_n,
        groups=tuple("fakes" if label else "reals" for label in whole.labels_n),
    )
    with pytest.raises(InputError, match=r"a holdout of 0\.2 .*, by group leaves the holdout with one class.*judge\.holdout"):
        judged(two_parts(of_one_class), rules(holdout=0.2), not_scanned)


def test_a_holdout_that_leaves_named_validation_images_of_one_class_is_refused(whole: ImageSet) -> None:
    by_label = np.argsort(whole.labels_n, kind="stable")
    val = whole.take([*by_label[:8].tolist(), *by_label[-8:].tolist()])  # a group of real images and one of deepfakes
    val = dataclasses.replace(val, groups=("v real",) * 8 + ("v fake",) * 8)
    train = grouped(whole).take(by_label[8:-8].tolist())
    kept = judged(dataset_of(train, val), rules(holdout=0.3, seed=1), not_scanned)
    assert len(kept.val) == 16
    with pytest.raises(InputError, match=r"a holdout of 0\.3 .*, by group leaves validation with one class.*judge\.holdout"):
        judged(dataset_of(train, val), rules(holdout=0.3, seed=0), not_scanned)


def test_the_same_seed_gives_the_same_split(whole: ImageSet, cache: Path) -> None:
    prints = [
        judged(two_parts(whole), rules(holdout=0.2, seed=seed), scanned(cache)).fingerprint  # type: ignore[arg-type]
        for seed in (0, 0, 1)
    ]
    assert prints[0] == prints[1] != prints[2]


def test_a_scan_is_kept_and_survives_an_unreadable_file(tmp_path: Path) -> None:
    good = image_set(tmp_path, "g", 4, seed=1).paths
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    paths = [*good, str(tmp_path / "bad.jpg")]
    first = scan(paths, cache_dir=tmp_path / "cache", num_workers=2)
    again = scan(paths, cache_dir=tmp_path / "cache", num_workers=2)
    assert first.readable_n.tolist() == [True] * 4 + [False]
    np.testing.assert_array_equal(first.features_nf, again.features_nf)
    assert len(list((tmp_path / "cache").glob("scan-*.npz"))) == 1
