"""A column of strings is a sequence of the same strings, in two arrays."""

import pickle

import numpy as np
import pytest

from hpsearch.data.string_column import StringColumn

STRINGS = ("b", "", "größer 😀", "no UTF-8 \udcff", "\udcc3\udca9", "a\0b", "")
COLUMN = StringColumn.of(STRINGS)


def test_every_string_comes_back_as_it_was() -> None:
    assert tuple(COLUMN) == STRINGS
    assert tuple(COLUMN[row] for row in range(-len(STRINGS), len(STRINGS))) == STRINGS * 2
    assert StringColumn.of(COLUMN) is COLUMN
    assert list(StringColumn.of(())) == []


def test_strings_of_several_chunks_stay_in_order() -> None:
    many = [f"{number:x}" * (number % 3) for number in range(10_000)]
    assert list(StringColumn.of(many)) == many
    rows_n = np.random.default_rng(0).permutation(len(many))
    assert list(StringColumn.of(many).take(rows_n)) == [many[row] for row in rows_n]


@pytest.mark.parametrize("index", [slice(2, 5), slice(-3, None), slice(5, 2), slice(None, None, -2), slice(90, 99)])
def test_a_slice_is_that_of_a_tuple(index: slice) -> None:
    assert COLUMN[index] == STRINGS[index]
    assert len(COLUMN[index].utf8_b) == sum(len(text.encode(errors="surrogatepass")) for text in STRINGS[index])


def test_a_row_that_is_not_there_is_an_error() -> None:
    for row in (7, -8):
        with pytest.raises(IndexError, match=f"string {row} of 7"):
            COLUMN[row]
    with pytest.raises(IndexError):
        COLUMN.take(np.array([7]))


def test_it_equals_the_same_strings_and_no_others() -> None:
    assert STRINGS == COLUMN == list(STRINGS)
    assert StringColumn.of(list(STRINGS)) == COLUMN
    assert StringColumn.of(["ab", "c"]) != StringColumn.of(["a", "bc"])
    assert (*STRINGS, "") != COLUMN
    assert COLUMN != "b"


def test_columns_are_joined() -> None:
    assert COLUMN + COLUMN[1:3] + ["c"] == (*STRINGS, *STRINGS[1:3], "c")


def test_numpy_takes_it_as_the_strings() -> None:
    assert (np.array(StringColumn.of(["a", "bc"])) == "bc").tolist() == [False, True]


def test_a_pickle_leaves_the_strings_to_out_of_band_buffers() -> None:
    column, buffers = StringColumn.of(["x" * 99] * 1000), []
    pickled = pickle.dumps(column, protocol=5, buffer_callback=buffers.append)
    assert (len(pickled) < 1000, len(buffers)) == (True, 2)
    assert pickle.loads(pickled, buffers=buffers) == column
