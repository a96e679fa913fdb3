"""What the parameters did: one plot for each, all of them together, and how much each explains."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from hpsearch.config import ParamValue
from hpsearch.report import wording
from hpsearch.report.facts import SearchedParameter
from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Figure, Trace, axis, hover, ramp
from hpsearch.report.page.trial_marks import BEST_WIDTH, points, rung_label
from hpsearch.report.summary import usable
from hpsearch.search.types import TrialState

JITTER = 0.22
"""Half the width of a category's strip, of the distance between categories."""

ABSENT = -0.16
"""Where a parameter that a trial does not have lies on its axis from 0 to 1."""

AXIS_PX = 104
"""Room for one axis of the parallel coordinates."""


def effect_figures(content: PageContent) -> list[Figure]:
    """The objective by each searched parameter, the most important first where that is known."""
    order = sorted(content.searched.values(), key=lambda one: -content.importance.get(one.name, 0.0))
    figures = [_effect(content, parameter, index) for index, parameter in enumerate(order)]
    return [figure for figure in figures if figure.traces]


def _effect(content: PageContent, parameter: SearchedParameter, index: int) -> Figure:
    having = [trial for trial in usable(content.study.trials) if parameter.name in trial.params]
    x = dict(zip((trial.number for trial in having), _positions(parameter, having), strict=True))
    traces = [
        points(
            content,
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
        traces.append(points(content, [best], [x[best.number]], [best.value], name="best", showlegend=False, marker=ring))
    return Figure(
        name=f"effect-{index}",
        label=f"{content.score.title} at the last rung by {parameter.name}, {len(having)} trials.",
        traces=traces,
        layout={"xaxis": axis(parameter.name, **_scale(parameter)), "yaxis": axis(content.score.title)},
        height_px=250,
        places={trial.number: ([x[trial.number]], [trial.value]) for trial in having},
    )


def _positions(parameter: SearchedParameter, trials: Sequence[TrialState]) -> list[Any]:
    values = [trial.params[parameter.name] for trial in trials]
    if not parameter.choices:
        return list(values)
    spread = random.Random(0)
    return [parameter.choices.index(value) + spread.uniform(-JITTER, JITTER) for value in values]


def _scale(parameter: SearchedParameter) -> dict[str, Any]:
    if parameter.choices:
        return {
            "tickvals": list(range(len(parameter.choices))),
            "ticktext": [hover(wording.value(choice)) for choice in parameter.choices],
            "range": [-0.5, len(parameter.choices) - 0.5],
            "showgrid": False,
        }
    return _decades(parameter) if parameter.log else {}


def _decades(parameter: SearchedParameter) -> dict[str, Any]:
    """A logarithmic axis with a tick at each power of ten, where there are two of them."""
    low, high = math.log10(float(parameter.low or 1)), math.log10(float(parameter.high or 1))
    ticks = [10.0**decade for decade in range(math.ceil(low), math.floor(high) + 1)]
    shown = {"tickvals": ticks, "ticktext": [wording.value(tick) for tick in ticks]} if len(ticks) > 1 else {}
    return {"type": "log", **shown}


def parallel_figure(content: PageContent) -> Figure | None:
    """Every trial as a line through all its parameters to the objective; None with fewer than two parameters."""
    parameters = list(content.searched.values())
    trials = sorted(usable(content.study.trials), key=lambda trial: (trial.images, trial.value))
    if len(parameters) < 2 or not trials:
        return None
    lines = {trial.number: _line(content, parameters, trial, trials) for trial in trials}
    columns = list(range(len(parameters) + 1))
    has_absent = any(parameter.name not in trial.params for parameter in parameters for trial in trials)
    return Figure(
        name="parallel",
        label=f"Parallel coordinates of {len(trials)} trials over {len(parameters)} parameters and {content.score.title}.",
        traces=[*_bundles(content, trials, lines), *_best_bundle(content, lines)],
        layout={
            "xaxis": {
                "tickvals": columns,
                "ticktext": [*(_short(one.name) for one in parameters), f"<b>{content.objective}</b>"],
                "range": [-0.5, len(parameters) + 0.5],
                "showgrid": True,
                "gridcolor": "$ink@0.55",
                "side": "top",
                "ticks": "",
                "tickangle": 0,
            },
            "yaxis": {"visible": False, "range": [ABSENT - 0.08 if has_absent else -0.08, 1.08]},
            "annotations": _axis_labels(content, parameters, trials, has_absent=has_absent),
            "legend": {"y": -0.02, "yanchor": "top"},
            "margin": {"t": 40, "b": 30, "l": 14},
        },
        height_px=440,
        min_width_px=AXIS_PX * len(columns),
        places={number: (list(columns), line) for number, line in lines.items()},
        places_mode="lines+markers",
    )


def _line(
    content: PageContent, parameters: Sequence[SearchedParameter], trial: TrialState, trials: Sequence[TrialState]
) -> list[float]:
    heights = [
        _height(parameter, trial.params[parameter.name]) if parameter.name in trial.params else ABSENT
        for parameter in parameters
    ]
    low, high = _value_range(trials)
    return [*heights, (trial.values[trial.images] - low) / (high - low)]


def _height(parameter: SearchedParameter, value: ParamValue) -> float:
    if parameter.choices:
        return (parameter.choices.index(value) + 0.5) / len(parameter.choices)
    low, high, at = float(parameter.low or 0), float(parameter.high or 0), float(value)
    if parameter.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low) if high > low else 0.5


def _value_range(trials: Sequence[TrialState]) -> tuple[float, float]:
    values = [trial.values[trial.images] for trial in trials]
    return (min(values), max(values)) if max(values) > min(values) else (min(values) - 0.5, max(values) + 0.5)


def _bundles(content: PageContent, trials: Sequence[TrialState], lines: dict[int, list[float]]) -> list[Trace]:
    bundles = []
    for number in range(1, len(content.rungs) + 1):
        here = [trial for trial in trials if content.rung_number(trial) == number]
        if here:
            width = len(lines[here[0].number])
            bundles.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "x": [*range(width), None] * len(here),
                    "y": [height for trial in here for height in (*lines[trial.number], None)],
                    "customdata": [[trial.number] for trial in here for _ in range(width + 1)],
                    "hovertemplate": "trial %{customdata[0]}<extra></extra>",
                    "name": rung_label(content, number),
                    "line": {
                        "color": f"{ramp(number - 1, len(content.rungs))}@{0.35 + 0.2 * number:.2f}",
                        "width": 0.8 + 0.4 * number,
                    },
                    "marker": {"size": 4, "color": ramp(number - 1, len(content.rungs))},
                }
            )
    return bundles


