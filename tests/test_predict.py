from pathlib import Path

import pytest

from hpsearch.errors import InputError
from hpsearch.predict import command


def test_what_is_not_given_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--model, --out"):
        command(["--images", str(tmp_path)])


def test_what_cannot_be_written_or_read_is_said_before_the_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--out .*: this is a directory"):
        command(["--model", "none", "--images", str(tmp_path), "--out", str(tmp_path)])
    file = tmp_path / "template.txt"
    file.touch()
    with pytest.raises(InputError, match=r"--images .*template\.txt: this is no folder"):
        command(["--model", "none", "--images", str(file), "--out", str(tmp_path / "s.csv")])
