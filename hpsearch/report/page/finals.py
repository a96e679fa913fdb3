"""What the finals say: finalists trained again with fresh seeds, robustness to degradations, groups of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Figure, Trace, axis, hover

CHANCE = 0.5
LONGEST_NAME = 28
MAX_GROUPS = 20
"""The worst groups are drawn; a data set may have thousands."""

UNITS = {
    "none": "as they are",
    "jpeg": "JPEG, quality {}",
    "blur": "Gaussian blur, σ = {} px",
    "noise": "Gaussian noise, σ = {}/255",
    "resize": "reduced to {} × the side and enlarged again",
}
"""Kind of degradation → how it is written in full."""


def told(content: PageContent, key: str) -> Any:
    """What `result.json` says under a key that not every run has; None where it is absent."""
    return cast("Mapping[str, Any]", content.result or {}).get(key)


def finalists_figure(content: PageContent) -> Figure | None:
    """Each finalist's score in the search beside those of its fresh trainings; None where nothing was confirmed."""
    confirmation = told(content, "confirmation")
    trained = [one for one in confirmation["finalists"] if one["values"]] if confirmation else []
    if not trained:
        return None
    rows = [f"trial {one['trial']}" for one in trained]
    fresh = [(row, value) for row, one in zip(rows, trained, strict=True) for value in one["values"]]
    means = [(row, one["mean"]) for row, one in zip(rows, trained, strict=True) if one["mean"] is not None]
    searched = [(row, one["first_score"]) for row, one in zip(rows, trained, strict=True) if one["first_score"] is not None]
    circle = {"color": "$completed@0.6", "size": 9}
    tick = {"color": "$completed", "symbol": "line-ns", "size": 22, "line": {"width": 3, "color": "$completed"}}
    diamond = {"color": "$accent", "symbol": "diamond-open", "size": 11, "line": {"width": 2}}
    return Figure(
        name="finalists",
        label=f"Scores of {len(trained)} finalists in the search and in fresh trainings.",
        traces=[
            _marks("fresh training", fresh, circle),
            _marks("mean of fresh trainings", means, tick),
            _marks("in the search", searched, diamond),
        ],
        layout={
            "xaxis": axis(content.score.title),
            "yaxis": axis("Finalist", autorange="reversed", showgrid=True, categoryorder="array", categoryarray=rows),
            "showlegend": True,
        },
        height_px=130 + 38 * len(trained),
    )


def _marks(name: str, points: list[tuple[str, float]], marker: dict[str, Any]) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [value for _, value in points],
        "y": [row for row, _ in points],
        "marker": marker,
        "hovertemplate": f"%{{y}}, {name}: %{{x:.4f}}<extra></extra>",
    }


def robustness_figure(content: PageContent) -> Figure | None:
    """AUC under each degradation, beside that of the images as they are; None where it was not measured."""
    robustness = told(content, "robustness")
    scores: dict[str, float] = dict(robustness["auc"]) if robustness else {}
    untouched = scores.pop("none", None)
    if not scores:
        return None
    line = {"type": "line", "x0": untouched, "x1": untouched, "y0": 0, "y1": 1, "yref": "paper"}
    shapes = [] if untouched is None else [{**line, "line": {"color": "$ink", "width": 1.5, "dash": "dot"}}]
    rows = {_with_unit(name): auc for name, auc in scores.items()}
    return _bars("robustness", "Degradation", "AUC of degraded validation images.", rows, {"shapes": shapes})


def robustness_rows(content: PageContent) -> list[tuple[str, float, float | None]]:
    """Each degradation with its unit, the AUC under it, and how much that is more than of the images as they are."""
    robustness = told(content, "robustness")
    scores: dict[str, float] = dict(robustness["auc"]) if robustness else {}
    untouched = scores.get("none")
    return [(_with_unit(name), auc, None if untouched is None else auc - untouched) for name, auc in scores.items()]


def _with_unit(degradation: str) -> str:
    kind, _, amount = degradation.partition(" ")
    return UNITS[kind].format(amount) if kind in UNITS else degradation


def groups_figure(content: PageContent) -> Figure | None:
    """AUC of the worst groups; None where the data has none."""
    groups = told(content, "groups")
    worst = dict(sorted(groups.items(), key=lambda item: item[1])[:MAX_GROUPS]) if groups else {}
    return _bars("groups", "Group", "AUC of each group of validation images, the worst first.", worst, {}) if worst else None


def _bars(name: str, what: str, label: str, scores: Mapping[str, float], more: dict[str, Any]) -> Figure:
    names = [row if len(row) <= LONGEST_NAME else f"{row[: LONGEST_NAME - 1]}…" for row in scores]
    values = list(scores.values())
    low = max(0.0, min([*values, CHANCE]) - 0.02)
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": list(range(len(names))),
        # From the left also below chance: the number of a short bar stands right of it, where there is room.
        "base": [min(value, CHANCE) for value in values],
        "x": [abs(value - CHANCE) for value in values],
        "customdata": [hover(name, f"{value:.4f}") for name, value in zip(scores, values, strict=True)],
        "marker": {"color": ["$completed" if value >= CHANCE else "$failed" for value in values]},
        "text": [f"{value:.4f}" for value in values],
        "textposition": "auto",
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    return Figure(
        name=name,
        label=label,
        traces=[trace],
        layout={
            "xaxis": axis("AUC (0.5 is chance)", range=[low, 1.0]),
            "yaxis": axis(
                what,
                autorange="reversed",
                showgrid=False,
                tickvals=list(range(len(names))),
                ticktext=[hover(name) for name in names],
            ),
            "showlegend": False,
            **more,
        },
        height_px=90 + 28 * len(names),
    )
