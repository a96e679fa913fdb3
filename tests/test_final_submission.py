import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpsearch import check
from hpsearch.data.find import read_template
from hpsearch.errors import InputError
from hpsearch.files import as_csv
from hpsearch.final.submission import submission_problems, write_submission

NAMES = ("b.jpg", "a.jpg", "c.jpg")


def test_rows_follow_the_template_and_end_with_a_newline(tmp_path: Path) -> None:
    write_submission(tmp_path / "s.csv", NAMES, np.array([0.25, 1.0, 1e-9]))
    assert (tmp_path / "s.csv").read_text() == "img_name,y_pred\nb.jpg,0.25\na.jpg,1.0\nc.jpg,1e-09\n"
    assert submission_problems(tmp_path / "s.csv", NAMES) == []


def test_images_whose_probabilities_are_close_to_each_other_do_not_tie(tmp_path: Path) -> None:
    probabilities_n = np.array([1 - 2e-9, 1 - 1e-9, 3e-12])
    write_submission(tmp_path / "s.csv", NAMES, probabilities_n)
    _, *rows = (tmp_path / "s.csv").read_text().splitlines()
    assert [float(row.partition(",")[2]) for row in rows] == probabilities_n.tolist()


def test_nothing_is_written_where_a_probability_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no number in \[0, 1\]: 1, the first is 'nan' in line 3"):
        write_submission(tmp_path / "s.csv", NAMES, np.array([0.25, np.nan, 0.5]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("img_name,score\nb.jpg,0\na.jpg,0\nc.jpg,0\n", "its header is img_name,score"),
        ("img_name,y_pred\nb.jpg,0\na.jpg,0\n", "names of the template that are missing: 1, the first is c.jpg"),
        ("img_name,y_pred\nb.jpg,0\na.jpg,0\nc.jpg,0\nc.jpg,0\n", "names that stand twice: 1, the first is c.jpg"),
        ("img_name,y_pred\nb.jpg,0\na.jpg,0\nc.jpg,0\nd.jpg,0\n", "names that are not in the template: 1, the first is d.jpg"),
        ("img_name,y_pred\na.jpg,0\nb.jpg,0\nc.jpg,0\n", "line 2 has a.jpg where the template has b.jpg"),
        ("img_name,y_pred\nb.jpg,0\na.jpg,1.5\nc.jpg,0\n", "the first is '1.5' in line 3"),
    ],
)
def test_each_broken_rule_is_named(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "s.csv"
    file.write_text(text)
    assert any(problem in found for found in submission_problems(file, NAMES))


def test_names_that_are_no_utf_8_are_handed_in_as_they_are(tmp_path: Path) -> None:
    name = os.fsdecode(b"m\xfcller.jpg")
    write_submission(tmp_path / "s.csv", [name], np.array([0.5]))
    assert (tmp_path / "s.csv").read_bytes() == b"img_name,y_pred\nm\xfcller.jpg,0.5\n"
    assert submission_problems(tmp_path / "s.csv", [name]) == []


def test_names_with_ends_of_lines_come_back_from_template_and_submission(tmp_path: Path) -> None:
    names = ("a\rb.jpg", "c\nd.jpg", "e\r\nf.jpg", 'g",h.jpg')
    for name in names:
        (tmp_path / name).touch()
    template = tmp_path / "template.txt"
    template.write_text(as_csv([["img_name"], *([name] for name in names)]), newline="")
    assert read_template(template, tmp_path).names == names
    write_submission(tmp_path / "s.csv", names, np.full(4, 0.5))
    assert pd.read_csv(tmp_path / "s.csv")["img_name"].tolist() == list(names)
    assert check.command([str(tmp_path / "s.csv"), "--template", str(template)]) == 0


def test_a_name_whose_end_of_a_line_is_not_quoted_is_told_as_the_two_that_it_reads_as(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(b"img_name,y_pred\na\rb.jpg,0.5\n")
    assert "names that are not in the template: 2, the first is a" in submission_problems(tmp_path / "s.csv", ["a\rb.jpg"])
