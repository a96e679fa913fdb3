"""Text of the page stands out from what is behind it, in both schemes (WCAG 2.1 AA: a contrast of 4.5)."""

import re
from pathlib import Path

import pytest

import hpsearch.report.page

CSS = (Path(hpsearch.report.page.__file__).parent / "page.css").read_text()
TEXT = {"ink", "muted", "link", "warning"}

Colour = tuple[float, ...]


def tokens(scheme: str) -> dict[str, Colour]:
    """Red, green and blue of each token, 0 to 255."""
    light, dark = re.findall(r":root(?::not\(\[data-print\]\))? \{(.*?)\}", CSS, re.DOTALL)[:2]
    found = re.findall(r"--([\w-]+): #(\w{6});", light if scheme == "light" else dark)
    return {name: tuple(bytes.fromhex(code)) for name, code in found}


def mixed(over: Colour, under: Colour, share: float) -> Colour:
    return tuple(share * one + (1 - share) * other for one, other in zip(over, under, strict=True))


def luminance(colour: Colour) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_has_the_colours_that_are_checked() -> None:
    assert set(re.findall(r"(?<![\w-])color: var\(--([\w-]+)\)", CSS)) == TEXT | {"paper"}  # paper: on ink


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", sorted(TEXT))
def test_text_can_be_read_on_every_background(scheme: str, name: str) -> None:
    colours = tokens(scheme)
    (percent,) = re.findall(r"color-mix\(in srgb, var\(--chosen\) (\d+)%, transparent\)", CSS)
    chosen_row = mixed(colours["chosen"], colours["paper"], int(percent) / 100)
    for background in (colours["paper"], colours["soft"], chosen_row):
        assert contrast(colours[name], background) >= 4.5
