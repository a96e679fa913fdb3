"""One CSV with paths and labels, optionally splits and groups."""

from pathlib import Path

import pytest

from hpsearch.data.dataset import Dataset
from hpsearch.data.find import find_dataset
from hpsearch.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for number in range(20):
        (tmp_path / "images" / f"{number}.jpg").touch()
    return tmp_path


def found(folder: Path, *rows: str, seed: int = 0) -> Dataset:
    (folder / "all.csv").write_text("\n".join(rows))
    return find_dataset(folder / "all.csv", val_fraction=0.2, seed=seed)


def labelled(pattern: str) -> list[str]:
    return [pattern.format(number) + f",{number % 2}" for number in range(20)]


@pytest.mark.parametrize("pattern", ["images/{}.jpg", "{}.jpg", "./images/{}.jpg"])
def test_paths_may_be_relative_to_the_file_or_to_its_images(folder: Path, pattern: str) -> None:
    data = found(folder, "path,label", *labelled(pattern))
    assert (len(data.train), len(data.val), data.val.num_deepfakes) == (16, 4, 2)
    assert all(Path(path).is_file() for path in data.train.paths)


def test_paths_may_be_absolute(folder: Path) -> None:
    data = found(folder, "path,label", *labelled(f"{folder}/images/{{}}.jpg"))
    assert data.train.names == data.train.paths


def test_a_split_column_is_followed(folder: Path) -> None:
    rows = [
        f"{row},{split}" for row, split in zip(labelled("{}.jpg"), ["train"] * 12 + ["Val"] * 4 + ["test"] * 4, strict=True)
    ]
    data = found(folder, "path,label,split", *rows)
    assert data.train.names == tuple(f"{number}.jpg" for number in range(12))
    assert data.val.names == tuple(f"{number}.jpg" for number in range(12, 16))
    assert "all.csv: 4 rows of split `test` are left out" in data.notes


def test_an_unknown_split_is_named_with_its_line(folder: Path) -> None:
    with pytest.raises(InputError, match=r"all\.csv, line 3: split 'trian'; it must be train, val or test"):
        found(folder, "path,label,split", "0.jpg,0,train", "1.jpg,1,trian")


def test_one_class_only_in_a_split_is_an_error(folder: Path) -> None:
    with pytest.raises(InputError, match=r"all\.csv, split val: all 1 images are real images \(label 0\)"):
        found(folder, "path,label,split", "0.jpg,0,train", "1.jpg,1,train", "2.jpg,0,val")


def test_no_training_rows_are_an_error(folder: Path) -> None:
    with pytest.raises(InputError, match=r"all\.csv, split train: there are no images"):
        found(folder, "path,label,split", "0.jpg,0,val", "1.jpg,1,val")


def test_a_group_column_keeps_groups_whole(folder: Path) -> None:
    rows = [f"{number}.jpg,{number % 2},g{number // 4}" for number in range(20)]
    data = found(folder, "path,label,group", *rows)
    assert data.train.groups is not None
    assert data.val.groups is not None
    assert len(set(data.val.groups)) == 1
    assert not set(data.train.groups) & set(data.val.groups)


def test_a_group_file_beside_it_is_read(folder: Path) -> None:
    (folder / "groups.csv").write_text("\n".join(["path,group", *(f"{number}.jpg,g{number // 4}" for number in range(20))]))
    data = found(folder, "path,label", *labelled("{}.jpg"))
    assert data.val.groups is not None
    assert len(set(data.val.groups)) == 1


def test_images_that_no_row_names_are_counted(folder: Path) -> None:
    (folder / "images" / "more.png").touch()
    assert "1 images have no label and are left out (in images)" in found(folder, "path,label", *labelled("{}.jpg")).notes
