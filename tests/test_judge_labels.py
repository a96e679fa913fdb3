"""Labels that the other version of the same picture contradicts are named; sets that are not made of pairs get no such word."""

from pathlib import Path

import numpy as np
import pytest

from hpsearch.data.dataset import Dataset, ImageSet
from hpsearch.judge.audit import Audit, audit
from hpsearch.judge.labels import MIN_PAIRS, paired_labels
from hpsearch.judge.scan import ImageScan, scan
from tests.judge_images import dataset_of, picture, save

NUM_PICTURES = MIN_PAIRS + 10


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Each picture as it is, and with another face in it."""
    directory, random = tmp_path_factory.mktemp("versions"), np.random.default_rng(0)
    paths = []
    for number in range(NUM_PICTURES):
        pixels = picture(random)
        paths.append(save(directory, f"{number:02} real.jpg", pixels))
        pixels[24:40, 24:40] = pixels[24:40, 24:40] // 8 * 7 + random.integers(0, 30, 3, dtype=np.uint8)
        paths.append(save(directory, f"{number:02} fake.jpg", pixels))
    labels_n = np.arange(2 * NUM_PICTURES) % 2
    return ImageSet(names=tuple(Path(path).name for path in paths), paths=tuple(paths), labels_n=labels_n, groups=None)


@pytest.fixture(scope="module")
def seen(versions: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> ImageScan:
    return scan(versions.paths, cache_dir=tmp_path_factory.mktemp("scans"), num_workers=1)


def audited(versions: ImageSet, seen: ImageScan, labels_n: np.ndarray) -> Audit:
    images = ImageSet(names=versions.names, paths=versions.paths, labels_n=labels_n, groups=None)
    half = NUM_PICTURES // 2 * 2
    dataset: Dataset = dataset_of(images.take(range(half)), images.take(range(half, len(images))))
    return audit(dataset, lambda paths: seen, thorough=True)


def test_two_versions_of_a_picture_with_the_same_label_are_suspicious(versions: ImageSet, seen: ImageScan) -> None:
    labels_n = versions.labels_n.copy()
    labels_n[[6, 31]] = 1 - labels_n[[6, 31]]
    (finding,) = [one for one in audited(versions, seen, labels_n).findings if one.kind == "suspicious labels"]
    assert finding.severity == "warning"
    assert finding.examples == ("03 real.jpg (train) = 03 fake.jpg (train)", "15 real.jpg (train) = 15 fake.jpg (train)")


def test_versions_with_both_labels_are_said_to_agree(versions: ImageSet, seen: ImageScan) -> None:
    found = audited(versions, seen, versions.labels_n)
    assert not [one for one in found.findings if one.kind == "suspicious labels"]
    assert any(one.text.startswith("0 of ") and "in two versions" in one.text for one in found.findings)


@pytest.mark.parametrize(("num_pictures", "num_alike"), [(MIN_PAIRS - 1, 2), (NUM_PICTURES, NUM_PICTURES // 4)])
def test_few_pairs_or_many_of_one_label_contradict_nothing(
    num_pictures: int, num_alike: int, versions: ImageSet, seen: ImageScan
) -> None:
    rows = np.arange(2 * num_pictures)
    labels_n = versions.labels_n[rows].copy()
    labels_n[: 2 * num_alike] = 1
    assert paired_labels(seen.take(rows), labels_n).num_pairs == 0
