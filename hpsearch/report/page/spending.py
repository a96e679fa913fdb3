"""Where the training time went: by rung, by backbone, by how the trial ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Figure, axis, hover
from hpsearch.report.page.trial_marks import STATES
from hpsearch.report.summary import UNUSABLE, state_of
from hpsearch.search.types import TrialState

Spent = dict[tuple[str, str], tuple[float, int]]
"""(row, state of the trial) → seconds and images."""


def spending_figures(content: PageContent) -> list[Figure]:
    """Stacked bars of training minutes by rung, and by backbone where several were tried."""
    by_rung = _rows(content, lambda trial, rung: f"rung {rung}")
    figures = [_bars("spent-rung", "by rung", by_rung, [f"rung {n}" for n in range(len(content.rungs), 0, -1)])]
    by_backbone = _rows(content, lambda trial, rung: str(trial.params.get("backbone", "")))
    backbones = sorted({row for row, _ in by_backbone} - {""})
    if len(backbones) > 1:
        figures.append(_bars("spent-backbone", "by backbone", by_backbone, backbones))
    return [figure for figure in figures if figure.traces]


def spending_sentence(content: PageContent) -> str:
    """How much of the training went into trials that reached the top, and how much was lost."""
    seconds: dict[str, float] = defaultdict(float)
    for trial in content.study.trials.values():
        seconds[state_of(trial)] += sum(trial.seconds.values())
    total = sum(seconds.values())
    if not total:
        return "No training time has been journaled yet."
    lost = sum(seconds[outcome.value] for outcome in UNUSABLE)
    return (
        f"{_share(seconds['completed'], total)} of the search's training time went into trials that reached the full budget, "
        f"{_share(seconds['paused'], total)} into trials that were stopped early, "
        f"{_share(lost, total)} into trials that ended badly."
    )


def _rows(content: PageContent, row_of: Callable[[TrialState, int], str]) -> Spent:
    spent: dict[tuple[str, str], tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for trial in content.study.trials.values():
        for rung, (seconds, images) in enumerate(_pieces(trial), start=1):
            key = (row_of(trial, rung), state_of(trial))
            spent[key] = (spent[key][0] + seconds, spent[key][1] + images)
    return spent


def _pieces(trial: TrialState) -> Iterator[tuple[float, int]]:
    previous = 0
    for images in sorted(trial.values):
        yield trial.seconds.get(images, 0.0), images - previous
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
        label=f"Training minutes {what} and outcome of the trial.",
        traces=traces,
        layout={
            "barmode": "stack",
            "xaxis": axis(f"Training time {what} (minutes)"),
            "yaxis": {"showgrid": False},
            "legend": {"traceorder": "normal"},
        },
        height_px=130 + 34 * len(rows),
    )


def _share(part: float, total: float) -> str:
    return f"{100 * part / total:.0f} %"
