"""All parameters together: every trial as a line through its parameters to its objective.

Drawn with ordinary lines rather than Plotly's own parallel coordinates, which need WebGL and have no place for a parameter
that a trial does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpsearch.report import wording
from hpsearch.report.facts import SearchedParameter
from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Figure, Trace, axis, hover, opacity, ramp
from hpsearch.report.page.parameter_titles import column_title
from hpsearch.report.page.trial_marks import BEST_WIDTH, marked, rung_label
from hpsearch.search.types import TrialState

ABSENT = -0.16
"""Where a parameter that a trial does not have lies on its axis from 0 to 1."""

AXIS_PX = 104
"""Room for one axis."""


def parallel_figure(content: PageContent) -> Figure | None:
    """Every trial as a line through all its parameters to the objective; None with fewer than two parameters."""
    parameters = list(content.searched.values())
    trials = sorted(content.study.usable(), key=lambda trial: (trial.images, trial.value))
    if len(parameters) < 2 or not trials:
        return None
    value_range = _value_range(trials)
    lines = {trial.number: _line(value_range, parameters, trial) for trial in trials}
    columns = list(range(len(parameters) + 1))
    has_absent = any(parameter.name not in trial.params for parameter in parameters for trial in trials)
    objective = "<br>".join(content.score.title.split())
    return Figure(
        name="parallel",
        label=f"Parallel coordinates of {len(trials)} trials over {len(parameters)} parameters and {content.score.title}.",
        traces=[*_bundles(content, trials, lines), *_best_bundle(content, lines)],
        layout={
            "xaxis": axis(
                "Parameter, and the objective at the right",
                tickvals=columns,
                ticktext=[*(hover(*column_title(one.name)) for one in parameters), f"<b>{objective}</b>"],
                range=[-0.5, len(parameters) + 0.5],
                showgrid=True,
                gridcolor="$ink@0.55",
                side="top",
                ticks="",
                tickangle=0,
            ),
            "yaxis": {"visible": False, "range": [ABSENT - 0.08 if has_absent else -0.08, 1.08]},
            "annotations": _axis_labels(value_range, parameters, trials),
            "legend": {"y": -0.02, "yanchor": "top"},
            "margin": {"t": 40, "b": 30, "l": 14},
        },
        height_px=440,
        min_width_px=AXIS_PX * len(columns),
        places={number: (list(columns), line) for number, line in lines.items()},
        places_mode="lines+markers",
    )


def _line(value_range: tuple[float, float], parameters: Sequence[SearchedParameter], trial: TrialState) -> list[float]:
    low, high = value_range
    heights = [one.position(trial.params[one.name]) if one.name in trial.params else ABSENT for one in parameters]
    return [*heights, (trial.values[trial.images] - low) / (high - low)]


def _value_range(trials: Sequence[TrialState]) -> tuple[float, float]:
    values = [trial.values[trial.images] for trial in trials]
    return (min(values), max(values)) if max(values) > min(values) else (min(values) - 0.5, max(values) + 0.5)


def _bundles(content: PageContent, trials: Sequence[TrialState], lines: dict[int, list[float]]) -> list[Trace]:
    bundles = []
    for number in range(1, len(content.rungs) + 1):
        here = [trial for trial in trials if content.rung_number(trial) == number]
        if here:
            colour = ramp(number - 1, len(content.rungs))
            width = len(lines[here[0].number])
            bundles.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "x": [*range(width), None] * len(here),
                    "y": [height for trial in here for height in (*lines[trial.number], None)],
                    **marked([trial.number for trial in here for _ in range(width + 1)]),
                    "name": rung_label(content, number),
                    "line": {"color": f"{colour}@{opacity(len(here), 0.35 + 0.2 * number)}", "width": 0.8 + 0.4 * number},
                    "marker": {"size": 4, "color": colour},
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
            **marked([content.best.number] * len(line)),
            "name": f"best trial {content.best.number}",
            "line": {"color": "$ink", "width": BEST_WIDTH},
            "marker": {"size": 7, "color": "$ink"},
        }
    ]


def _axis_labels(
    value_range: tuple[float, float], parameters: Sequence[SearchedParameter], trials: Sequence[TrialState]
) -> list[dict[str, Any]]:
    labels = []
    for column, parameter in enumerate(parameters):
        if parameter.choices:
            labels += [_label(column, parameter.position(choice), choice) for choice in parameter.choices]
        else:
            labels += [_label(column, 0, parameter.low, "top"), _label(column, 1, parameter.high, "bottom")]
        if any(parameter.name not in trial.params for trial in trials):
            labels.append(_label(column, ABSENT, "absent"))
    worst, best = (f"{value:.3f}" for value in value_range)
    return [*labels, _label(len(parameters), 0, worst, "top"), _label(len(parameters), 1, best, "bottom")]


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
