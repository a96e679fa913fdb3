"""The course of the search: what each trial reached, in order, and how the best so far rose."""

from __future__ import annotations

from typing import Any

from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Figure, Trace, axis, ramp
from hpsearch.report.page.trial_marks import BEST_WIDTH, STATES, points, rung_label, tooltip
from hpsearch.report.summary import UNUSABLE, state_of
from hpsearch.search.types import TrialState


def history_figure(content: PageContent) -> Figure:
    """Every trial's value at its last rung by number; those without a value on a line of their own at the bottom."""
    trials = list(content.study.trials.values())
    scored = [trial for trial in trials if trial.values]
    floor = _floor(scored)
    places = {
        trial.number: ([trial.number], [trial.value if trial.values else floor])
        for trial in trials
        if trial.values or trial.outcome in UNUSABLE
    }
    return Figure(
        name="history",
        label=f"{content.score.title} of {len(scored)} trials in order of suggestion, with the best so far as a line.",
        traces=[_best_line(content), *_scored(content, scored), *_ended_badly(content, trials, floor)],
        layout={
            "xaxis": axis("Trial, in order of suggestion", range=[-0.02 * len(trials) - 0.5, 1.02 * len(trials) - 0.5]),
            "yaxis": axis(f"{content.score.title} at the last rung"),
        },
        height_px=400,
        places=places,
    )


def _scored(content: PageContent, scored: list[TrialState]) -> list[Trace]:
    traces = []
    for number, _ in enumerate(content.rungs, start=1):
        here = [trial for trial in scored if content.rung_number(trial) == number and trial.outcome not in UNUSABLE]
        if here:
            here.sort(key=lambda trial: trial.origin == "start")  # the legend shows the first one's symbol
            symbols = ["diamond" if trial.origin == "start" else "circle" for trial in here]
            marker = {
                "color": ramp(number - 1, len(content.rungs)),
                "size": 6 + 2 * number,
                "symbol": symbols,
                "line": {"width": 1, "color": "$paper"},
            }
            x, y = [trial.number for trial in here], [trial.value for trial in here]
            traces.append(points(content, here, x, y, name=rung_label(content, number), marker=marker))
    return traces


def _ended_badly(content: PageContent, trials: list[TrialState], floor: float) -> list[Trace]:
    traces = []
    for outcome in sorted(UNUSABLE):
        here = [trial for trial in trials if trial.outcome is outcome]
        if here:
            y: list[Any] = [trial.value if trial.values else floor for trial in here]
            marker = {
                "color": f"${outcome.value}",
                "symbol": "x-thin",
                "size": 8,
                "line": {"width": 2.4, "color": f"${outcome.value}"},
            }
            traces.append(points(content, here, [trial.number for trial in here], y, name=outcome.value, marker=marker))
    return traces


def _best_line(content: PageContent) -> Trace:
    steps = content.summary.best_so_far
    end = [(content.summary.num_trials - 1, steps[-1][1])] if steps else []
    x, y = [number for number, _ in (*steps, *end)], [value for _, value in (*steps, *end)]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "name": "best so far",
        "line": {"shape": "hv", "color": "$ink", "width": 1.6},
        "hoverinfo": "skip",
    }


def _floor(scored: list[TrialState]) -> float:
    values = [trial.values[trial.images] for trial in scored]
    if not values:
        return 0.5
    return min(values) - max(0.05 * (max(values) - min(values)), 0.005)


def curves_figure(content: PageContent) -> Figure:
    """The objective of every trial by images seen, coloured by how it stands; the best one and its retraining on top."""
    scored = [trial for trial in content.study.trials.values() if trial.values]
    return Figure(
        name="curves",
        label=f"Learning curves of {len(scored)} trials: {content.score.title} by images seen, coloured by outcome.",
        traces=[*_curves_by_state(content, scored), *_emphasised(content)],
        layout={
            "xaxis": axis("Images seen (logarithmic)", type="log", **_rung_ticks(content)),
            "yaxis": axis(content.score.title),
        },
        height_px=400,
        places={trial.number: (sorted(trial.values), [trial.values[at] for at in sorted(trial.values)]) for trial in scored},
        places_mode="lines+markers",
    )


def _curves_by_state(content: PageContent, scored: list[TrialState]) -> list[Trace]:
    traces = []
    for state in STATES:
        here = [trial for trial in scored if state_of(trial) == state]
        if not here:
            continue
        x: list[Any] = []
        y: list[Any] = []
        notes: list[Any] = []
        for trial in here:
            for images in sorted(trial.values):
                x.append(images)
                y.append(trial.values[images])
                notes.append([trial.number, tooltip(content, trial, images=images)])
            x, y, notes = [*x, None], [*y, None], [*notes, [None, ""]]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": x,
                "y": y,
                "customdata": notes,
                "hovertemplate": "%{customdata[1]}<extra></extra>",
                "name": f"{state} ({len(here)})",
                "line": {"color": f"${state}@0.55", "width": 1.3},
                "marker": {"color": f"${state}", "size": 5},
            }
        )
    return traces


def _emphasised(content: PageContent) -> list[Trace]:
    traces = []
    for trial, name, colour, dash in (
        (content.best, "best trial", "$ink", "solid"),
        (content.retraining, "retrained", "$accent", "dash"),
    ):
        if trial is not None and trial.values:
            images = sorted(trial.values)
            label = f"{name} {trial.number}" if name == "best trial" else name
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "x": images,
                    "y": [trial.values[at] for at in images],
                    "name": label,
                    "line": {"color": colour, "width": BEST_WIDTH, "dash": dash},
                    "marker": {"color": colour, "size": 8},
                    "customdata": [
                        [content.best.number if content.best else None, tooltip(content, trial, images=at)] for at in images
                    ],
                    "hovertemplate": f"<b>{name}</b><br>%{{customdata[1]}}<extra></extra>",
                }
            )
    return traces


def _rung_ticks(content: PageContent) -> dict[str, Any]:
    return {"tickvals": list(content.rungs), "ticktext": [f"{images:,}" for images in content.rungs]}
