"""CSV files of the wild are read, and their mistakes named with file, line and remedy."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.data.tables import Table, read_table
from hpsearch.errors import InputError


def table(tmp_path: Path, content: str | bytes, *, required: tuple[str, ...] = ("name", "label")) -> Table:
    file = tmp_path / "labels.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(file, required=required, optional=("split",))


@pytest.mark.parametrize("name", ["img_name", "img_path", "image", "filename", "path", "name"])
@pytest.mark.parametrize("label", ["target", "label", "y", "class"])
def test_columns_may_have_other_names_and_the_note_says_which(tmp_path: Path, name: str, label: str) -> None:
    found = table(tmp_path, f"{name},{label}\na.jpg,1\nb.jpg,0\n")
    assert found.names == ["a.jpg", "b.jpg"]
    assert found.labels().tolist() == [1, 0]
    assert found.note == f"labels.txt: names from column `{name}`, labels from column `{label}`; 2 rows"


@pytest.mark.parametrize(
    "content",
    [
        "img_name,target\na b.jpg,1\nc.jpg,0",
        "img_name,target\r\na b.jpg,1\r\nc.jpg,0\r\n",
        "\ufeffimg_name,target\na b.jpg,1\nc.jpg,0\n",
        " img_name , target \n  a b.jpg ,1 \nc.jpg, 0\n",
        "\nimg_name,target\n\na b.jpg,1\n  \nc.jpg,0\n,\n\n",
        "target,extra,img_name\n1,x,a b.jpg\n0,y,c.jpg\n",
        "IMG_NAME,Target\na b.jpg,1.0\nc.jpg,0.0\n",
        "img_name\ttarget\na b.jpg\t1\nc.jpg\t0\n",
        "img_name;target\na b.jpg;1\nc.jpg;0\n",
        '"img_name","target"\n"a b.jpg","1"\n"c.jpg","0"\n',
    ],
    ids=["no end", "windows", "bom", "spaces", "blank lines", "other order", "other case", "tabs", "semicolons", "quotes"],
)
def test_files_of_the_wild_are_read_alike(tmp_path: Path, content: str) -> None:
    found = table(tmp_path, content)
    assert found.names == ["a b.jpg", "c.jpg"]
    assert found.labels().tolist() == [1, 0]


def test_the_first_known_alias_is_used(tmp_path: Path) -> None:
    assert table(tmp_path, "path,img_name,label\n/a,b.jpg,1\n").names == ["b.jpg"]


def test_lines_are_counted_with_blank_ones(tmp_path: Path) -> None:
    assert table(tmp_path, "\nimg_name,target\n\na.jpg,1\n\n\nb.jpg,0\n").lines == [4, 7]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"labels\.txt: the file is empty"),
        ("\n\n", r"the file is empty"),
        ("img_name,target\n", r"it has a header and no rows. Add one row an image"),
        ("a.jpg,1\nb.jpg,0\n", r"its first line is 'a\.jpg,1', which is no header.*put 'img_name,target' there"),
        (
            "img_name,tarjet\na.jpg,1\n",
            r"no column of labels \(0 for real or 1 for a deepfake\).*one of target, label, y, class",
        ),
        ("file,target\na.jpg,1\n", r"no column of names .*one of img_name, img_path, image"),
        ("img_name,target\na.jpg,1\nb.jpg\n", r"line 3: 1 fields, but the header has 2 \(img_name, target\)"),
        ("img_name,target\na.jpg,1,x\n", r"line 2: 3 fields, but the header has 2"),
        ("img_name,target\na.jpg,1\n,0\n", r"line 3: the image's name is empty"),
        (
            "img_name,target\na.jpg,1\nb.jpg,0\n\na.jpg,0\n",
            r"line 5: the name 'a\.jpg' was already given on line 2.*Remove this line\.",
        ),
        ("img_name,target\na,1\na,1\na,1\n", r"line 3: .*Remove this line and 1 more of the kind\."),
        (b"img_name,target\na.jpg,1\n\xff\xfe.jpg,1\n", r"labels\.txt, line 3: not UTF-8 text \(invalid start byte\)"),
        ("img_name,target\n" + "a" * 200_000 + ",1\n", r"line 2: not a CSV file \(field larger"),
        (
            'img_name,target\na.jpg,1\n"b.jpg,0\nc.jpg,1\n',
            r"line 3: a quote that is opened here goes on to line 4, and the row has 1 fields, not 2 .* Close the quote",
        ),
        ('img_name,target\na.jpg,1\n"b.jpg,0\n' + "c.jpg,1\n" * 20_000, r"line 3: not a CSV file .* Correct the quotes there"),
        ("img_name,target\na.jpg,1" + "," * 10**6 + "\n", r"line 2: 1,000,002 fields, but the header has 2 "),
    ],
)
def test_mistakes_are_named_with_line_and_remedy(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(tmp_path, content)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('\n"a\nb.jpg",2\nc.jpg,1\n', r"line 2: label '2' of 'a\\nb\.jpg'"),
        ("\na\0.jpg,2\n", r"line 2: label '2' of 'a\\x00\.jpg'"),
        ("\r\na.jpg,1\rb.jpg,1\nc.jpg,2\r\n", r"line 4: label '2' of 'c\.jpg'"),
    ],
    ids=["of several lines", "null byte", "mixed ends"],
)
def test_a_mistake_is_named_with_the_line_on_which_its_row_begins(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(tmp_path, f"img_name,target{rows}").labels()


def test_a_message_names_the_first_and_last_of_a_million_columns(tmp_path: Path) -> None:
    columns = ",".join(f"c{number}" for number in range(10**6))
    with pytest.raises(
        InputError, match=r"line 2: 2 fields, but the header has 1,000,002 \(img_name, .* … .*c999999\)"
    ) as caught:
        table(tmp_path, f"img_name,target,{columns}\na.jpg,1\n")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("label", ["2", "-1", "forged", "", "0.5", "nan"])
def test_a_label_other_than_0_or_1_is_named_with_its_line(tmp_path: Path, label: str) -> None:
    found = table(tmp_path, f"img_name,target\na.jpg,1\nb.jpg,{label}\n")
    with pytest.raises(InputError, match=rf"labels\.txt, line 3: label '{label}' of 'b\.jpg'; labels are 0 \(real\) or 1"):
        found.labels()


def test_labels_may_be_words(tmp_path: Path) -> None:
    found = table(tmp_path, "path,label\na.jpg,REAL\nb.jpg,fake\nc.jpg,original\nd.jpg,Deepfake\n")
    assert found.labels().tolist() == [0, 1, 0, 1]


def test_several_wrong_labels_are_counted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2: label '2'.*Correct this line and 2 more of the kind"):
        table(tmp_path, "img_name,target\na,2\nb,0\nc,3\nd,4\n").labels()


def test_a_directory_in_place_of_the_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path, required=("name",))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='abimg_nametarget,01\n\r\t"; \ufeff\0', max_size=80).map(str.encode))
def test_any_bytes_are_a_table_or_an_input_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.txt"
    file.write_bytes(b"img_name,target\n" + content)
    with contextlib.suppress(InputError):
        found = read_table(file, required=("name", "label"))
        found.labels()
        assert len(found.names) == len(found.lines) > 0
