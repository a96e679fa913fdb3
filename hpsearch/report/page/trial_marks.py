"""How one trial is drawn and described wherever it appears: its colour, its symbol, its tooltip."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from hpsearch.report import wording
from hpsearch.report.page.content import PageContent
from hpsearch.report.page.figure import Trace, as_json, hover
from hpsearch.report.summary import state_of
from hpsearch.search.types import TrialState

STATES = ("paused", "waiting", "running", "diverged", "infeasible", "failed", "completed")
"""Every state, in the order in which curves lie over each other."""

BEST_WIDTH = 3.2


TRIALS_TRACE = "trials"
"""Plotly's `meta` of a trace whose `customdata` are numbers of trials; the page's script adds their notes."""


def notes_of_trials(content: PageContent) -> Markup:
    """JSON for a script element: what a tooltip says of each trial, kept once for all plots."""
    return as_json({trial.number: note(content, trial) for trial in content.study.trials.values()})


def note(content: PageContent, trial: TrialState) -> str:
    """What is said of a trial: how it stands, its last value, its parameters, what went wrong."""
    value = f"{content.score.title} {trial.value:.4f} at {trial.images:,} images" if trial.values else "no rung reached"
    params = [f"{name} {wording.value(trial.params[name])}" for name in content.searched if name in trial.params]
    folded = [", ".join(params[start : start + 3]) for start in range(0, len(params), 3)]
    return hover(f"trial {trial.number}, {state_of(trial)}", value, *folded, wording.printable(trial.message)[:200])


def marked(numbers: Sequence[int | None], hovertemplate: str = "%{customdata[1]}<extra></extra>") -> Trace:
    """What a trace needs so that its points tell of trials `numbers`, one for each point."""
    return {"meta": TRIALS_TRACE, "customdata": list(numbers), "hovertemplate": hovertemplate}


def points(trials: Sequence[TrialState], x: Sequence[object], y: Sequence[object], **more: object) -> Trace:
    """Markers, one for each trial; a click on one selects it."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        **marked([trial.number for trial in trials]),
        **more,
    }


def rung_label(content: PageContent, number: int) -> str:
    """`rung 2 · 6,000 images`; 0 is no rung."""
    return f"rung {number} · {content.rungs[number - 1]:,} images" if number else "no rung"
