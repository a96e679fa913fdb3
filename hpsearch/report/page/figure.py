"""A plot as Plotly's traces and layout, and the words that go with it.

Colours are written as tokens that the page's script turns into those of the light or the dark scheme, so that one plot serves
screen, night and paper: `$ink`; `$ramp:0.5`, half along the ramp of ordered things; `$paused@0.4`, 40 % opaque.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from markupsafe import Markup

Trace = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One plot."""

    name: str
    """Unique on the page."""
    label: str
    """What it shows, for those who cannot see it."""
    traces: list[Trace]
    """Plotly's data."""
    layout: dict[str, Any]
    """Plotly's layout, less what all plots share."""
    caption: str = ""
    """How to read it."""
    height_px: int = 360
    """Height on the page."""
    min_width_px: int = 0
    """Narrower screens scroll it sideways."""
    places: Mapping[int, tuple[list[Any], list[Any]]] = field(default_factory=dict)
    """Trial → x and y of all its points, to show a selected trial."""
    places_mode: Literal["markers", "lines+markers"] = "markers"
    """How a selected trial is drawn."""

    @property
    def payload(self) -> Markup:
        """JSON for a script element."""
        content = {
            "traces": self.traces,
            "layout": self.layout,
            "places": self.places,
            "placesMode": self.places_mode,
            "minWidth": self.min_width_px,
        }
        return as_json(content)


def as_json(content: Any) -> Markup:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(_finite(content), allow_nan=False, separators=(",", ":"), default=_plain)
    return Markup(text.replace("<", "\\u003c"))


def opacity(num_lines: int, most: float) -> float:
    """So that many lines over each other can still be told apart: `most` for up to 30, less for more."""
    return round(max(0.1, most * min(1.0, math.sqrt(30 / max(num_lines, 1)))), 2)


def hover(*lines: str) -> str:
    """Lines of a tooltip, each as plain text."""
    return "<br>".join(html.escape(line, quote=False) for line in lines if line)


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with a title."""
    return {"title": {"text": html.escape(title, quote=False)}, **more}


def ramp(position: int, count: int) -> str:
    """Colour of the `position`-th of `count` ordered things, from 0."""
    return f"$ramp:{position / max(count - 1, 1) if count > 1 else 1:.3f}"


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null, which Plotly leaves out."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _plain(value: object) -> object:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in a figure")