def _best_bundle(content: PageContent, lines: dict[int, list[float]]) -> list[Trace]:
    if content.best is None or content.best.number not in lines:
        return []
    line = lines[content.best.number]
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": list(range(len(line))),
            "y": line,
            "customdata": [[content.best.number]] * len(line),
            "hovertemplate": "best: trial %{customdata[0]}<extra></extra>",
            "name": f"best trial {content.best.number}",
            "line": {"color": "$ink", "width": BEST_WIDTH},
            "marker": {"size": 7, "color": "$ink"},
        }
    ]


def _axis_labels(
    content: PageContent, parameters: Sequence[SearchedParameter], trials: Sequence[TrialState], *, has_absent: bool
) -> list[dict[str, Any]]:
    labels = []
    for column, parameter in enumerate(parameters):
        if parameter.choices:
            labels += [_label(column, _height(parameter, choice), choice) for choice in parameter.choices]
        else:
            labels += [_label(column, 0, parameter.low, "top"), _label(column, 1, parameter.high, "bottom")]
        if any(parameter.name not in trial.params for trial in trials):
            labels.append(_label(column, ABSENT, "absent"))
    low, high = _value_range(trials)
    column = len(parameters)
    return [*labels, _label(column, 0, f"{low:.3f}", "top"), _label(column, 1, f"{high:.3f}", "bottom")]


def _label(column: int, height: float, text: object, anchor: str = "middle") -> dict[str, Any]:
    return {
        "x": column,
        "y": height,
        "text": hover(wording.value(text)),
        "showarrow": False,
        "xanchor": "left",
        "xshift": 6,
        "yanchor": anchor,
        "font": {"size": 11, "color": "$muted"},
        "bgcolor": "$paper@0.75",
    }


def _short(name: str) -> str:
    """`augment.jpeg.p` on two lines."""
    head, dot, last = name.rpartition(".")
    return hover(f"{head}{dot}", last) if len(name) > 12 and dot else hover(name)


def importance_figure(content: PageContent) -> Figure | None:
    """How much of the variation of the objective each parameter explains; None where that is not known."""
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
        layout={"xaxis": axis("Share of the explained variation", rangemode="tozero"), "yaxis": {"showgrid": False}},
        height_px=80 + 26 * len(ranked),
    )
