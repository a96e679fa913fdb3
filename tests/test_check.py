from pathlib import Path

import pytest

from hpsearch.check import command
from hpsearch.errors import EXIT_DONE, EXIT_PROBLEM, InputError


@pytest.fixture
def template(tmp_path: Path) -> Path:
    file = tmp_path / "template.txt"
    file.write_text("img_path\na.jpg\nb.jpg\n")
    return file


def test_a_valid_submission_is_said_to_be_so(template: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = template.with_name("mine.csv")
    file.write_text("img_name,y_pred\na.jpg,0.25\nb.jpg,1\n")
    assert command([str(file), "--template", str(template)]) == EXIT_DONE
    assert "valid, 2 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("img_name,y_pred\nb.jpg,0.25\na.jpg,1\n", "line 2 has b.jpg where the template has a.jpg"),
        ("img_name,y_pred\na.jpg,nan\nb.jpg,1\n", "no number in [0, 1]"),
        ("img_name,y_pred\na.jpg,0.1\n", "names of the template that are missing: 1, the first is b.jpg"),
        ("a.jpg,0.1\nb.jpg,0.2\n", "it must be img_name,y_pred"),
        ("", "cannot be read as a CSV"),
    ],
)
def test_every_broken_rule_is_named(template: Path, content: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = template.with_name("mine.csv")
    file.write_text(content)
    assert command([str(file), "--template", str(template)]) == EXIT_PROBLEM
    assert message in capsys.readouterr().out


def test_a_directory_in_place_of_a_submission_is_said(template: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command([str(template.parent), "--template", str(template)]) == EXIT_PROBLEM
    assert "cannot be read (Is a directory)" in capsys.readouterr().out


def test_a_missing_file_is_named(template: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv"):
        command([str(template.with_name("none.csv")), "--template", str(template)])
    with pytest.raises(InputError, match="--template"):
        command([str(template)])
