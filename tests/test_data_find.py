"""What is no data set is refused with what was found and what would be taken."""

from pathlib import Path

import pytest

from hpsearch.data.find import find_dataset
from hpsearch.errors import InputError


def find(source: Path) -> None:
    find_dataset(source, val_fraction=0.2, seed=0)


def test_a_missing_directory_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    with pytest.raises(InputError, match=r"--data .*/face: there is no 'face' in .*; did you mean 'faces'\?"):
        find(tmp_path / "face")


def test_an_empty_folder_is_refused_with_the_layouts(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"(?s)the folder is empty\. It must be one of.*trainset_label\.txt.*real/ and fake/.*FILE\.csv"
    ):
        find(tmp_path)


def test_a_single_image_is_refused_with_the_layouts(tmp_path: Path) -> None:
    (tmp_path / "face.JPG").write_bytes(b"\xff\xd8")
    with pytest.raises(InputError, match=r"(?s)face\.JPG: one image is no data set\. It must be one of.*real/ and fake/"):
        find(tmp_path / "face.JPG")


def test_an_unknown_layout_is_refused_with_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    with pytest.raises(InputError, match=r"no layout that hpsearch knows \(found cats\)"):
        find(tmp_path)


def test_a_folder_with_a_csv_file_points_at_it(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("path,label\n")
    with pytest.raises(InputError, match=r"if all\.csv holds the labels, give .*/all\.csv"):
        find(tmp_path)


def test_two_folders_of_unknown_names_are_asked_to_be_called_real_and_fake(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=r"whether bad/ or good/ holds the deepfakes; call the two folders real/ and fake/"):
        find(tmp_path)


def test_one_class_alone_points_at_the_folder_of_both(tmp_path: Path) -> None:
    for name in ("real", "fake"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").touch()
    with pytest.raises(InputError, match=rf"if this is one of two classes, give {tmp_path}\. It must be"):
        find(tmp_path / "real")
