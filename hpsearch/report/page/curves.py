"""Learning curves of all trials, coloured by how they stand; the best one and its retraining on top."""

from __future__ import annotations

from typing import Any

from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Figure, Trace, axis, opacity
from hpsearch.report.page.trial_marks import BEST_WIDTH, STATES, marked
from hpsearch.report.summary import state_of
from hpsearch.search.types import TrialState

AT_RUNG = "%{y:.4f} at %{x:,} images<br>%{customdata[1]}<extra></extra>"
"""Tooltip of a point of a curve."""


def curves_figure(content: PageContent) -> Figure:
    """The objective of every trial by images seen."""
    scored = [trial for trial in content.study.trials.values() if trial.values]
    by_state = {state: [trial for trial in scored if state_of(trial) == state] for state in STATES}
    return Figure(
        name="curves",
        label=f"Learning curves of {len(scored)} trials: {content.score.title} by images seen, coloured by outcome.",
        traces=[
            *(_bundle(state, trials) for state, trials in by_state.items() if trials),
            *_emphasised(content.best, f"best trial {content.best.number}" if content.best else "", "$ink", "solid"),
            *_emphasised(content.retraining, "retrained", "$accent", "dash"),
        ],
        layout={
            "xaxis": axis("Images seen (logarithmic)", type="log", **_rung_ticks(content)),
            "yaxis": axis(content.score.title),
        },
        height_px=400,
        places={trial.number: _points(trial) for trial in scored},
        places_mode="lines+markers",
    )


def _bundle(state: str, trials: list[TrialState]) -> Trace:
    x: list[int | None] = []
    y: list[float | None] = []
    numbers: list[int | None] = []
    for trial in trials:
        images, values = _points(trial)
        x += [*images, None]
        y += [*values, None]
        numbers += [*([trial.number] * len(images)), None]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": x,
        "y": y,
        **marked(numbers, AT_RUNG),
        "name": f"{state} ({len(trials)})",
        "line": {"color": f"${state}@{opacity(len(trials), 0.6)}", "width": 1.3},
        "marker": {"color": f"${state}", "size": 5},
    }


def _emphasised(trial: TrialState | None, name: str, colour: str, dash: str) -> list[Trace]:
    if trial is None or not trial.values:
        return []
    images, values = _points(trial)
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": images,
        "y": values,
        **marked([trial.number] * len(images), f"<b>{name}</b>: {AT_RUNG}"),
        "name": name,
        "line": {"color": colour, "width": BEST_WIDTH, "dash": dash},
        "marker": {"color": colour, "size": 8},
    }
    return [trace]


def _points(trial: TrialState) -> tuple[list[int], list[float]]:
    images = sorted(trial.values)
    return images, [trial.values[at] for at in images]


def _rung_ticks(content: PageContent) -> dict[str, Any]:
    return {"tickvals": list(content.rungs), "ticktext": [f"{images:,}" for images in content.rungs]}
