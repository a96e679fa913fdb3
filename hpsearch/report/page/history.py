"""The course of the search: what each trial reached, in order, and how the best so far rose."""

from __future__ import annotations

from typing import Any

from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Figure, Trace, axis, ramp
from hpsearch.report.page.trial_marks import points, rung_label
from hpsearch.search.types import UNUSABLE, TrialState


def history_figure(content: PageContent) -> Figure:
    """Every trial's value at its last rung by number; those without a value on a line of their own at the bottom."""
    trials = list(content.study.trials.values())
    scored = [trial for trial in trials if trial.values]
    floor = _floor(scored)
    places = {
        trial.number: ([trial.number], [trial.value if trial.values else floor])
        for trial in trials
        if trial.values or trial.ended_badly
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
        here = [trial for trial in scored if content.rung_number(trial) == number and not trial.ended_badly]
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
            traces.append(points(here, x, y, name=rung_label(content, number), marker=marker))
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
            traces.append(points(here, [trial.number for trial in here], y, name=outcome.value, marker=marker))
    return traces


def _best_line(content: PageContent) -> Trace:
    steps = content.summary.best_so_far
    ends = [content.summary.num_trials - 1] if steps else []
    x = [step.num_trials - 1 for step in steps] + ends
    y = [step.value for step in (*steps, *steps[-1:])]
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
