"""JSON of files that others may have changed."""

from dataclasses import dataclass
from typing import NotRequired, TypedDict

import pytest

from hpsearch.json_text import read_as


@dataclass(frozen=True)
class Part:
    name: str
    share: float = 0.5


class Whole(TypedDict):
    parts: list[Part]
    span: NotRequired[tuple[float, float]]


def test_values_come_as_the_types_that_were_asked_for() -> None:
    text = '{"parts": [{"name": "\\ud800"}, {"name": "b", "share": 1, "later": 3}], "span": [1, 2.5]}'
    assert read_as(text, Whole) == {"parts": [Part("\ud800"), Part("b", 1.0)], "span": (1.0, 2.5)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Expecting value"),
        ("[]", "Expected `object`, got `array`"),
        ("{}", "missing required field `parts`"),
        ('{"parts": [{"name": 1}]}', r"Expected `str`, got `int` - at `\$\.parts\[0\]\.name`"),
        ('{"parts": [], "span": [1]}', "of length 2"),
        ('{"parts": [], "span": [1, 1e999]}', "1e999 is no finite number"),
        ('{"parts": [], "span": [1, NaN]}', "NaN is no finite number"),
        ('{"parts": [], "span": [1, 1' + "0" * 400 + "]}", "10000000000000000000 is no finite number"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_something_else_is_named_by_its_place(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_as(text, Whole)
