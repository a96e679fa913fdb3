"""Decoded sets: each image with its own label, from one cache for every split."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpsearch.data.cache import address, estimated_bytes
from hpsearch.data.dataset import Dataset, ImageSet
from hpsearch.data.decode import RESIZE_RULE
from hpsearch.data.training_data import TrainingData, open_training_data
from hpsearch.errors import InputError


def image_set(directory: Path, numbers: range) -> ImageSet:
    """Grey images, each as bright as its number; odd ones are deepfakes."""
    paths = [directory / f"{number}.png" for number in numbers]
    for number, path in zip(numbers, paths, strict=True):
        Image.new("L", (8, 8), number).save(path)
    labels_n = np.array([number % 2 for number in numbers])
    names = tuple(path.name for path in paths)
    return ImageSet(names=names, paths=tuple(map(str, paths)), labels_n=labels_n, groups=None)


def dataset(train: ImageSet, val: ImageSet) -> Dataset:
    return Dataset(source="", train=train, val=val, template=None, notes=(), fingerprint="")


def opened(data: Dataset, tmp_path: Path, accepted: float = 0.5) -> TrainingData:
    return open_training_data(data, px=4, cache_dir=tmp_path / "cache", num_workers=1, max_unreadable_fraction=accepted)


def test_every_image_comes_with_its_own_label(tmp_path: Path) -> None:
    data = opened(dataset(image_set(tmp_path, range(10, 16)), image_set(tmp_path, range(2, 6))), tmp_path)
    for images, numbers in ((data.train, range(10, 16)), (data.val, range(2, 6))):
        assert images.images_nhwc[images.indices_n, 0, 0, 0].tolist() == list(numbers)
        assert images.labels_n.tolist() == [number % 2 for number in numbers]
        assert (len(images), images.px) == (len(numbers), 4)


def test_unreadable_images_are_left_out_with_their_labels(tmp_path: Path) -> None:
    train = image_set(tmp_path, range(10, 16))
    Path(train.paths[1]).write_bytes(b"")
    data = opened(dataset(train, image_set(tmp_path, range(2, 6))), tmp_path)
    assert data.train.images_nhwc[data.train.indices_n, 0, 0, 0].tolist() == [10, 12, 13, 14, 15]
    assert data.train.labels_n.tolist() == [0, 0, 1, 0, 1]
    assert data.unreadable == ((train.paths[1], "the file is empty"),)


def test_another_split_of_the_same_images_uses_the_same_cache(tmp_path: Path) -> None:
    low, high = image_set(tmp_path, range(4)), image_set(tmp_path, range(10, 14))
    opened(dataset(low, high), tmp_path)
    opened(dataset(high, low), tmp_path)
    assert len([entry for entry in (tmp_path / "cache").iterdir() if entry.is_dir()]) == 1


def test_one_class_left_is_an_error(tmp_path: Path) -> None:
    train = image_set(tmp_path, range(4))
    for path in train.paths[1::2]:
        Path(path).write_bytes(b"")
    with pytest.raises(InputError, match="of the 4 training images, 2 can be read, and those are of one class"):
        opened(dataset(train, image_set(tmp_path, range(10, 14))), tmp_path, accepted=1.0)


def test_paths_that_sort_differently_as_bytes_and_images_of_two_sets_find_their_rows(tmp_path: Path) -> None:
    train, val = image_set(tmp_path, range(10, 14)), image_set(tmp_path, range(10, 12))
    odd = tmp_path / "\udcff.png"
    Path(train.paths[3]).rename(odd)
    wide = tmp_path / "😀.png"
    Path(train.paths[2]).rename(wide)
    train = ImageSet(names=train.names, paths=(*train.paths[:2], str(wide), str(odd)), labels_n=train.labels_n, groups=None)
    data = opened(dataset(train, val), tmp_path)
    assert data.train.images_nhwc[data.train.indices_n, 0, 0, 0].tolist() == [10, 11, 12, 13]
    assert data.val.images_nhwc[data.val.indices_n, 0, 0, 0].tolist() == [10, 11]


def test_a_worker_does_not_grow_with_the_set(tmp_path: Path) -> None:
    def own_bytes(num_images: int) -> int:
        directory = tmp_path / str(num_images)
        directory.mkdir()
        names = [f"identity_{number % 999}/clip_{number:07}/frame_{number:07}.png" for number in range(num_images)]
        sets = [
            ImageSet(
                names=part,
                paths=[f"/data/set/{name}" for name in part],
                labels_n=np.arange(len(part)) % 2,
                groups=[name.partition("/")[0] for name in part],
            )
            for part in (names[::2], names[1::2])
        ]
        write_for_worker(dataset(*sets), directory, px=2)
        done = subprocess.run([sys.executable, "-m", "tests.data_memory", directory, "2"], check=True, capture_output=True)
        grown, opened_images = map(int, done.stdout.split())
        assert opened_images == num_images
        return grown

    assert own_bytes(500_000) - own_bytes(1_000) < 16e6  # the paths alone are 36 MB


def write_for_worker(data: Dataset, directory: Path, px: int) -> None:
    """`data` pickled as Ray does, its arrays beside it, and a cache of its images, which are not there, whose pixels are 0."""
    buffers: list[pickle.PickleBuffer] = []
    (directory / "pickled").write_bytes(pickle.dumps(data, protocol=5, buffer_callback=buffers.append))
    views = [buffer.raw() for buffer in buffers]
    (directory / "sizes").write_text(" ".join(str(view.nbytes) for view in views))
    (directory / "buffers").write_bytes(b"".join(views))
    paths = data.cache_order.paths
    cache = directory / "cache" / f"{px}px-{address(paths, RESIZE_RULE)}"
    cache.mkdir(parents=True)
    with (cache / "pixels.u8").open("wb") as file:
        file.truncate(estimated_bytes(len(paths), px))
    np.ones(len(paths), np.uint8).tofile(cache / "state.u8")
    (cache / "index.json").write_text(json.dumps({"num_images": len(paths), "px": px}))
