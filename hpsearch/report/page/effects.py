"""What the parameters did: one plot for each, and how much each decides."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from hpsearch.report import wording
from hpsearch.report.facts import SearchedParameter
from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Figure, axis, hover, ramp
from hpsearch.report.page.parameter_titles import axis_title
from hpsearch.report.page.trial_marks import points, rung_label
from hpsearch.search.types import TrialState

JITTER = 0.22
"""Half the width of a category's strip, of the distance between categories."""

HEIGHT_PX = 250
LETTER_PX = 6
ROW_LETTERS = 45
"""Letters that fit below one of three plots side by side."""


def effect_figures(content: PageContent) -> list[Figure]:
    """The objective by each searched parameter, the most important first where that is known."""
    order = sorted(content.searched.values(), key=lambda one: -content.importance.get(one.name, 0.0))
    figures = [_effect(content, parameter, index) for index, parameter in enumerate(order)]
    return [figure for figure in figures if figure.traces]


def _effect(content: PageContent, parameter: SearchedParameter, index: int) -> Figure:
    having = [trial for trial in content.study.usable() if parameter.name in trial.params]
    x = dict(zip((trial.number for trial in having), _positions(parameter, having), strict=True))
    traces = [
        points(
            here,
            [x[trial.number] for trial in here],
            [trial.value for trial in here],
            name=rung_label(content, number),
            showlegend=False,
            marker={
                "color": ramp(number - 1, len(content.rungs)),
                "size": 4 + 1.6 * number,
                "line": {"width": 0.6, "color": "$paper"},
            },
        )
        for number in range(1, len(content.rungs) + 1)
        if (here := [trial for trial in having if content.rung_number(trial) == number])
    ]
    best = content.best
    if best is not None and best.number in x and traces:
        ring = {"symbol": "circle-open", "size": 16, "color": "$ink", "line": {"width": 2}}
        traces.append(points([best], [x[best.number]], [best.value], name="best", showlegend=False, marker=ring))
    return Figure(
        name=f"effect-{index}",
        label=f"{content.score.title} at the last rung by {parameter.name}, {len(having)} trials.",
        traces=traces,
        layout={"xaxis": axis(axis_title(parameter), **_scale(parameter)), "yaxis": axis(content.score.title)},
        height_px=HEIGHT_PX + (LETTER_PX * _longest(parameter) if _is_crowded(parameter) else 0),
        places={trial.number: ([x[trial.number]], [trial.value]) for trial in having},
    )


def _positions(parameter: SearchedParameter, trials: Sequence[TrialState]) -> list[Any]:
    values = [trial.params[parameter.name] for trial in trials]
    if not parameter.choices:
        return list(values)
    spread = random.Random(0)
    num = len(parameter.choices)
    return [num * parameter.position(value) - 0.5 + spread.uniform(-JITTER, JITTER) for value in values]


def _scale(parameter: SearchedParameter) -> dict[str, Any]:
    if parameter.choices:
        return {
            "tickvals": list(range(len(parameter.choices))),
            "ticktext": [hover(wording.value(choice)) for choice in parameter.choices],
            "range": [-0.5, len(parameter.choices) - 0.5],
            "showgrid": False,
            # Plotly would slant them, and leave out those that reach past the plot's edge.
            **({"tickangle": -90} if _is_crowded(parameter) else {}),
        }
    return _decades(parameter) if parameter.log else {}


def _is_crowded(parameter: SearchedParameter) -> bool:
    """Whether the names of the choices have no room side by side."""
    return len(parameter.choices) * (_longest(parameter) + 1) > ROW_LETTERS


def _longest(parameter: SearchedParameter) -> int:
    return max((len(wording.value(choice)) for choice in parameter.choices), default=0)


def _decades(parameter: SearchedParameter) -> dict[str, Any]:
    """A logarithmic axis with a tick at each power of ten, where there are two of them."""
    low, high = math.log10(float(parameter.low or 1)), math.log10(float(parameter.high or 1))
    ticks = [10.0**decade for decade in range(math.ceil(low), math.floor(high) + 1)]
    shown = {"tickvals": ticks, "ticktext": [wording.value(tick) for tick in ticks]} if len(ticks) > 1 else {}
    return {"type": "log", **shown}


def importance_figure(content: PageContent) -> Figure | None:
    """How much each parameter decides who is among the best; None where that is not known."""
    ranked = sorted(content.importance.items(), key=lambda item: item[1])
    if not ranked:
        return None
    return Figure(
        name="importance",
        label="Importance of each parameter, the largest first.",
        traces=[
            {
                "type": "bar",
                "orientation": "h",
                "x": [share for _, share in ranked],
                "y": [hover(name) for name, _ in ranked],
                "marker": {"color": "$completed"},
                "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
            }
        ],
        layout={"xaxis": axis("Share of all importance", rangemode="tozero"), "yaxis": axis("Parameter", showgrid=False)},
        height_px=80 + 26 * len(ranked),
    )
