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
        ("img_name,y_pred\n\nb.jpg,0\n\nd.jpg,0\nc.jpg,0\n", "not in the template: 1, the first is d.jpg in line 5"),
        ("img_name,y_pred\nb.jpg,0\na.jpg,0\n c.jpg,0\n", "not in the template: 1, the first is ' c.jpg' in line 4"),
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


def test_a_name_whose_end_of_a_line_is_not_quoted_is_told_as_the_two_rows_that_it_reads_as(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(b"img_name,y_pred\na\rb.jpg,0.5\n")
    assert submission_problems(tmp_path / "s.csv", ["a\rb.jpg"]) == [
        "rows that do not have 2 fields: 1, the first has 1 in line 2"
    ]


HEADER, ROWS = b"img_name,y_pred\n", b"b.jpg,0.5\na.jpg,0\nc.jpg,1e-9\n"


@pytest.mark.parametrize(
    "content",
    [
        (HEADER + ROWS).replace(b"\n", b"\r\n"),
        (HEADER + ROWS).replace(b"\n", b"\r"),
        (HEADER + ROWS).rstrip(),
        HEADER + ROWS.replace(b"\n", b"\n\n"),
        HEADER + b'"b.jpg","0.5"\na.jpg, 1.\nc.jpg,+.5E-1 \n',
    ],
    ids=["crlf", "cr", "no last end", "blank lines", "quotes and spaces"],
)
def test_what_every_reader_takes_for_the_same_table_is_valid(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    assert submission_problems(tmp_path / "s.csv", NAMES) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"img_name,y_pred\n0,b.jpg,0.5\n1,a.jpg,0\n2,c.jpg,1\n", "not have 2 fields: 3, the first has 3 in line 2"),
        (b"img_name,y_pred\nx,y,b.jpg,0.5\nx,y,a.jpg,0\nx,y,c.jpg,1\n", "not have 2 fields: 3, the first has 4 in line 2"),
        (HEADER + ROWS.replace(b"\n", b",\n"), "not have 2 fields: 3, the first has 3 in line 2"),
        (HEADER + ROWS + b"d.jpg\n", "not have 2 fields: 1, the first has 1 in line 5"),
        (HEADER + ROWS + b"\0\0\0", "not have 2 fields: 1, the first has 1 in line 5"),
        (b"\xef\xbb\xbf" + HEADER + ROWS, "begins with a byte-order mark"),
        (b"img_name,img_name\n" + ROWS, "its header is img_name,img_name; it must be img_name,y_pred"),
        (b"img_name,y_pred,y_pred\n" + ROWS.replace(b"\n", b",0\n"), "its header is img_name,y_pred,y_pred; it must"),
        (b"img_name, y_pred\n" + ROWS, "its header is 'img_name, y_pred'; it must"),
        (b"\n" + HEADER + ROWS, "its header is ''; it must"),
        ((HEADER + ROWS).decode().encode("utf-16"), r"its header is '\udcff\udcfei"),
        (HEADER + b'b.jpg,"0.5\na.jpg,0\nc.jpg,1\n', "cannot be read as a CSV (line 4: unexpected end of data)"),
        (HEADER + b'"b.jpg"x,0.5\na.jpg,0\nc.jpg,1\n', "cannot be read as a CSV (line 2: ',' expected after"),
        (HEADER, "names of the template that are missing: 3, the first is b.jpg"),
    ],
)
def test_a_file_whose_columns_are_not_the_two_is_told_so_with_the_line(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    (found,) = submission_problems(tmp_path / "s.csv", NAMES)
    assert problem in found
    found.encode("ascii")  # any terminal can show it


@pytest.mark.parametrize("value", ["", "nan", "inf", "-1e-9", "1.0001", "0_1", "0x0", "True", "0.5\0", "٠.٥", "0,5", "1e999"])
def test_what_is_no_number_between_0_and_1_is_named(tmp_path: Path, value: str) -> None:
    (tmp_path / "s.csv").write_text(f'img_name,y_pred\nb.jpg,0\na.jpg,"{value}"\nc.jpg,1\n', encoding="utf-8")
    problem = f"values that are no number in [0, 1]: 1, the first is {value!r} in line 3"
    assert submission_problems(tmp_path / "s.csv", NAMES) == [problem]
