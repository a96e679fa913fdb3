"""How one trial is drawn and described wherever it appears: its colour, its symbol, its tooltip."""

from __future__ import annotations

from collections.abc import Sequence

from hpsearch.report import wording
from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Trace, hover
from hpsearch.report.summary import state_of
from hpsearch.search.types import TrialState

STATES = ("paused", "waiting", "running", "diverged", "infeasible", "failed", "completed")
"""Every state, in the order in which curves lie over each other."""

BEST_WIDTH = 3.2


def tooltip(content: PageContent, trial: TrialState, *, images: int | None = None) -> str:
    """What is said of a trial, at one of its rungs or at its last one."""
    at = trial.images if images is None else images
    value = f"{content.score.title} {trial.values[at]:.4f} at {at:,} images" if at in trial.values else "no rung reached"
    params = [f"{name} {wording.value(trial.params[name])}" for name in content.searched if name in trial.params]
    folded = [", ".join(params[start : start + 3]) for start in range(0, len(params), 3)]
    return hover(f"trial {trial.number}, {state_of(trial)}", value, *folded, wording.printable(trial.message)[:200])


def points(
    content: PageContent, trials: Sequence[TrialState], x: Sequence[object], y: Sequence[object], **more: object
) -> Trace:
    """Markers, one for each trial; a click on one selects it."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "customdata": [[trial.number, tooltip(content, trial)] for trial in trials],
        "hovertemplate": "%{customdata[1]}<extra></extra>",
        **more,
    }


def rung_label(content: PageContent, number: int) -> str:
    """`rung 2 · 6,000 images`; 0 is no rung."""
    return f"rung {number} · {content.rungs[number - 1]:,} images" if number else "no rung"
