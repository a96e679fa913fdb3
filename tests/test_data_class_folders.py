"""Folders real/ and fake/ are labels."""

from pathlib import Path

import pytest

from hpsearch.data.dataset import Dataset
from hpsearch.data.find import find_dataset
from hpsearch.errors import InputError


def write(root: Path, **counts: int) -> Path:
    """Empty image files `<folder>/sub/<n>.png`; folders are written with `__` for `/`."""
    for folder, count in counts.items():
        (root / folder.replace("__", "/") / "sub").mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (root / folder.replace("__", "/") / "sub" / f"{number}.png").touch()
    return root


def found(source: Path, seed: int = 0) -> Dataset:
    return find_dataset(source, val_fraction=0.2, seed=seed)


def test_classes_come_from_folders_and_are_split_in_proportion(tmp_path: Path) -> None:
    data = found(write(tmp_path, real=20, fake=40))
    assert (len(data.train), len(data.val)) == (48, 12)
    assert data.val.num_deepfakes == 8
    for images in (data.train, data.val):
        assert [name.startswith("fake/sub/") for name in images.names] == (images.labels_n == 1).tolist()
        assert all(path == f"{tmp_path}/{name}" for name, path in zip(images.names, images.paths, strict=True))
    assert "real/: 20 real images (label 0)" in data.notes


def test_folder_names_may_be_written_in_any_case(tmp_path: Path) -> None:
    assert len(found(write(tmp_path, Real=10, FAKE=10)).train) == 16


@pytest.mark.parametrize(("real", "fake"), [("0", "1"), ("original", "deepfake"), ("Authentic", "SYNTHETIC")])
def test_folders_may_have_other_words_for_the_classes(tmp_path: Path, real: str, fake: str) -> None:
    data = found(write(tmp_path, **{real: 10, fake: 20}))
    assert len(data.train) + len(data.val) == 30
    assert data.train.num_deepfakes + data.val.num_deepfakes == 20
    assert {f"{real}/: 10 real images (label 0)", f"{fake}/: 20 deepfakes (label 1)"} <= set(data.notes)


def test_several_folders_of_one_class_are_all_read(tmp_path: Path) -> None:
    data = found(write(tmp_path, real=10, original=5, fake=10))
    assert len(data.train) + len(data.val) == 25


def test_one_other_word_alone_is_no_class_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no layout that hpsearch knows"):
        found(write(tmp_path, original=3))


def test_folders_that_are_no_class_are_named(tmp_path: Path) -> None:
    assert "masks: not used" in found(write(tmp_path, real=10, fake=10, masks=3)).notes


def test_a_group_file_keeps_groups_whole(tmp_path: Path) -> None:
    write(tmp_path, real=20, fake=20)
    rows = [f"{folder}/sub/{number}.png,g{number // 2}" for folder in ("real", "fake") for number in range(20)]
    (tmp_path / "groups.csv").write_text("\n".join(["path,group", *rows]))
    data = found(tmp_path)
    assert data.train.groups is not None
    assert data.val.groups is not None
    assert not set(data.train.groups) & set(data.val.groups)
    assert len(data.val) == 8


def test_splits_may_be_folders_too(tmp_path: Path) -> None:
    data = found(write(tmp_path, train__real=3, train__fake=4, val__real=2, val__fake=1, test__real=5, test__fake=5))
    assert (len(data.train), data.train.num_deepfakes) == (7, 4)
    assert (len(data.val), data.val.num_deepfakes) == (3, 1)
    assert data.train.names[0] == "train/real/sub/0.png"
    assert "test: not used" in data.notes


def test_training_folders_alone_are_split(tmp_path: Path) -> None:
    assert len(found(write(tmp_path, train__real=10, train__fake=10)).val) == 4


def test_validation_folders_alone_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folder train/ with real/ and fake/"):
        found(write(tmp_path, val__real=2, val__fake=1))


def test_one_class_folder_alone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no folder fake/ in it; both real/ and fake/ are needed"):
        found(write(tmp_path, real=2))


def test_a_class_folder_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/fake: no images in it"):
        found(write(tmp_path, real=2, fake=0))


def test_too_few_images_to_split_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be split into training and validation images"):
        found(write(tmp_path, real=1, fake=1))
