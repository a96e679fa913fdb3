"""The best trial's readings by images seen, beside those of its retraining."""

from __future__ import annotations

from typing import Any

from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Figure, Trace, axis
from hpsearch.report.quantities import Quantity, curve, quantity
from hpsearch.search.types import TrialState

SHOWN = ("auc", "train_loss", "tpr_at_fpr.0.01", "lr")


def best_figures(content: PageContent) -> list[Figure]:
    """One small plot for each quantity that was reported."""
    keys = dict.fromkeys([content.objective, *SHOWN])
    figures = [_figure(content, quantity(key)) for key in keys]
    return [figure for figure in figures if figure.traces]


def _figure(content: PageContent, shown: Quantity) -> Figure:
    traces = [
        *_trace(content, content.best, shown, "in the search", "$ink", "solid"),
        *_trace(content, content.retraining, shown, "retrained", "$accent", "dash"),
    ]
    return Figure(
        name=f"best-{shown.key.replace('.', '-')}",
        label=f"{shown.title} of the best configuration by images seen.",
        traces=traces,
        layout={
            "xaxis": axis("Images seen", rangemode="tozero"),
            "yaxis": axis(shown.label, exponentformat="power"),
            "showlegend": True,
        },
        height_px=260,
    )


def _trace(content: PageContent, trial: TrialState | None, shown: Quantity, name: str, colour: str, dash: str) -> list[Trace]:
    images, values = curve(trial, shown.key, content.objective) if trial is not None else ([], [])
    if not images:
        return []
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": images,
        "y": values,
        "name": name,
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"color": colour, "size": 6},
        "hovertemplate": f"%{{x:,}} images<br>%{{y:.4g}}<extra>{name}</extra>",
    }
    return [trace]
