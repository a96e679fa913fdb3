"""A study in a few numbers: what the live display, `status` and the page all say of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpsearch.search.fold import BestStep, Study
from hpsearch.search.types import Outcome, TrialState

MIN_TRIALS_FOR_CORRELATION = 8
"""Below this a rank correlation says nothing: at n = 8 its standard error is already 0.38."""

WEAK_CORRELATION = 0.5
"""Where even the upper end of the 95 % interval is below this, the order at one rung says little about another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RungSummary:
    """How trials fared at one rung."""

    images: int
    """Images seen at it."""
    num_reached: int
    """Trials with a value here."""
    num_promoted: int
    """Of them, trials that went on."""
    best: float | None
    """Largest value here."""
    median: float | None
    """Middle value here."""
    correlation: float | None
    """Spearman's rank correlation with the top rung, over trials that reached both; None: too few, or the top rung itself."""
    num_compared: int
    """Trials that reached both this rung and the top one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudySummary:
    """A study at one moment; holds no reference to what goes on changing, except the best trial."""

    counts: Mapping[str, int]
    """Trials by state: `running`, then each outcome that occurs."""
    rungs: tuple[RungSummary, ...]
    """From the first to the top."""
    best: TrialState | None
    """The best trial, see `Study.ranking`."""
    best_so_far: tuple[BestStep, ...]
    """How it became that."""
    num_trials: int
    """Trials suggested."""


def state_of(trial: TrialState) -> str:
    """One word: `running`, an outcome, or `waiting` for a trial whose stretch is still to be handed out."""
    if trial.running:
        return "running"
    return "waiting" if trial.queued or trial.outcome is None else trial.outcome.value


def gpu_hours(study: Study) -> float:
    """GPU share × wall time in hours: of pieces that reached a rung, of those in vain, and of all phases after the search."""
    trials = sum(
        seconds * float(trial.metrics[images].get("gpus", 0.0))
        for trial in study.trials.values()
        for images, seconds in trial.seconds.items()
    )
    return (trials + study.gpu_seconds) / 3600


def summarise(study: Study) -> StudySummary:
    """The numbers of `study` as it stands."""
    states = [state_of(trial) for trial in study.trials.values()]
    order = ["running", "waiting", *(outcome.value for outcome in Outcome)]
    return StudySummary(
        counts={state: states.count(state) for state in order if state in states},
        rungs=tuple(_rung(study, images) for images in study.rungs),
        best=study.best(),
        best_so_far=tuple(study.best_so_far),
        num_trials=len(study.trials),
    )


def _rung(study: Study, images: int) -> RungSummary:
    here = [trial for trial in study.trials.values() if images in trial.values]
    values = [trial.values[images] for trial in here]
    both = [trial for trial in here if study.top in trial.values] if images < study.top else []
    return RungSummary(
        images=images,
        num_reached=len(here),
        num_promoted=len(study.rungs[images].promoted),
        best=max(values, default=None),
        median=statistics.median(values) if values else None,
        correlation=rank_correlation([t.values[images] for t in both], [t.values[study.top] for t in both]),
        num_compared=len(both),
    )


def rank_correlation(first: Sequence[float], last: Sequence[float]) -> float | None:
    """Spearman's ρ; None for fewer than `MIN_TRIALS_FOR_CORRELATION` pairs or where all values are equal."""
    if len(first) < MIN_TRIALS_FOR_CORRELATION or len(set(first)) == 1 or len(set(last)) == 1:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(first, last).statistic)


def correlation_warning(summary: StudySummary) -> str:
    """What to say when the first rung certainly tells little about the top one; empty: nothing to say."""
    first = summary.rungs[0] if summary.rungs else None
    if first is None or first.correlation is None or _upper_end(first.correlation, first.num_compared) >= WEAK_CORRELATION:
        return ""
    return (
        f"The order of trials at the first rung ({first.images:,} images) says little about the order at the top one: "
        f"rank correlation {first.correlation:.2f} over the {first.num_compared} trials that reached both "
        "(they are the best of the first rung, which makes it look weaker). Early stopping may throw good trials away; "
        "give the next study a longer first rung (--set search.first_rung_images=N)."
    )


def _upper_end(correlation: float, num_pairs: int) -> float:
    """Upper end of the 95 % interval, by Fisher's transformation."""
    return math.tanh(math.atanh(min(correlation, 1 - 1e-9)) + 1.96 / math.sqrt(num_pairs - 3))
