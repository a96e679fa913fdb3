"""Image files are found by listing directories."""

from pathlib import Path

import pytest

from hpsearch.data.folders import Listings, find_images, note_unlabelled, require_exists, walk_images
from hpsearch.data.tables import Table
from hpsearch.errors import InputError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def table(*names: str) -> Table:
    return Table(file=Path("labels.txt"), lines=[n + 2 for n in range(len(names))], names=list(names), used={}, values={})


def test_relative_names_are_looked_for_in_each_root_and_absolute_ones_as_they_are(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.jpg", tmp_path / "b" / "sub" / "2.jpg", tmp_path / "c" / "3.jpg")
    names = ("1.jpg", "sub/2.jpg", str(tmp_path / "c" / "3.jpg"), "../c/3.jpg", "sub\\2.jpg")
    paths = find_images(table(*names), (tmp_path / "a", tmp_path / "b"), Listings())
    assert [Path(path).resolve() for path in paths] == [
        tmp_path / "a/1.jpg", tmp_path / "b/sub/2.jpg", tmp_path / "c/3.jpg", tmp_path / "c/3.jpg", tmp_path / "b/sub/2.jpg"
    ]  # fmt: skip
    assert all(Path(path).is_absolute() for path in paths)


def test_names_with_spaces_unicode_and_newlines_are_found(tmp_path: Path) -> None:
    names = ("a b.jpg", "bücher 像.jpg", "new\nline.jpg", "100%.jpg")
    touch(*(tmp_path / name for name in names))
    assert find_images(table(*names), (tmp_path,), Listings()) == tuple(f"{tmp_path}/{name}" for name in names)


def test_a_linked_image_is_found(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "a.jpg")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "b.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    assert find_images(table("b.jpg"), (tmp_path / "images",), Listings()) == (f"{tmp_path}/images/b.jpg",)


@pytest.mark.parametrize("name", ["b.jpg", "sub/a.jpg", "/a.jpg", "\0", "x" * 5000, "../../../../../a.jpg", "dir"])
def test_a_row_without_image_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "a.jpg", tmp_path / "dir" / "c.jpg")
    with pytest.raises(InputError, match=r"labels\.txt, line 3: no image .* in .*1 files there, such as a\.jpg"):
        find_images(table("a.jpg", name), (tmp_path,), Listings())


def test_rows_without_image_are_counted(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"line 2: no image 'x'.* 2 of 3 rows have no image\. Every row needs its image"):
        find_images(table("x", "a.jpg", "y"), (tmp_path,), Listings())


def test_images_beside_the_named_ones_are_counted_and_other_files_are_not(tmp_path: Path) -> None:
    touch(
        *(tmp_path / "x" / name for name in ("a.jpg", "b.JPG", "c.png", "notes.txt", ".hidden.jpg")), tmp_path / "y" / "d.jpg"
    )
    paths = [f"{tmp_path}/x/a.jpg", f"{tmp_path}/y/d.jpg"]
    assert note_unlabelled(paths, Listings()) == ["2 images have no label and are left out (in x)"]
    assert note_unlabelled([*paths, f"{tmp_path}/x/b.JPG", f"{tmp_path}/x/c.png"], Listings()) == []


def test_walking_finds_every_image_below_once(tmp_path: Path) -> None:
    touch(tmp_path / "b.png", tmp_path / "sub" / "deep" / "a.JPEG", tmp_path / "sub" / "readme.txt", tmp_path / ".DS_Store")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    assert walk_images(tmp_path) == ["b.png", "sub/deep/a.JPEG"]


def test_a_missing_path_is_named_with_the_nearest_that_exists(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    with pytest.raises(InputError, match=r"data .*fases/phase1: there is no 'fases' in .*; did you mean 'faces'\?"):
        require_exists(tmp_path / "fases" / "phase1", "data")
