from pathlib import Path

import pytest

from hpsearch.errors import InputError
from hpsearch.predict import command


@pytest.fixture
def template(tmp_path: Path) -> Path:
    file = tmp_path / "template.txt"
    file.write_text("img_path\na.jpg\nb.jpg\n")
    return file


def test_a_valid_submission_is_said_to_be_so(template: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = template.with_name("mine.csv")
    file.write_text("img_name,y_pred\na.jpg,0.25\nb.jpg,1\n")
    assert command(["--check", str(file), "--template", str(template)]) == 0
    assert "valid, 2 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("img_name,y_pred\nb.jpg,0.25\na.jpg,1\n", "line 2 has b.jpg where the template has a.jpg"),
        ("img_name,y_pred\na.jpg,nan\nb.jpg,1\n", r"no number in \[0, 1\]"),
        ("img_name,y_pred\na.jpg,0.1\n", "names of the template that are missing: 1, the first is b.jpg"),
        ("a.jpg,0.1\nb.jpg,0.2\n", "it must be img_name,y_pred"),
        ("", "cannot be read as a CSV"),
    ],
)
def test_every_broken_rule_is_named(template: Path, content: str, message: str) -> None:
    file = template.with_name("mine.csv")
    file.write_text(content)
    with pytest.raises(InputError, match=message):
        command(["--check", str(file), "--template", str(template)])


def test_a_check_needs_a_template_and_a_prediction_a_model(template: Path) -> None:
    with pytest.raises(InputError, match="give the template too"):
        command(["--check", str(template)])
    with pytest.raises(InputError, match="--model, --out must be given to predict"):
        command(["--images", str(template.parent)])


def test_a_directory_in_place_of_a_submission_is_said(template: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)is not a valid submission.*cannot be read \(Is a directory\)"):
        command(["--check", str(template.parent), "--template", str(template)])


def test_what_cannot_be_written_or_read_is_said_before_the_model_is_loaded(template: Path) -> None:
    with pytest.raises(InputError, match=r"--out .*: this is a directory"):
        command(["--model", "none", "--images", str(template.parent), "--out", str(template.parent)])
    with pytest.raises(InputError, match=r"--images .*template\.txt: this is no folder"):
        command(["--model", "none", "--images", str(template), "--out", str(template.with_name("s.csv"))])
