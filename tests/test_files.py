"""Files that are replaced whole."""

import os
import re
from pathlib import Path

import pytest

from hpsearch.errors import InputError, StorageError
from hpsearch.files import replacing, require_place, write_text


def test_a_new_file_takes_the_old_ones_place_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "made" / "table.csv"
    for text in ("old\n", "ä new one\r\n"):
        write_text(file, text)
    assert file.read_bytes() == "ä new one\r\n".encode()
    assert [one.name for one in file.parent.iterdir()] == ["table.csv"]


def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    file.write_text("old")

    def write_half() -> None:
        with replacing(file) as partial:
            partial.write_text("ha")
            raise ValueError("not valid")

    with pytest.raises(ValueError, match="not valid"):
        write_half()
    assert file.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["model.json"]


def test_the_old_file_is_whole_while_the_new_one_is_written(tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    file.write_text("old")
    with replacing(file) as partial:
        partial.write_text("new, not finished")
        assert file.read_text() == "old"
    assert file.read_text() == "new, not finished"


def test_two_that_write_one_file_at_the_same_time_do_not_meet(tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    with replacing(file) as first:
        first.write_text("the first, longer")
        with replacing(file) as second:
            second.write_text("the second")
        assert file.read_text() == "the second"
    assert file.read_text() == "the first, longer"
    assert [one.name for one in tmp_path.iterdir()] == ["model.json"]


def test_a_directory_that_cannot_be_made_is_a_storage_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the run directory should be")
    file = tmp_path / "run" / "result.json"
    with pytest.raises(StorageError, match=re.escape(f"{file} cannot be written: ") + ".*hpsearch.report"):
        write_text(file, "{}")


def test_a_place_that_cannot_be_written_is_named_with_its_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    require_place(tmp_path / "new" / "s.csv", "--out")
    with pytest.raises(InputError, match=rf"--out {tmp_path}: this is a directory"):
        require_place(tmp_path, "--out")
    with pytest.raises(InputError, match=r"--out .*/file/s\.csv: .*/file is a file, so nothing can be written below it"):
        require_place(tmp_path / "file" / "s.csv", "--out")
    assert not (tmp_path / "new").exists()


def test_names_that_are_no_utf_8_are_written_as_they_are(tmp_path: Path) -> None:
    name = os.fsdecode(b"m\xfcller.jpg")
    write_text(tmp_path / "names.txt", name)
    assert (tmp_path / "names.txt").read_bytes() == b"m\xfcller.jpg"
