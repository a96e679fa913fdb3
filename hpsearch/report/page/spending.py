"""Where the training time went: by rung, by backbone, by how the trial ended, and how much of it in vain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Figure, axis, hover
from hpsearch.report.page.trial_marks import STATES
from hpsearch.report.summary import state_of
from hpsearch.search.fold import Study
from hpsearch.search.types import TrialState

IN_VAIN = "in vain"
Spent = dict[tuple[str, str], tuple[float, int]]
"""(row, state of the trial) → seconds and images."""


def spending_figures(content: PageContent) -> list[Figure]:
    """Stacked bars of training minutes by rung, and by backbone where several were tried."""
    by_rung = _rows(content, lambda trial, rung: f"rung {rung}")
    figures = [_bars("spent-rung", "rung", by_rung, [f"rung {n}" for n in range(len(content.rungs), 0, -1)])]
    by_backbone = _rows(content, lambda trial, rung: str(trial.params.get("backbone", "")))
    backbones = sorted({row for row, _ in by_backbone} - {""})
    if len(backbones) > 1:
        figures.append(_bars("spent-backbone", "backbone", by_backbone, backbones))
    return [figure for figure in figures if figure.traces]


def seconds_by_use(study: Study) -> dict[str, float]:
    """Training seconds of all slots by what came of them: a state of trials that may still be chosen, or `in vain`."""
    seconds: dict[str, float] = defaultdict(float)
    for trial in study.trials.values():
        seconds[IN_VAIN if trial.ended_badly else state_of(trial)] += sum(trial.seconds.values())
        seconds[IN_VAIN] += sum(trial.vain_seconds.values())
    return dict(seconds)


def spending_sentence(content: PageContent) -> str:
    """What came of the training time."""
    seconds = seconds_by_use(content.study)
    total = sum(seconds.values())
    if not total:
        return "No training time has been journaled yet."
    shares = {use: _share(spent, total) for use, spent in seconds.items()}
    unfinished = seconds.get("running", 0.0) + seconds.get("waiting", 0.0)
    going_on = f", {_share(unfinished, total)} into trials that run or wait for a slot" if unfinished else ""
    return (
        f"{shares.get('completed', '0 %')} of the search's training time went into trials that reached the full budget, "
        f"{shares.get('paused', '0 %')} into trials that were stopped early{going_on}; {shares[IN_VAIN]} was in vain: "
        "trials that ended badly, and pieces that were lost or stopped before a rung."
    )


def _rows(content: PageContent, row_of: Callable[[TrialState, int], str]) -> Spent:
    spent: dict[tuple[str, str], tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for trial in content.study.trials.values():
        for rung, seconds, images in _pieces(trial, content.rungs):
            key = (row_of(trial, rung), state_of(trial))
            spent[key] = (spent[key][0] + seconds, spent[key][1] + images)
    return spent


def _pieces(trial: TrialState, rungs: Sequence[int]) -> Iterator[tuple[int, float, int]]:
    """Rung from 1, seconds on the way there, and images, where it was reached."""
    previous = 0
    for rung, images in enumerate(rungs, start=1):
        seconds = trial.seconds.get(images, 0.0) + trial.vain_seconds.get(previous, 0.0)
        if images not in trial.values:
            yield rung, seconds, 0
            return
        yield rung, seconds, images - previous
        previous = images


def _bars(name: str, what: str, spent: Spent, rows: list[str]) -> Figure:
    traces = []
    for state in reversed(STATES):
        cells = [spent.get((row, state), (0.0, 0)) for row in rows]
        if any(seconds for seconds, _ in cells):
            traces.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": state,
                    "x": [seconds / 60 for seconds, _ in cells],
                    "y": [hover(row) for row in rows],
                    "marker": {"color": f"${state}"},
                    "customdata": [
                        hover(f"{row}, {state}", f"{seconds / 60:.1f} min", f"{images:,} images")
                        for row, (seconds, images) in zip(rows, cells, strict=True)
                    ],
                    "hovertemplate": "%{customdata}<extra></extra>",
                }
            )
    return Figure(
        name=name,
        label=f"Training minutes by {what} and outcome of the trial.",
        traces=traces,
        layout={
            "barmode": "stack",
            "xaxis": axis(f"Training time by {what} (minutes)"),
            "yaxis": axis(what.capitalize(), showgrid=False),
            "legend": {"traceorder": "normal"},
        },
        height_px=130 + 34 * len(rows),
    )


def _share(part: float, total: float) -> str:
    return f"{100 * part / total:.0f} %"
